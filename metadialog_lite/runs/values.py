"""A parameter's value, read from text or from a YAML file by the type that the notebook declares."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

#: What the names of types mean to somebody who types a value.
EXPECTED = {"int": "a whole number such as 3", "float": "a number such as 0.01 or 1e-3", "bool": "true or false",
            "str": "a text", "list": "a list such as [1, 2]", "dict": "a mapping such as {\"a\": 1}"}
_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "dict": dict}
#: The most values that one range ``0..4`` may stand for.
LONGEST_RANGE = 100_000


def from_text(text: str, kind: str) -> Any:
    """``"1e-3"`` declared as ``float`` -> ``0.001``. Types this course does not use are read as Python literals.

    Raises:
        ValueError: saying what was expected.
    """
    if kind == "str":
        return text
    try:
        if kind == "bool":
            return {"true": True, "false": False}[text.strip().lower()]
        if kind in ("int", "float"):
            return _TYPES[kind](text)
        if kind in ("list", "dict"):
            value = json.loads(text)
            if isinstance(value, _TYPES[kind]):
                return value
            raise ValueError
    except (ValueError, KeyError):
        raise ValueError(f"got {text!r}: {EXPECTED[kind]} is expected") from None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def checked(value: Any, kind: str) -> Any:
    """A value that is no text any more (from a YAML file or from Python), as the declared type.

    A whole number serves as a float, and a text as what it spells (YAML reads ``1e-3`` as a text).

    Raises:
        ValueError: saying what was expected.
    """
    expected = _TYPES.get(kind)
    if expected is None or type(value) is expected:
        return value
    if kind == "float" and type(value) is int:
        return float(value)
    if isinstance(value, str) and kind != "str":
        return from_text(value, kind)
    raise ValueError(f"got {value!r}: {EXPECTED[kind]} is expected")


def as_range(text: str) -> list[int] | None:
    """``"0..4"`` -> ``[0, 1, 2, 3, 4]``, the last one included; None for any other text.

    Raises:
        ValueError: for a range that runs backwards or is enormous.
    """
    found = re.fullmatch(r"\s*(-?\d+)\.\.(-?\d+)\s*", text)
    if not found:
        return None
    first, last = int(found[1]), int(found[2])
    if last < first:
        raise ValueError(f"the range {text} runs backwards: did you mean {last}..{first}?")
    if last - first >= LONGEST_RANGE:
        raise ValueError(f"the range {text} has {last - first + 1:,} values; at most {LONGEST_RANGE:,} are possible")
    return list(range(first, last + 1))

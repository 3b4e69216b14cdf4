"""From a YAML file to a validated world, and a clear word for everything that is wrong with it.

All faults are told at once, one line each: ``file: line: field: got value: what would be right``.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from metadialog_lite.paths import data_dir
from metadialog_lite.world.ambiguity import faults
from metadialog_lite.world.spec import Knobs, Slot, SystemSide, UserSide, WorldError, WorldSpec

_MODELS: dict[str, type[BaseModel]] = {"knobs": Knobs, "slots": Slot, "user": UserSide, "system": SystemSide}
_PATTERNS = {"world": "letters, digits, '-' and '_', with dots between: such as restaurants.en",
             "language": "two small letters, such as en or zh"}


def read_spec(name_or_path: str | Path) -> WorldSpec:
    """Read and validate a world: a shipped name (``restaurants.en``) or the path of a YAML file.

    Raises:
        WorldError: naming the file, the line, the field, the value and what would be right, one line a fault.
    """
    path = find_world(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        loaded = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise WorldError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from error
    except OSError as error:
        raise WorldError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise WorldError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if loaded is None:
        raise WorldError(f"{path}: is empty; a world needs the fields {', '.join(WorldSpec.model_fields)}")
    if not isinstance(loaded, dict):
        raise WorldError(f"{path}: holds one {type(loaded).__name__}, expected fields such as 'world:' and 'slots:'")
    spec, lines = _validated(loaded)
    lines = [*_twice(tree), *(f"{_where(tree, line)}{line}" for line in dict.fromkeys(lines))]
    lines.sort(key=lambda line: int(line.split()[1].rstrip(":")) if line.startswith("line ") else 0)
    if spec is None or lines:
        raise WorldError("\n".join(f"{path}: {line}" for line in lines))
    return spec


def shipped_worlds() -> list[str]:
    """Names of the worlds that come with the kit."""
    return sorted(path.name.removesuffix(".yaml") for path in (data_dir() / "worlds").glob("*.yaml"))


def find_world(name_or_path: str | Path) -> Path:
    """The file of a shipped world or the given path itself. Raises WorldError when there is neither."""
    shipped = shipped_worlds()
    if str(name_or_path) in shipped:
        return data_dir() / "worlds" / f"{name_or_path}.yaml"
    path = Path(name_or_path)
    try:
        if path.is_file() or path.is_fifo():
            return path
        folder = path.is_dir() and str(name_or_path)
    except (OSError, ValueError):  # a name that is too long or holds a NUL byte
        folder = False
    if folder:
        inside = sorted(p.name for p in path.glob("*.yaml"))[:3]
        listed = f"; in it are {', '.join(inside)}" if inside else ""
        raise WorldError(f"{path}: is a folder, not a world file{listed}")
    raise WorldError(f"world '{str(name_or_path)[:80]}': neither a file nor a shipped world"
                     f"{_did_you_mean(Path(name_or_path).name, shipped)} (shipped are {', '.join(shipped)})")


def knob_faults(error: ValidationError) -> list[str]:
    """One line for each knob that pydantic refused."""
    return [line.removeprefix("knobs.") for line in _lines(error, inside=("knobs",))]


def _validated(loaded: dict[Any, Any]) -> tuple[WorldSpec | None, list[str]]:
    """The spec where it is one, and every fault found.

    When a field has the wrong type, what can be repaired is repaired in a copy, so that the faults behind
    it (words in two slots, ambiguous templates) are found in the same run.
    """
    try:
        spec = WorldSpec.model_validate(loaded)
        return spec, faults(spec)
    except ValidationError as error:
        lines = _lines(error)
        try:
            return None, lines + faults(WorldSpec.model_validate(_repaired(loaded, error)))
        except ValidationError:
            return None, lines


def _repaired(loaded: dict[Any, Any], error: ValidationError) -> dict[Any, Any]:
    """A copy without unknown fields and refused knobs, and with text where another scalar stood."""
    repaired = copy.deepcopy(loaded)
    for number, fault in enumerate(error.errors()):
        *way, last = fault["loc"]
        place: Any = repaired
        try:
            for step in way:
                place = place[step]
            if fault["type"] == "extra_forbidden" or way == ["knobs"]:
                del place[last]
            elif fault["type"] == "string_type" and isinstance(fault["input"], (bool, int, float, type(None))):
                place[last] = f"{fault['input']}#{number}"
        except (KeyError, IndexError, TypeError):
            continue
    return repaired


def _lines(error: ValidationError, inside: tuple[str, ...] = ()) -> list[str]:
    """Pydantic's findings as 'field: got value: what would be right'."""
    lines = []
    for fault in error.errors():
        where = (*inside, *(part for part in fault["loc"] if part != "[key]"))
        field, kind, got = ".".join(map(str, where)) or "file", fault["type"], f"got {_short(fault['input'])}"
        context = fault.get("ctx", {})
        if kind == "extra_forbidden":
            model = _MODELS.get(str(where[0]), WorldSpec) if len(where) > 1 else WorldSpec
            known = list(model.model_fields)
            near = _did_you_mean(str(where[-1]), known) or f"; known here are {', '.join(known)}"
            lines.append(f"{field}: unknown field{near}")
        elif kind == "missing":
            lines.append(f"{field}: missing, this field is required")
        elif kind == "string_type":
            lines.append(f"{field}: {got}: text expected (put quotes round words such as \"no\" or \"11\")")
        elif kind == "tuple_type":
            lines.append(f"{field}: {got}: a list expected, such as [one, two]")
        elif kind in ("dict_type", "model_type"):
            lines.append(f"{field}: {got}: fields expected below it, indented, each 'name: value'")
        elif kind in ("too_short", "too_long"):
            bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
            lines.append(f"{field}: {got}: {bound} expected, not {context['actual_length']}")
        elif kind == "string_too_short":
            lines.append(f"{field}: {got}: must not be empty")
        elif kind == "string_pattern_mismatch":
            lines.append(f"{field}: {got}: expected {_PATTERNS.get(field, context.get('pattern'))}")
        else:
            lines.append(f"{field}: {got}: {fault['msg'].replace('Input should', 'should')}")
    return lines


def _twice(tree: yaml.Node | None) -> Iterator[str]:
    """Keys that stand twice in one mapping: YAML itself would silently keep the last."""
    waiting: list[tuple[yaml.Node | None, str]] = [(tree, "")]
    visited: set[int] = set()  # an alias may lead back to where we came from
    while waiting:
        node, field = waiting.pop(0)
        if node is None or id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if isinstance(key, yaml.ScalarNode):
                    if key.value in first:
                        yield (f"line {line}: {field}{key.value}: stands there twice (first in line "
                               f"{first[key.value]}); keep one")
                    first.setdefault(key.value, line)
                    waiting.append((value, f"{field}{key.value}."))
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(item, field) for item in node.value]


def _where(tree: yaml.Node | None, line: str) -> str:
    """'line 12: ' for a fault such as 'slots.food.words.1: got …', as deep as the file has that field."""
    node, at = tree, None
    for part in re.split(r"[.:]", line.split(": ", 1)[0]):
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if getattr(key, "value", None) == part]
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            found = [(node.value[int(part)], node.value[int(part)])]
        else:
            found = []
        if not found:
            break
        at, node = found[-1]
    return f"line {at.start_mark.line + 1}: " if at is not None else ""


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    candidates: Sequence[str] = list(known)
    near = difflib.get_close_matches(name.removesuffix(".yaml"), candidates, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

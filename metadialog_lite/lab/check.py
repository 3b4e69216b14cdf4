"""``check("05.1", answer) -> Verdict``: self-checks of the exercises.

A checker tests *properties of the answer on fresh random inputs*, never a stored value, so a constant, a copied number
or an unchanged stub cannot pass. Checkers live in ``checks_05.py`` and the like, one module a notebook, and enter
themselves with ``@exercise("05.1", …)``. What all of them need is in ``judging.py``.
"""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, util
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What a check says. ``misconception`` names a known wrong idea, when the answer shows one.

    ``misconception`` is a short fixed label (for example "first order"), so that answers of a class can be counted.
    """

    passed: bool
    message: str
    misconception: str | None = None
    exercise: str = ""

    @property
    def title(self) -> str:
        """One line that a student reads first."""
        word = "passed" if self.passed else "not yet"
        return f"{self.exercise} {word}".strip()

    def __str__(self) -> str:
        return f"{'✓' if self.passed else '○'} {self.title}: {self.message}"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return f"**{'✓' if self.passed else '○'} {self.title}:** {self.message}"

    def _repr_html_(self) -> str:
        # Colours of Okabe and Ito on the edge only: text keeps the theme's own colour, and the words say it as well.
        edge = "#009E73" if self.passed else "#E69F00"
        text = re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(self.message)).replace("\n", "<br>")
        return (f'<div role="status" style="border-left:5px solid {edge};padding:4px 10px">'
                f"<b>{'✓' if self.passed else '○'} {html.escape(self.title)}:</b> {text}</div>")


Checker = Callable[[Any], Verdict]
_CHECKERS: dict[str, Checker] = {}


def exercise(identifier: str) -> Callable[[Checker], Checker]:
    """Enter a checker under an id such as "05.1" (notebook, number).

    Raises:
        ValueError: when the id is taken by another checker.
    """

    def enter(checker: Checker) -> Checker:
        old = _CHECKERS.get(identifier)
        if old is not None and (old.__module__, old.__qualname__) != (checker.__module__, checker.__qualname__):
            raise ValueError(f"exercise {identifier} has a checker already: {old.__module__}.{old.__qualname__}")
        _CHECKERS[identifier] = checker
        return checker

    return enter


def check(identifier: str, answer: Any) -> Verdict:
    """Check the answer to one exercise. Never raises because of the answer: a failing function gets a verdict, too.

    Args:
        identifier: the exercise, for example "05.1".
        answer: what the exercise asks for, mostly the function itself (``my_function``, not ``my_function(...)``).
    """
    checker = _find(str(identifier))
    if checker is None:
        return Verdict(False, _unknown(str(identifier)), exercise=str(identifier))
    verdict = checker(answer)
    return Verdict(verdict.passed, verdict.message, verdict.misconception, str(identifier))


def exercises(notebook: str) -> list[str]:
    """The ids of a notebook's exercises: "05" → ["05.1", "05.2", "05.3"]."""
    _load(notebook)
    return sorted(key for key in _CHECKERS if key.split(".")[0] == notebook)


def _load(notebook: str) -> None:
    name = f"{__package__}.checks_{notebook}"
    if re.fullmatch(r"\w+", notebook) and util.find_spec(name) is not None:
        import_module(name)


def _find(identifier: str) -> Checker | None:
    _load(identifier.split(".")[0])
    return _CHECKERS.get(identifier)


def _unknown(identifier: str) -> str:
    for number in range(13):
        _load(f"{number:02d}")
    own = [key for key in _CHECKERS if key.split(".")[0] == identifier.split(".")[0]]  # the same notebook's come first
    near = difflib.get_close_matches(identifier, own or _CHECKERS, n=3, cutoff=0.4)
    known = ", ".join(f"'{key}'" for key in near or sorted(_CHECKERS))
    return f"there is no exercise '{identifier}'; {'did you mean' if near else 'there are'} {known}?"

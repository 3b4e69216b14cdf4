"""The course's exercises: enough of them, each with minutes, two hints and a solution that passes where its stub fails.

And what every tutorial owes its reader: a calibration summary at the end, a "what do we see?" and a text twin for each
plot.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest

from metadialog_lite.lab import check
from metadialog_lite.lab.check import exercises
from metadialog_lite.paths import notebooks_dir

TUTORIALS = sorted(notebooks_dir().glob("[0-9][0-9]_*.ipynb"))
HEAD = re.compile(r"^#{2,4} Exercise (\d\d\.\d+) · (.+?) \((\d+) minutes\)$", re.M)
SHOWS = re.compile(r"\bshow\(")


@dataclass
class Exercise:
    """One exercise as it stands in its notebook."""

    identifier: str
    minutes: int
    text: str  # of the markdown cell
    stub: str  # of the code cell below it
    imports: str = field(repr=False, default="")  # what the notebook has imported by then

    @property
    def solution(self) -> str:
        """The code inside the collapsed solution."""
        return self.text.split("<summary>Solution</summary>")[1].split("```python\n")[1].split("```")[0]

    @property
    def name(self) -> str:
        """The student's function, as it is handed to ``check``."""
        found = re.search(rf'check\("{re.escape(self.identifier)}", (\w+)\)', self.stub)
        assert found, f"{self.identifier}: the cell below it does not call check({self.identifier!r}, …)"
        return found[1]


@cache
def cells_of(path: Path) -> list[Any]:
    return list(nbformat.read(path, 4).cells)


def imports_of(source: str) -> str:
    """The import statements of a cell."""
    lines = [ast.unparse(node) for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(lines)


def found_in(path: Path) -> list[Exercise]:
    cells, result, imports = cells_of(path), [], ""
    for place, cell in enumerate(cells):
        if cell.cell_type == "code":
            imports += imports_of(cell.source) + "\n"
            continue
        for head in HEAD.finditer(cell.source):
            stub = next((c.source for c in cells[place + 1 :] if c.cell_type == "code"), "")
            result.append(Exercise(head[1], int(head[3]), cell.source, stub, imports))
    return result


ALL = [exercise for path in TUTORIALS for exercise in found_in(path)]


def in_class(exercise: Exercise, code: str) -> Any:
    """The function that a student has after running ``code`` in the notebook."""
    names: dict[str, Any] = {}
    exec(exercise.imports, names)
    exec(code, names)
    return names[exercise.name]


def stub_alone(exercise: Exercise) -> str:
    """The stub's cell without the call of ``check``."""
    body = ast.parse(exercise.stub).body
    return "\n".join(ast.unparse(node) for node in body if not (
        isinstance(node, ast.Expr) and "check(" in ast.unparse(node)))


# The exercises -------------------------------------------------------------------------------------------------------


def test_there_are_enough() -> None:
    assert len(ALL) >= 24
    assert len({one.identifier for one in ALL}) == len(ALL)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_at_least_two_a_tutorial_and_each_checker_is_used(path: Path) -> None:
    own = [one.identifier for one in found_in(path)]
    assert len(own) >= 2
    assert sorted(own) == exercises(path.stem[:2])  # no checker without its exercise, and none without a checker


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.identifier)
def test_minutes_two_hints_and_a_collapsed_solution(one: Exercise) -> None:
    assert 2 <= one.minutes <= 45
    assert one.text.count("<details><summary>Hint ") == 2
    assert one.text.count("<details><summary>Solution</summary>") == 1
    assert "<details open" not in one.text
    assert one.text.count("<details>") == one.text.count("</details>") == 3
    assert one.text.index("Hint 1") < one.text.index("Hint 2") < one.text.index("Solution</summary>")


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.identifier)
def test_the_stub_fails_and_is_told_so(one: Exercise) -> None:
    verdict = check(one.identifier, in_class(one, stub_alone(one)))
    assert not verdict.passed
    assert "stub" in verdict.message


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.identifier)
def test_the_printed_solution_passes(one: Exercise) -> None:
    answer = in_class(one, one.solution)
    for _ in range(2):
        verdict = check(one.identifier, answer)
        assert verdict.passed, verdict


# What every tutorial owes its reader ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_ends_with_the_calibration(path: Path) -> None:
    code = [cell.source for cell in cells_of(path) if cell.cell_type == "code"]
    assert "calibration()" in code[-1]
    assert any("predict(" in source for source in code)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_each_plot_is_read_and_has_a_twin(path: Path) -> None:
    cells, unread, speechless = cells_of(path), [], []
    for place, cell in enumerate(cells):
        if cell.cell_type != "code" or not SHOWS.search(cell.source):
            continue
        after = cells[place + 1 : place + 6]
        if not any(c.cell_type == "markdown" and "what do we see?" in c.source.lower() for c in after):
            unread.append(cell.id)
        for output in cell.outputs:
            data = output.get("data", {})
            if any(kind in data for kind in ("image/png", "image/svg+xml")) and len(data.get("text/plain", "")) < 20:
                speechless.append(cell.id)
    assert unread == []
    assert speechless == []

"""What all tutorials have in common, looked at without running them: parameters, size, short cells, solutions.

What a notebook does when it runs is in ``test_NN_papermill.py``, and what its exercises are made of in
``test_exercises.py``.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import papermill as pm
import pytest
import torch

from metadialog_lite.lab import check
from metadialog_lite.lab.check import exercises
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.runs.notebook import load_notebook

TUTORIALS = {path.stem[:2]: path for path in sorted(notebooks_dir().glob("[0-9][0-9]_*.ipynb"))}
#: Their solutions need not even torch.
WITHOUT_TORCH = ("08", "11")


def each_tutorial(test):
    return pytest.mark.parametrize("number", TUTORIALS)(test)


def cells_of(path: Path) -> list[nbformat.NotebookNode]:
    return nbformat.read(path, 4).cells


def test_there_are_thirteen() -> None:
    assert list(TUTORIALS) == [f"{number:02}" for number in range(13)]


@each_tutorial
def test_every_parameter_is_typed_and_explained(number: str) -> None:
    path = TUTORIALS[number]
    found, kind = pm.inspect_notebook(str(path)), load_notebook(str(path)).kind
    assert kind is not None
    assert kind.__module__ == "metadialog_lite.lab.parameters" + ("" if number == "05" else f"_{number}")
    assert set(found) == set(kind.names())
    defaults = kind()
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float"), name
        assert parameter["help"], name
        if (number, name) == ("09", "seed"):  # not the speakers whom the shipped checkpoints were looked at with
            continue
        assert parameter["default"].strip('"') == str(getattr(defaults, name)), name


@each_tutorial
def test_the_parameters_are_checked_at_once(number: str) -> None:
    cells = cells_of(TUTORIALS[number])
    (after,) = [cells[i + 1] for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    assert "= parameters(globals()" in after.source


@each_tutorial
def test_the_notebook_is_small_and_its_cells_are_short(number: str) -> None:
    path = TUTORIALS[number]
    assert path.stat().st_size <= 300_000
    cells = cells_of(path)
    assert len(cells) <= 60
    long = {cell.id: len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code"}
    assert {name: lines for name, lines in long.items() if lines > 15} == {}
    assert "widget-view" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("exercise", [one for number in TUTORIALS if number != "05" for one in exercises(number)])
def test_a_printed_solution_passes_with_torch_alone(exercise: str) -> None:
    """Whatever else it needs it imports itself. (05 uses the notebook's ``grad``, see ``test_exercises.py``.)"""
    number, place = exercise.split(".")
    cells = cells_of(TUTORIALS[number])
    (text,) = [one.source for one in cells if one.id == f"ex{place}"]
    assert text.count("<details><summary>Hint") == 2
    names: dict[str, object] = {} if number in WITHOUT_TORCH else {"torch": torch}
    exec(text.split("<summary>Solution</summary>")[1].split("```python\n")[1].split("```")[0], names)
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    (answer,) = re.findall(rf'check\("{re.escape(exercise)}", (\w+)\)', code)
    verdict = check(exercise, names[answer])
    assert verdict.passed, verdict

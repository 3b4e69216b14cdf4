"""Notebook 12 from the shell with plain papermill: it reads what is stored, and says so where nothing is."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest
import torch

from metadialog_lite.lab import check
from metadialog_lite.lab.open_questions import DIRECTIONS, QUESTIONS
from metadialog_lite.lab.parameters_12 import QuestionParameters
from metadialog_lite.paths import notebooks_dir

NAME = "12_open_questions"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{}, {"world": "restaurants.zh", "shots": 4, "direction": "better responses"}],
                         ids=["as shipped", "nothing stored"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, **parameters, result_path="out/result.json")
    assert run.code == 0, run.log[-3000:]
    result = json.loads((run.folder / "out" / "result.json").read_text(encoding="utf-8"))
    assert list(result["answers"]) == list(QUESTIONS)
    assert result["commands"] == {name: [one.command, one.sweep] for name, one in DIRECTIONS.items()}
    if parameters:
        assert result["left"] == {}
        assert "is stored" in result["answers"]["What comes next?"]
    else:
        assert set(result["left"]) == {"state", "act", "response"}
        assert "meta_sgd wins" in result["answers"]["How does it differ from traditional learning?"]
    assert not (run.folder / "my_predictions.json").exists()


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, direction="cheaper adaption", shots=3)
    assert run.code != 0
    assert "did you mean 'cheaper adaptation'?" in run.log
    assert "shots: got 3: the stored numbers are for" in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(QuestionParameters.names())
    defaults = QuestionParameters()
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float")
        assert parameter["help"], name
        assert str(getattr(defaults, name)) == parameter["default"].strip('"')


def test_the_notebook_is_small_and_its_cells_are_short() -> None:
    assert NOTEBOOK.stat().st_size <= 300_000
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 60
    assert {c.id for c in cells if c.cell_type == "code" and len(c.source.splitlines()) > 15} == set()
    assert "widget-view" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.parametrize(("cell", "exercise", "name"), [
    ("ex1", "12.1", "most_to_gain"), ("ex2", "12.2", "speakers_needed")])
def test_the_printed_solutions_pass_their_checks(cell: str, exercise: str, name: str) -> None:
    (text,) = [one.source for one in nbformat.read(NOTEBOOK, 4).cells if one.id == cell]
    names: dict = {"torch": torch}
    exec(text.split("```python\n")[1].split("```")[0], names)
    assert check(exercise, names[name]).passed

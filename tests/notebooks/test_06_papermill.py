"""Notebook 06 from the shell with plain papermill: no environment variable, no panel pressed, a valid result."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest
import torch

from metadialog_lite.lab import check
from metadialog_lite.lab.parameters_06 import DataParameters
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.results import Result

NAME = "06_meta_data_generation"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"
SMALL = {"meta_steps": 2, "tasks": 2, "eval_tasks": 6, "query_turns": 4}


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"learner": "augmentation", "shots": 8, "result_path": "out/result.json"},
    {"learner": "example_weights", "world": "restaurants.zh", "shots": 4, "seed": 1, "result_path": "result.json"},
    {"learner": "distillation", "meta_steps": 0, "noise": 0, "shots": 4, "result_path": "result.json"},
], ids=lambda p: p["learner"])
def test_parameter_sets_give_results_in_the_schema(papermill, parameters) -> None:
    """The second has no shipped checkpoint, the third neither training nor noise."""
    parameters = {**SMALL, **parameters}
    run = papermill(NAME, timeout=800, **parameters)
    assert run.code == 0, run.log[-3000:]
    text = (run.folder / parameters["result_path"]).read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["schema"] == 1
    result = Result.model_validate_json(text)
    assert result.learner == parameters["learner"]
    world = parameters.get("world", "restaurants.en")
    assert result.world == (f"{world}+noise=0.2" if result.learner == "example_weights" else world)
    assert result.tasks == SMALL["eval_tasks"]
    row = result.row(parameters["shots"])
    assert row.loss is not None
    assert row.bayes is not None
    assert not (run.folder / "my_predictions.json").exists()
    assert "largest error" in run.printed


@pytest.mark.parametrize(("parameters", "words"), [
    ({"learner": "maml"}, "learner: got 'maml': unknown learner; known are augmentation, distillation"),
    ({"noise": 2}, "noise: got 2"),
], ids=["learner", "noise"])
def test_bad_parameters_stop_the_run_with_a_readable_word(papermill, parameters, words) -> None:
    run = papermill(NAME, **parameters)
    assert run.code != 0
    assert words in run.log
    assert "pydantic" not in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(DataParameters.names())
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float"), name
        assert parameter["help"], name
        default = DataParameters.model_fields[name].default
        assert parameter["default"].strip('"') == str(default), name


def test_the_notebook_is_small_and_its_cells_are_short() -> None:
    assert NOTEBOOK.stat().st_size <= 300_000
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 60
    long = {cell.id: len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code"}
    assert {name: lines for name, lines in long.items() if lines > 15} == {}
    assert "widget-view" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.parametrize(("cell", "exercise"), [("ex1", "06.1"), ("ex2", "06.2"), ("ex3", "06.3")])
def test_the_printed_solutions_pass_their_checks(cell: str, exercise: str) -> None:
    (text,) = [one.source for one in nbformat.read(NOTEBOOK, 4).cells if one.id == cell]
    assert text.count("<details><summary>Hint") == 2
    names: dict[str, object] = {"torch": torch}
    exec(text.split("```python\n")[1].split("```")[0], names)
    verdict = check(exercise, next(value for name, value in names.items() if name not in ("torch", "__builtins__")))
    assert verdict.passed, verdict

"""Notebook 00 from the shell with plain papermill: the first experiment works for every shipped learner's kind."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest

from metadialog_lite.lab.parameters_00 import StartParameters
from metadialog_lite.paths import notebooks_dir

NAME = "00_start_here"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {},
    {"learner": "hypernetwork", "shots": 8, "eval_tasks": 12, "seed": 3},
], ids=["default", "hypernetwork"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, **parameters, result_path="out/result.json")
    assert run.code == 0, run.log[-3000:]
    result = json.loads((run.folder / "out" / "result.json").read_text(encoding="utf-8"))
    shots = parameters.get("shots", 16)
    assert result["learner"] == parameters.get("learner", "meta_sgd")
    assert result["understood"]["0"] < 0.45 < result["understood"][str(shots)] <= 1  # a guess among five; then it knows
    assert "The installation works." in run.printed
    assert "用户:" in run.printed
    assert not (run.folder / "my_predictions.json").exists()


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, learner="hypernet")
    assert run.code != 0
    assert "learner: got 'hypernet': unknown learner; did you mean 'hypernetwork'?" in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(StartParameters.names())
    defaults = StartParameters()
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float")
        assert parameter["help"], name
        assert str(getattr(defaults, name)) == parameter["default"].strip('"')


def test_cells_are_short_and_few() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert len(cells) <= 60
    assert {c.id for c in cells if c.cell_type == "code" and len(c.source.splitlines()) > 15} == set()

"""Notebook 01 from the shell with plain papermill: its claims hold for several parameter sets."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest

from metadialog_lite.lab.parameters_01 import FirstParameters
from metadialog_lite.paths import notebooks_dir

NAME = "01_learning_to_learn"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"meta_steps": 250, "eval_tasks": 60},
    {"meta_steps": 20, "eval_tasks": 20, "shots": 5, "inner_steps": 1, "inner_lr": 0.3, "seed": 3},
], ids=["shorter", "tiny"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, **parameters, result_path="out/result.json")
    assert run.code == 0, run.log[-3000:]
    result = json.loads((run.folder / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["memorised"]["train"] < 0.1 < 1 < result["memorised"]["fresh"]  # learned by heart, and wrong
    assert 0.01 * 0.8 < result["floor"] < result["zero"]
    assert min(map(min, result["error"].values())) > 0.9 * result["floor"]
    if parameters["meta_steps"] >= 250:
        assert result["gap_closed"]["meta-trained"] > 0.3
        assert result["gap_closed"]["joint, fine-tuned"] < 0.2
    assert not (run.folder / "my_predictions.json").exists()


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, inner_lr=5)
    assert run.code != 0
    assert "inner_lr: got 5: input should be less than or equal to 2" in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(FirstParameters.names())
    defaults = FirstParameters()
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float")
        assert parameter["help"], name
        assert str(getattr(defaults, name)) == parameter["default"].strip('"')


def test_the_printed_solutions_pass_their_checks() -> None:
    from metadialog_lite.lab import check

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for number, cell in (("01.1", "ex1"), ("01.2", "ex2")):
        text = next(c.source for c in notebook.cells if c.id == cell)
        space: dict = {"torch": __import__("torch")}
        exec(text.split("```python\n")[1].split("```")[0], space)
        answer = space["step" if number == "01.1" else "through_step"]
        assert check(number, answer).passed


def test_the_notebook_is_small_and_its_cells_are_short() -> None:
    assert NOTEBOOK.stat().st_size <= 300_000
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert len(cells) <= 60
    assert {c.id for c in cells if c.cell_type == "code" and len(c.source.splitlines()) > 15} == set()

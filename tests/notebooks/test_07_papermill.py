"""Notebook 07 from the shell with plain papermill: whatever is stored, all, half or nothing, it runs and says so."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest
import torch
from made_up_comparison import write_comparison, write_shifts

from metadialog_lite.lab import check
from metadialog_lite.lab.parameters_07 import ComparisonParameters
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.results import Result

NAME = "07_compare_families"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"eval_tasks": 20, "result_path": "out/result.json"},
    {"eval_tasks": 20, "shots": 0, "capability": "response", "measure": "regret", "result_path": "result.json"},
], ids=["as shipped", "no support"])
def test_two_checkpoints_are_measured_and_written(papermill, parameters) -> None:
    run = papermill(NAME, timeout=600, **parameters)
    assert run.code == 0, run.log[-3000:]
    text = (run.folder / parameters["result_path"]).read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["schema"] == 1
    result = Result.model_validate_json(text)
    assert result.learner == "meta_sgd"
    assert result.tasks == 20
    assert result.row(parameters.get("shots", 16)).bayes is not None
    assert result.options["compared"]
    assert "measured here" in run.printed
    assert not (run.folder / "my_predictions.json").exists()


@pytest.mark.slow
def test_a_folder_of_ones_own_with_a_damaged_file(papermill, tmp_path) -> None:
    folder = write_comparison(tmp_path / "mine" / "compare")
    write_shifts(tmp_path / "mine" / "shift")
    (folder / "restaurants.en.prior.seed1.json").write_text("{")
    run = papermill(NAME, timeout=600, results=folder, learners="all", capability="state", measure="loss", shots=4,
                    training_seed=0, live="", result_path="result.json")
    assert run.code == 0, run.log[-3000:]
    printed = " ".join(run.printed.split())
    assert "hypernetwork wins" in printed
    assert "restaurants.en.prior.seed1.json: the file: Invalid JSON" in printed
    assert "Answer: “Meta-Neural Networks”" in printed
    assert "lexicon: meta_sgd 0.40" in printed
    result = Result.model_validate_json((run.folder / "result.json").read_text(encoding="utf-8"))
    assert result.learner == "hypernetwork"
    assert "prior" in result.options["not_run"]


@pytest.mark.slow
def test_a_world_without_any_run(papermill) -> None:
    run = papermill(NAME, timeout=600, world="restaurants.zh", result_path="result.json")
    assert run.code == 0, run.log[-3000:]
    printed = " ".join(run.printed.split())
    assert "No run on restaurants.zh is stored" in printed
    assert "No checkpoint of meta_sgd,hypernetwork is shipped for restaurants.zh" in printed
    assert "nothing was measured or stored" in printed


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, learners="mamel", shots=7)
    assert run.code != 0
    assert "'mamel' is no learner; did you mean 'maml'?" in run.log
    assert "shots: got 7: the comparison was made after" in run.log
    assert "pydantic" not in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(ComparisonParameters.names())
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float"), name
        assert parameter["help"], name
        default = ComparisonParameters.model_fields[name].default
        assert parameter["default"].strip('"') == str(default), name


def test_the_notebook_is_small_and_its_cells_are_short() -> None:
    assert NOTEBOOK.stat().st_size <= 300_000
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 60
    long = {cell.id: len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code"}
    assert {name: lines for name, lines in long.items() if lines > 15} == {}
    assert "widget-view" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.parametrize(("cell", "exercise"), [("ex1", "07.1"), ("ex2", "07.2"), ("ex3", "07.3"), ("ex4", "07.4")])
def test_the_printed_solutions_pass_their_checks(cell: str, exercise: str) -> None:
    (text,) = [one.source for one in nbformat.read(NOTEBOOK, 4).cells if one.id == cell]
    assert text.count("<details><summary>Hint") == 2
    names: dict[str, object] = {"torch": torch}
    exec(text.split("```python\n")[1].split("```")[0], names)
    verdict = check(exercise, next(value for name, value in names.items() if name not in ("torch", "__builtins__")))
    assert verdict.passed, verdict

"""Notebook 08 from the shell with plain papermill: whatever is stored, it runs and says what is missing."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest
from made_up_comparison import write_comparison

from metadialog_lite.lab import check
from metadialog_lite.lab.parameters_08 import CapabilityParameters
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.results import Result

NAME = "08_three_capabilities"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
def test_a_gradient_learner_with_few_speakers(papermill) -> None:
    run = papermill(NAME, timeout=600, eval_tasks=8, shots=4, measure="regret", who="all", result_path="out/r.json")
    assert run.code == 0, run.log[-3000:]
    text = (run.folder / "out" / "r.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["schema"] == 1
    result = Result.model_validate_json(text)
    assert (result.learner, result.tasks) == ("meta_sgd", 8)
    assert result.row(4, "state").gap_closed is not None
    assert len(result.options["claims"]) == 12
    assert result.options["jga"]["4 own"] <= 1
    assert len(set(result.options["bleu"].values())) > 3
    assert [len(row) for row in result.options["taught"]] == [3, 3, 3, 3]
    assert not (run.folder / "my_predictions.json").exists()


@pytest.mark.slow
def test_a_network_and_a_folder_of_ones_own(papermill, tmp_path) -> None:
    folder = write_comparison(tmp_path / "mine" / "compare")
    run = papermill(NAME, timeout=600, results=folder, learner="hypernetwork", eval_tasks=6, training_seed=0,
                    result_path="result.json")
    assert run.code == 0, run.log[-3000:]
    printed = " ".join(run.printed.split())
    assert "11 of 11 claims: supported" in printed
    result = Result.model_validate_json((run.folder / "result.json").read_text(encoding="utf-8"))
    assert result.learner == "hypernetwork"
    assert result.options["shipped"]


@pytest.mark.slow
def test_a_world_without_any_run_or_checkpoint(papermill) -> None:
    run = papermill(NAME, timeout=600, world="clinic.en", learner="maml", eval_tasks=4, shots=2,
                    result_path="result.json")
    assert run.code == 0, run.log[-3000:]
    printed = " ".join(run.printed.split())
    assert "No run on clinic.en is stored" in printed
    assert "11 of 11 claims: not measured" in printed
    result = Result.model_validate_json((run.folder / "result.json").read_text(encoding="utf-8"))
    assert set(result.options["claims"].values()) == {"not measured"}


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, learner="mamel", shots=7)
    assert run.code != 0
    assert "learner: got 'mamel': unknown learner; did you mean 'maml'?" in run.log
    assert "shots: got 7: the comparison was made after" in run.log
    assert "pydantic" not in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(CapabilityParameters.names())
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float"), name
        assert parameter["help"], name
        default = CapabilityParameters.model_fields[name].default
        assert parameter["default"].strip('"') == str(default), name


def test_the_notebook_is_small_and_its_cells_are_short() -> None:
    assert NOTEBOOK.stat().st_size <= 300_000
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 60
    long = {cell.id: len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code"}
    assert {name: lines for name, lines in long.items() if lines > 15} == {}
    assert "widget-view" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.parametrize(("cell", "exercise"), [("ex1", "08.1"), ("ex2", "08.2"), ("ex3", "08.3")])
def test_the_printed_solutions_pass_their_checks(cell: str, exercise: str) -> None:
    (text,) = [one.source for one in nbformat.read(NOTEBOOK, 4).cells if one.id == cell]
    assert text.count("<details><summary>Hint") == 2
    names: dict[str, object] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    verdict = check(exercise, next(value for name, value in names.items() if name not in ("Counter", "__builtins__")))
    assert verdict.passed, verdict

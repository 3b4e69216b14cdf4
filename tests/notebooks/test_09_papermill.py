"""Notebook 09 from the shell with plain papermill: with and without stored experiments, on other worlds as well."""

from __future__ import annotations

import json

import nbformat
import papermill as pm
import pytest
import torch

from metadialog_lite.lab import check
from metadialog_lite.lab.parameters_09 import ChallengeParameters
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.results import Result

NAME = "09_three_challenges"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
def test_a_short_run_is_written(papermill) -> None:
    run = papermill(NAME, timeout=600, pool=2, meta_steps=24, tasks=2, eval_tasks=6, result_path="out/result.json")
    assert run.code == 0, run.log[-3000:]
    text = (run.folder / "out" / "result.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["schema"] == 1
    result = Result.model_validate_json(text)
    assert (result.learner, result.tasks) == ("meta_sgd", 6)
    assert result.options["shipped"]
    change = result.options["change_of_regret"]
    assert change["seen"] < 0 < change["new"]  # it learns its two speakers by heart, and strangers pay
    assert [point["step"] for point in result.options["points"]] == [0, 4, 8, 12, 16, 20, 24]
    shares = result.options["shift_gap_closed"]
    assert shares["+lexicon"] < shares[""]
    errors = list(result.options["order_error"].values())
    assert errors[0] < errors[-1]
    assert "stored: python -m metadialog_lite.challenges tasks" in " ".join(run.printed.split())
    assert not (run.folder / "my_predictions.json").exists()


@pytest.mark.slow
def test_another_learner_without_stored_experiments(papermill, tmp_path) -> None:
    (tmp_path / "nothing").mkdir()
    run = papermill(NAME, timeout=600, results=tmp_path / "nothing", learner="maml", meta_steps=2, pool=3, tasks=2,
                    eval_tasks=4, shots=4, result_path="result.json")
    assert run.code == 0, run.log[-3000:]
    printed = " ".join(run.printed.split())
    assert "nobody has made this experiment yet" in printed
    result = Result.model_validate_json((run.folder / "result.json").read_text(encoding="utf-8"))
    assert (result.learner, result.options["shipped"]) == ("maml", False)
    assert result.row(4).bayes is not None


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, learner="hypernetwork", pool=0)
    assert run.code != 0
    assert "learner: got 'hypernetwork': unknown learner" in run.log
    assert "pool: got 0" in run.log
    assert "pydantic" not in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(ChallengeParameters.names())
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float"), name
        assert parameter["help"], name
        if name == "seed":  # other speakers than those whom the shipped checkpoints were looked at with
            continue
        default = ChallengeParameters.model_fields[name].default
        assert parameter["default"].strip('"') == str(default), name


def test_the_notebook_is_small_and_its_cells_are_short() -> None:
    assert NOTEBOOK.stat().st_size <= 300_000
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 60
    long = {cell.id: len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code"}
    assert {name: lines for name, lines in long.items() if lines > 15} == {}
    assert "widget-view" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.parametrize(("cell", "exercise"), [("ex1", "09.1"), ("ex2", "09.2"), ("ex3", "09.3")])
def test_the_printed_solutions_pass_their_checks(cell: str, exercise: str) -> None:
    (text,) = [one.source for one in nbformat.read(NOTEBOOK, 4).cells if one.id == cell]
    assert text.count("<details><summary>Hint") == 2
    names: dict[str, object] = {"torch": torch}
    exec(text.split("```python\n")[1].split("```")[0], names)
    verdict = check(exercise, next(value for name, value in names.items() if name not in ("torch", "__builtins__")))
    assert verdict.passed, verdict

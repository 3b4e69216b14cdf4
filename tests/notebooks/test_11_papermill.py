"""Notebook 11 from the shell with plain papermill: the shipped corpus, and a corpus in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import papermill as pm
import pytest
from made_up_real import write_real

from metadialog_lite.lab import check
from metadialog_lite.lab.parameters_11 import RealParameters
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.results import Result
from tests import tiny_corpora as tiny

NAME = "11_real_dialogues"
NOTEBOOK = notebooks_dir() / f"{NAME}.ipynb"


@pytest.mark.slow
def test_chitchat_with_made_up_runs_and_a_little_training(papermill, tmp_path: Path) -> None:
    pytest.importorskip("chitchat_dataset")
    folder = write_real(tmp_path / "mine")
    run = papermill(NAME, timeout=600, results=folder, shots=4, eval_tasks=3, meta_steps=2, learner="hypernetwork",
                    result_path="out/result.json")
    assert run.code == 0, run.log[-3000:]
    printed = " ".join(run.printed.split())
    assert "Answer: “yes, it wins”" in printed
    assert "in both: 0" in printed
    text = (run.folder / "out/result.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["schema"] == 1
    result = Result.model_validate_json(text)
    assert (result.learner, result.corpus, result.tasks) == ("hypernetwork", "chitchat", 3)
    assert result.options["against"] == "finetune"
    assert not (run.folder / "my_predictions.json").exists()


@pytest.mark.slow
def test_a_corpus_in_a_folder_without_any_stored_run(papermill, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "sgd", tiny.sgd())
    run = papermill(NAME, timeout=600, corpus="sgd", folder=folder, results=tmp_path, shots=4, eval_tasks=2,
                    joint_steps=2, learner="anil", result_path="result.json")
    assert run.code == 0, run.log[-3000:]
    printed = " ".join(run.printed.split())
    assert "No joint model of 'sgd' is shipped: training a stand-in for 2 steps" in printed
    assert "Nothing is stored on sgd (tiny model)" in printed
    result = Result.model_validate_json((run.folder / "result.json").read_text(encoding="utf-8"))
    assert (result.learner, result.corpus, result.tasks) == ("anil", "sgd", 2)
    assert {row.capability for row in result.rows} == {"state", "act", "response", "total"}


def test_bad_parameters_stop_the_run_with_a_readable_word(papermill) -> None:
    run = papermill(NAME, corpus="sgd", folder="/no/such/folder", shots=0)
    assert run.code != 0
    assert "there is no such folder or .zip" in run.log
    assert "shots: got 0" in run.log
    assert "pydantic" not in run.log


def test_every_parameter_is_typed_and_explained() -> None:
    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(RealParameters.names())
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float"), name
        assert parameter["help"], name
        assert parameter["default"].strip('"') == str(RealParameters.model_fields[name].default), name


def test_the_notebook_is_small_and_its_cells_are_short() -> None:
    assert NOTEBOOK.stat().st_size <= 300_000
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 60
    long = {cell.id: len(cell.source.splitlines()) for cell in cells if cell.cell_type == "code"}
    assert {name: lines for name, lines in long.items() if lines > 15} == {}
    assert "widget-view" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.parametrize(("cell", "exercise"), [("ex1", "11.1"), ("ex2", "11.2"), ("ex3", "11.3")])
def test_the_printed_solutions_pass_their_checks(cell: str, exercise: str) -> None:
    (text,) = [one.source for one in nbformat.read(NOTEBOOK, 4).cells if one.id == cell]
    assert text.count("<details><summary>Hint") == 2
    names: dict[str, object] = {}
    exec(text.split("```python\n")[1].split("```")[0], names)
    verdict = check(exercise, next(value for name, value in names.items() if name != "__builtins__"))
    assert verdict.passed, verdict

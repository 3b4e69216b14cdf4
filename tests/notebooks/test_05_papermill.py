"""Notebook 05 from the shell with plain papermill: no environment variable, no panel pressed, a valid result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metadialog_lite.paths import notebooks_dir
from metadialog_lite.results import Result

NOTEBOOK = notebooks_dir() / "05_meta_optimization.ipynb"
SMALL = {"meta_steps": 2, "tasks": 2, "eval_tasks": 10}


def papermill(folder: Path, **parameters: object) -> subprocess.CompletedProcess[str]:
    """Run the notebook in ``folder`` as a student would in a terminal."""
    command = [sys.executable, "-m", "papermill", str(NOTEBOOK), "out.ipynb", "--cwd", ".", "--no-progress-bar",
               "--kernel", "python3"]
    for name, value in parameters.items():
        command += ["-p", name, str(value)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("METADIALOG")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=800,
                          check=False)


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"learner": "maml", "shots": 4, "seed": 1, "result_path": "out/result.json"},
    {"learner": "meta_sgd", "world": "restaurants.zh", "inner_steps": 1, "shots": 2, "result_path": "result.json"},
    {"learner": "reptile", "inner_lr": 0.0005, "shots": 8, "meta_steps": 3, "result_path": "result.json"},
], ids=lambda p: p["learner"])
def test_parameter_sets_give_results_in_the_schema(tmp_path: Path, parameters):
    parameters = {**SMALL, **parameters}
    done = papermill(tmp_path, **parameters)
    assert done.returncode == 0, done.stderr[-3000:]
    text = (tmp_path / parameters["result_path"]).read_text(encoding="utf-8")
    assert "NaN" not in text
    assert json.loads(text)["schema"] == 1
    result = Result.model_validate_json(text)
    assert result.learner == parameters["learner"]
    assert result.world == parameters.get("world", "restaurants.en")
    assert result.corpus is None
    assert result.seed == parameters.get("seed", 0)
    assert result.tasks == SMALL["eval_tasks"]
    row = result.row(parameters["shots"])
    assert row.loss is not None
    assert row.loss > 0
    assert row.bayes is not None
    assert row.gap_closed is not None
    assert {r.capability for r in result.rows} == {"state", "act", "response", "total"}
    assert {r.shots for r in result.rows} >= {0, parameters["shots"]}
    assert not (tmp_path / "my_predictions.json").exists()


@pytest.mark.slow
def test_real_dialogues_run_through_the_same_notebook(tmp_path: Path):
    pytest.importorskip("chitchat_dataset")
    pytest.importorskip("tokenizers")
    done = papermill(tmp_path, corpus="chitchat", shots=4, result_path="result.json", **SMALL)
    assert done.returncode == 0, done.stderr[-3000:]
    # From the shipped joint model: training a stand-in would take minutes.
    assert "shipped joint model chitchat.joint.safetensors" in (tmp_path / "out.ipynb").read_text(encoding="utf-8")
    result = Result.model_validate_json((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (result.corpus, result.world) == ("chitchat", None)
    assert {row.capability for row in result.rows} == {"response", "total"}
    assert all(row.bayes is None and row.gap_closed is None for row in result.rows)
    assert result.perplexity is not None
    assert result.perplexity["4"] > 1
    assert result.vocabulary is not None


@pytest.mark.parametrize(("parameters", "words"), [
    ({"inner_lr": -1}, ["inner_lr: got -1", "greater than 0"]),
    ({"learner": "mamal", "shots": "many"}, ["did you mean 'maml'", "shots: got 'many'"]),
    ({"metasteps": 3}, ["metasteps: there is no such parameter; did you mean 'meta_steps'"]),
    ({"result_path": "/proc/no/result.json"}, ["result_path: got '/proc/no/result.json'", "cannot be written"]),
], ids=lambda p: next(iter(p)) if isinstance(p, dict) else "")
def test_bad_parameters_stop_the_run_with_a_readable_word(tmp_path: Path, parameters, words):
    done = papermill(tmp_path, **parameters)
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr, done.stderr[-3000:]
    assert "pydantic" not in done.stderr


def test_every_parameter_is_typed_and_explained():
    import nbformat
    import papermill as pm

    from metadialog_lite.lab.parameters import Parameters

    found = pm.inspect_notebook(str(NOTEBOOK))
    assert set(found) == set(Parameters.model_fields)
    for name, parameter in found.items():
        assert parameter["inferred_type_name"] in ("str", "int", "float"), name
        assert parameter["help"], name
        default = Parameters.model_fields[name].default
        assert parameter["default"].strip('"') == str(default), name
    cells = nbformat.read(NOTEBOOK, 4).cells
    assert len(cells) <= 60
    assert "parameters(globals())" in next(
        cells[i + 1].source for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))

"""The two notebooks for researchers, under plain papermill and with ``metadialog-lite run``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill as pm
import pytest

from benchmarks.sweeps import synthetic
from metadialog_lite.paths import data_dir, notebooks_dir
from metadialog_lite.results import Result
from metadialog_lite.runs.notebook import load_notebook

SMALL = {"meta_steps": 2, "eval_tasks": 4, "tasks": 2, "query_turns": 2}


def command_line(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    bare = {k: v for k, v in os.environ.items() if not k.startswith("METADIALOG")}
    return subprocess.run([sys.executable, "-m", "metadialog_lite.cli", *map(str, words)], cwd=folder, env=bare,
                          capture_output=True, text=True, timeout=300, check=False)


def options(parameters: dict[str, Any]) -> list[Any]:
    return [word for name, value in parameters.items() for word in ("-p", name, value)]


@pytest.mark.parametrize("parameters", [
    {"learner": "reptile", "shots": 4, "seed": 1},
    {"learner": "hypernetwork", "shots": 2},
], ids=lambda p: p["learner"])
def test_experiment_under_plain_papermill(papermill, parameters):
    run = papermill("runs/experiment", result_path="out/result.json", **SMALL, **parameters)
    assert run.code == 0, run.log
    result = Result.model_validate_json((run.folder / "out" / "result.json").read_text(encoding="utf-8"))
    assert (result.learner, result.seed) == (parameters["learner"], parameters.get("seed", 0))
    assert result.world == parameters.get("world", "restaurants.en")
    assert (result.tasks, result.query_turns) == (4, 2)
    assert result.row(parameters["shots"]).bayes is not None
    assert result.seconds.train is not None
    assert result.seconds.train > 0
    assert "2 outer steps" in run.printed


def test_experiment_with_our_own_command(tmp_path):
    done = command_line(tmp_path, "run", "experiment", *options({**SMALL, "meta_steps": 0, "train_seconds": "0",
                                                                 "result_path": "r.json"}), "--out", "a {b} ü.ipynb")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a {b} ü.ipynb\n"
    node = nbformat.read(tmp_path / "a {b} ü.ipynb", as_version=4)
    assert "widgets" not in node.metadata
    assert node.metadata.papermill["parameters"]["train_seconds"] == 0.0
    result = Result.model_validate_json((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (result.learner, result.seconds.train) == ("meta_sgd", 0.0)  # the start itself, as it was asked for


@pytest.mark.parametrize(("words", "said"), [
    (["run", "experiment", "-p", "learnr", "maml"], ["learnr: there is no such parameter", "did you mean learner"]),
    (["run", "experiment", "-p", "seed", "many", "-p", "inner_lr=x"], ["seed: got 'many'", "inner_lr: got 'x'"]),
    (["run", "experiment", "-p", "inner_lr", "-1"], ["inner_lr: got -1.0", "greater than 0"]),
    (["run", "experimant"], ["no such file", "did you mean"]),
    (["run", "experiment", "-f", "p.yml"], ["p.yml: learnr: there is no such parameter", "p.yml: seed: got 1.5"]),
    (["run", "experiment", "-p", "seed"], ["expected a name and a value"]),
    (["run", "experiment", "-p", "seed", "1", "-p", "seed", "2"], ["given twice"]),
    (["run", "experiment", "--out", "p.yml"], ["p.yml: exists, and no run has made it"]),
])
def test_bad_input_is_named_before_anything_runs(tmp_path, words, said):
    (tmp_path / "p.yml").write_text("learnr: maml\nseed: 1.5\n", encoding="utf-8")
    done = command_line(tmp_path, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    for word in said:
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.yml"]


@pytest.mark.parametrize("parameters", [{}, {"metric": "loss", "shots": 4}], ids=["shipped", "loss"])
def test_report_under_plain_papermill(papermill, parameters):
    run = papermill("runs/report", **parameters)
    assert run.code == 0, run.log
    shipped = list((data_dir() / "results" / "sweep").glob("*/status.json"))
    assert f"{len(shipped)} runs: {len(shipped)} done, 0 failed" in run.printed
    assert "Best: " in run.printed
    assert ("loss, nats per turn of" if parameters else "gap closed of") in run.printed
    assert "support turns" in run.printed


def test_report_over_a_folder_with_our_own_command(tmp_path):
    synthetic(tmp_path / "my runs", 60)
    done = command_line(tmp_path, "report", "my runs")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "my runs/report.ipynb\n"
    text = (tmp_path / "my runs" / "report.ipynb").read_text(encoding="utf-8")
    assert "60 runs: 58 done, 2 failed; 50 settings" in text
    assert "raised ValueError: made up" in text
    empty = command_line(tmp_path, "report", ".")
    assert empty.returncode == 2
    assert "there are no runs in it" in empty.stderr


@pytest.mark.parametrize("name", ["experiment", "report"])
def test_every_parameter_is_typed_and_explained(name):
    path = notebooks_dir() / "runs" / f"{name}.ipynb"
    found, notebook = pm.inspect_notebook(str(path)), load_notebook(str(path))
    assert notebook.kind is not None
    assert list(found) == [name for name in found if name in notebook.kind.names()]
    assert set(found) == set(notebook.kind.names())
    for parameter, each in found.items():
        assert each["help"], parameter
        assert notebook.kind.model_fields[parameter].default == notebook.defaults[parameter], parameter
    listed = subprocess.run([str(Path(sys.executable).with_name("papermill")), "--help-notebook", str(path)],
                            capture_output=True, text=True, timeout=60, check=True).stdout
    for parameter in found:
        assert f"  {parameter}: " in listed

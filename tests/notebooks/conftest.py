"""Running a notebook as a reader does: plain papermill from the shell, no environment variable set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from metadialog_lite.results import Result

NOTEBOOKS = Path(__file__).resolve().parent.parent.parent / "notebooks"


@dataclass(frozen=True)
class Run:
    """What came of one papermill command."""

    code: int
    log: str
    notebook: nbformat.NotebookNode | None
    folder: Path

    @property
    def printed(self) -> str:
        """Everything the cells printed or showed as text."""
        assert self.notebook is not None, self.log
        outputs = [o for cell in self.notebook.cells if cell.cell_type == "code" for o in cell.outputs]
        return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)

    @property
    def words(self) -> str:
        """The same in one line, wherever it was broken."""
        return " ".join(self.printed.split())

    def written(self, path: str = "out/result.json") -> str:
        """The text of the result. The run has succeeded, and nobody's predictions were stored."""
        assert self.code == 0, self.log[-3000:]
        assert not (self.folder / "my_predictions.json").exists()
        return (self.folder / path).read_text(encoding="utf-8")

    def result(self, path: str = "out/result.json") -> Result:
        """The result, where it is one in the schema."""
        text = self.written(path)
        assert "NaN" not in text
        assert json.loads(text)["schema"] == 1
        return Result.model_validate_json(text)

    def judged(self, parameters: Mapping[str, Any]) -> Result:
        """The result, and it is about what the parameters asked for."""
        result = self.result(parameters["result_path"])
        assert result.learner == parameters["learner"]
        assert result.world == parameters.get("world", "restaurants.en")
        assert result.tasks == parameters["eval_tasks"]
        row = result.row(parameters["shots"])
        assert row.loss is not None
        assert row.bayes is not None
        return result


@pytest.fixture
def papermill(tmp_path):
    """``papermill("05_meta_optimization", meta_steps=3) -> Run``; it runs in an empty folder of its own."""

    def run(name: str, timeout: float = 300, **parameters: object) -> Run:
        command = [str(Path(sys.executable).with_name("papermill")), str(NOTEBOOKS / f"{name}.ipynb"), "out.ipynb"]
        for key, value in parameters.items():
            command += ["-p", key, str(value)]
        bare = {k: v for k, v in os.environ.items() if not k.startswith(("METADIALOG", "OMP_", "PYTEST", "JUPYTER"))}
        done = subprocess.run(
            command, cwd=tmp_path, env=bare, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
        made = tmp_path / "out.ipynb"
        notebook = nbformat.read(made, as_version=4) if made.exists() else None
        return Run(done.returncode, done.stdout + done.stderr, notebook, tmp_path)

    return run


@pytest.fixture
def refused(papermill):
    """``refused("05_meta_optimization", "inner_lr: got -1", inner_lr=-1)``: the run stops and says these words."""

    def run(name: str, *words: str, **parameters: object) -> None:
        done = papermill(name, **parameters)
        assert done.code != 0
        for word in words:
            assert word in done.log, done.log[-3000:]
        assert "pydantic" not in done.log  # its own report is for programmers

    return run

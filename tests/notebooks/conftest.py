"""Running a notebook as a reader does: plain papermill from the shell, no environment variable set."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

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

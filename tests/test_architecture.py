"""One flow, one direction (the contracts stand in pyproject.toml), and each contract can go red."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    command = [str(tool), "--no-cache", "--config", str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_imports_point_one_way():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("world/spec.py", "import torch", "The worlds and corpora know nothing of torch"),
        ("world/spec.py", "from metadialog_lite.model import DialogueModel", "One direction"),
        ("families/__init__.py", "import ipywidgets", "Only lab and runs know Jupyter"),
        ("model.py", "def late():\n    import metadialog_lite.training", "One direction"),
        ("somewhere_new.py", "import math", "One direction"),
    ],
)
def test_a_wrong_import_is_seen(tmp_path, module, line, contract):
    shutil.copytree(ROOT / "metadialog_lite", tmp_path / "metadialog_lite")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "metadialog_lite" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout, done.stdout

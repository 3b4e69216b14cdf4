"""``metadialog-lite`` called by a program: the command in words, and what it printed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: How a training (training.py), or the evaluation of what is left of it (evaluation.py), says that it came to nothing.
DIVERGED = "diverged"


def words(command: Sequence[str]) -> str:
    """A command as one would type it, files without their folder."""
    return shlex.join(["metadialog-lite", *(Path(part).name if Path(part).is_absolute() else part for part in command)])


def made_already(command: Sequence[str]) -> bool:
    """Whether this is a training whose checkpoint is there and finished."""
    return command[0] == "train" and Path(command[-1]).exists() and not Path(f"{command[-1]}.part").exists()


def call(command: Sequence[str]) -> str:
    """Run ``metadialog-lite``; a checkpoint is marked as partial until it is done. Returns what it printed.

    Raises RuntimeError with the command and its last words when it fails, ValueError when it was not understood.
    """
    partial = Path(f"{command[-1]}.part") if command[0] == "train" else None
    if partial:
        partial.touch()
    done = subprocess.run([sys.executable, "-m", "metadialog_lite.cli", *command], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        kind = RuntimeError if done.returncode == 1 else ValueError  # a command that is wrong has not diverged
        raise kind(f"{words(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    if partial:
        partial.unlink()
    return done.stdout

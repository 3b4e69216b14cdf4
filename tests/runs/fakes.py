"""Small notebooks for the tests of sweeps: no torch, a result in the schema, and every way to misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

PARAMETERS = '''
x: float = 1.0  # a number
seed: int = 0  # of the draws
words: str = "plain"  # anything
behaviour: str = "good"  # or a way to fail
seconds: float = 0.0  # to sleep
result_path: str = ""  # where to write the result
'''
BODY = '''
import os, time
print("words:", repr(words))
time.sleep(seconds)
if behaviour == "raise":
    raise KeyError("lost")
if behaviour == "hang":
    time.sleep(1000)
if behaviour == "die":
    time.sleep(0.5)  # what was printed has to be on its way
    os._exit(3)
if behaviour == "greedy":
    much = bytearray(b"x" * 600_000_000)
    time.sleep(1000)
if behaviour == "fill":
    with open(os.path.join(os.path.dirname(result_path), "big"), "wb") as file:
        for _ in range(200):
            file.write(bytes(1_000_000))
'''
WRITE = '''
from metadialog_lite.results import Result, Row
if behaviour == "nan":
    open(result_path, "w").write('{"schema": 1, "learner": "tiny", "seed": 0, "split": "test", "tasks": 1, '
                                 '"query_turns": 1, "rows": [{"shots": 1, "capability": "total", "loss": NaN}]}')
elif behaviour != "silent":
    with open("ran.txt", "a") as file:
        file.write(f"{x} {seed}" + chr(10))
    rows = [Row(shots=k, capability="total", loss=x + seed / 10 + 1 / (1 + k), low=x, high=x + 2, bayes=0.5,
                gap_closed=1 / (1 + x)) for k in (0, 4)]
    Result(learner="tiny", world="none", seed=seed, split="test", tasks=2, query_turns=2, rows=rows).write(result_path)
'''


def tiny(folder: Path, body: str = BODY, write: str = WRITE) -> Path:
    """Write the notebook ``tiny.ipynb``."""
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell(body), new_code_cell(write)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "tiny.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


def environment(**more: str) -> dict[str, str]:
    """As in a student's shell."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("METADIALOG", "PYTEST"))} | more


def sweep(folder: Path, *words: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """``metadialog-lite sweep tiny.ipynb --out runs …`` in ``folder``, to its end."""
    return subprocess.run(command(*words), cwd=folder, env=environment(**more), capture_output=True, text=True,
                          timeout=240, check=False)


def started(folder: Path, *words: object) -> subprocess.Popen[str]:
    """The same, still running, leader of a process group of its own."""
    log = (folder / "sweep.log").open("a")
    return subprocess.Popen(command(*words), cwd=folder, env=environment(), stdout=log, stderr=log, text=True,
                            start_new_session=True)


def command(*words: object) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "metadialog_lite.cli", "sweep", "tiny.ipynb", "--out", "runs", "--no-report",
            "--workers", "1", *map(str, words)]


def finished(folder: Path) -> dict[str, float]:
    """Id -> time of change of every finished run; every one of them is whole, or this fails."""
    found = {}
    for path in (folder / "runs").glob("[0-9a-f]*/"):
        names = {each.name for each in path.iterdir()}
        assert names >= {"params.yml", "log.txt", "status.json"}, (path, names)
        if '"state": "done"' in (path / "status.json").read_text("utf-8"):
            assert names == {"params.yml", "log.txt", "status.json", "out.ipynb", "result.json"}, (path, names)
            nbformat.validate(nbformat.read(path / "out.ipynb", as_version=4))
            found[path.name] = (path / "status.json").stat().st_mtime_ns
    return found


def wait_until(true: Callable[[], Any], seconds: float = 240) -> Any:
    """Wait for something to become true; AssertionError if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := true():
            return value
        time.sleep(0.05)
    raise AssertionError(f"never happened: {true}")


def kill(process: subprocess.Popen[str]) -> None:
    """``kill -9`` of that process alone."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)

"""One submission, one process: a temporary folder, limits, a clean environment, and an end for everything it started.

The notebook goes to ``metadialog_lite.classroom.execute`` through a pipe and each finished cell comes back through
another, so that what was reached before a limit still counts. Needs Linux or macOS (``resource``, process groups).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

#: Carried by every process of a run, so that all of them are found again, whatever process group they have moved to.
MARK = "METADIALOG_CLASSROOM_RUN"
#: What a submission may see of the instructor's environment; no tokens, no proxies, no home.
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "SYSTEMROOT")
STOPPED = "Stopped"


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Zero is not "no limit"; all must be positive."""

    cell_seconds: float = 60.0  # wall clock of one cell; the next cells still run
    seconds: float = 300.0  # wall clock of the whole notebook
    cpu_seconds: int = 120  # of each process
    output_mb: float = 1.0  # everything printed and shown, together
    file_mb: int = 20  # the largest file it may write
    memory_mb: int = 8192  # data of each process

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name}: got {value}; it must be above 0")


@dataclass
class Ran:
    """What came of a run: the outputs of each cell that finished, and why it ended early (or "")."""

    cells: dict[int, dict[str, Any]] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0


def run_limited(notebook: NotebookNode, limits: Limits) -> Ran:
    """Run a notebook in a process of its own; never raises because of what the notebook does."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True) as scratch:
        home, work = Path(scratch) / "home", Path(scratch) / "work"
        home.mkdir()
        work.mkdir()
        order = {"notebook": nbformat.writes(notebook), "limits": asdict(limits), "work": str(work)}
        start = time.monotonic()
        with (Path(scratch) / "log").open("w+", errors="replace", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "metadialog_lite.classroom.execute"], cwd=home, env=_environment(home, mark),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
            try:
                said, reason = _talk(process, json.dumps(order).encode(), limits)
            finally:
                _end(process, mark)
            log.seek(0)
            ran = _read(said, reason, log.read()[-400:])
        ran.seconds = time.monotonic() - start
    return ran


def _talk(process: subprocess.Popen[bytes], order: bytes, limits: Limits) -> tuple[bytes, str]:
    try:
        return process.communicate(order, timeout=limits.seconds)[0], ""
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0], f"the notebook ran longer than {limits.seconds:g} seconds"


def _read(said: bytes, reason: str, log: str) -> Ran:
    """The lines of ``execute``: one for each cell, and one at the end with the reason when it ended early."""
    ran, done = Ran(reason=reason), False
    for line in said.splitlines():
        with suppress(ValueError):  # the last line of one that was killed may be cut off
            item = json.loads(line)
            if "cell" in item:
                ran.cells[int(item["cell"])] = item
            else:
                ran.reason, done = ran.reason or item["end"], True
    if not done and not ran.reason:
        ran.reason = "the process that ran the notebook was killed" + (f": {log.strip()}" if log.strip() else "")
    return ran


def _environment(home: Path, mark: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    own = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR",
                         "JUPYTER_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "TORCH_HOME"), str(home))
    # The package is imported from where the grader has it, whatever the folder a submission runs in.
    package = str(Path(__file__).resolve().parent.parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, **own, MARK: mark, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
            "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_PLATFORM_DIRS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "NBGRADER_EXECUTION": "autograde"}


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill the process group and every process that carries the mark, also those that moved to another session."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for _ in range(20):  # one that forks while we look is found in the next round
        if not (left := list(_marked(mark))):
            return
        for other in left:
            with suppress(Exception):
                other.kill()
        time.sleep(0.05)


def _marked(mark: str) -> Iterator[Any]:
    import psutil  # ipykernel brings it along

    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process

"""One run of a notebook: papermill, a kernel that is watched, and what came of it."""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from metadialog_lite.runs.kernels import ENGINE, Watch
from metadialog_lite.runs.notebook import RESULT
from metadialog_lite.runs.store import read_result

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Limits:
    """What one run may use; None: no limit."""

    seconds: float | None = None  # wall seconds
    megabytes: float | None = None  # memory of the notebook's process


@dataclass(frozen=True)
class Outcome:
    """What came of one run. Plain values only: it travels from a worker to whoever asked."""

    error: str | None  # None: the run is done
    notebook: str  # the executed notebook, as far as it came
    result: str | None  # the text of result.json, valid if ``error`` is None
    log: str
    seconds: float
    cpu_seconds: float | None
    peak_mb: float | None
    kernel: str  # warm or cold
    worker: str
    finished: str


def execute(
    source: str, name: str, parameters: Mapping[str, Any], limits: Limits = Limits(), warm: bool = False,
    folder: str | None = None, cancelled: Callable[[], bool] = lambda: False, imports: tuple[str, ...] = (),
) -> Outcome:
    """Run a notebook in a process of its own and give back everything that came of it. Never raises for its faults.

    Args:
        source: the notebook as text.
        name: its file name, for messages and papermill's record.
        parameters: values to inject; ``result_path`` is set here.
        warm: take the kernel from a warm process where the system can fork, see ``kernels``.
        folder: the notebook's working folder; a scratch folder if None or missing on this machine.
        cancelled: asked now and then; when it says so, the run is ended.
        imports: what the warm process has to have imported.
    """
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="metadialog-run-"))
    try:
        result_path = scratch / "result.json"
        where = folder if folder is not None and Path(folder).is_dir() else str(scratch)
        watch = Watch(limits.seconds, limits.megabytes, cancelled)
        log = scratch / "kernel.txt"
        error: str | None
        try:
            error = _papermill(source, name, {**parameters, RESULT: str(result_path)}, scratch, {
                "resources": {"metadata": {"path": where}}, "watch": watch, "warm": warm, "imports": imports,
                "log": log})
        except OSError as problem:  # no space for the scratch files, no port for the kernel
            error = f"the run could not be made: {problem}"
        error = watch.reason or error
        node = _read(scratch / "out.ipynb", source)
        text = _text(result_path)
        if error is None:
            error = _fault_of(text)
        _tidy(node, name)
        kernel_said = _text(log) or ""
        # No paths of a scratch folder that is gone when somebody reads this.
        notebook = nbformat.writes(node).replace(json.dumps(str(result_path))[1:-1], "result.json") + "\n"
        said = _log(node, error, kernel_said).replace(str(result_path), "result.json")
        return Outcome(
            error, notebook, text if error is None else None, said, time.monotonic() - started,
            watch.cpu_seconds, watch.peak_mb, watch.kernel, socket.gethostname(),
            datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _papermill(
    source: str, name: str, parameters: Mapping[str, Any], scratch: Path, settings: Mapping[str, Any],
) -> str | None:
    """Run it; the reason of a failure, or None."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    given = scratch / name.replace("{", "(").replace("}", ")")  # papermill formats paths
    given.write_text(source, encoding="utf-8")
    try:
        papermill.execute_notebook(
            str(given), str(scratch / "out.ipynb"), dict(parameters), engine_name=ENGINE, progress_bar=False,
            kernel_name="python3", **settings,
        )
    except PapermillExecutionError as error:
        return explained(error)
    except RuntimeError as error:  # the kernel died or never answered
        return f"the notebook's process ended before its last cell ({str(error).splitlines()[0]})"
    finally:
        given.unlink(missing_ok=True)
    return None


def explained(error: Any) -> str:
    """What a cell raised, in a line or a few, without the frames in between."""
    said = _COLOURS.sub("", f"{error.ename}: {error.evalue}".strip())
    return f"cell [{error.exec_count}] raised {said}"


def _fault_of(text: str | None) -> str | None:
    if text is None:
        return "the notebook has written no result: its last cell has to write one to result_path"
    try:
        read_result(text)
    except ValueError as error:
        return f"result.json does not follow the schema: {error}"
    return None


def _read(path: Path, source: str) -> NotebookNode:
    """The executed notebook, or the one that was to be run where a full disk has left nothing that can be read."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError):  # nbformat's own errors are ValueErrors
        return nbformat.reads(source, as_version=4)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _tidy(node: NotebookNode, name: str) -> None:
    """No widget state (5 MB a figure), and the names that the files have in their folder."""
    without_widgets(node)
    about = node.metadata.get("papermill")
    if about is not None:
        about["input_path"], about["output_path"] = name, "out.ipynb"


def without_widgets(node: NotebookNode) -> None:
    """Take the state of live widgets out of a notebook, in place."""
    node.metadata.pop("widgets", None)


def _log(node: NotebookNode, error: str | None, kernel_said: str) -> str:
    """What the cells printed and the kernel said, as plain text."""
    lines = []
    for cell in node.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                lines.append(output.text.rstrip("\n"))
            elif output.output_type == "error":
                lines.append(_COLOURS.sub("", "\n".join(output.traceback)))
    if kernel_said.strip():
        lines.append(f"--- the kernel's own output\n{kernel_said.strip()}")
    lines.append("done" if error is None else f"failed: {error}")
    return "\n".join(lines) + "\n"

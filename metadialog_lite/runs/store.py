"""A folder of runs: ``FOLDER/<id>/{params.yml,out.ipynb,result.json,log.txt,status.json}``.

A run's folder appears in one step, complete: it is written beside its place under another name, and then renamed. So
whoever is killed, at whatever moment, leaves finished runs whole and nothing half-written in their place.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

import metadialog_lite
from metadialog_lite.results import Result
from metadialog_lite.runs.notebook import RESULT, Runnable

#: Folders that are being written begin with this; what a killed sweep left of them is swept away by the next one.
PARTIAL = ".partial-"
LOCK = ".lock"


class StoreError(OSError):
    """The folder of runs can't be used; the message says why and what would be right."""


class Status(BaseModel):
    """What is known of one run, beside its result (``status.json``)."""

    model_config = ConfigDict(extra="forbid")
    schema_: Literal[1] = 1
    id: str
    state: Literal["done", "failed"]
    error: str | None = None  # the reason in a line or a few
    notebook: str
    version: str
    parameters: dict[str, Any]  # all of them, defaults included
    seconds: float  # wall seconds of the run, kernel start included
    cpu_seconds: float | None = None  # of its kernel
    peak_mb: float | None = None  # of its kernel
    kernel: Literal["warm", "cold"] = "cold"
    worker: str = ""
    finished: str = ""  # UTC, ISO 8601


def run_id(notebook: Runnable, chosen: Mapping[str, Any], version: str = metadialog_lite.__version__) -> str:
    """12 hexadecimal digits of SHA-256 over all parameters with defaults, the notebook's cells and the version.

    ``result_path`` says where a result goes and not what it is, so it does not count.
    """
    every = {name: value for name, value in {**notebook.defaults, **chosen}.items() if name != RESULT}
    cells = [[cell.cell_type, cell.source, cell.metadata.get("tags", [])] for cell in notebook.node.cells]
    text = json.dumps([every, cells, version], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


class Store:
    """The folder of one or more sweeps."""

    def __init__(self, folder: Path):
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the system lets go of it even when the process is killed.

        Raises:
            StoreError: somebody else holds it, or it can't be written.
        """
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(13, "Permission denied")
            lock = FileLock(self.folder / LOCK)
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"{self.folder}: another sweep is writing into this folder; wait for its end, or give "
                             "another one with --out") from None
        except OSError as error:
            raise unusable(self.folder, error) from error
        try:
            for left in self.folder.glob(f"{PARTIAL}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            lock.release()

    def states(self) -> dict[str, str]:
        """Id -> ``done`` or ``failed`` for every run that is there."""
        if not self.folder.is_dir():
            return {}
        paths = (path / "status.json" for path in self.folder.iterdir() if not path.name.startswith("."))
        return {path.parent.name: read_status(path).state for path in paths if path.is_file()}

    def write(self, status: Status, files: Mapping[str, str]) -> Path:
        """Put a run into its place in one step; a failed run that was there gives way.

        Args:
            status: what ``status.json`` and ``params.yml`` are made of.
            files: name -> text, such as ``out.ipynb`` and ``log.txt``.

        Raises:
            StoreError: disk full, no permission; then nothing of the run is there.
        """
        target = self.folder / status.id
        partial = self.folder / f"{PARTIAL}{status.id}-{secrets.token_hex(4)}"
        every = {**files, "params.yml": params_yml(status.parameters), "status.json": to_json(status)}
        try:
            partial.mkdir()
            for name, text in every.items():
                _write_durably(partial / name, text)
            if target.exists():
                target.rename(self.folder / f"{PARTIAL}{status.id}-{secrets.token_hex(4)}-old")
            partial.rename(target)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise unusable(target, error) from error
        for old in self.folder.glob(f"{PARTIAL}{status.id}-*-old"):
            shutil.rmtree(old, ignore_errors=True)
        return target


def params_yml(parameters: Mapping[str, Any]) -> str:
    """All parameters as YAML, so that ``papermill NOTEBOOK out.ipynb -f params.yml`` makes the run again."""
    kept = {name: value for name, value in parameters.items() if name != RESULT}
    return yaml.safe_dump(kept, allow_unicode=True, sort_keys=False)


def to_json(status: Status) -> str:
    """The status as JSON text, ``schema`` first."""
    plain = status.model_dump(mode="json")
    return json.dumps({"schema": plain.pop("schema_"), **plain}, ensure_ascii=False, indent=1) + "\n"


def read_status(path: Path) -> Status:
    """``status.json`` of a run. Raises StoreError naming the file and the field."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return Status.model_validate({"schema_": plain.pop("schema", 1), **plain})
    except OSError as error:
        raise unusable(path, error) from error
    except (ValueError, AttributeError, TypeError) as error:
        raise StoreError(f"{path}: is damaged ({first_fault(error)}); remove its folder, and the run is made again"
                         ) from error


def read_result(text: str) -> Result:
    """A run's result in the one schema. Raises ValueError naming the field that is wrong (such as a NaN)."""
    def refuse(word: str) -> float:
        raise ValueError(f"has a {word}; write null where a number is undefined")

    try:
        return Result.model_validate(json.loads(text, parse_constant=refuse))
    except ValidationError as error:
        raise ValueError(first_fault(error)) from error


def first_fault(error: Exception) -> str:
    """The first thing that is wrong, in one line."""
    if isinstance(error, ValidationError):
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        return f"{where + ': ' if where else ''}{fault['msg'].removeprefix('Value error, ')}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def unusable(path: Path, error: OSError) -> StoreError:
    """What an OSError means for somebody who waits for results."""
    if isinstance(error, StoreError):
        return error
    return StoreError(f"{path}: cannot be written or read ({error.strerror or error}); choose a folder with space that "
                      "you may write to, and start the same command again: finished runs are kept")


def _write_durably(path: Path, text: str) -> None:
    """Onto the disk before the folder gets its name: a power cut must not leave an empty file in a finished run."""
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())

"""A sweep: which runs are missing, hand them to the engine, put what comes back into the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import metadialog_lite
from metadialog_lite.results import write_text
from metadialog_lite.runs.engine import Engine, task_cancelled
from metadialog_lite.runs.execute import Limits, Outcome, execute
from metadialog_lite.runs.notebook import RESULT, NotebookError, Runnable
from metadialog_lite.runs.report import RunRow, csv_text, read_runs, row_of
from metadialog_lite.runs.store import Status, Store, read_result, run_id


@dataclass(frozen=True)
class Job:
    """One run to be made."""

    id: str
    chosen: dict[str, Any]  # what the sweep sets; the rest are the notebook's defaults


@dataclass
class Progress:
    """How far a sweep is; the live table reads it."""

    total: int
    skipped: int  # finished before
    kept: int  # failed before, and not tried again
    rows: list[RunRow] = field(default_factory=list)  # made now, in the order in which they finished
    started: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> int:
        """Runs finished well, now or before."""
        return self.skipped + sum(row.done for row in self.rows)

    @property
    def failed(self) -> int:
        """Runs that failed, now or before."""
        return self.kept + sum(not row.done for row in self.rows)

    @property
    def left(self) -> int:
        """Runs still to be made."""
        return self.total - self.done - self.failed

    @property
    def eta(self) -> float | None:
        """Seconds until the end at the pace so far; None before the first run is finished."""
        if not self.rows:
            return None
        return (time.monotonic() - self.started) / len(self.rows) * self.left


@dataclass(frozen=True)
class Sweep:
    """A notebook and all its settings, in a folder."""

    notebook: Runnable
    jobs: tuple[Job, ...]
    store: Store
    limits: Limits = field(default_factory=Limits)
    warm: bool = True
    folder: str | None = None  # the notebooks' working folder

    def missing(self, retry_failed: bool = False) -> tuple[list[Job], Progress]:
        """What is to be made, and how far the sweep was before."""
        states = self.store.states()
        again = [job for job in self.jobs if states.get(job.id) != "done"]
        failed = [job for job in again if states.get(job.id) == "failed"]
        todo = again if retry_failed else [job for job in again if job.id not in states]
        return todo, Progress(len(self.jobs), len(self.jobs) - len(again), 0 if retry_failed else len(failed))

    def run(
        self, engine: Engine, todo: Sequence[Job], progress: Progress, stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[RunRow]:
        """Make the runs; yield each when it is stored.

        Raises:
            EngineError: the cluster has gone away.
            StoreError: a run can't be stored (a full disk). What was finished before is there.
        """
        by_id = {job.id: job for job in todo}
        for key, came in engine.results(work, self._arguments(todo), stop):
            status, outcome = self._status(by_id[key], came)
            files = {} if outcome is None else {"out.ipynb": outcome.notebook, "log.txt": outcome.log}
            if outcome is not None and outcome.result is not None and status.state == "done":
                files["result.json"] = outcome.result
            self.store.write(status, {"log.txt": f"failed: {status.error}\n", **files})
            row = row_of(status, read_result(files["result.json"]) if status.state == "done" else None)
            progress.rows.append(row)
            yield row

    def _arguments(self, todo: Iterable[Job]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        source, name, imports = self.notebook.source, self.notebook.path.name, tuple(self.notebook.imports)
        for job in todo:
            yield job.id, (metadialog_lite.__version__, source, name, job.chosen, self.limits, self.warm, self.folder,
                           imports)

    def _status(self, job: Job, came: Any) -> tuple[Status, Outcome | None]:
        common: dict[str, Any] = {
            "id": job.id, "notebook": self.notebook.path.name, "version": metadialog_lite.__version__,
            "parameters": {name: value for name, value in {**self.notebook.defaults, **job.chosen}.items()
                           if name != RESULT}}
        if not isinstance(came, Outcome):
            return Status(**common, state="failed", error=f"{type(came).__name__}: {came}", seconds=0.0), None
        return Status(
            **common, state="failed" if came.error else "done", error=came.error, seconds=round(came.seconds, 3),
            cpu_seconds=came.cpu_seconds, peak_mb=came.peak_mb, kernel="warm" if came.kernel == "warm" else "cold",
            worker=came.worker, finished=came.finished), came

    def write_csv(self) -> Path:
        """``results.csv``: every run of the folder."""
        return write_text(self.store.folder / "results.csv", csv_text(read_runs(self.store.folder)))


def plan(notebook: Runnable, every: Sequence[Mapping[str, Any]]) -> tuple[Job, ...]:
    """Jobs with their ids. Raises NotebookError when the notebook can't be told where to write its result."""
    if RESULT not in notebook.declared:
        raise NotebookError(f"{notebook.path}: has no parameter '{RESULT}', so a sweep can't collect its results; add "
                            f'{RESULT}: str = "" to its parameters cell and write the result there')
    if any(RESULT in one for one in every):
        raise NotebookError(f"{RESULT}: is set by the sweep, for each run another one; leave it out")
    return tuple(Job(run_id(notebook, one), dict(one)) for one in every)


def work(
    version: str, source: str, name: str, chosen: dict[str, Any], limits: Limits, warm: bool, folder: str | None,
    imports: tuple[str, ...],
) -> Outcome:
    """What a worker does. Raises RuntimeError when another version of this package works there."""
    if version != metadialog_lite.__version__:
        raise RuntimeError(f"this worker has metadialog-lite {metadialog_lite.__version__}, the sweep {version}; "
                           "install the same version everywhere")
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what a kernel died of stands in the run's own error
    return execute(source, name, chosen, limits, warm, folder, task_cancelled(), imports)

"""``metadialog-lite sweep``: many settings of one notebook, on this machine or on a cluster."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape

from metadialog_lite.run_command import bad_input, from_file, pairs, report

if TYPE_CHECKING:
    from metadialog_lite.runs.sweep import Job, Progress, Sweep

say = Console(stderr=True)


def sweep(
    notebook: Annotated[str, typer.Argument(help="path of a notebook, or the name of a shipped one (experiment)")],
    out: Annotated[Path, typer.Option(help="folder of the runs; the same one again goes on where it was")],
    grid: Annotated[str, typer.Option(
        help='settings, such as "inner_lr=0.01,0.03 learner=maml,reptile seed=0..4" (0..4 includes 4)')] = "",
    grid_file: Annotated[Optional[Path], typer.Option(help="the same as YAML, seed: 0..4")] = None,  # noqa: UP045
    parameter: Annotated[Optional[list[str]], typer.Option(  # noqa: UP045
        "-p", "--parameter", metavar="NAME VALUE", help="a parameter that is the same in all runs")] = None,
    file: Annotated[Optional[Path], typer.Option(  # noqa: UP045
        "-f", "--file", help="YAML file with parameters that are the same in all runs; -p wins over it")] = None,
    scheduler: Annotated[Optional[str], typer.Option(  # noqa: UP045
        help="an existing dask scheduler, such as tcp://host:8786; by default workers on this machine")] = None,
    workers: Annotated[Optional[int], typer.Option(min=1, help="by default one for each core")] = None,  # noqa: UP045
    memory: Annotated[Optional[float], typer.Option(  # noqa: UP045
        min=50, help="MB that one run may use; by default this machine's, shared among the workers")] = None,
    time_limit: Annotated[Optional[float], typer.Option(min=1, help="seconds that one run may take")] = None,  # noqa: UP045
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="try failed runs again")] = False,
    metric: Annotated[str, typer.Option(help="best so far by: gap_closed or loss")] = "gap_closed",
    warm: Annotated[bool, typer.Option("--warm/--cold", help="fork kernels from a warm process, or start each")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only list the runs")] = False,
    with_report: Annotated[bool, typer.Option("--report/--no-report", help="run the report at the end")] = True,
) -> None:
    """Run a notebook with every combination of settings. Finished runs are kept and never made twice."""
    try:
        import distributed  # noqa: F401
        import filelock  # noqa: F401
    except ImportError as error:
        raise bad_input(f"a sweep needs a package that is not installed ({error}); pip install "
                        "'metadialog-lite[sweep]'") from error
    count = workers or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0])
    plan, names = prepared(notebook, out, grid, grid_file, parameter, file, metric,
                           memory or (None if scheduler else _share(count)), time_limit, warm)
    if dry_run:
        states = plan.store.states()
        for job in plan.jobs:
            print(job.id, states.get(job.id, "missing"), job.chosen)
        return
    stopped = _make(plan, names, scheduler, count, retry_failed, metric, with_report)
    if stopped:
        raise typer.Exit(1)


def prepared(
    name: str, out: Path, grid: str, grid_file: Path | None, parameter: list[str] | None, file: Path | None,
    metric: str, memory: float | None, time_limit: float | None, warm: bool,
) -> tuple[Sweep, list[str]]:
    """Everything is checked before anything starts; exit 2 with a line for each culprit."""
    from metadialog_lite.runs.execute import Limits
    from metadialog_lite.runs.grid import grid_of_file, grid_of_text, settings
    from metadialog_lite.runs.notebook import load_notebook
    from metadialog_lite.runs.parameters import METRICS
    from metadialog_lite.runs.store import Store
    from metadialog_lite.runs.sweep import Sweep, plan

    try:
        if metric not in METRICS:
            raise ValueError(f"--metric {metric}: a metric is {' or '.join(METRICS)}")
        found = load_notebook(name)
        fixed = {**from_file(file, found), **found.read(pairs(parameter))}
        grids = [grid_of_text(grid, found), grid_of_file(grid_file, found) if grid_file else {}]
        every = settings(found, {each: [value] for each, value in fixed.items()}, *grids)
        jobs = plan(found, every)
    except (ValueError, OSError) as error:
        raise bad_input(str(error)) from error
    names = [each for one in grids for each, values in one.items() if len(values) > 1]
    return Sweep(found, jobs, Store(out), Limits(time_limit, memory), warm, os.getcwd()), names


def _make(
    plan: Sweep, names: list[str], scheduler: str | None, workers: int, retry_failed: bool, metric: str,
    with_report: bool,
) -> bool:
    """Make what is missing, then CSV and report. Whether something failed or was stopped (a second Ctrl-C: at once)."""
    from metadialog_lite.runs.engine import EngineError
    from metadialog_lite.runs.store import StoreError

    stop = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def interrupted(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, interrupted)
    wrong = ""
    try:
        with plan.store.locked():
            todo, progress = plan.missing(retry_failed)
            say.print(f"{progress.total} runs, {progress.skipped} finished before"
                      + (f", {progress.kept} failed before (--retry-failed tries them again)" if progress.kept else "")
                      + f": {len(todo)} to make", highlight=False, soft_wrap=True)
            try:
                if todo:
                    _work(plan, todo, progress, names, scheduler, workers, metric, stop)
            except (EngineError, StoreError) as error:
                wrong = str(error)
            plan.write_csv()
    except OSError as error:
        wrong = wrong or str(error)
        progress = None
    finally:
        signal.signal(signal.SIGINT, before)
    if wrong:
        say.print(f"[bold red]error:[/] {escape(wrong)}", highlight=False, soft_wrap=True)
    if progress is None:
        return True
    say.print(f"{progress.done} done, {progress.failed} failed, {progress.left} not made"
              + (": stopped; the same command goes on" if stop.is_set() and progress.left else ""),
              highlight=False, soft_wrap=True)
    if with_report and not stop.is_set() and not wrong and progress.done + progress.failed:
        report(plan.store.folder)
    return bool(wrong or progress.failed or progress.left)


def _work(
    plan: Sweep, todo: list[Job], progress: Progress, names: list[str], scheduler: str | None, workers: int,
    metric: str, stop: threading.Event,
) -> None:
    from metadialog_lite.runs.engine import Engine, local_engine, remote_engine
    from metadialog_lite.runs.table import LiveTable

    cluster: AbstractContextManager[Engine] = (
        remote_engine(scheduler) if scheduler else local_engine(min(workers, len(todo))))
    with cluster as engine:
        table = LiveTable(progress, names, engine, metric, say)
        with table.shown():
            for row in plan.run(engine, todo, progress, stop.is_set):
                table.finished(row)


def _share(workers: int) -> float:
    """MB for each worker: nine tenths of what this machine has, shared."""
    import psutil

    return float(0.9 * psutil.virtual_memory().total / 1e6 / workers)



"""Sweeps: warm runs against plain papermill, what the scheduler costs, one and two workers, a report over 10,000 runs.

    python -m benchmarks.sweeps [--part warm|scheduler|workers|report] [--runs 20] [--json]

``warm``: the same short notebook (it imports torch and evaluates two speakers) again and again, in turns by plain
papermill, called in a process that has imported it already, and by a warm process. Wall and CPU seconds a run; the
overhead is what is left after subtracting the seconds that the warm run's cells took.
``scheduler``: a thousand calls of a function that does nothing, and the same as runs that are stored.
``workers``: 24 short runs on one worker and on two. ``report``: reading, CSV and the whole report notebook.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import nbformat
import psutil

from metadialog_lite.results import Result, Row, peak_mb
from metadialog_lite.runs.execute import Limits, Outcome, execute
from metadialog_lite.runs.notebook import load_notebook
from metadialog_lite.runs.store import Store

SHORT = {"meta_steps": 0, "train_seconds": 0.0, "eval_tasks": 2, "query_turns": 1, "shots": 2}


def warm(runs: int) -> dict[str, Any]:
    """Plain papermill and a warm process in turns, ``runs`` times each."""
    import papermill

    from metadialog_lite.runs.kernels import close_warm, warm_process

    notebook = load_notebook("experiment")
    imports = tuple(notebook.imports)
    started = time.perf_counter()
    process = warm_process(imports)
    assert process is not None, "no warm process on this system"
    warming = time.perf_counter() - started
    forked = psutil.Process(process.process.pid)
    spent: dict[str, list[float]] = {"plain": [], "warm": []}
    cpu = {"plain": 0.0, "warm": 0.0}
    cells: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs + 1):  # the first of each is not counted: files come into the disk cache
            before, now = _cpu(), time.perf_counter()
            papermill.execute_notebook(str(notebook.path), f"{folder}/plain.ipynb", progress_bar=False, cwd=folder,
                                       parameters={**SHORT, "seed": number, "result_path": f"{folder}/r.json"})
            if number:
                spent["plain"].append(time.perf_counter() - now)
                cpu["plain"] += _cpu() - before
            before, now = _cpu() + _children(forked), time.perf_counter()
            outcome = execute(notebook.source, "n.ipynb", {**SHORT, "seed": number}, Limits(), True, folder,
                              imports=imports)
            assert outcome.error is None, outcome.error
            assert outcome.kernel == "warm"
            if number:
                spent["warm"].append(time.perf_counter() - now)
                cells.append(_cells(outcome))
                time.sleep(1.1)  # the warm process reaps once a second, and only then knows what its child has spent
                cpu["warm"] += _cpu() + _children(forked) - before
    close_warm()
    over = sorted(whole - inside for whole, inside in zip(spent["warm"], cells, strict=True))
    return {"part": "warm", "runs": runs, "warming_s": warming,
            **{f"{kind}_wall_s": median(values) for kind, values in spent.items()},
            **{f"{kind}_cpu_s": seconds / runs for kind, seconds in cpu.items()},
            "wall_ratio": median(spent["plain"]) / median(spent["warm"]), "cpu_ratio": cpu["plain"] / cpu["warm"],
            "warm_overhead_s": median(over), "warm_overhead_p90_s": over[int(0.9 * len(over))]}


def _cells(outcome: Outcome) -> float:
    """Seconds that the cells took, by papermill's own record."""
    node = nbformat.reads(outcome.notebook, as_version=4)
    return sum(float(cell.metadata.papermill.duration or 0.0) for cell in node.cells if cell.cell_type == "code")


def _cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _children(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.children_user + times.children_system)


def scheduler(runs: int = 1000) -> dict[str, Any]:
    """Seconds for calls that do nothing: through the engine alone, and as runs that are put into a store."""
    from metadialog_lite.runs.engine import local_engine

    found: dict[str, Any] = {"part": "scheduler", "runs": runs}
    for workers in (1, 2):
        started = time.perf_counter()
        with local_engine(workers) as engine:
            found[f"cluster_start_{workers}_s"] = time.perf_counter() - started
            now, before = time.perf_counter(), time.process_time()
            count = sum(1 for _ in engine.results(math.sqrt, ((f"job{i}", (float(i),)) for i in range(runs))))
            assert count == runs
            found[f"engine_{workers}_s"] = time.perf_counter() - now
            found[f"engine_{workers}_cpu_s"] = time.process_time() - before  # client and scheduler live here
    with tempfile.TemporaryDirectory() as folder:
        now, before = time.perf_counter(), time.process_time()
        synthetic(Path(folder), runs)
        found["store_s"], found["store_cpu_s"] = time.perf_counter() - now, time.process_time() - before
    return found


def workers(runs: int = 24) -> dict[str, Any]:
    """Wall seconds of a whole sweep of short runs, cluster start and end included, on one worker and on two."""
    found: dict[str, Any] = {"part": "workers", "runs": runs}
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            words = [word for name, value in SHORT.items() for word in ("-p", name, str(value))]
            now = time.perf_counter()
            subprocess.run([sys.executable, "-m", "metadialog_lite.cli", "sweep", "experiment", "--workers", str(count),
                            "--out", folder, "--no-report", "--grid", f"seed=0..{runs - 1}", *words], check=True,
                           capture_output=True)
            found[f"workers_{count}_s"] = time.perf_counter() - now
    found["speed_up"] = found["workers_1_s"] / found["workers_2_s"]
    return found


def synthetic(folder: Path, runs: int) -> None:
    """Store made-up runs: 5 learners, 10 rates, many seeds, one in fifty failed; results of full size."""
    from metadialog_lite.runs.sweep import Job, Sweep

    folder.mkdir(parents=True, exist_ok=True)
    notebook = load_notebook("experiment")
    plan = Sweep(notebook, (), Store(folder))
    for number in range(runs):
        learner, rate, seed = f"learner{number % 5}", 0.001 * (1 + number // 5 % 10), number // 50
        wrong = "cell [3] raised ValueError: made up" if number % 50 == 7 else None
        outcome = Outcome(wrong, "{}", _result(learner, rate, seed), "done\n", 1.0, 1.0, 100.0, "warm", "here", "")
        status, _ = plan._status(Job(f"{number:012x}", {"learner": "maml", "inner_lr": rate, "seed": seed}), outcome)
        status.parameters["learner"] = learner
        files = {"out.ipynb": "{}\n", "log.txt": outcome.log}
        plan.store.write(status, files | ({"result.json": outcome.result or ""} if status.state == "done" else {}))


def _result(learner: str, rate: float, seed: int) -> str:
    rows = [Row(shots=k, capability=part, loss=3 / (1 + k * rate) + 0.01 * (seed % 7), low=0.5, high=3.0, bayes=0.4,
                prior=3.0, regret=0.3, gap_closed=k / (k + 1) - 0.001 * (seed % 7), gap_low=0.1, gap_high=0.9)
            for k in (0, 2, 4, 8, 16) for part in ("state", "act", "response", "total")]
    return Result(learner=learner, world="restaurants.en", seed=seed, split="test", tasks=50, query_turns=8,
                  rows=rows).to_json()


#: In a process of its own, so that its memory is its own.
READING = """
import json, sys, time
from pathlib import Path
from metadialog_lite.results import peak_mb
from metadialog_lite.runs.report import csv_text, read_runs, settings_of

before, start = peak_mb(), time.perf_counter()
rows = read_runs(Path(sys.argv[1]))
read = time.perf_counter()
csv_text(rows)
settings = settings_of(rows)
print(json.dumps({"read_s": read - start, "sum_up_s": time.perf_counter() - read, "before_mb": before,
                  "peak_mb": peak_mb(), "settings": len(settings)}))
"""


def report(runs: int = 10_000) -> dict[str, Any]:
    """Reading, CSV, and the report notebook over ``runs`` made-up results: seconds and memory."""
    found: dict[str, Any] = {"part": "report", "runs": runs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _timed(found, "write_s"), mock.patch("os.fsync"):  # nobody waits for a disk here
            synthetic(folder, runs)
        before = _cpu()
        done = subprocess.run([sys.executable, "-c", READING, name], check=True, capture_output=True, text=True)
        found |= {**json.loads(done.stdout), "read_process_cpu_s": _cpu() - before}
        import papermill

        before, now = _cpu(), time.perf_counter()
        made = f"{name}/report.ipynb"
        papermill.execute_notebook(str(load_notebook("runs/report").path), made, {"folder": name}, progress_bar=False)
        found |= {"notebook_s": time.perf_counter() - now, "notebook_cpu_s": _cpu() - before,
                  "notebook_kb": os.path.getsize(made) / 1000}
    return found


@contextmanager
def _timed(found: dict[str, Any], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    found[name] = time.perf_counter() - started


PARTS: dict[str, Callable[..., dict[str, Any]]] = {"warm": warm, "scheduler": scheduler, "workers": workers,
                                                   "report": report}


def main() -> None:
    parser = argparse.ArgumentParser(description="What sweeps cost.")
    parser.add_argument("--part", choices=list(PARTS), default="warm")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    counts = {"warm": 20, "scheduler": 1000, "workers": 24, "report": 10_000}
    found = PARTS[arguments.part](arguments.runs or counts[arguments.part])
    found |= {"benchmark": "sweeps", "load": os.getloadavg()[0], "own_peak_mb": peak_mb(),
              "python": platform.python_version()}
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:20} {value:.3f}" if isinstance(value, float) else f"{name:20} {value}")


if __name__ == "__main__":
    main()

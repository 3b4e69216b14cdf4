"""``kill -9`` of the sweep, of a worker, of a scheduler: finished results stay, the rest is made, nobody lingers."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
from fakes import environment, finished, kill, started, sweep, tiny, wait_until

pytestmark = pytest.mark.slow
KILLS = 10


def worker_of(sweep_process: int) -> psutil.Process | None:
    """The dask worker: the parent of the warm process."""
    for each in psutil.Process(sweep_process).children(recursive=True):
        try:
            if "metadialog_lite.runs.zygote" in each.cmdline() and each.parent() is not None:
                parent = each.parent()
                return None if parent is None or "zygote" in " ".join(parent.cmdline()) else parent
        except psutil.Error:
            continue
    return None


def test_kill_9_of_the_sweep_at_ten_random_moments(tmp_path: Path) -> None:
    tiny(tmp_path)
    dice, total = random.Random(5), 60
    words = ("--grid", f"seed=0..{total - 1}")
    before: dict[str, float] = {}
    for number in range(KILLS):
        process = started(tmp_path, *words)
        # Some moments while the cluster is being made, others well into the runs.
        wait_until(lambda n=number: (tmp_path / "sweep.log").read_text("utf-8").count(" to make") > n)
        if number % 3:
            wait_until(lambda: len(finished(tmp_path)) > len(before))  # noqa: B023
        time.sleep(dice.uniform(0.0, 2.5))
        family = psutil.Process(process.pid).children(recursive=True)
        kill(process)
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive, "somebody outlived the sweep"
        now = finished(tmp_path)  # each one whole
        assert before.items() <= now.items(), "a finished run was lost or made again"
        before = now
    assert 6 <= len(before) < total
    log = sweep(tmp_path, *words)
    assert log.returncode == 0, log.stderr
    assert f"{total} runs, {len(before)} finished before: {total - len(before)} to make" in log.stderr
    assert len(finished(tmp_path)) == total
    assert before.items() <= finished(tmp_path).items()
    assert not list((tmp_path / "runs").glob(".partial-*"))
    # What ran twice is what was at work at the moment of a kill (or finished but not yet stored): at most a few each.
    ran = Counter((tmp_path / "ran.txt").read_text().splitlines())
    assert len(ran) == total
    assert sum(ran.values()) - total <= 2 * KILLS


def test_kill_9_of_a_worker_loses_its_current_run_alone(tmp_path: Path) -> None:
    tiny(tmp_path)
    process = started(tmp_path, "--grid", "seed=0..3", "-p", "seconds", "1.5")
    try:
        wait_until(lambda: finished(tmp_path))
        first = finished(tmp_path)
        worker = wait_until(lambda: worker_of(process.pid))
        worker.kill()
        assert process.wait(300) == 0, (tmp_path / "sweep.log").read_text("utf-8")
    finally:
        if process.poll() is None:
            kill(process)
    assert len(finished(tmp_path)) == 4
    assert first.items() <= finished(tmp_path).items()
    assert len((tmp_path / "ran.txt").read_text().splitlines()) <= 5


@pytest.fixture
def cluster(tmp_path: Path):
    """A scheduler and one worker, as README says to start them: (scheduler's process, worker's process, address)."""
    dask = str(Path(sys.executable).with_name("dask"))
    told = tmp_path / "scheduler.json"
    quiet = {"cwd": tmp_path, "env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                  "--scheduler-file", str(told)], **quiet)
    wait_until(told.exists)
    address = json.loads(told.read_text())["address"]
    worker = subprocess.Popen([dask, "worker", address, "--nthreads", "1", "--no-dashboard", "--death-timeout", "20"],
                              **quiet)
    yield scheduler, worker, address
    for each in (scheduler, worker):
        for child in psutil.Process(each.pid).children(recursive=True) if each.poll() is None else []:
            child.kill()
        each.kill()
        each.wait(30)


def kernels_of(process: int) -> list[psutil.Process]:
    """Forked kernels under a process: children of a warm process."""
    every = psutil.Process(process).children(recursive=True)
    warm = {each.pid for each in every if "metadialog_lite.runs.zygote" in each.cmdline()}
    return [each for each in every if each.pid in warm and each.ppid() in warm]


def test_a_scheduler_of_ones_own_ctrl_c_and_a_scheduler_that_goes_away(tmp_path: Path, cluster) -> None:
    tiny(tmp_path)
    scheduler, worker, address = cluster
    process = started(tmp_path, "--grid", "seed=0..3", "-p", "seconds", "300", "--scheduler", address)
    try:
        kernels = wait_until(lambda: kernels_of(worker.pid))
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 1
        _, alive = psutil.wait_procs(kernels, timeout=60)
        assert not alive, "a run that was given up goes on in the worker"
    finally:
        if process.poll() is None:
            kill(process)
    process = started(tmp_path, "--grid", "seed=0..19", "-p", "seconds", "0.5", "--scheduler", address)
    try:
        wait_until(lambda: finished(tmp_path))
        kill(scheduler)
        assert process.wait(240) == 1
    finally:
        if process.poll() is None:
            kill(process)
    log = (tmp_path / "sweep.log").read_text("utf-8")
    assert "stopped; the same command goes on" in log
    assert "the scheduler has gone away" in log
    assert "Traceback" not in log
    before = finished(tmp_path)
    assert 0 < len(before) < 20
    gone = sweep(tmp_path, "--grid", "seed=100", "--scheduler", address)
    assert gone.returncode == 1
    assert "nobody answers" in gone.stderr
    done = sweep(tmp_path, "--grid", "seed=0..4", "-p", "seconds", "0.5")  # here, without a scheduler of one's own
    assert done.returncode == 0, done.stderr
    assert before.items() <= finished(tmp_path).items()

"""Runs on dask.distributed: a cluster on this machine, or one that exists already (``tcp://…``).

Only a few runs are given to the scheduler at a time, so a sweep of ten thousand costs it no more than one of ten, and
whoever stops a sweep takes back a handful. What came of a run travels back to us; workers need no common disk.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import distributed
from distributed import Client, Future, KilledWorker, LocalCluster

#: Runs that the scheduler knows of beyond those in work, for each worker.
AHEAD = 1
#: Seconds between two looks at how many workers there are: on a cluster they come and go.
COUNT_EVERY = 5.0
#: How long we wait for a scheduler that does not answer.
CONNECT_SECONDS = 15.0
#: dask answers questions about itself over HTTP: to this machine alone, on a port that is free.
HERE = "127.0.0.1:0"
#: Ctrl-C in a terminal reaches every process; a worker leaves it to the sweep, which ends it.
DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
#: A run whose worker has died is tried again so often; then it counts as the cause.
TRIES = 3


class EngineError(RuntimeError):
    """The cluster can't be reached or has gone away; finished runs are kept."""


class Engine:
    """Hands calls to workers and gives back what they returned, in the order in which they finish."""

    def __init__(self, client: Client, workers: int, renew: Callable[[], Any] = lambda: None):
        self.client, self.workers, self.renew = client, workers, renew
        self._counted = -math.inf

    def results(
        self, function: Callable[..., Any], jobs: Iterable[tuple[str, tuple[Any, ...]]],
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[str, Any]]:
        """Yield (key, what ``function(*arguments)`` returned or the exception it raised) for each (key, arguments).

        Args:
            function: a function of an installed module; it is called in the workers.
            jobs: taken from as workers become free.
            stop: asked several times a second; when it says so, what is at work is given up.

        Raises:
            EngineError: the scheduler has gone away.
        """
        waiting, exhausted = iter(jobs), False
        pending: dict[Future, str] = {}
        try:
            while not stop():
                while not exhausted and len(pending) < self.at_once:
                    key, arguments = next(waiting, (None, ()))
                    exhausted = key is None
                    if key is not None:
                        pending[self._submit(function, key, arguments)] = key
                if not pending:
                    return
                for future in self._finished(list(pending)):
                    yield pending.pop(future), _outcome(future)
        finally:
            if pending and self.client.status == "running":
                self.client.cancel(list(pending), force=True)

    @property
    def at_once(self) -> int:
        """How many runs the scheduler may know of."""
        if self.client.status == "running" and time.monotonic() - self._counted > COUNT_EVERY:
            known = self.client.scheduler_info(n_workers=-1)["workers"].values()
            self.workers = sum(int(each["nthreads"]) for each in known) or self.workers
            self._counted = time.monotonic()
            self.renew()
        return self.workers * (1 + AHEAD)

    def _submit(self, function: Callable[..., Any], key: str, arguments: tuple[Any, ...]) -> Future:
        # pure=False and a key of its own: a run that failed before is not taken from the scheduler's memory.
        return self.client.submit(function, *arguments, key=f"{key}-{os.urandom(4).hex()}", pure=False)

    def _finished(self, futures: list[Future]) -> list[Future]:
        """Those that are finished, after waiting a little; an empty list is an answer."""
        try:
            with self.client.as_current():
                done = distributed.wait(futures, timeout=0.5, return_when="FIRST_COMPLETED").done
        except (TimeoutError, distributed.TimeoutError):
            done = set()
        except distributed.client.FuturesCancelledError:
            done = set()
        if self.client.status != "running" or any(each.status in ("lost", "cancelled") for each in futures):
            raise EngineError("the scheduler has gone away, and with it the runs that were at work; start the same "
                              "command again when it is back: finished runs are kept")
        return list(done)


def _outcome(future: Future) -> Any:
    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            return RuntimeError(f"its worker died {TRIES} times: most often for want of memory")
        return error
    return future.result()


@contextmanager
def local_engine(workers: int, megabytes: float | None = None) -> Iterator[Engine]:
    """A cluster on this machine: ``workers`` processes with a thread each, restarted when they die.

    Args:
        megabytes: memory of a worker process; a run's own limit is watched by the worker.
    """
    _quiet()
    settings = {"distributed.scheduler.allowed-failures": TRIES - 1, "distributed.comm.timeouts.connect": "30s",
                "distributed.admin.tick.limit": "60s", "distributed.worker.daemon": False,
                "distributed.worker.preload": [DEAF],
                # dask gives up a worker that is not back after 15 seconds; a busy machine takes longer to start one.
                "distributed.deploy.lost-worker-timeout": "10 minutes"}
    with ExitStack() as stack:
        stack.enter_context(_configured(settings))
        cluster = stack.enter_context(LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address=None, scheduler_kwargs={"dashboard_address": HERE}, worker_dashboard_address=HERE,
            memory_limit=0 if megabytes is None else int(megabytes * 1e6), silence_logs=logging.CRITICAL))
        client = stack.enter_context(Client(cluster, set_as_default=False))
        yield Engine(client, workers, renew=lambda: cluster.scale(workers))


@contextmanager
def remote_engine(address: str) -> Iterator[Engine]:
    """An existing scheduler such as ``tcp://host:8786``.

    Raises:
        EngineError: nobody answers there, or another version of this package works there.
    """
    _quiet()
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise EngineError(f"--scheduler {address}: nobody answers ({error}); start one with 'dask scheduler' and "
                          "workers with 'dask worker ADDRESS --nthreads 1'") from error
    try:
        yield Engine(client, 1)
    finally:
        client.close(timeout=2)


@contextmanager
def _configured(settings: dict[str, Any]) -> Iterator[None]:
    import dask

    with dask.config.set(settings):
        yield


def _quiet() -> None:
    """A worker that is restarted is our business; its log lines would tear the table apart."""
    for name in ("distributed", "distributed.nanny", "distributed.scheduler", "distributed.client", "distributed.core",
                 "distributed.comm", "distributed.worker", "bokeh", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def task_cancelled() -> Callable[[], bool]:
    """Called inside a task: a question whether that task has been given up meanwhile.

    A thread cannot be ended from outside, but the kernel that it waits for can.
    """
    try:
        worker, key = distributed.get_worker(), distributed.worker.thread_state.key
    except (ValueError, AttributeError):
        return lambda: False

    def cancelled() -> bool:
        task = worker.state.tasks.get(key)
        lost = str(worker.status) in ("Status.closed", "Status.closing", "Status.failed")
        return lost or task is None or task.state in ("cancelled", "released", "forgotten")

    return cancelled

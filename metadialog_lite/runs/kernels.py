"""Kernels for runs: started afresh or forked from a warm process, and watched while they run.

papermill does the running in either case, and the kernel is an ordinary ipykernel: the executed notebook is the same.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, papermill_engines
from papermill.log import logger

#: The engine's name for papermill.
ENGINE = "metadialog"
#: Seconds between two looks at a running kernel; its children are looked for at every fourth (that reads all of /proc).
LOOK_EVERY, FAMILY = 0.5, 4
#: One thread for every library that would otherwise make as many as there are cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
#: How long a warm process may import.
WARM_UP_SECONDS = 600.0


class Watch:
    """Looks at a running kernel, measures it, and ends it when it may not go on. ``reason`` then says why."""

    def __init__(self, seconds: float | None, megabytes: float | None, cancelled: Callable[[], bool]):
        self.seconds, self.megabytes, self.cancelled = seconds, megabytes, cancelled
        self.reason: str | None = None
        self.cpu_seconds: float | None = None
        self.peak_mb: float | None = None
        self.kernel = "cold"

    @contextmanager
    def over(self, manager: AsyncKernelManager) -> Iterator[None]:
        """Watch the manager's kernel inside the ``with`` block."""
        ended = threading.Event()
        thread = threading.Thread(target=self._look, args=(manager, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _look(self, manager: AsyncKernelManager, ended: threading.Event) -> None:
        started, looks = time.monotonic(), 0
        while not ended.wait(LOOK_EVERY):
            looks += 1
            provisioner: Any = manager.provisioner
            process = getattr(provisioner, "process", None)
            if process is None:
                continue
            with contextlib.suppress(psutil.Error):
                self._measure(psutil.Process(process.pid), looks % FAMILY == 0)
            self.reason = self.reason or self._why_not(time.monotonic() - started)
            if self.reason is not None:
                with contextlib.suppress(OSError):
                    os.killpg(provisioner.pgid, signal.SIGKILL) if provisioner.pgid else process.kill()

    def _measure(self, process: psutil.Process, children: bool) -> None:
        family = [process, *(process.children(recursive=True) if children else ())]
        memory = sum(each.memory_info().rss for each in family) / 1e6
        times = process.cpu_times()
        self.peak_mb = max(memory, self.peak_mb or 0.0)
        self.cpu_seconds = times.user + times.system + times.children_user + times.children_system

    def _why_not(self, seconds: float) -> str | None:
        if self.seconds is not None and seconds > self.seconds:
            return f"the time limit of {self.seconds:g} seconds has passed"
        if self.megabytes is not None and (self.peak_mb or 0) > self.megabytes:
            return f"the memory limit of {self.megabytes:,.0f} MB has been passed ({self.peak_mb:,.0f} MB)"
        return "cancelled" if self.cancelled() else None


class WatchedEngine(Engine):
    """papermill's own engine with a kernel of our choice."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, watch: Watch, warm: bool = False, imports: tuple[str, ...] = (),
        log: Path, resources: Any = None, start_timeout: int = 60, **_: Any,
    ) -> Any:
        """Run all cells; ``log`` receives what the kernel's process says outside of cells."""
        manager = AsyncKernelManager(kernel_name=kernel_name)
        process = warm_process(imports) if warm else None
        if process is not None:
            manager.provisioner = WarmProvisioner(kernel_spec=manager.kernel_spec, parent=manager)
            manager.provisioner.warm = process
            watch.kernel = "warm"
        client = PapermillNotebookClient(nb_man, km=manager, kernel_name=kernel_name, resources=resources or {},
                                         startup_timeout=start_timeout, timeout=None, log=logger)
        with log.open("ab") as said, watch.over(manager):
            environment = {**os.environ, **ONE_THREAD, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
            return client.execute(stdout=said, stderr=said, env=environment, cleanup_kc=True)


papermill_engines.register(ENGINE, WatchedEngine)


class ForkedKernel:
    """A kernel that a warm process has forked; looks like a ``subprocess.Popen`` to jupyter_client."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, handle: int):
        self.pid, self.handle = pid, handle

    def poll(self) -> int | None:
        """None while it lives. (Only its parent could know the exit code; 0 stands for any.)"""
        return 0 if self.handle < 0 or select.select([self.handle], [], [], 0)[0] else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        if self.handle >= 0:
            if not select.select([self.handle], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("kernel", timeout or 0.0)
            os.close(self.handle)
            self.handle = -1
        return 0

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self.handle, number)  # type: ignore[attr-defined,unused-ignore]

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class WarmProvisioner(LocalProvisioner):
    """Where jupyter_client would start a process, ask the warm one to fork."""

    warm: WarmProcess
    process: Any

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork a kernel with the arguments behind ``-m ipykernel_launcher``."""
        argv = cmd[cmd.index("ipykernel_launcher") + 1 :]
        process = self.warm.fork({"argv": argv, "cwd": str(kwargs.get("cwd") or os.getcwd()),
                                  "env": dict(kwargs["env"]), "log": kwargs["stdout"].name})
        self.process, self.pid, self.pgid = process, process.pid, process.pid  # it leads a group of its own
        self.cwd = kwargs.get("cwd")
        return self.connection_info


class WarmProcess:
    """The process of ``zygote``; ends with whoever holds this object."""

    def __init__(self, imports: tuple[str, ...]):
        self.imports = imports
        self.line, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "metadialog_lite.runs.zygote", str(theirs.fileno()), *imports],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, **ONE_THREAD, "PYDEVD_DISABLE_FILE_VALIDATION": "1"})
        self.line.settimeout(WARM_UP_SECONDS)
        self.usable = self._one_thread()
        self.line.settimeout(30)

    def _one_thread(self) -> bool:
        """Whether it is ready, and safe to fork."""
        try:
            hello = self.line.recv(4096)
            return bool(json.loads(hello)["threads"] == 1)
        except (OSError, ValueError, KeyError):
            return False

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.usable and self.process.poll() is None

    def fork(self, request: dict[str, Any]) -> ForkedKernel:
        """A new kernel. Raises RuntimeError when the warm process has gone away."""
        try:
            self.line.sendall(json.dumps(request).encode() + b"\n")
            said, handles, _, _ = socket.recv_fds(self.line, 64, 1)  # type: ignore[attr-defined,unused-ignore]
            return ForkedKernel(int(said), handles[0])
        except (OSError, ValueError, IndexError) as error:
            self.usable = False
            raise RuntimeError(f"the warm process has gone away ({error})") from error

    def close(self) -> None:
        """End it, and every kernel it has forked."""
        self.usable = False
        self.line.close()
        self.process.kill()
        self.process.wait()


_lock = threading.Lock()
_warm: WarmProcess | None = None


def warm_process(imports: tuple[str, ...]) -> WarmProcess | None:
    """This process's warm one, started when first needed; None where forking is not possible or not safe."""
    global _warm
    if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
        return None
    with _lock:
        if _warm is None or _warm.imports != imports or (_warm.usable and not _warm.alive):
            close_warm()
            _warm = WarmProcess(imports)
        return _warm if _warm.alive else None


def close_warm() -> None:
    """End this process's warm one, if there is one."""
    global _warm
    if _warm is not None:
        _warm.close()
        _warm = None


atexit.register(close_warm)

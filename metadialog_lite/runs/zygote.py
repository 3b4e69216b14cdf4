"""A warm process that forks a kernel whenever it is asked: ``python -m metadialog_lite.runs.zygote SOCKET MODULE …``.

Starting a kernel and importing torch takes seconds, again for every run. This process imports everything once and never
runs a notebook itself. For each run it forks: the child has the modules already, becomes an ordinary ipykernel, and
shares nothing with other runs that one of them could change.

Forking a process with several threads can hang the child, for a lock that another thread held stays locked for ever.
So everything is imported with one thread, no kernel, event loop or zmq context exists before the fork, and the number
of threads is counted and told: whoever started this process uses it only if there is one. Linux only.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from importlib import import_module
from typing import Any

#: What every kernel needs, whatever the notebook imports.
KERNEL = ("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "ipykernel.debugger", "comm",
          "IPython.core.interactiveshell", "IPython.core.magics", "IPython.core.completer", "IPython.core.display",
          "matplotlib_inline.config", "jedi", "unittest.mock")
#: What the course's notebooks import late, inside functions.
LATE = {"plotly": ("plotly.graph_objects", "plotly.io.json"),
        "metadialog_lite.lab": ("plotly.graph_objects", "plotly.io.json", "metadialog_lite.lab.figures")}
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Import, say that all is ready, and fork until nobody listens any more."""
    from ipykernel.kernelapp import IPKernelApp

    if sys.path and sys.path[0] in ("", os.getcwd()):
        del sys.path[0]  # as ipykernel_launcher does: a notebook's folder must not shadow a package
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this process
    line = socket.socket(fileno=int(sys.argv[1]))
    warm(sys.argv[2:])
    gc.collect()
    gc.freeze()  # the collector would touch, and so copy, every page in every child
    line.sendall(json.dumps({"threads": len(os.listdir("/proc/self/task"))}).encode() + b"\n")
    request = next_request(line)
    if request is not None:  # in the child
        line.close()
        become_kernel(request)
        # ipykernel has read JPY_PARENT_PID already, when it was imported.
        IPKernelApp.launch_instance(argv=[*request["argv"], f"--IPKernelApp.parent_handle={request['zygote']}"])


def next_request(line: socket.socket) -> dict[str, Any] | None:
    """Fork for every request; comes back with it in the child, and with None in the parent once nobody listens."""
    zygote, unread = os.getpid(), b""
    while True:
        readable, _, _ = select.select([line], [], [], 1.0)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not readable:
            continue
        received = line.recv(65536)
        if not received:
            return None  # kernels end with this process, see become_kernel
        *requests, unread = (unread + received).split(b"\n")
        for text in requests:
            pid = os.fork()
            if pid == 0:
                return {**json.loads(text), "zygote": zygote}
            handle = os.pidfd_open(pid)
            socket.send_fds(line, [b"%d\n" % pid], [handle])
            os.close(handle)


def warm(modules: list[str]) -> None:
    """Import ``module`` or ``module:name``; what cannot be imported is left to the notebook, which will say so."""
    wanted = [*KERNEL, *modules]
    for module in modules:
        for prefix, late in LATE.items():
            if module.split(":")[0] == prefix or module.startswith(prefix + "."):
                wanted += late
    for each in dict.fromkeys(wanted):
        module, _, name = each.partition(":")
        with contextlib.suppress(Exception):
            found = import_module(module)
            if name:
                getattr(found, name, None)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "plotly.graph_objects" in sys.modules:  # plotly imports a hundred more modules with its first figure
        with contextlib.suppress(Exception):
            sys.modules["plotly.graph_objects"].Figure(layout={"template": "plotly_white"})


def become_kernel(request: dict[str, Any]) -> None:
    """In the child: what distinguishes a process of its own from a copy of this one."""
    import ctypes

    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # never outlive the warm process …
    if os.getppid() != request["zygote"]:
        os._exit(1)  # … not even when it died just now
    signal.signal(signal.SIGINT, signal.default_int_handler)
    said = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(ours, theirs)
    os.environ.clear()
    os.environ.update(request["env"], JPY_PARENT_PID=str(request["zygote"]))
    os.chdir(request["cwd"])
    sys.argv = ["ipykernel_launcher.py", *request["argv"]]
    if "numpy" in sys.modules:  # Python reseeds its own generator after a fork, numpy does not
        sys.modules["numpy"].random.seed()


if __name__ == "__main__":
    main()

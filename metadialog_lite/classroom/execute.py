"""Runs one submission's notebook under limits; started by ``limits.run_limited`` as a process of its own.

Reads one JSON object from stdin (notebook, limits, work) and writes one line of JSON for each finished cell to stdout,
then ``{"end": reason}``. The kernel inherits neither of the two, so it can't write results for itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output

MB = 1024 * 1024
LONGEST = 20_000  # characters of one error's text
Say = Callable[[dict[str, Any]], None]


def error(name: str, text: str) -> NotebookNode:
    """An output that says why a cell failed."""
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


class LimitedClient(NotebookClient):
    """A notebook client that stops listening after ``output_mb`` and says so in the cell that went over."""

    def __init__(self, notebook: NotebookNode, limits: dict[str, Any], work: str):
        self.left, self.most, self.over = int(limits["output_mb"] * MB), limits["output_mb"], False
        late = f"this cell ran longer than {limits['cell_seconds']:g} seconds"
        super().__init__(
            notebook, timeout=limits["cell_seconds"], startup_timeout=120, allow_errors=True, kernel_name="python3",
            interrupt_on_timeout=True, resources={"metadata": {"path": work}}, store_widget_state=False,
            error_on_timeout={"ename": "TimeLimit", "evalue": late, "traceback": [f"TimeLimit: {late}"]},
            extra_arguments=["--HistoryManager.enabled=False"])
        self.last_reply: dict[str, Any] = {}
        self.on_cell_executed = self._remember

    def _remember(self, execute_reply: dict[str, Any] | None = None, **event: Any) -> None:
        self.last_reply = execute_reply or {}

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Count what is shown; an error is always heard, however much was printed before."""
        content = msg.get("content", {})
        if msg["msg_type"] == "error":
            content.update(evalue=str(content.get("evalue"))[:LONGEST],
                           traceback=[str(line)[:LONGEST] for line in content.get("traceback", [])][-100:])
        elif msg["msg_type"] in ("stream", "display_data", "execute_result", "update_display_data"):
            self.left -= len(str(content.get("text", ""))) + len(str(content.get("data", "")))
            if self.left < 0:
                if not self.over:  # once: it may be in a loop that prints for ever
                    self.interrupting = asyncio.ensure_future(self._interrupt())
                self.over = True
                return None
        return super().process_message(msg, cell, cell_index)

    async def _interrupt(self) -> None:
        if self.km is not None and (done := self.km.interrupt_kernel()) is not None:
            await done

    async def run(self, say: Say) -> None:
        """Run every code cell and report it, then why the run ended early, or ""."""
        async with self.async_setup_kernel():
            say({"end": await self._cells(say)})
            os._exit(0)  # a polite shutdown takes seconds; the grader kills the kernel with all that it has started

    async def _cells(self, say: Say) -> str:
        for index, cell in enumerate(self.nb.cells):
            if cell.cell_type != "code":
                continue
            self.over, self.last_reply = False, {}
            try:
                await self.async_execute_cell(cell, index)
            except DeadKernelError:
                return await self._death()
            except CellTimeoutError:
                return "a cell could not be interrupted"
            self._note_what_is_missing(cell)
            say({"cell": index, "count": cell.get("execution_count"), "outputs": cell.outputs})
        return ""

    async def _death(self) -> str:
        code = await self.km.provisioner.poll() if self.km and self.km.provisioner else None
        why: dict[int | None, str] = {
            -24: "it used more CPU seconds than allowed",
            -9: "it was killed (CPU seconds or memory over the limit)"}
        return f"the kernel died: {why.get(code, f'exit status {code}')}"

    def _note_what_is_missing(self, cell: NotebookNode) -> None:
        """A failed cell must show an error: without one a test would count as passed."""
        if self.over:
            cell.outputs.append(error("OutputLimit", f"the notebook printed more than {self.most:g} MB"))
        reply = self.last_reply.get("content", {})
        if reply.get("status") not in (None, "ok"):
            name = reply.get("ename", "Aborted")
            if not any(o.output_type == "error" and o.ename == name for o in cell.outputs):  # a limit, not the code
                cell.outputs.append(error(name, reply.get("evalue", "the cell did not finish")))


def set_limits(limits: dict[str, Any]) -> None:
    """For this process and all that it starts."""
    import resource

    def limit(what: int, soft: int, hard: int) -> None:
        _, most = resource.getrlimit(what)
        bound = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(what, (min(soft, bound), bound))

    cpu, size, memory = limits["cpu_seconds"], limits["file_mb"] * MB, limits["memory_mb"] * MB
    limit(resource.RLIMIT_CPU, cpu, cpu + 5)
    limit(resource.RLIMIT_FSIZE, size, size)
    limit(resource.RLIMIT_CORE, 0, 0)
    if sys.platform == "linux":  # elsewhere it is not enforced or counts something else
        limit(resource.RLIMIT_DATA, memory, memory)


def main() -> None:
    """Read the order, run it, and report."""
    order = json.loads(sys.stdin.buffer.read())
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")  # a duplicate is not inherited by the kernel
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)

    def say(item: dict[str, Any]) -> None:
        report.write(json.dumps(item) + "\n")
        report.flush()

    try:
        set_limits(order["limits"])
        client = LimitedClient(nbformat.reads(order["notebook"], as_version=4), order["limits"], order["work"])
        asyncio.run(client.run(say))
    except Exception as problem:  # whatever goes wrong is told to the grader, never lost
        say({"end": f"the notebook could not be run: {type(problem).__name__}: {problem}"})


if __name__ == "__main__":
    main()

"""Time and memory of one outer step of MAML, against order, inner steps, number of tasks and size of the model.

Memory is measured in a process of its own, because a process does not give back what it once held: a fork, before this
one has gone backward for the first time (torch allows none later). Times are process CPU time, the cases take turns,
and the minimum of the rounds counts: whatever else the machine does can only add.
"""

from __future__ import annotations

import gc
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any, Literal

import torch

from metadialog_lite.challenges.schema import Cost
from metadialog_lite.episodes import TurnBatch, Vocabulary, draw_episodes, stack_tasks
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner, tasks_of
from metadialog_lite.model import ModelConfig
from metadialog_lite.world import load_world

#: Writing 5 here makes a process forget its peak.
RESET = Path("/proc/self/clear_refs")
SUPPORT, QUERY, ROUNDS = 8, 8, 3
#: What is varied, one at a time, from the defaults of :class:`Case`.
VARIED = {"inner_steps": (1, 2, 4, 8), "tasks": (2, 8, 32), "width": (16, 32, 64)}


@dataclass(frozen=True)
class Case:
    """One outer step."""

    order: Literal[1, 2] = 2
    inner_steps: int = 2
    tasks: int = 8
    width: int = 32
    one_pass: bool = False
    world: str = "restaurants.en"

    def prepare(self) -> tuple[Learner, TurnBatch, TurnBatch]:
        """The learner, and support and query of its tasks, stacked."""
        world = load_world(self.world)
        vocabulary = Vocabulary.of(world)
        config = ModelConfig(len(vocabulary), width=self.width, attention=self.width, mlp=3 * self.width)
        learner = make_learner("maml" if self.order == 2 else "fomaml", config, vocabulary, inner_lr=0.0005,
                               inner_steps=self.inner_steps)
        episodes = draw_episodes(world, "train", 0, 0, self.tasks, SUPPORT, QUERY)
        return (learner, stack_tasks([e.support for e in episodes], vocabulary),
                stack_tasks([e.query for e in episodes], vocabulary))

    @property
    def chunk(self) -> int | None:
        """Tasks in one graph; None: the learner's own chunks."""
        return self.tasks if self.one_pass else None


def cases() -> list[Case]:
    """Every varied number with both orders, and many tasks also in one pass."""
    found = [Case(order=order, **{name: value}) for order in (2, 1)  # type: ignore[arg-type]
             for name, values in VARIED.items() for value in values]
    found += [Case(tasks=tasks, one_pass=True) for tasks in VARIED["tasks"]]
    return list(dict.fromkeys(found))


def milliseconds(prepared: tuple[Learner, TurnBatch, TurnBatch], chunk: int | None) -> float:
    """Process CPU time of one outer step; what earlier ones left behind is collected before."""
    learner, support, query = prepared
    gc.collect()
    begin = process_time()
    learner.outer_gradient(support, query, chunk)
    return 1000 * (process_time() - begin)


def measure(todo: Sequence[Case], rounds: int = ROUNDS, memory: bool = True) -> list[Cost]:
    """Times and memory of all cases."""
    prepared = [case.prepare() for case in todo]
    grown = [growth(one, case.chunk) if memory else None for one, case in zip(prepared, todo, strict=True)]
    best = [float("inf")] * len(todo)
    for turn in range(rounds):
        order = [*range(turn % len(todo), len(todo)), *range(turn % len(todo))]
        for i in order:
            best[i] = min(best[i], milliseconds(prepared[i], todo[i].chunk))
    sizes = [sum(value.numel() for value in learner.phi().values()) for learner, _, _ in prepared]
    return [Cost(order=case.order, inner_steps=case.inner_steps, tasks=case.tasks, width=case.width, parameters=size,
                 one_pass=case.one_pass, ms=round(ms, 2), peak_mb=mb)
            for case, ms, size, mb in zip(todo, best, sizes, grown, strict=True)]


def growth(prepared: tuple[Learner, TurnBatch, TurnBatch], chunk: int | None) -> float | None:
    """Peak growth in a fork: MB, or None where the system does not tell (anything but Linux) or forbids it."""
    if not RESET.exists():
        return None
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, f"{_grown(prepared, chunk):.1f}".encode())
        finally:
            os._exit(0)  # without the parent's clean-up
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return float(text) if text else None


def _grown(prepared: tuple[Learner, TurnBatch, TurnBatch], chunk: int | None) -> float:
    learner, support, query = prepared
    one = slice(0, 1)
    learner.outer_gradient(tasks_of(support, one), tasks_of(query, one))  # loads whatever torch loads at first use
    gc.collect()
    RESET.write_text("5")  # the peak is what is held now
    before = resident("VmRSS")
    learner.outer_gradient(support, query, chunk)
    return max(0.0, resident("VmHWM") - before)


def resident(field: str) -> float:
    """MB of this process: VmRSS is what it holds now, VmHWM the most that it held. Linux only."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    load = [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {"cpu": cpu, "cores": os.cpu_count(), "load": load, "threads": torch.get_num_threads()}

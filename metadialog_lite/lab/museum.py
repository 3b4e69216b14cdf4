"""The bug museum: famous mistakes of meta-learning, each as a small real experiment with one toggle.

An exhibit can be *run* (with the mistake in or out; it yields its curve while it grows) and *probed*: the probe is the
check that its reader can make on a program of his own, and its number is 0, up to rounding, when nothing is wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.toys import LinearTasks, Points, squared_error
from metadialog_lite.model import Theta

#: The number tasks that most exhibits use: small enough for seconds, hard enough for mistakes to matter.
SOURCE = LinearTasks(inputs=20, outputs=4, factors=3)
#: The network that learns them, α and K of its inner steps.
SIZES, ALPHA, INNER = (20, 40, 4), 0.2, 5


@dataclass
class Curve:
    """What an experiment shows: one or more lines over the same ``x``."""

    x: list[float] = field(default_factory=list)
    lines: dict[str, list[float]] = field(default_factory=dict)

    def add(self, x: float, **values: float) -> Curve:
        """One more point on each line; underscores in a name become spaces. Returns a copy, safe to draw."""
        self.x.append(x)
        for name, value in values.items():
            self.lines.setdefault(name.replace("_", " "), []).append(value)
        return Curve(list(self.x), {name: list(line) for name, line in self.lines.items()})

    def last(self) -> dict[str, float]:
        """The last value of each line."""
        return {name: line[-1] for name, line in self.lines.items() if line}


@dataclass(frozen=True)
class Exhibit:
    """One mistake.

    Attributes:
        key: its short name; ``number`` and ``mistake`` are for readers.
        report: what somebody tells who has made it, without knowing.
        x_name, y_name: of the axes; ``log_y`` for a logarithmic vertical one, ``zero`` when it begins at 0, ``ticks``
            for a logarithmic horizontal one with these marks, ``signed`` where values may be negative.
        run: (bug, seed, steps) -> the growing curve; ``steps`` are outer steps where something is trained.
        probe: (bug, seed) -> a number; at most ``limit`` when nothing is wrong.
        measures: what that number is.
        shown: the function in which the mistake is made.
        seen, notice, cure: where it was seen, how to notice it, what to do.
        floor: what the best possible learner reaches on this exhibit's held-out tasks, where that is known.
    """

    key: str
    number: int
    mistake: str
    report: str
    x_name: str
    y_name: str
    run: Callable[[bool, int, int], Iterator[Curve]]
    probe: Callable[[bool, int], float]
    measures: str
    shown: Callable[..., Any]
    seen: str
    notice: str
    cure: str
    limit: float = 1e-6
    log_y: bool = False
    zero: bool = True
    signed: bool = False
    ticks: tuple[int, ...] = ()
    floor: Callable[[int], float] | None = None

    def curve(self, bug: bool, seed: int = 0, steps: int = 300) -> Curve:
        """The finished curve."""
        return deque(self.run(bug, seed, steps), maxlen=1).pop()

    def sound(self, number: float) -> bool:
        """Whether the probe's number says that nothing is wrong."""
        return number <= self.limit


_ROOMS = ("museum_gradients", "museum_splits", "museum_measures")


def exhibits() -> dict[str, Exhibit]:
    """All exhibits by key, in the order of their numbers."""
    found = [one for room in _ROOMS for one in import_module(f"{__package__}.{room}").EXHIBITS]
    return {one.key: one for one in sorted(found, key=lambda one: one.number)}


def descend(theta: Theta, loss_of: Callable[[Theta], Tensor], steps: int, beta: float = 0.003) -> Iterator[float]:
    """Adam on ``loss_of(theta)``, in place; yields the loss of each step."""
    optimizer = torch.optim.Adam(theta.values(), lr=beta)
    for _ in range(steps):
        loss = loss_of(theta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


def in_blocks(losses: Iterator[float], steps: int, points: int = 20) -> Iterator[tuple[int, float]]:
    """(steps taken, mean loss of the last block) about ``points`` times: a curve without the noise of single steps."""
    size, done = max(1, steps // points), 0
    while block := list(islice(losses, size)):
        done += len(block)
        yield done, sum(block) / len(block)


def mean_error(theta: Theta, points: Points) -> float:
    """The mean squared error of adapted networks on the points of their tasks."""
    return float(squared_error(theta, points).mean().detach())


def distance(a: Theta, b: Theta) -> float:
    """‖a − b‖ / ‖b‖ over all tensors together."""
    apart = sum(float((a[name] - b[name]).detach().square().sum()) for name in b)
    return (apart / max(sum(float(value.detach().square().sum()) for value in b.values()), 1e-300)) ** 0.5

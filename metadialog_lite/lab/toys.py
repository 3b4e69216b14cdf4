"""Two families of number tasks for notebook 01, and a small network that learns to learn them.

A *task* is a secret function; a learner sees some of its points. Linear tasks have five secret numbers, and their best
possible learner is known in closed form:

    EQ-TOY-1   y = U diag(c) V x + noise,  c ~ N(0, 1)                   V, U are the same for all tasks
    EQ-TOY-2   E[c | D] = (AᵀA + σ² I)⁻¹ Aᵀ y,  A_ij = u_j (V x_i)_j     nobody has a smaller expected squared error
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from metadialog_lite.families.base import inner_step
from metadialog_lite.model import Theta

Points = tuple[Tensor, Tensor]  # x [tasks, points, inputs] and y [tasks, points, outputs]


class Tasks(Protocol):
    """A family of tasks."""

    def draw(self, tasks: int, points: int, random: torch.Generator) -> Points:
        """Points of so many new tasks."""


def seeded(seed: int) -> torch.Generator:
    """A stream of random numbers of its own."""
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class LinearTasks:
    """EQ-TOY-1: ``inputs`` numbers to ``outputs`` numbers, through ``factors`` secret ones; noise has deviation σ."""

    inputs: int = 100
    outputs: int = 10
    factors: int = 5
    noise: float = 0.1
    seed: int = 0

    @cached_property
    def reads(self) -> Tensor:
        """V: which five directions of x count, [factors, inputs], orthonormal rows."""
        basis: Tensor = torch.linalg.qr(torch.randn(self.inputs, self.factors, generator=seeded(self.seed)))[0].T
        return basis

    @cached_property
    def writes(self) -> Tensor:
        """U: where each of them goes, [outputs, factors], orthonormal columns."""
        basis: Tensor = torch.linalg.qr(torch.randn(self.outputs, self.factors, generator=seeded(self.seed + 1)))[0]
        return basis

    def draw(self, tasks: int, points: int, random: torch.Generator) -> Points:
        """New tasks, each with secret numbers c of its own."""
        secret = torch.randn(tasks, 1, self.factors, generator=random)
        x = torch.randn(tasks, points, self.inputs, generator=random)
        clean = (x @ self.reads.T * secret) @ self.writes.T
        return x, clean + self.noise * torch.randn(clean.shape, generator=random)

    def best(self, x: Tensor, y: Tensor, new: Tensor) -> Tensor:
        """EQ-TOY-2: what the optimal learner says about ``new`` after it has seen x and y, [tasks, points, outputs]."""
        design = ((x @ self.reads.T).unsqueeze(-2) * self.writes).flatten(-3, -2)  # A: a row for each output number
        square = design.mT @ design + self.noise**2 * torch.eye(self.factors, dtype=x.dtype)
        secret = torch.linalg.solve(square, design.mT @ y.flatten(-2).unsqueeze(-1)).mT
        return (new @ self.reads.T * secret) @ self.writes.T


@dataclass(frozen=True)
class Sinusoids:
    """y = a sin(x + b), a from 0.1 to 5 and b from 0 to π, x from −5 to 5 (Finn et al. 2017, arXiv 1703.03400, 5.1)."""

    def draw(self, tasks: int, points: int, random: torch.Generator) -> Points:
        """New sine curves, in float64."""
        high, shift, x = (torch.rand(tasks, n, 1, generator=random, dtype=torch.float64) for n in (1, 1, points))
        x = 10 * x - 5
        return x, (0.1 + 4.9 * high) * torch.sin(x + torch.pi * shift)


def network(sizes: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> Theta:
    """Weights of a multilayer network, drawn as ``nn.Linear`` draws them: uniform, ± 1/√inputs."""
    random, theta = seeded(seed), {}
    for layer, (before, after) in enumerate(pairwise(sizes)):
        for name, shape in (("weight", (before, after)), ("bias", (after,))):
            values = 2 * torch.rand(*shape, generator=random, dtype=dtype) - 1
            theta[f"{name}{layer}"] = (values / before**0.5).requires_grad_()
    return theta


def forward(theta: Theta, x: Tensor) -> Tensor:
    """f_θ(x): linear layers with ReLU between; θ may have a leading task dimension."""
    layers = len(theta) // 2
    for layer in range(layers):
        x = x @ theta[f"weight{layer}"] + theta[f"bias{layer}"].unsqueeze(-2)
        x = x.relu() if layer < layers - 1 else x
    return x


def squared_error(theta: Theta, points: Points) -> Tensor:
    """L: mean squared error of each task, [tasks]."""
    return (forward(theta, points[0]) - points[1]).square().mean((-1, -2))


def adapt(theta: Theta, support: Points, alpha: float, steps: int, exact: bool = True) -> Theta:
    """θ′: one for each task, after K steps of EQ-MAML-1 on its own support."""
    tasks = support[0].shape[0]
    theta = {name: value.expand(tasks, *value.shape) for name, value in theta.items()}
    for _ in range(steps):
        theta = inner_step(theta, dict.fromkeys(theta, alpha), lambda now: squared_error(now, support).sum(), exact)
    return theta


def split(points: Points, shots: int) -> tuple[Points, Points]:
    """The first ``shots`` points of each task are its support, the others its query."""
    x, y = points
    return (x[:, :shots], y[:, :shots]), (x[:, shots:], y[:, shots:])


def train(
    source: Tasks, theta: Theta, steps: int, alpha: float, inner_steps: int, shots: int = 20, query: int = 20,
    tasks: int = 16, beta: float = 0.003, seed: int = 0,
) -> Iterator[float]:
    """Train θ in place with Adam and yield each step's query loss.

    With ``inner_steps`` > 0 this is MAML (EQ-MAML-2: the loss is taken *after* adapting, and the gradient goes through
    it). With 0 it is ordinary joint training: one network for all tasks.
    """
    random, optimizer = seeded(seed), torch.optim.Adam(theta.values(), lr=beta)
    for _ in range(steps):
        seen, asked = split(source.draw(tasks, shots + query, random), shots)
        loss = squared_error(adapt(theta, seen, alpha, inner_steps), asked).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


@torch.no_grad()
def after_steps(
    theta: Theta, source: Tasks, alpha: float, most: int, shots: int, tasks: int, seed: int
) -> list[Tensor]:
    """The errors on the query of ``tasks`` held-out tasks after 0, 1, … ``most`` steps: a list of [tasks]."""
    seen, asked = split(source.draw(tasks, shots + 20, seeded(seed)), shots)
    return [squared_error(adapt(theta, seen, alpha, steps, exact=False), asked).detach() for steps in range(most + 1)]

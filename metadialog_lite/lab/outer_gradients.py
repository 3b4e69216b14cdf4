"""Four outer gradients of one learner, compared in float64: which of them is the true one, and what each costs."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from metadialog_lite.episodes import TurnBatch, draw_episodes, stack_tasks
from metadialog_lite.families.base import Learner, Phi, gradients
from metadialog_lite.turns import TaskSource

FD, FULL, FIRST, REPTILE = "finite differences", "second order", "first order", "reptile"
_TINY = 1e-300  # in the place of a norm that is 0


def compare(learner: Learner, source: TaskSource, directions: int = 20, shots: int = 4, query_turns: int = 4,
            tasks: int = 2, seed: int = 0, step: float = 1e-5) -> dict[str, Any]:
    """Measure the four outer gradients at the learner's θ₀; learned rates stay as they are.

    *Second order* is EQ-MAML-2, *first order* EQ-FOMAML-1, *reptile* EQ-REPTILE-1. A finite-difference gradient of
    30,000 parameters would take 60,000 losses, so the slope (L(θ+εu) − L(θ−εu)) / 2ε is measured only along chosen
    unit directions u: those that span the other three (the cosines follow from these), and ``directions`` random
    ones, where nothing was arranged.

    Args:
        learner: a copy that may be changed (it becomes float64).

    Returns:
        Plain numbers: ``cosine[a][b]``, ``norm[a]``, ``error[a]`` (largest |slope claimed − slope measured| along the
        random directions, relative to the gradient's norm; exact means about 1e-9), ``seconds[a]`` (process CPU),
        ``megabytes[a]`` (most bytes of tensors alive at once), ``parameters``, ``directions``, ``inner_steps``.

    Raises:
        ValueError: the learner takes no gradient steps, or ``directions`` is out of range.
    """
    if not hasattr(learner, "first_order"):
        raise ValueError(f"learner {learner.name!r} takes no inner gradient steps: there is nothing to compare")
    if isinstance(directions, bool) or not isinstance(directions, int) or not 1 <= directions <= 1000:
        raise ValueError(f"directions: got {directions!r}; a whole number from 1 to 1000 is needed")
    twin: Any = learner.double()
    episodes = draw_episodes(source, "train", seed, 0, tasks, shots, query_turns)
    support = stack_tasks([e.support for e in episodes], twin.vocabulary)
    query = stack_tasks([e.query for e in episodes], twin.vocabulary)
    phi = {name: value.detach().requires_grad_() for name, value in twin.phi().items()}
    names = [name for name in phi if name.startswith("model.")]

    def exact(first_order: bool) -> Tensor:
        twin.first_order = first_order
        return _flat(gradients(twin.task_loss(phi, support, query)[0], {name: phi[name] for name in names}), names)

    def reptile() -> Tensor:
        with torch.no_grad():
            adapted = twin.adapt_theta(phi, support)
            return _flat({name: phi[name] - adapted[name[len("model."):]].mean(0) for name in names}, names)

    vectors, seconds, megabytes = {}, {}, {}
    takes: dict[str, Callable[[], Tensor]] = {FULL: lambda: exact(False), FIRST: lambda: exact(True), REPTILE: reptile}
    for name, take in takes.items():
        vectors[name], seconds[name], megabytes[name] = _measured(take)
    matrix = torch.stack(list(vectors.values()))
    basis = _basis(matrix)
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(directions, matrix.shape[1], dtype=torch.float64, generator=generator)
    random = random / random.norm(dim=1, keepdim=True)
    slope = _Slope(twin, phi, names, support, query, step)
    along, seconds[FD], megabytes[FD] = _measured(lambda: torch.stack([slope(u) for u in (*basis, *random)]))
    vectors = {FD: along[: len(basis)] @ basis, **vectors}
    measured = along[len(basis):]
    norm = {name: float(vector.norm()) for name, vector in vectors.items()}
    return {
        "cosine": {a: {b: _cosine(vectors[a], vectors[b]) for b in vectors} for a in vectors},
        "norm": norm,
        "error": {a: 0.0 if a == FD else float((random @ vectors[a] - measured).abs().max()) / max(norm[FD], _TINY)
                  for a in vectors},
        "seconds": seconds,
        "megabytes": megabytes,
        "parameters": matrix.shape[1],
        "directions": directions,
        "inner_steps": twin.steps(),
    }


class _Slope:
    """The slope of the outer loss along a unit direction, by central differences."""

    def __init__(self, learner: Any, phi: Phi, names: list[str], support: TurnBatch, query: TurnBatch, step: float):
        self.learner, self.phi, self.names, self.step = learner, phi, names, step
        self.support, self.query = support, query

    def __call__(self, direction: Tensor) -> Tensor:
        return (self._loss(direction, self.step) - self._loss(direction, -self.step)) / (2 * self.step)

    @torch.no_grad()
    def _loss(self, direction: Tensor, step: float) -> Tensor:
        moved, place = dict(self.phi), 0
        for name in self.names:
            value = self.phi[name]
            moved[name] = value + step * direction[place : place + value.numel()].view_as(value)
            place += value.numel()
        loss: Tensor = self.learner.task_loss(moved, self.support, self.query)[0]
        return loss


class _Peak(TorchDispatchMode):
    """Counts the bytes of tensors made inside that are still alive; ``peak`` is the most there were at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                address, size = storage.data_ptr(), storage.nbytes()
                if address and address not in self._known:
                    self._known.add(address)
                    self.live += size
                    self.peak = max(self.peak, self.live)
                    weakref.finalize(storage, self._freed, address, size)
        return made

    def _freed(self, address: int, size: int) -> None:
        self.live -= size
        self._known.discard(address)


def _measured(take: Callable[[], Tensor]) -> tuple[Tensor, float, float]:
    """(result, process CPU seconds, peak MB). Twice: once to count bytes, once for the time."""
    with _Peak() as memory:
        take()
    begun = time.process_time()
    result = take()
    return result, time.process_time() - begun, memory.peak / 1e6


def _basis(matrix: Tensor) -> Tensor:
    """Orthonormal rows that span the rows of ``matrix``."""
    _, sizes, rows = torch.linalg.svd(matrix / matrix.norm(dim=1, keepdim=True).clamp_min(_TINY), full_matrices=False)
    return rows[sizes > 1e-8 * sizes.max()]


def _flat(values: Phi, names: list[str]) -> Tensor:
    return torch.cat([values[name].detach().reshape(-1) for name in names])


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()).clamp_min(_TINY))

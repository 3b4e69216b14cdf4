"""Directions in parameter space: what a finite-difference check of an outer gradient needs.

EQ-FD-1:  g · u ≈ (F(φ + εu) − F(φ − εu)) / 2ε   for every unit direction u, when g is the gradient of F.
"""

from __future__ import annotations

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def random_direction(like: Tensors, seed: int) -> Tensors:
    """A random direction of length 1 over all tensors of ``like`` together."""
    random = torch.Generator().manual_seed(seed)
    u = {name: torch.randn(v.shape, dtype=v.dtype, generator=random).to(v.device) for name, v in like.items()}
    length = sum(float((x**2).sum()) for x in u.values()) ** 0.5
    return {name: x / length for name, x in u.items()}


def shifted(point: Tensors, u: Tensors, distance: float) -> Tensors:
    """The point that lies ``distance`` away in direction ``u``."""
    return {name: value + distance * u[name] for name, value in point.items()}


def slope(gradient: Tensors, u: Tensors) -> float:
    """g · u over all tensors together; ``slope(g, g) ** 0.5`` is the length of g."""
    return sum(float((gradient[name] * u[name]).sum()) for name in u)

"""A quadratic loss, where the argmin and every gradient step are known in closed form.

EQ-ARGMIN-1:  L(θ) = ½ (θ − c)ᵀ A (θ − c),   argmin L = c
EQ-ARGMIN-2:  θ_K = c + (I − αA)^K (θ_0 − c)   after K gradient steps with rate α

So one step *is* the argmin only for A = I/α; the error shrinks by max|1 − αλ| a step, and grows for α > 2/λ_max.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Quadratic:
    """A bowl over n parameters.

    Attributes:
        curvature: A, symmetric with positive eigenvalues, [n, n].
        centre: c, the argmin, [n].
    """

    curvature: Tensor
    centre: Tensor

    @classmethod
    def random(cls, eigenvalues: Tensor, seed: int) -> Quadratic:
        """Given eigenvalues, random directions and a random centre (float64)."""
        generator = torch.Generator().manual_seed(seed)
        n = len(eigenvalues)
        basis, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
        curvature = basis @ torch.diag(eigenvalues.double()) @ basis.T
        return cls((curvature + curvature.T) / 2, torch.randn(n, generator=generator, dtype=torch.float64))

    def __call__(self, theta: Tensor) -> Tensor:
        """L(θ): one number."""
        away = theta - self.centre
        return 0.5 * away @ self.curvature @ away

    def gradient(self, theta: Tensor) -> Tensor:
        """∇L(θ) = A (θ − c): [n]."""
        return self.curvature @ (theta - self.centre)

    @property
    def argmin(self) -> Tensor:
        """The θ with the smallest loss: [n]."""
        return self.centre

    def eigenvalues(self) -> Tensor:
        """λ of A, ascending: [n]."""
        values: Tensor = torch.linalg.eigvalsh(self.curvature)
        return values

    @property
    def largest_rate(self) -> float:
        """2/λ_max: a larger α makes gradient steps run away from the argmin."""
        return 2 / float(self.eigenvalues()[-1])

    def path(self, theta: Tensor, alpha: float, steps: int) -> Tensor:
        """θ_0 … θ_K by taking the steps one after the other: [K + 1, n]."""
        points = [theta]
        for _ in range(steps):
            points.append(points[-1] - alpha * self.gradient(points[-1]))
        return torch.stack(points)

    def after(self, theta: Tensor, alpha: float, steps: int) -> Tensor:
        """θ_K in closed form (EQ-ARGMIN-2): [n]."""
        once = torch.eye(len(theta), dtype=theta.dtype) - alpha * self.curvature
        result: Tensor = self.centre + torch.linalg.matrix_power(once, steps) @ (theta - self.centre)
        return result

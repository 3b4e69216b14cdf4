"""Checks of assignment a1: K inner steps, the outer gradient through all of them, and a product with the Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, jacrev

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import Loss, fresh, random_loss
from metadialog_lite.lab.judging import Misconception, judge


def _start(random: torch.Generator, size: int) -> tuple[Tensor, float]:
    """θ and α between 0.05 and 0.25."""
    theta = torch.randn(size, dtype=torch.float64, generator=random)
    return theta, 0.05 + 0.2 * float(torch.rand((), generator=random))


# ---------------------------------------------------------------- a1.1: K inner steps


def _walk(theta: Tensor, alpha: float, steps: int, loss: Loss) -> Tensor:
    for _ in range(steps):
        theta = theta - alpha * grad(loss)(theta)  # EQ-MAML-1
    return theta


_WALK_MISTAKES = (
    Misconception("one step only", lambda t, a, k, s: _walk(t, a, 1, s),
                  "you take one step, whatever K is. Repeat it, and note that K may be 0."),
    Misconception("old gradient", lambda t, a, k, s: t - k * a * grad(s)(t),
                  "K steps are not one step of rate Kα: after every step the gradient must be taken anew, at the place "
                  "where you stand now."),
    Misconception("uphill", lambda t, a, k, s: _walk(t, -a, k, s),
                  "you walk uphill, θ + α∇L. Adaptation walks down."),
    Misconception("one step too many", lambda t, a, k, s: _walk(t, a, k + 1, s),
                  "you take one step too many."),
    Misconception("rate ignored", lambda t, a, k, s: _walk(t, 1.0, k, s), "the rate α is not used."),
    Misconception("the change instead of the place", lambda t, a, k, s: _walk(t, a, k, s) - t,
                  "this is θ′ − θ, how far you have gone. Return where you are, θ′."),
)


@exercise("a1.1")
def inner_steps(answer: Any) -> Verdict:
    """``answer(theta, alpha, steps, loss)`` = θ after K steps of θ ← θ − α∇L(θ); K = 0 gives θ back."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for size, steps in ((3, 2), (4, 5), (2, 0), (5, 3)):
        problems.append((*_start(random, size), steps, random_loss(size, random)))
    return judge(
        answer, problems, _walk, _WALK_MISTAKES,
        praise="K steps, each with a gradient of its own; with K = 0 nothing moves.",
        otherwise="This is not θ after K steps of θ ← θ − α∇L(θ). Try K = 0 and K = 1 by hand first.",
    )


# ---------------------------------------------------------------- a1.2: the outer gradient through K steps


def _outer(theta: Tensor, alpha: float, steps: int, support: Loss, query: Loss) -> Tensor:
    outer: Tensor = grad(lambda t: query(_walk(t, alpha, steps, support)))(theta)  # EQ-MAML-2
    return outer


def _last_step_only(t: Tensor, a: float, k: int, s: Loss, q: Loss) -> Tensor:
    before = _walk(t, a, k - 1, s)
    return _outer(before, a, 1, s, q)


def _same_factor(t: Tensor, a: float, k: int, s: Loss, q: Loss) -> Tensor:
    """The factor (I − αH(θ))^K, with every Hessian taken at θ."""
    factor = torch.eye(len(t), dtype=t.dtype) - a * jacrev(grad(s))(t)
    product: Tensor = torch.linalg.matrix_power(factor, k) @ grad(q)(_walk(t, a, k, s))
    return product


_OUTER_MISTAKES = (
    Misconception("gradient at θ, not at θ′", lambda t, a, k, s, q: grad(q)(t),
                  "this is ∇L_Q at θ. Nothing has adapted yet: the query loss is taken at θ′, after K inner steps."),
    Misconception("first order", lambda t, a, k, s, q: grad(q)(_walk(t, a, k, s)),
                  "this is ∇L_Q at θ′: first-order MAML. Differentiate *through* all K inner steps, down to θ."),
    Misconception("last step only", _last_step_only,
                  "you differentiate through the last inner step and treat the ones before as constants. The gradient "
                  "is with respect to θ, where the walk began."),
    Misconception("Hessian at θ", _same_factor,
                  "you use one factor I − αH(θ) for every step. Each step has its own, with the Hessian at the place "
                  "where that step was taken."),
    Misconception("one step only", lambda t, a, k, s, q: _outer(t, a, 1, s, q),
                  "this is right for K = 1. Take K inner steps."),
    Misconception("support used as query", lambda t, a, k, s, q: _outer(t, a, k, s, s),
                  "the support judges itself here: the outer loss is taken on the query."),
    Misconception("query used as support", lambda t, a, k, s, q: _outer(t, a, k, q, q),
                  "your inner steps use the query loss, so the learner has seen what it is judged on."),
    Misconception("support and query swapped", lambda t, a, k, s, q: _outer(t, a, k, q, s),
                  "support and query are swapped: adapt on the support, judge on the query."),
    Misconception("Reptile", lambda t, a, k, s, q: t - _walk(t, a, k, s),
                  "this is θ − θ′, Reptile's direction. It never looks at the query."),
    Misconception("wrong sign", lambda t, a, k, s, q: -_outer(t, a, k, s, q),
                  "right up to the sign: return the gradient, not the direction downhill."),
)


@exercise("a1.2")
def outer_gradient(answer: Any) -> Verdict:
    """``answer(theta, alpha, steps, support_loss, query_loss)`` = ∇_θ L_Q(θ after K inner steps on L_S)."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for size, steps in ((3, 2), (4, 3), (2, 2), (5, 4)):
        start = _start(random, size)
        problems.append((*start, steps, random_loss(size, random), random_loss(size, random)))
    return judge(
        answer, problems, _outer, _OUTER_MISTAKES,
        praise="the full gradient through every inner step: ∏ (I − αH) at the places of the walk, times ∇L_Q(θ′).",
        otherwise="This is not ∇_θ L_Q(θ′(θ)) and none of the usual mistakes. Write θ′ as a function of θ first, then "
                  "the query loss of it, then one gradient of the whole.",
    )


# ---------------------------------------------------------------- a1.3: (I − αH) v without H


def _pull_back(theta: Tensor, alpha: float, v: Tensor, loss: Loss) -> Tensor:
    product: Tensor = v - alpha * grad(lambda t: (grad(loss)(t) * v).sum())(theta)
    return product


def _by_hessian(change: Callable[[Tensor, float, Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda t, a, v, s: change(jacrev(grad(s))(t), a, v, grad(s)(t))


_PULL_MISTAKES = (
    Misconception("I + αH", _by_hessian(lambda h, a, v, g: v + a * h @ v), "the sign: it is I − αH, not I + αH."),
    Misconception("H v only", _by_hessian(lambda h, a, v, g: h @ v), "this is H v. Asked is (I − αH) v = v − α H v."),
    Misconception("I forgotten", _by_hessian(lambda h, a, v, g: -a * h @ v), "this is −α H v; the I is missing."),
    Misconception("α forgotten", _by_hessian(lambda h, a, v, g: v - h @ v), "the rate α is missing before H v."),
    Misconception("H forgotten", _by_hessian(lambda h, a, v, g: v - a * v),
                  "this is (1 − α) v: the curvature is not in it."),
    Misconception("first order", _by_hessian(lambda h, a, v, g: v),
                  "this is v itself: first-order MAML, which pretends that H = 0."),
    Misconception("diagonal only", _by_hessian(lambda h, a, v, g: v - a * h.diagonal() * v),
                  "you use the diagonal of H only. H v mixes the directions."),
    Misconception("gradient instead of Hessian", _by_hessian(lambda h, a, v, g: v - a * g * v),
                  "you multiply by the gradient ∇L. Differentiate once more: H v = ∇(∇L · v)."),
)


@exercise("a1.3")
def pull_back(answer: Any) -> Verdict:
    """``answer(theta, alpha, v, loss)`` = (I − α∇²L(θ)) v. Nobody needs the matrix ∇²L for it."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for size in (3, 5, 2, 4):
        v = torch.randn(size, dtype=torch.float64, generator=random)
        problems.append((*_start(random, size), v, random_loss(size, random)))
    return judge(
        answer, problems, _pull_back, _PULL_MISTAKES,
        praise="v − α ∇(∇L · v): two gradients, and no matrix was ever written down.",
        otherwise="This is not v − αHv with H = ∇²L(θ). The gradient of the number ∇L(θ) · v (v is a constant) is Hv.",
    )

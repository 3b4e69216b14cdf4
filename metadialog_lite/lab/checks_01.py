"""Checks of notebook 01: one inner step, and the derivative of what comes after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh, random_loss
from metadialog_lite.lab.judging import Misconception, judge

Loss = Callable[[Tensor], Tensor]


def _between(random: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(1, generator=random))


# ---------------------------------------------------------------- 01.1: one inner step


def _step(theta: Tensor, alpha: float, loss: Loss) -> Tensor:
    after: Tensor = theta - alpha * grad(loss)(theta)  # EQ-MAML-1
    return after


_STEP_MISTAKES = (
    Misconception("uphill", lambda t, a, loss: t + a * grad(loss)(t),
                  "you add the gradient. It points where the loss *grows* fastest: take it away."),
    Misconception("no rate", lambda t, a, loss: t - grad(loss)(t),
                  "the step has the length of the gradient itself: multiply it with α."),
    Misconception("gradient instead of θ′", lambda t, a, loss: grad(loss)(t),
                  "this is the gradient at θ, not θ′: the gradient says only where to go."),
    Misconception("step instead of θ′", lambda t, a, loss: -a * grad(loss)(t),
                  "this is the step alone, −α∇L. Add it to where you are: θ."),
    Misconception("step instead of θ′", lambda t, a, loss: a * grad(loss)(t),
                  "this is the length and direction of the step. θ′ is θ minus it."),
    Misconception("normalised", lambda t, a, loss: t - a * grad(loss)(t) / grad(loss)(t).norm(),
                  "your step always has length α. In gradient descent it is α times the gradient, which is short where "
                  "the loss is flat."),
    Misconception("nothing changed", lambda t, a, loss: t, "this is θ: no step was taken."),
)


@exercise("01.1")
def inner_step(answer: Any) -> Verdict:
    """``answer(theta, alpha, loss)`` = θ − α ∇L(θ), EQ-MAML-1."""
    random = fresh()
    problems = [(torch.randn(n, dtype=torch.float64, generator=random), _between(random, 0.05, 0.4),
                 random_loss(n, random)) for n in (3, 2, 5, 4)]
    return judge(
        answer, problems, _step, _STEP_MISTAKES,
        praise="this is θ′ = θ − α∇L(θ), the step that the whole course is about.",
        otherwise="This is not θ − α ∇L(θ). Take the gradient at θ with torch.autograd.grad (θ must require a "
                  "gradient), multiply it with α, take it away from θ.",
    )


# ---------------------------------------------------------------- 01.2: differentiate through the step, by hand
# L_S(θ) = ½ a (θ − s)², L_Q(θ) = ½ b (θ − q)², both scalar; θ' = θ − α a (θ − s).


def _after(theta: float, alpha: float, a: float, s: float) -> float:
    return theta - alpha * a * (theta - s)


def _through(theta: float, alpha: float, a: float, s: float, b: float, q: float) -> float:
    return b * (_after(theta, alpha, a, s) - q) * (1 - alpha * a)  # EQ-MAML-2


_THROUGH_MISTAKES = (
    Misconception("first order", lambda t, al, a, s, b, q: b * (_after(t, al, a, s) - q),
                  "this is the query gradient at θ′: dL_Q/dθ′. Where θ moves, θ′ moves by dθ′/dθ = 1 − αa: the chain "
                  "rule asks for that factor."),
    Misconception("gradient at θ", lambda t, al, a, s, b, q: b * (t - q),
                  "this is the gradient at θ, not at θ′: the query loss is taken after the step."),
    Misconception("gradient at θ", lambda t, al, a, s, b, q: b * (t - q) * (1 - al * a),
                  "the factor 1 − αa is right, but the query gradient has to be taken at θ′, not at θ."),
    Misconception("support instead of query", lambda t, al, a, s, b, q: a * (_after(t, al, a, s) - s) * (1 - al * a),
                  "you differentiate the *support* loss after the step. It is the query that judges θ′."),
    Misconception("support instead of query", lambda t, al, a, s, b, q: a * (t - s),
                  "this is the support gradient at θ: it makes the step; what is asked for is how the *query* loss "
                  "after the step changes with θ."),
    Misconception("wrong curvature", lambda t, al, a, s, b, q: b * (_after(t, al, a, s) - q) * (1 - al * b),
                  "the step was taken on the support loss, so the factor is 1 − αa with the *support's* curvature a."),
    Misconception("sign of the factor", lambda t, al, a, s, b, q: b * (_after(t, al, a, s) - q) * (1 + al * a),
                  "θ′ = θ − αa(θ − s): its derivative is 1 − αa, not 1 + αa."),
    Misconception("derivative of the step", lambda t, al, a, s, b, q: b * (_after(t, al, a, s) - q) * -al * a,
                  "you took the derivative of the step alone, −αa; θ′ also holds θ itself: 1 − αa."),
)


@exercise("01.2")
def through_the_step(answer: Any) -> Verdict:
    """``answer(theta, alpha, a, s, b, q)`` = d/dθ L_Q(θ′(θ)) = b(θ′ − q)(1 − αa), EQ-MAML-2 with one number."""
    random = fresh()
    problems = [(_between(random, -2, 2), _between(random, 0.1, 0.6), _between(random, 0.5, 1.4),
                 _between(random, -2, 2), _between(random, 1.6, 3), _between(random, 2.5, 4)) for _ in range(4)]
    return judge(
        answer, problems, _through, _THROUGH_MISTAKES,
        praise="this is the chain rule through the step: b(θ′ − q), times dθ′/dθ = 1 − αa. The second factor is what "
               "second order means.",
        otherwise="This is not b(θ′ − q)(1 − αa). First θ′ = θ − αa(θ − s), then dL_Q/dθ′, then times dθ′/dθ.",
    )

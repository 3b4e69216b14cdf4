"""Checks of notebook 05: the outer gradient, the gradient for learned rates, and how far a step is from the argmin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, hessian

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.judging import Misconception, judge

Loss = Callable[[Tensor], Tensor]


def fresh() -> torch.Generator:
    """Random numbers that nobody has seen before; the global seed is neither used nor changed."""
    generator = torch.Generator()
    generator.seed()
    return generator


def random_loss(size: int, random: torch.Generator) -> Loss:
    """A smooth random loss of ``size`` parameters with curvature that changes from place to place."""
    matrix = torch.randn(size + 1, size, dtype=torch.float64, generator=random)
    shift = torch.randn(size + 1, dtype=torch.float64, generator=random)

    def loss(theta: Tensor) -> Tensor:
        value: Tensor = (torch.nn.functional.softplus(matrix @ theta + shift) ** 2).sum() / (size + 1)
        return value

    return loss


def _problems(one_rate: bool) -> list[tuple[Any, ...]]:
    """(θ, α, L_S, L_Q) drawn afresh; α is one number or one for each parameter, between 0.05 and 0.35."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for n in (3, 4, 2, 5):
        theta = torch.randn(n, dtype=torch.float64, generator=random)
        alpha = 0.05 + 0.3 * torch.rand(n, dtype=torch.float64, generator=random)
        problems.append((theta, float(alpha[0]) if one_rate else alpha, random_loss(n, random), random_loss(n, random)))
    return problems


def _adapt(theta: Tensor, alpha: Any, support: Loss) -> Tensor:
    step: Tensor = theta - alpha * grad(support)(theta)  # EQ-MAML-1
    return step


# ---------------------------------------------------------------- 05.2: the outer gradient


def _maml(theta: Tensor, alpha: float, support: Loss, query: Loss) -> Tensor:
    outer: Tensor = grad(lambda t: query(_adapt(t, alpha, support)))(theta)  # EQ-MAML-2
    return outer


_OUTER_MISTAKES = (
    Misconception("gradient at θ, not at θ′", lambda t, a, s, q: grad(q)(t),
                  "this is ∇L_Q at θ. Nothing has adapted yet: the query loss must be taken at θ′ = θ − α∇L_S(θ)."),
    Misconception("first order", lambda t, a, s, q: grad(q)(_adapt(t, a, s)),
                  "this is ∇L_Q at θ′: first-order MAML (EQ-FOMAML-1). The factor dθ′/dθ = I − α∇²L_S is missing: "
                  "differentiate *through* the inner step."),
    Misconception("support used as query", lambda t, a, s, q: _maml(t, a, s, s),
                  "this is the gradient of L_S(θ′): the support judges itself. The outer loss is taken on the query."),
    Misconception("query used as support", lambda t, a, s, q: _maml(t, a, q, q),
                  "your inner step uses the query loss, so the learner has seen what it is judged on. Adapt on the "
                  "support."),
    Misconception("support and query swapped", lambda t, a, s, q: _maml(t, a, q, s),
                  "support and query are swapped: adapt on the support, judge on the query."),
    Misconception("uphill inner step", lambda t, a, s, q: _maml(t, -a, s, q),
                  "your inner step goes uphill, θ + α∇L_S(θ). Adaptation walks *down*: θ − α∇L_S(θ)."),
    Misconception("wrong sign", lambda t, a, s, q: -_maml(t, a, s, q),
                  "right up to the sign: return the gradient itself, not the descent direction."),
    Misconception("Reptile", lambda t, a, s, q: t - _adapt(t, a, s),
                  "this is θ − θ′, Reptile's direction (EQ-REPTILE-1). It never looks at the query."),
    Misconception("I + αH", lambda t, a, s, q: (lambda g: g + a * hessian(s)(t) @ g)(grad(q)(_adapt(t, a, s))),
                  "almost: the factor is I − α∇²L_S, you have I + α∇²L_S."),
    Misconception("Hessian at θ′", lambda t, a, s, q: (lambda x, g: g - a * hessian(s)(x) @ g)(
        _adapt(t, a, s), grad(q)(_adapt(t, a, s))),
        "almost: the Hessian of L_S belongs at θ, where the inner step was taken, not at θ′."),
    Misconception("a new point instead of a gradient", lambda t, a, s, q: _adapt(t, a, s),
                  "this is θ′ itself. The exercise asks for the gradient of L_Q(θ′) with respect to θ."),
    Misconception("rate ignored", lambda t, a, s, q: _maml(t, 1.0, s, q),
                  "your inner step ignores α: use the rate that is given."),
)


@exercise("05.2")
def outer_gradient(answer: Any) -> Verdict:
    """``answer(theta, alpha, support_loss, query_loss)`` = ∇_θ L_Q(θ − α∇L_S(θ)), EQ-MAML-2."""
    problems = _problems(one_rate=True)
    return judge(
        answer, problems, _maml, _OUTER_MISTAKES,
        praise="this is the full second-order gradient, on random losses of 2 to 5 parameters.",
        otherwise="This is not ∇_θ L_Q(θ − α∇L_S(θ)), and none of the usual mistakes either. Check the pieces one by "
                  "one: θ′ first, then the query loss as a function of θ, then its gradient.",
    )


# ---------------------------------------------------------------- 05.3: Meta-SGD's rates


def _rates(theta: Tensor, alpha: Tensor, support: Loss, query: Loss) -> Tensor:
    return -grad(query)(_adapt(theta, alpha, support)) * grad(support)(theta)


_RATE_MISTAKES = (
    Misconception("wrong sign", lambda t, a, s, q: -_rates(t, a, s, q),
                  "right up to the sign: θ′ = θ − α∇L_S(θ), so dθ′/dα brings a minus."),
    Misconception("gradient at θ, not at θ′", lambda t, a, s, q: -grad(q)(t) * grad(s)(t),
                  "the query gradient is taken at θ here; it belongs at θ′."),
    Misconception("gradient at θ, not at θ′", lambda t, a, s, q: grad(q)(t) * grad(s)(t),
                  "the query gradient is taken at θ here; it belongs at θ′ (and mind the sign)."),
    Misconception("support gradient at θ′",
                  lambda t, a, s, q: -grad(q)(_adapt(t, a, s)) * grad(s)(_adapt(t, a, s)),
                  "the support gradient belongs at θ, where the inner step was taken; you have it at θ′."),
    Misconception("support used as query", lambda t, a, s, q: _rates(t, a, s, s),
                  "the support judges itself here: the outer loss is taken on the query."),
    Misconception("gradient for θ", _maml,
                  "this is the outer gradient for θ (EQ-MAML-2). Here the question is how the outer loss changes "
                  "with α."),
    Misconception("first order", lambda t, a, s, q: grad(q)(_adapt(t, a, s)),
                  "this is ∇L_Q(θ′) alone; multiply by how θ′ moves when α moves."),
    Misconception("extra factor α", lambda t, a, s, q: a * _rates(t, a, s, q),
                  "there is a factor α too many: θ′ is linear in α, so α drops out of dθ′/dα."),
    Misconception("one rate for all", lambda t, a, s, q: _rates(t, a, s, q).sum().expand_as(t),
                  "you summed over the parameters: that is the gradient for one shared rate. Meta-SGD has one α for "
                  "each parameter, so multiply element by element."),
)


@exercise("05.3")
def rate_gradient(answer: Any) -> Verdict:
    """``answer(theta, alpha, support_loss, query_loss)`` = ∇_α L_Q(θ − α ⊙ ∇L_S(θ)), α of θ's shape: EQ-METASGD-1."""
    problems = _problems(one_rate=False)
    return judge(
        answer, problems, _rates, _RATE_MISTAKES,
        praise="this is −∇L_Q(θ′) ⊙ ∇L_S(θ): a rate grows where support and query agree on the direction.",
        otherwise="This is not the gradient of L_Q(θ − α ⊙ ∇L_S(θ)) with respect to α. By the chain rule it has two "
                  "factors: what L_Q thinks of a move of θ′, and how θ′ moves when α moves.",
    )


# ---------------------------------------------------------------- 05.1: a step is not the argmin


def _factor(eigenvalues: Tensor, alpha: float, steps: int) -> Tensor:
    return (1 - alpha * eigenvalues).abs().max() ** steps


_FACTOR_MISTAKES = (
    Misconception("step taken for the argmin", lambda e, a, k: torch.zeros((), dtype=torch.float64),
                  "0 would mean that K gradient steps arrive exactly at the argmin. That is the very confusion this "
                  "section is about."),
    Misconception("forgot the absolute value", lambda e, a, k: (1 - a * e).max() ** k,
                  "1 − αλ can be negative, and −1.5 is a larger error than 0.5: take the absolute value first."),
    Misconception("steepest direction only", lambda e, a, k: (1 - a * e).min().abs() ** k,
                  "this looks at the steepest direction only; a flat direction may be slower. Take the worst of all."),
    Misconception("flattest direction only", lambda e, a, k: (1 - a * e.min()).abs() ** k,
                  "this looks at the flattest direction only. With a large α the steepest one is worse: it jumps over "
                  "the argmin."),
    Misconception("best direction instead of the worst", lambda e, a, k: (1 - a * e).abs().min() ** k,
                  "this is the direction that arrives first; asked is the one that is furthest behind."),
    Misconception("linear instead of geometric", lambda e, a, k: k * (1 - a * e).abs().max(),
                  "the factors of K steps are multiplied, not added: a power, not a product with K."),
    Misconception("one step only", lambda e, a, k: (1 - a * e).abs().max(),
                  "this is the factor of one step; K steps multiply it K times."),
    Misconception("linear instead of geometric", lambda e, a, k: (1 - k * a * e).abs().max(),
                  "K steps of rate α are not one step of rate Kα: after each step the gradient is a new one."),
    Misconception("factor of the loss", lambda e, a, k: _factor(e, a, k) ** 2,
                  "this is the factor of the *loss*, which is quadratic in the distance; asked is the distance."),
)


@exercise("05.1")
def remaining_error(answer: Any) -> Verdict:
    """``answer(eigenvalues, alpha, steps)`` = max|1 − αλ|^K, the worst direction's share of error left."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    # Some α below 1/λ_max (the flat direction decides), some above 2/λ_max (the steep one overshoots and runs away).
    for share, steps in ((0.3, 3), (1.4, 2), (0.6, 5), (1.15, 3), (0.97, 4)):
        eigenvalues = 0.2 + 3 * torch.rand(4, dtype=torch.float64, generator=random)
        jitter = 1 + 0.02 * float(torch.rand((), generator=random))
        problems.append((eigenvalues, share * jitter * 2 / float(eigenvalues.max()), steps))
    return judge(
        answer, problems, _factor, _FACTOR_MISTAKES,
        praise="this is max|1 − αλ|^K: below 1 the steps approach the argmin, above 1 (α > 2/λ_max) they run away.",
        otherwise="This is not the share of the error that is left. In the direction of eigenvalue λ one step "
                  "multiplies the distance to the argmin by 1 − αλ: what do K steps do, and which direction is worst?",
    )

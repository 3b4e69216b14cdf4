"""Checks of notebook 09: which checkpoint to keep, what first order leaves out, and a ratio of noisy times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge

# ---------------------------------------------------------------- 09.1: which checkpoint is kept?

Losses = Sequence[float]


def _best(steps: Sequence[int], seen: Losses, valid: Losses, test: Losses) -> int:
    return steps[min(range(len(steps)), key=valid.__getitem__)]


def _before_first_rise(steps: Sequence[int], seen: Losses, valid: Losses, test: Losses) -> int:
    for i in range(1, len(steps)):
        if valid[i] > valid[i - 1]:
            return steps[i - 1]
    return steps[-1]


_KEEP_MISTAKES = (
    Misconception("training speakers", lambda steps, seen, valid, test: steps[min(range(len(steps)),
                                                                                  key=seen.__getitem__)],
                  "you keep the checkpoint that is best on *training* speakers: the one that remembers most."),
    Misconception("test speakers", lambda steps, seen, valid, test: steps[min(range(len(steps)),
                                                                              key=test.__getitem__)],
                  "you choose on the *test* speakers. What is chosen there looks better there than it is; test "
                  "speakers are for the one number at the end."),
    Misconception("first rise", _before_first_rise,
                  "you stop at the first rise of the validation loss. A loss over some speakers goes up and down by "
                  "chance; take its lowest value."),
    Misconception("last step", lambda steps, *_: steps[-1], "you keep the last checkpoint, however far it overfitted."),
    Misconception("smallest gap", lambda steps, seen, valid, test: steps[min(range(len(steps)), key=lambda i: abs(
        valid[i] - seen[i]))], "you take the smallest distance between training and validation: that is mostly the "
                               "beginning, when nothing was learned."),
    Misconception("index", lambda steps, seen, valid, test: min(range(len(steps)), key=valid.__getitem__),
                  "this is the place in the list; return the *step* that stands there."),
)


@exercise("09.1")
def keep(answer: Any) -> Verdict:
    """``answer(steps, seen, valid, test)`` -> the step with the lowest loss on validation speakers."""
    draw = random.Random()
    problems: list[tuple[Any, ...]] = []
    while len(problems) < 6:
        count = draw.randint(7, 12)
        steps = [25 * (i + 1) for i in range(count)]
        turn = draw.randint(3, count - 2)
        seen = [4.0 * 0.4**i + 0.2 * draw.random() for i in range(count)]  # flat at the end: its best is not the last
        valid, test = ([2.0 + 0.2 * abs(i - turn) + 0.35 * draw.random() for i in range(count)] for _ in range(2))
        one = (steps, seen, valid, test)
        rivals = [wrong.compute(*one) for wrong in _KEEP_MISTAKES[:5]]
        if _best(*one) not in rivals:  # every mistake shows
            problems.append(one)
    return judge(
        answer, problems, _best, _KEEP_MISTAKES,
        praise="chosen on validation speakers, who are neither trained on nor reported.",
        otherwise="Find the lowest number in valid and return the step that stands at the same place in steps.",
    )


# ---------------------------------------------------------------- 09.2: what first order leaves out


def _adapted(theta: Tensor, alpha: float, a_s: Tensor, c_s: Tensor) -> Tensor:
    return theta - alpha * a_s @ (theta - c_s)


def _left_out(theta: Tensor, alpha: float, a_s: Tensor, c_s: Tensor, a_q: Tensor, c_q: Tensor) -> Tensor:
    return alpha * a_s @ (a_q @ (_adapted(theta, alpha, a_s, c_s) - c_q))  # EQ-ORDER-1


_ORDER_MISTAKES = (
    Misconception("sign turned", lambda *x: -_left_out(*x),
                  "the sign is turned: first order minus full gradient is *plus* α H_S ∇L_Q(θ′)."),
    Misconception("first order itself", lambda t, a, a_s, c_s, a_q, c_q: a_q @ (_adapted(t, a, a_s, c_s) - c_q),
                  "this is the first-order gradient ∇L_Q(θ′) itself. Asked for is how far it is from the full one."),
    Misconception("full gradient", lambda t, a, a_s, c_s, a_q, c_q: a_q @ (
        _adapted(t, a, a_s, c_s) - c_q) - _left_out(t, a, a_s, c_s, a_q, c_q),
                  "this is the full gradient. Asked for is first order minus full."),
    Misconception("at theta", lambda t, a, a_s, c_s, a_q, c_q: a * a_s @ (a_q @ (t - c_q)),
                  "you take ∇L_Q at θ. The outer loss is that of θ′: take it there."),
    Misconception("the query's curvature", lambda t, a, a_s, c_s, a_q, c_q: a * a_q @ (
        a_q @ (_adapted(t, a, a_s, c_s) - c_q)),
                  "the second derivatives that count are the *support* loss's: it is the inner step that is "
                  "differentiated."),
    Misconception("alpha forgotten", lambda t, a, a_s, c_s, a_q, c_q: _left_out(t, a, a_s, c_s, a_q, c_q) / a,
                  "α is missing: with a rate of 0 there is nothing to leave out."),
)


@exercise("09.2")
def left_out(answer: Any) -> Verdict:
    """``answer(theta, alpha, a_s, c_s, a_q, c_q)`` = first-order minus full outer gradient, EQ-ORDER-1.

    L_S = ½ (θ − c_s)ᵀ A_s (θ − c_s), and likewise L_Q; one inner step.
    """
    generator = fresh()

    def curved(size: int) -> Tensor:
        root = torch.randn(size, size, dtype=torch.float64, generator=generator)
        return root @ root.mT / size + 0.2 * torch.eye(size, dtype=torch.float64)

    problems: list[tuple[Any, ...]] = []
    for size in (2, 3, 5, 4):
        theta, c_s, c_q = (torch.randn(size, dtype=torch.float64, generator=generator) for _ in range(3))
        alpha = 0.05 + 0.4 * float(torch.rand((), generator=generator))
        problems.append((theta, alpha, curved(size), c_s, curved(size), c_q))
    return judge(
        answer, problems, _left_out, _ORDER_MISTAKES,
        praise="α H_S ∇L_Q(θ′): short steps or a flat support loss, and first order is enough.",
        otherwise="θ′ = θ − α A_s (θ − c_s). First order is A_q (θ′ − c_q), the full gradient is "
                  "(I − α A_s) A_q (θ′ − c_q). Return first order minus full, a vector.",
    )


# ---------------------------------------------------------------- 09.3: a ratio of noisy times


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return a.min() / b.min()


_RATIO_MISTAKES = (
    Misconception("means", lambda a, b: a.mean() / b.mean(),
                  "you compare means. Other programs only ever *add* time, sometimes much; a mean measures them, too. "
                  "The minimum is the run that was disturbed least."),
    Misconception("mean of ratios", lambda a, b: (a / b).mean(),
                  "run by run both times are disturbed, and a ratio with a disturbed denominator can be anything. "
                  "Minima first, then divide."),
    Misconception("medians", lambda a, b: a.median() / b.median(),
                  "medians are better than means, but on a busy machine more than half of the runs may be disturbed. "
                  "What cannot be beaten is the minimum."),
    Misconception("best ratio", lambda a, b: (a / b).min(),
                  "you take the smallest ratio of single runs: that is the pair in which b was disturbed most."),
    Misconception("upside down", lambda a, b: b.min() / a.min(), "numerator and denominator are exchanged."),
    Misconception("difference", lambda a, b: a.min() - b.min(),
                  "a difference in milliseconds belongs to this machine. A ratio is what others can compare with."),
    Misconception("maxima", lambda a, b: a.max() / b.max(), "the maximum is the run that was disturbed most."),
)


@exercise("09.3")
def times_as_long(answer: Any) -> Verdict:
    """``answer(a, b)``: times of some runs each -> how many times as long a takes as b, by their minima."""
    generator = fresh()
    problems: list[tuple[Any, ...]] = []
    for runs in (7, 9, 12, 8):
        a, b = (base * (1 + torch.rand(runs, dtype=torch.float64, generator=generator) ** 2)
                for base in (3 + 5 * torch.rand((), generator=generator), 2.0))
        problems.append((a, b))
    return judge(
        answer, problems, _ratio, _RATIO_MISTAKES,
        praise="minima, then one ratio. It still holds for this machine and this size only.",
        otherwise="a and b are tensors with the times of several runs. Return one number: smallest a / smallest b.",
    )

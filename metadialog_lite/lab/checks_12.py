"""Checks of notebook 12: choose a question by what is left to gain, and plan an experiment that can answer it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge

# ---------------------------------------------------------------- 12.1: where is most to gain?


def _regret(loss: Tensor, bayes: Tensor) -> int:
    return int((loss - bayes).argmax())


_REGRET_MISTAKES = (
    Misconception("largest loss", lambda x, b, p: int(x.argmax()),
                  "this is where the *loss* is largest. Part of it nobody can remove: take the floor away first."),
    Misconception("largest ratio", lambda x, b, p: int((x / b).argmax()),
                  "a ratio is large where the floor is small, even if only a hundredth of a nat is left. Nats per turn "
                  "add up, so subtract."),
    Misconception("smallest share closed", lambda x, b, p: int(((p - x) / (p - b)).argmin()),
                  "the share of the gap is smallest there, but a small share of a small gap may be left over. Asked "
                  "for are nats: loss − floor."),
    Misconception("most gained already", lambda x, b, p: int((p - x).argmax()),
                  "this is what adaptation *has* gained. Asked for is what is left."),
    Misconception("largest gap", lambda x, b, p: int((p - b).argmax()),
                  "this is how much there was to gain before anything was learned. How much of it is left?"),
    Misconception("least left", lambda x, b, p: int((x - b).argmin()), "this is where *least* is left."),
    Misconception("the number itself", lambda x, b, p: (x - b).max(),
                  "this is how much is left. Return *where*: the index."),
    Misconception("all the numbers", lambda x, b, p: x - b, "these are all regrets. Return the index of the largest."),
)


@exercise("12.1")
def most_to_gain(answer: Any) -> Verdict:
    """``answer(loss, bayes, prior)``: the index of the capability with most nats left above the floor."""
    random, problems = fresh(), []
    for place in 2 * torch.randperm(5, generator=random).tolist():  # each place is right twice: no constant passes
        bayes = 0.2 + 2 * torch.rand(5, dtype=torch.float64, generator=random)
        left = 0.05 + 0.3 * torch.rand(5, dtype=torch.float64, generator=random)
        left[place] = 0.5
        gained = 0.1 + 0.6 * torch.rand(5, dtype=torch.float64, generator=random)  # so that rival ideas differ
        problems.append((bayes + left, bayes, bayes + left + gained))
    return judge(
        answer, problems, lambda x, b, p: _regret(x, b), _REGRET_MISTAKES,
        praise="loss − floor, in nats per turn: that is what a better method could gain at most.",
        otherwise="Each argument is a tensor with one number for each capability. Return the index at which loss − "
                  "floor is largest.",
    )


# ---------------------------------------------------------------- 12.2: how many speakers does an answer need?


def _needed(difference: float, deviation: float) -> int:
    return math.ceil((1.96 * deviation / difference) ** 2)


_NEEDED_MISTAKES = (
    Misconception("not squared", lambda d, s: math.ceil(1.96 * s / d),
                  "the interval shrinks with the *root* of n. Solve 1.96 · s / √n ≤ d for n: there is a square."),
    Misconception("no 1.96", lambda d, s: math.ceil((s / d) ** 2),
                  "with these, the *standard error* is as large as the difference. A 95 % interval reaches 1.96 of "
                  "them to each side."),
    Misconception("both sides", lambda d, s: math.ceil((2 * 1.96 * s / d) ** 2),
                  "the interval reaches 1.96 · s / √n to *each* side of the mean; to exclude 0, one side must be "
                  "shorter than the difference."),
    Misconception("upside down", lambda d, s: math.ceil((1.96 * d / s) ** 2),
                  "a larger spread needs more speakers, a larger difference fewer: numerator and denominator are "
                  "exchanged."),
    Misconception("variance forgotten", lambda d, s: math.ceil(1.96**2 * s / d**2),
                  "s is the standard deviation, so it is squared as well."),
    Misconception("rounded down", lambda d, s: math.floor((1.96 * s / d) ** 2),
                  "with that many the interval still reaches 0. Round *up*."),
)


@exercise("12.2")
def speakers_needed(answer: Any) -> Verdict:
    """``answer(difference, deviation)`` = ⌈(1.96 s / d)²⌉, from EQ-PAIR-1."""
    random = fresh()
    problems: list[tuple[float, float]] = []
    while len(problems) < 4:
        difference, deviation = (float(low + (high - low) * torch.rand((), generator=random, dtype=torch.float64))
                                 for low, high in ((0.05, 0.4), (0.6, 1.4)))
        if 0.02 < (1.96 * deviation / difference) ** 2 % 1 < 0.98:  # rounding must not decide
            problems.append((difference, deviation))
    return judge(
        answer, problems, _needed, _NEEDED_MISTAKES,
        praise="half the difference needs four times the speakers. Better to know that before the run than after it.",
        otherwise="From EQ-PAIR-1: the interval is d ± 1.96 · s / √n. It excludes 0 when 1.96 · s / √n < d. Solve for "
                  "n and round up.",
    )

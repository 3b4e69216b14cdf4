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
    Misconception("counted from 1", lambda x, b, p: _regret(x, b) + 1, "an index begins at 0: use that of `argmax`."),
    Misconception("first three only", lambda x, b, p: _regret(x[:3], b[:3]),
                  "you look at the first three numbers only. There may be more: take all that the tensors hold."),
)


@exercise("12.1")
def most_to_gain(answer: Any) -> Verdict:
    """``answer(loss, bayes, prior)``: the index of the capability with most nats left above the floor."""
    random, problems = fresh(), []
    for place in 2 * torch.randperm(6, generator=random).tolist():  # each place is right twice: no constant passes
        rivals = [i for i in torch.randperm(6, generator=random).tolist() if i != place]
        bayes, left, gained = torch.empty(3, 6, dtype=torch.float64)
        # Most is left at one place; at each of the others something else is largest.
        for i, sizes in zip([place, *rivals], ((1.2, 0.48, 0.4),  # floor, left, gained
                                               (0.05, 0.3, 0.3),  # ratio to the floor
                                               (0.9, 0.3, 1.2),  # gained already
                                               (3.0, 0.3, 0.3),  # loss, floor, perplexity
                                               (0.9, 0.43, 1.1),  # gap, left × gap
                                               (0.5, 0.36, 0.02))):  # share of the gap that is left
            bayes[i], left[i], gained[i] = torch.tensor(sizes, dtype=torch.float64) * (
                1 + 0.03 * torch.rand(3, dtype=torch.float64, generator=random))
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
    Misconception("rounded to the nearest", lambda d, s: round((1.96 * s / d) ** 2),
                  "`round` goes to the nearest whole number, which is too few half of the time. Round *up*."),
    Misconception("not rounded", lambda d, s: (1.96 * s / d) ** 2,
                  "there are no parts of speakers: round up to a whole number."),
    Misconception("one more than needed", lambda d, s: _needed(d, s) + 1,
                  "one fewer would do: you have added 1 after rounding up."),
    Misconception("2 for 1.96", lambda d, s: math.ceil((2 * s / d) ** 2),
                  "2 is a good rule of thumb, but asked for is the smallest number with 1.96."),
    Misconception("one-sided", lambda d, s: math.ceil((1.645 * s / d) ** 2),
                  "1.645 belongs to an interval with one end. The 95 % interval of EQ-PAIR-1 has two: 1.96."),
    Misconception("two groups", lambda d, s: math.ceil(2 * (1.96 * s / d) ** 2),
                  "the factor 2 belongs to two separate groups of speakers. Here s is the spread of the *paired* "
                  "differences already."),
    Misconception("at least 30", lambda d, s: max(30, _needed(d, s)),
                  "no rule asks for 30: return the smallest number that the formula gives."),
)


@exercise("12.2")
def speakers_needed(answer: Any) -> Verdict:
    """``answer(difference, deviation)`` = ⌈(1.96 s / d)²⌉, from EQ-PAIR-1."""
    random = fresh()
    problems: list[tuple[float, float]] = []
    # Few and many speakers, an even and an odd number, and twice each way of rounding: no wrong rounding passes.
    sizes = ((6, 24), (40, 300), (400, 900), (1200, 4000))
    for i, (low, high) in zip(torch.randperm(4, generator=random).tolist(), sizes):
        below = 2 * int(torch.randint(low // 2, high // 2, (), generator=random)) + i % 2
        part = (0.2 if i < 2 else 0.6) + 0.2 * float(torch.rand((), generator=random, dtype=torch.float64))
        deviation = 0.6 + 0.8 * float(torch.rand((), generator=random, dtype=torch.float64))
        problems.append((1.96 * deviation / math.sqrt(below + part), deviation))
    return judge(
        answer, problems, _needed, _NEEDED_MISTAKES,
        praise="half the difference needs four times the speakers. Better to know that before the run than after it.",
        otherwise="From EQ-PAIR-1: the interval is d ± 1.96 · s / √n. It excludes 0 when 1.96 · s / √n < d. Solve for "
                  "n and round up.",
    )

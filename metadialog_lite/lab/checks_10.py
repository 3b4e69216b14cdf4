"""Checks of notebook 10: three detectors of mistakes, to be run on programs that one has not written."""

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

# ---------------------------------------------------------------- 10.1: the error of a claimed slope


def _slope_error(claimed: Tensor, loss: Loss, theta: Tensor, u: Tensor) -> Tensor:
    """EQ-FD-1 along one direction, with the derivative taken by autograd: what small moves approach."""
    error: Tensor = (claimed @ u - grad(loss)(theta) @ u).abs()
    return error


_SLOPE_MISTAKES = (
    Misconception("sign", lambda g, loss, t, u: g @ u - grad(loss)(t) @ u,
                  "the difference is right, its sign is not asked for: a slope that is too small is wrong, too. Take "
                  "the absolute value."),
    Misconception("sign", lambda g, loss, t, u: grad(loss)(t) @ u - g @ u,
                  "the difference is right, its sign is not asked for. Take the absolute value."),
    Misconception("forgot the 2", lambda g, loss, t, u: (g @ u - 2 * grad(loss)(t) @ u).abs(),
                  "between θ + εu and θ − εu lie *two* ε: divide by 2ε."),
    Misconception("the measured slope alone", lambda g, loss, t, u: grad(loss)(t) @ u,
                  "this is the slope that was measured. Compare it with what the gradient claims, claimed · u."),
    Misconception("the measured slope alone", lambda g, loss, t, u: (grad(loss)(t) @ u).abs(),
                  "this is the slope that was measured. Compare it with what the gradient claims, claimed · u."),
    Misconception("the claimed slope alone", lambda g, loss, t, u: (g @ u).abs(),
                  "this is what the gradient claims. Measure the slope as well: two small moves along u."),
    Misconception("lengths compared", lambda g, loss, t, u: (g.norm() - grad(loss)(t).norm()).abs(),
                  "two gradients of the same length can point anywhere: compare slopes along u."),
    Misconception("length instead of slope", lambda g, loss, t, u: (g.norm() - (grad(loss)(t) @ u).abs()).abs(),
                  "the claimed slope along u is claimed · u, not the length of the gradient."),
)


@exercise("10.1")
def slope_error(answer: Any) -> Verdict:
    """``answer(claimed, loss, theta, u)`` = |claimed · u − slope of the loss along u|, measured by two small moves."""
    random, problems = fresh(), []
    for n, side in ((3, 1), (5, -1), (2, -1), (4, 1)):
        loss = random_loss(n, random)
        theta, u, wrong = (torch.randn(n, dtype=torch.float64, generator=random) for _ in range(3))
        wrong = wrong * torch.sign(wrong @ u) * side  # claimed too much and too little: the sign shows
        problems.append((grad(loss)(theta) + wrong, loss, theta, u / u.norm()))
    return judge(
        answer, problems, _slope_error, _SLOPE_MISTAKES, tolerance=1e-4,
        praise="this finds every mistake of exhibits 1, 4 and 8, without knowing how the gradient was made.",
        otherwise="This is not |claimed · u − (loss(θ + εu) − loss(θ − εu)) / 2ε|. Take ε about 1e-4 (in float64), and "
                  "move to *both* sides.",
    )


# ---------------------------------------------------------------- 10.2: does θ′ depend on the query's answers?

Adapt = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _line(x: Tensor, y: Tensor) -> Tensor:
    """One gradient step of least squares from 0: [inputs]."""
    return x.mT @ y / len(x)


def _moves(adapt: Adapt, sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> float:
    other = qy + torch.randn(qy.shape, dtype=qy.dtype, generator=torch.Generator().manual_seed(1))
    return float(not torch.allclose(adapt(sx, sy, qx, qy), adapt(sx, sy, qx, other)))


def _moves_support(adapt: Adapt, sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> float:
    return float(not torch.allclose(adapt(sx, sy, qx, qy), adapt(sx, sy + 1, qx, qy)))


def _moves_question(adapt: Adapt, sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> float:
    return float(not torch.allclose(adapt(sx, sy, qx, qy), adapt(sx, sy, qx + 1, qy)))


def _moves_order(adapt: Adapt, sx: Tensor, sy: Tensor, qx: Tensor, qy: Tensor) -> float:
    return float(not torch.allclose(adapt(sx, sy, qx, qy), adapt(sx, sy, qx, qy.flip(0))))


def _programs(random: torch.Generator) -> list[tuple[Adapt, bool]]:
    """Programs that adapt, some of which look at the query's answers; in random order."""
    shift = float(torch.rand((), generator=random, dtype=torch.float64)) + 0.5
    programs: list[tuple[Adapt, bool]] = [
        (lambda sx, sy, qx, qy: _line(sx, sy) * shift, False),
        (lambda sx, sy, qx, qy: _line(qx, qy) + shift, True),
        (lambda sx, sy, qx, qy: _line(torch.cat([sx, qx]), torch.cat([sy, qy])), True),
        (lambda sx, sy, qx, qy: _line(sx, sy) + shift * qx.mean(0), False),  # reads the questions, not the answers
        (lambda sx, sy, qx, qy: _line(sx, sy - shift * qy.mean()), True),
        (lambda sx, sy, qx, qy: torch.full((sx.shape[1],), shift, dtype=sx.dtype), False),  # does not adapt at all
    ]
    return [programs[i] for i in torch.randperm(len(programs), generator=random).tolist()]


_LEAK_MISTAKES = (
    Misconception("the support was changed", _moves_support,
                  "you change the *support* and look whether θ′ moves. It should: that is adaptation. Change the "
                  "query's answers."),
    Misconception("the questions were changed", _moves_question,
                  "you change the query's *inputs*. A program that reads them is transductive, which may be meant; "
                  "what must never be read are the answers, query_y."),
    Misconception("answers in another order", _moves_order,
                  "you only put the answers into another order. A program that reads their mean escapes: put *other* "
                  "values in their place."),
    Misconception("turned round", lambda *a: 1 - _moves(*a),
                  "just the other way round: True means that θ′ moved, so that the program has seen the answers."),
    Misconception("every program accused", lambda *a: 1.0, "you accuse every program, also those that are innocent."),
    Misconception("every program acquitted", lambda *a: 0.0, "you acquit every program, also those that look."),
)


@exercise("10.2")
def reads_the_answers(answer: Any) -> Verdict:
    """``answer(adapt, support_x, support_y, query_x, query_y)``: does θ′ depend on query_y?"""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for adapt, _ in _programs(random):
        sx, qx = (torch.randn(6, 3, dtype=torch.float64, generator=random) for _ in range(2))
        sy, qy = (torch.randn(6, dtype=torch.float64, generator=random) for _ in range(2))
        problems.append((adapt, sx, sy, qx, qy))
    return judge(
        answer, problems, _moves, _LEAK_MISTAKES,
        praise="you can show a leak in a program whose source you have never seen.",
        otherwise="Run `adapt` twice, the second time with other values in query_y and everything else the same, and "
                  "return whether the two results differ (a bool).",
    )


# ---------------------------------------------------------------- 10.3: how much of the test set was met in training?

Dialogues = list[tuple[str, int]]


def _met(train: Dialogues, test: Dialogues) -> float:
    speakers = {speaker for speaker, _ in train}
    return sum(speaker in speakers for speaker, _ in test) / len(test)


def _share(train: set[Any], test: set[Any]) -> float:
    return len(train & test) / max(1, len(test))


_MET_MISTAKES = (
    Misconception("dialogues compared", lambda a, b: sum(one in set(a) for one in b) / len(b),
                  "you look for the same *dialogue*. The task is the speaker: a new dialogue of somebody who was met "
                  "in training is not a new task."),
    Misconception("numbers compared", lambda a, b: sum(n in {m for _, m in a} for _, n in b) / len(b),
                  "you compare the dialogues' numbers. Two speakers may both have a dialogue number 3."),
    Misconception("share of speakers", lambda a, b: _share({s for s, _ in a}, {s for s, _ in b}),
                  "this is the share of test *speakers*. Asked for is the share of test dialogues: a speaker with many "
                  "dialogues spoils more of the test set."),
    Misconception("counted in training", lambda a, b: _met(b, a),
                  "you count training dialogues whose speaker is tested; turn it round."),
    Misconception("a count", lambda a, b: _met(a, b) * len(b),
                  "this is a number of dialogues. Divide by how many there are in the test set."),
    Misconception("share that is clean", lambda a, b: 1 - _met(a, b),
                  "this is the share that was *not* met in training."),
)


@exercise("10.3")
def met_in_training(answer: Any) -> Verdict:
    """``answer(train, test)``: the share of test dialogues whose speaker was met in training."""
    random, problems = fresh(), []
    for _ in range(4):
        names = [f"speaker {i}" for i in torch.randperm(30, generator=random)[:9].tolist()]
        rows = [(names[int(i)], int(n)) for i, n in zip(torch.randint(9, (60,), generator=random),
                                                         torch.randint(40, (60,), generator=random))]
        rows = list(dict.fromkeys(rows))
        train = [row for row in rows if row[0] in names[:5]]
        test = [row for row in rows if row[0] in names[5:]] + train[: 3 + int(torch.randint(4, (), generator=random))]
        old = [(train[0][0], 100 + i) for i in range(2 + int(torch.randint(5, (), generator=random)))]
        problems.append((train, test + old))
    return judge(
        answer, problems, _met, _MET_MISTAKES,
        praise="0 is what a fair test set has; anything else belongs into the paper.",
        otherwise="Both are lists of (speaker, dialogue). Which speakers stand in `train`? How many of the test "
                  "*dialogues* are theirs, as a share?",
    )

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
Change = Callable[[Tensor], Tensor]


def _line(x: Tensor, y: Tensor) -> Tensor:
    """One gradient step of least squares from 0: [inputs]."""
    return x.mT @ y / len(x)


def _others(y: Tensor) -> Tensor:
    return y + torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))


def _close(x: Tensor, y: Tensor) -> bool:
    return torch.allclose(x, y)


def _asks(sx: Change = torch.clone, sy: Change = torch.clone, qx: Change = torch.clone, qy: Change = torch.clone,
          same: Callable[[Tensor, Tensor], Any] = _close) -> Callable[..., float]:
    """A detector: run the program twice, the second time with changed arguments, and ask whether θ′ is the same."""
    def detector(adapt: Adapt, a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> float:
        return 1.0 - float(same(adapt(a, b, c, d), adapt(sx(a), sy(b), qx(c), qy(d))))
    return detector


_moves = _asks(qy=_others)


def _one_changed(place: int) -> Change:
    def change(y: Tensor) -> Tensor:
        other = y.clone()
        other[place] += 3
        return other
    return change


def _turned(x: Tensor, angle: Tensor) -> Tensor:
    """The last two numbers of x as a vector, rotated: neither the length of x nor its first number changes."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([x[0], cos * x[1] - sin * x[2], sin * x[1] + cos * x[2]])


def _programs(random: torch.Generator) -> list[Adapt]:
    """Programs that adapt, some of which look at the query's answers, each in a way of its own; in random order."""
    shift = float(torch.rand((), generator=random, dtype=torch.float64)) + 0.5
    ends = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    programs: list[Adapt] = [
        lambda sx, sy, qx, qy: _line(sx, sy) * shift,
        lambda sx, sy, qx, qy: _line(sx, sy) + shift * qx.mean(0),  # reads the questions, not the answers
        lambda sx, sy, qx, qy: torch.full((sx.shape[1],), shift, dtype=sx.dtype),  # does not adapt at all
        # From here on all look.
        lambda sx, sy, qx, qy: _line(qx, qy) + shift,
        lambda sx, sy, qx, qy: _line(torch.cat([sx, qx]), torch.cat([sy, qy])),
        lambda sx, sy, qx, qy: _line(sx, sy) + 0.005 * _line(qx, qy),  # a small leak
        lambda sx, sy, qx, qy: _line(sx, sy) + shift * qy.mean(),  # the order does not matter to it
        lambda sx, sy, qx, qy: _line(sx, sy) - shift * qy.mean(),  # moves the other way
        # How far the answers lie from each other, and nothing else:
        lambda sx, sy, qx, qy: _line(sx, sy) + shift * qy.std(),
        lambda sx, sy, qx, qy: _line(sx, sy) - shift * qy.std(),
        lambda sx, sy, qx, qy: _line(sx, sy) + shift * qy.mean() * ends,  # the sum of θ′ stays
        lambda sx, sy, qx, qy: _turned(_line(sx, sy), shift * qy.mean()),  # its length stays
        lambda sx, sy, qx, qy: _line(sx, sy) + shift * qx[0] * qy[0],  # the first answer alone
        lambda sx, sy, qx, qy: _line(sx, sy) + shift * qx[-1] * qy[-1],  # the last one alone
    ]
    return [programs[i] for i in torch.randperm(len(programs), generator=random).tolist()]


_PART = ("you compare only a part of θ′ (one number, the sum, the length), or ask whether *all* of it moves. A leak "
         "may show in any one of its numbers: compare the whole tensors.")
_ONE = "you change one answer only. A program that reads another one escapes: change all of them."
_LEAK_MISTAKES = (
    Misconception("the support was changed", _asks(sy=lambda y: y + 1),
                  "you change the *support* and look whether θ′ moves. It should: that is adaptation. Change the "
                  "query's answers."),
    Misconception("the questions were changed", _asks(qx=lambda x: x + 1),
                  "you change the query's *inputs*. A program that reads them is transductive, which may be meant; "
                  "what must never be read are the answers, query_y."),
    Misconception("support changed as well", _asks(sy=_others, qy=_others),
                  "you change the support *and* the query's answers. If θ′ moves, which of the two was it? Change "
                  "query_y alone."),
    Misconception("questions changed as well", _asks(qx=lambda x: x + 1, qy=_others),
                  "you change the query's inputs *and* its answers. If θ′ moves, which of the two was it? Change "
                  "query_y alone."),
    Misconception("answers in another order", _asks(qy=lambda y: y.flip(0)),
                  "you only put the answers into another order. A program that reads their mean escapes: put *other* "
                  "values in their place."),
    Misconception("answers moved alike", _asks(qy=lambda y: y + 1),
                  "you change all answers alike (a number added to all, or the signs turned). A program that reads "
                  "only how far they are from each other escapes: put random values in their place."),
    Misconception("one answer changed", _asks(qy=_one_changed(0)), _ONE),
    Misconception("one answer changed", _asks(qy=_one_changed(-1)), _ONE),
    Misconception("part of θ′ compared", _asks(qy=_others, same=lambda x, y: _close(x[0], y[0])), _PART),
    Misconception("part of θ′ compared", _asks(qy=_others, same=lambda x, y: _close(x.sum(), y.sum())), _PART),
    Misconception("part of θ′ compared", _asks(qy=_others, same=lambda x, y: _close(x.norm(), y.norm())), _PART),
    Misconception("small leaks missed", _asks(qy=_others, same=lambda x, y: (x - y).abs().max() < 0.01),
                  "you let small changes pass. A small leak is a leak: compare up to rounding (`torch.allclose`)."),
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
    for adapt in _programs(random) + _programs(random):  # each on two draws: luck shall not decide
        sx, qx = (torch.randn(6, 3, dtype=torch.float64, generator=random) for _ in range(2))
        sy, qy = (torch.randn(6, dtype=torch.float64, generator=random) for _ in range(2))
        problems.append((adapt, sx, sy, qx, qy))
    return judge(
        answer, problems, _moves, _LEAK_MISTAKES,
        praise="you can show a leak in a program whose source you have never seen.",
        otherwise="Run `adapt` twice, the second time with other random values in query_y and everything else the "
                  "same, and return whether the two results differ anywhere, up or down, by more than rounding (a "
                  "bool).",
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
    Misconception("names within names", lambda a, b: sum(s in str(a) for s, _ in b) / len(b),
                  "you look for a name inside a text: 'speaker 1' stands in 'speaker 12', too. Compare whole names."),
    Misconception("old dialogues left out",
                  lambda a, b: sum(s in {t for t, _ in a} and (s, n) not in a for s, n in b) / len(b),
                  "you leave out the test dialogues that stand in training themselves. Their speakers were met, too."),
)


@exercise("10.3")
def met_in_training(answer: Any) -> Verdict:
    """``answer(train, test)``: the share of test dialogues whose speaker was met in training."""
    random, problems = fresh(), []
    for clean in (False, False, False, True, False):
        numbers = (10 + torch.randperm(30, generator=random)[:9]).tolist()
        numbers[5] = numbers[0] // 10  # in the test alone; the name begins like one of training
        names = [f"speaker {i}" for i in numbers]
        rows = [(names[int(i)], int(n)) for i, n in zip(torch.randint(9, (60,), generator=random),
                                                         torch.randint(40, (60,), generator=random))]
        rows = list(dict.fromkeys([(names[0], 40), (names[5], 41), *rows]))
        train, test = ([row for row in rows if row[0] in part] for part in (names[:5], names[5:]))
        if not clean:
            test += train[: 3 + int(torch.randint(4, (), generator=random))]
            test += [(train[0][0], 100 + i) for i in range(2 + int(torch.randint(5, (), generator=random)))]
        problems.append((train, [test[i] for i in torch.randperm(len(test), generator=random).tolist()]))
    return judge(
        answer, problems, _met, _MET_MISTAKES,
        praise="0 is what a fair test set has; anything else belongs into the paper.",
        otherwise="Both are lists of (speaker, dialogue). Which speakers stand in `train`? How many of the test "
                  "*dialogues* are theirs, as a share?",
    )

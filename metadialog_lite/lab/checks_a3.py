"""Checks of assignment a3: joint goal accuracy, tuning without peeking, and what "wins in every seed" means."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge

# ---------------------------------------------------------------- a3.1: joint goal accuracy


def _number(condition: Tensor) -> Tensor:
    return condition.to(torch.float64).mean()


def _jga(said: Tensor, gold: Tensor) -> Tensor:
    return _number((said == gold).all(1))


_JGA_MISTAKES = (
    Misconception("slot accuracy", lambda s, g: _number(s == g),
                  "this is the share of right *slots*. Joint goal accuracy counts a turn only when *all* its slots are "
                  "right."),
    Misconception("filled slots only", lambda s, g: _number(((s == g) | (g == 0)).all(1)),
                  "you look only at slots that are filled in the gold state, so a slot that the system made up costs "
                  "nothing. An empty slot must be empty."),
    Misconception("filled slots only", lambda s, g: _number(((s == g) | (s == 0)).all(1)),
                  "you look only at slots that the system filled, so one that it forgot costs nothing."),
    Misconception("any slot", lambda s, g: _number((s == g).any(1)),
                  "one right slot is not enough: the state as a whole must be right."),
    Misconception("whole dialogue", lambda s, g: _number((s == g).all()),
                  "this is 1 only when every turn is right. JGA is the *share* of turns."),
    Misconception("errors", lambda s, g: 1 - _jga(s, g), "this is the share of wrong turns."),
    Misconception("a count", lambda s, g: (s == g).all(1).sum(), "this is a number of turns. Asked is their share."),
)


@exercise("a3.1")
def joint_goal_accuracy(answer: Any) -> Verdict:
    """``answer(predicted, gold)``: share of turns whose whole state is right; both [turns, slots], 0 is empty."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for turns, slots in ((9, 3), (20, 4), (12, 2), (30, 3)):
        gold = torch.randint(1, 5, (turns, slots), generator=random)
        gold[torch.rand(turns, slots, generator=random) < 0.4] = 0
        said = torch.where(torch.rand(turns, slots, generator=random) < 0.2, (gold + 1) % 5, gold)
        # Every kind of turn is there for sure: right, made up, forgotten, and wrong in every slot.
        gold[0], said[0] = 1, 1
        gold[1, 0], said[1] = 0, gold[1]
        said[1, 0] = 2
        gold[2, 0], said[2] = 3, gold[2]
        said[2, 0] = 0
        said[3] = gold[3] + 1
        gold[4, 0], said[4] = 3, gold[4]
        said[4, 0] = 4
        problems.append((said, gold))
    return judge(
        answer, problems, _jga, _JGA_MISTAKES,
        praise="all slots of the turn, empty ones included, and then the share of turns.",
        otherwise="This is not the share of turns (rows) in which predicted and gold agree in every slot.",
    )


# ---------------------------------------------------------------- a3.2: choose on validation, report on test


def _honest(valid: Tensor, test: Tensor) -> Tensor:
    return test[valid.mean(1).argmin()].mean()


_HONEST_MISTAKES = (
    Misconception("chosen on the test tasks", lambda v, t: t.mean(1).min(),
                  "you choose the setting that is best on the *test* tasks. With enough settings one of them is lucky: "
                  "choose on validation, and look at the test tasks once."),
    Misconception("chosen for each test task", lambda v, t: t.min(0).values.mean(),
                  "you choose the best setting anew for every test task, knowing its result. Nobody could do that."),
    Misconception("validation loss reported", lambda v, t: v.mean(1).min(),
                  "this is the loss on the validation tasks, the very ones the setting was chosen for: it is too "
                  "small. Report the test loss of that setting."),
    Misconception("mean of all settings", lambda v, t: t.mean(),
                  "this is the mean over all settings, also the hopeless ones. Choose one, on validation."),
    Misconception("worst setting", lambda v, t: t[v.mean(1).argmax()].mean(),
                  "you chose the setting with the *largest* validation loss."),
    Misconception("best single task", lambda v, t: t[v.min(1).values.argmin()].mean(),
                  "you choose by the one luckiest validation task. Choose by the mean over all of them."),
)


@exercise("a3.2")
def honest_choice(answer: Any) -> Verdict:
    """``answer(valid, test)``, losses [settings, tasks]: the test loss of the setting that is best on validation."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for settings, tasks in ((5, 6), (6, 9), (7, 12), (5, 5)):
        valid, test = (1 + torch.rand(settings, tasks, dtype=torch.float64, generator=random) for _ in range(2))
        best = int(torch.randint(settings, (), generator=random))
        lucky = (best + 1) % settings
        valid[best] -= 1  # best on average, but
        valid[lucky, 0] = -1  # another one has the luckiest validation task,
        test[best] += 1
        test[lucky] += 0.5  # and a third one the best test tasks
        problems.append((valid, test))
    return judge(
        answer, problems, _honest, _HONEST_MISTAKES,
        praise="chosen on validation tasks, judged on others, once.",
        otherwise="This is not the mean test loss of the setting (row) with the smallest mean validation loss.",
    )


# ---------------------------------------------------------------- a3.3: who wins?


def _verdict(a: Tensor, b: Tensor, every: bool = True, factor: float = 1.96, paired: bool = True) -> Tensor:
    """−1: a wins, 1: b wins, 0: not shown. ``a`` and ``b`` are losses [seeds, tasks]."""
    mean, n = (a - b).mean(1), a.shape[1]
    error = (a - b).std(1) / math.sqrt(n) if paired else ((a.var(1) + b.var(1)) / n).sqrt()
    better, worse = mean + factor * error < 0, mean - factor * error > 0
    both = (better.all(), worse.all()) if every else (better.any(), worse.any())
    return torch.tensor(float(both[1]) - float(both[0]), dtype=torch.float64)


def _pooled(a: Tensor, b: Tensor) -> Tensor:
    return _verdict(a.reshape(1, -1), b.reshape(1, -1))


def _averaged(a: Tensor, b: Tensor) -> Tensor:
    return _verdict(a.mean(0, keepdim=True), b.mean(0, keepdim=True))


_WIN_MISTAKES = (
    Misconception("seeds pooled", _pooled,
                  "you throw all seeds into one pot. One lucky training run then carries the others: the interval must "
                  "exclude 0 in *every* seed."),
    Misconception("seeds averaged", _averaged,
                  "you average over seeds first. That hides a training run that failed: ask each seed by itself."),
    Misconception("one seed is enough", lambda a, b: _verdict(a, b, every=False),
                  "one seed with a clear interval is enough for you. With three seeds one of them is easily lucky."),
    Misconception("mean only", lambda a, b: _verdict(a, b, factor=0.0),
                  "you look at the sign of the mean alone. How sure is it? Use the interval."),
    Misconception("unpaired interval", lambda a, b: _verdict(a, b, paired=False),
                  "your interval is the one for two separate groups of speakers. Both learners met the same ones: take "
                  "differences first."),
    Misconception("sign turned", lambda a, b: -_verdict(a, b),
                  "these are *losses*: smaller is better. −1 says that a wins."),
    Misconception("never a winner", lambda a, b: torch.zeros((), dtype=torch.float64),
                  "nobody ever wins with you. Where every seed's interval lies on one side of 0, somebody does."),
)


@exercise("a3.3")
def who_wins(answer: Any) -> Verdict:
    """``answer(a, b)`` = −1 when a wins, 1 when b wins, 0 when nothing is shown; losses [seeds, tasks].

    The 95 % interval of EQ-PAIR-1, over tasks, must exclude 0 on the same side in every seed.
    """
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for means in ((-0.5, -0.4, -0.6), (0.5, 0.6, 0.4), (-0.9, -0.8, 0.02), (0.9, 0.02, 0.8), (-0.02, -0.03, -0.02),
                  (-0.02, 0.03, 0.02), (-3.0, 2.5, 0.0), (-3.0, -3.2, -2.9),
                  (-0.2, 0.08, 0.08)):
        problems.append(_losses(means, random))
    return judge(
        answer, problems, _verdict, _WIN_MISTAKES,
        praise="paired, and in every seed: that is what this course calls winning.",
        otherwise="Take d = a − b, and for each seed (row) mean(d) ± 1.96 · std(d) / √n. Return −1 when all intervals "
                  "lie below 0, 1 when all lie above, else 0.",
    )


def _losses(means: tuple[float, ...], random: torch.Generator, tasks: int = 40) -> tuple[Tensor, Tensor]:
    """Losses whose differences have exactly these means and the spread 0.4 (error 0.063); speakers differ by far more.

    Exact means, so that no draw lies near the border between "shown" and "not shown".
    """
    noise = torch.randn(len(means), tasks, dtype=torch.float64, generator=random)
    noise = (noise - noise.mean(1, keepdim=True)) / noise.std(1, keepdim=True)
    b = 6 + 3 * torch.rand(len(means), tasks, dtype=torch.float64, generator=random)
    b = b + 4 * (torch.arange(tasks) % 2)  # every second speaker is a hard one
    return b + torch.tensor(means, dtype=torch.float64).unsqueeze(1) + 0.4 * noise, b

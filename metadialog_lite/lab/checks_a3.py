"""Checks of assignment a3: joint goal accuracy, tuning without peeking, and what "wins in every seed" means."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.jga_mistakes import JGA_MISTAKES, jga, right_share
from metadialog_lite.lab.judging import Misconception, judge

# ---------------------------------------------------------------- a3.1: joint goal accuracy


@exercise("a3.1")
def joint_goal_accuracy(answer: Any) -> Verdict:
    """``answer(predicted, gold)``: share of turns whose whole state is right; both [turns, slots], 0 is empty."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for turns, slots in ((23, 3), (29, 4), (19, 2), (31, 3)):  # primes: a share that was rounded is not the share
        gold = torch.randint(1, 5, (turns, slots), generator=random)
        gold[torch.rand(turns, slots, generator=random) < 0.3] = 0
        said = gold.clone()
        row = 0
        for slot in range(slots):  # one wrong slot, every one of them in all three ways, and the others right
            for true, wrong in ((0, 2), (3, 0), (3, 4)):
                gold[row, slot - 1] = 1  # something else is filled
                gold[row, slot], said[row] = true, gold[row]
                said[row, slot] = wrong
                row += 1
        gold[row, :2] = torch.tensor([1, 2])
        said[row] = gold[row]
        said[row, :2] = torch.tensor([2, 1])  # the right values in each other's slots
        gold[row + 1], said[row + 1] = 0, 0  # nothing is said yet, and nothing is made up
        gold[row + 2], said[row + 2] = 2, 3  # everything wrong
        gold[row + 3, :2] = torch.tensor([1, 4])
        said[row + 3] = gold[row + 3]
        said[row + 3, :2] = torch.tensor([2, 3])  # the right sum
        order = torch.randperm(turns, generator=random)
        problems.append((said[order], gold[order]))
    return judge(
        answer, problems, jga, JGA_MISTAKES,
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
    Misconception("worst on the test tasks", lambda v, t: t.mean(1).max(),
                  "this is the loss of the setting that is *worst* on the test tasks. Modest, but chosen by the test "
                  "tasks all the same: choose on validation."),
    Misconception("both splits together", lambda v, t: t[torch.cat([v, t], 1).mean(1).argmin()].mean(),
                  "you choose by validation and test tasks together. What is chosen with the test tasks cannot be "
                  "judged by them."),
    Misconception("both splits together", lambda v, t: t[(v.mean(1) + t.mean(1)).argmin()].mean(),
                  "you choose by validation and test tasks together. What is chosen with the test tasks cannot be "
                  "judged by them."),
    Misconception("test tasks decide between two", lambda v, t: t[v.mean(1).argsort()[:2]].mean(1).min(),
                  "you take the two best on validation and let the *test* tasks decide. Look at them once, for one "
                  "setting."),
    Misconception("not the mean", lambda v, t: t[v.median(1).values.argmin()].mean(),
                  "the setting with the best *typical* (median) or worst task is not the one with the smallest mean "
                  "loss. What is reported is a mean: choose by the same mean."),
    Misconception("one task decides", lambda v, t: t[v[:, 0].argmin()].mean(),
                  "you choose by the first validation task. Choose by the mean over all of them."),
    Misconception("one task decides", lambda v, t: t[v[:, -1].argmin()].mean(),
                  "you choose by the last validation task. Choose by the mean over all of them."),
    Misconception("a sum", lambda v, t: t[v.mean(1).argmin()].sum(),
                  "the right setting, but this is the sum over its test tasks. Report their mean."),
    Misconception("best test task", lambda v, t: t[v.mean(1).argmin()].min(),
                  "the right setting, but this is its luckiest test task. Report the mean over all of them."),
    Misconception("both splits reported", lambda v, t: torch.cat([v, t], 1)[v.mean(1).argmin()].mean(),
                  "you report the mean over validation and test tasks. The setting was chosen for the first: report "
                  "the test tasks alone."),
    Misconception("index", lambda v, t: v.mean(1).argmin(),
                  "this is the number of the setting. Report its mean loss on the test tasks."),
)


@exercise("a3.2")
def honest_choice(answer: Any) -> Verdict:
    """``answer(valid, test)``, losses [settings, tasks]: the test loss of the setting that is best on validation."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for i, (settings, tasks, judges) in enumerate(((7, 9, 12), (8, 9, 7), (7, 12, 15), (9, 15, 6))):
        valid = 5 + 0.3 * torch.rand(settings, tasks, dtype=torch.float64, generator=random)
        test = 2 + 2 * torch.rand(settings, 1, dtype=torch.float64, generator=random)
        best, steady, lucky, both, seduces, worst, poor, *_ = torch.randperm(settings, generator=random).tolist()
        valid[best, 1 : 1 + tasks // 3] -= 4  # the smallest mean, but in most tasks
        valid[steady] -= 1.05  # this one is better,
        valid[lucky, -2] = 0.5  # this one has the luckiest task,
        valid[both] -= 0.7  # this one is fair here and good on the test tasks,
        valid[worst, -(i % 2)] -= 2  # this one is the best in the first task, or the last one,
        valid[poor] += 0.5  # this one is the worst, and others are better or worse on the test tasks.
        test[[best, lucky, both, seduces, worst]] = torch.tensor([[3.8], [4.5], [0.5], [0.1], [6.0]]).double()
        test[steady] = 2.5 + 2.3 * (i % 2)
        test = test + 0.4 * torch.rand(settings, judges, dtype=torch.float64, generator=random)
        test[seduces, 0] += 1  # best on the test tasks, but not in each of them
        if i < 3:  # which tasks are the best one's good ones, the first half or not?
            valid[:, 1:-1] = valid[:, 1:-1].flip(1) if i else valid[:, 1 + torch.randperm(tasks - 2, generator=random)]
        problems.append((valid, test))
    return judge(
        answer, problems, _honest, _HONEST_MISTAKES,
        praise="chosen on validation tasks, judged on others, once.",
        otherwise="This is not the mean test loss of the setting (row) with the smallest mean validation loss.",
    )


# ---------------------------------------------------------------- a3.3: who wins?


def _verdict(a: Tensor, b: Tensor, share: float = 1.0, factor: float = 1.96, error: Tensor | None = None) -> Tensor:
    """−1: a wins, 1: b wins, 0: not shown. ``a`` and ``b`` are losses [seeds, tasks].

    Args:
        share: of the seeds in which the interval must exclude 0.
        factor: how many errors the interval reaches to each side.
        error: of the mean, for each seed; std(d) / √n where it is not said.
    """
    mean, n = (a - b).mean(1), a.shape[1]
    error = (a - b).std(1) / math.sqrt(n) if error is None else error
    below, above = (right_share(side) >= share for side in (mean + factor * error < 0, mean - factor * error > 0))
    return above.double() - below.double()


def _pooled(a: Tensor, b: Tensor) -> Tensor:
    return _verdict(a.reshape(1, -1), b.reshape(1, -1))


def _averaged(a: Tensor, b: Tensor) -> Tensor:
    return _verdict(a.mean(0, keepdim=True), b.mean(0, keepdim=True))


def _unpaired(a: Tensor, b: Tensor) -> Tensor:
    return _verdict(a, b, error=((a.var(1) + b.var(1)) / a.shape[1]).sqrt())


_WIN_MISTAKES = (
    Misconception("seeds pooled", _pooled,
                  "you throw all seeds into one pot. One lucky training run then carries the others: the interval must "
                  "exclude 0 in *every* seed."),
    Misconception("seeds averaged", _averaged,
                  "you average over seeds first. That hides a training run that failed: ask each seed by itself."),
    Misconception("one seed is enough", lambda a, b: _verdict(a, b, share=1e-9),
                  "one seed with a clear interval is enough for you. With three seeds one of them is easily lucky."),
    Misconception("most seeds", lambda a, b: _verdict(a, b, share=0.5001),
                  "most seeds are enough for you. Asked for is *every* seed: what fails sometimes has not won."),
    Misconception("one seed looked at", lambda a, b: _verdict(a[:1], b[:1]),
                  "you look at the first seed only."),
    Misconception("one seed looked at", lambda a, b: _verdict(a[-1:], b[-1:]),
                  "you look at the last seed only."),
    Misconception("three seeds looked at", lambda a, b: _verdict(a[:3], b[:3]),
                  "you look at three seeds only. Go through all rows, however many there are."),
    Misconception("mean only", lambda a, b: _verdict(a, b, factor=0.0),
                  "you look at the sign of the mean alone. How sure is it? Use the interval."),
    Misconception("one standard error", lambda a, b: _verdict(a, b, factor=1.0),
                  "your interval reaches one standard error to each side, which holds the truth in 68 % of cases. "
                  "For 95 % it is 1.96 of them."),
    Misconception("one-sided", lambda a, b: _verdict(a, b, factor=1.645),
                  "1.645 belongs to a 90 % interval. For 95 % it is 1.96."),
    Misconception("99 %", lambda a, b: _verdict(a, b, factor=2.576), "this is the 99 % interval. For 95 % it is 1.96."),
    Misconception("not divided by √n", lambda a, b: _verdict(a, b, error=(a - b).std(1)),
                  "1.96 · std says where single *speakers* lie. The error of their mean is std / √n."),
    Misconception("divided by n", lambda a, b: _verdict(a, b, error=(a - b).std(1) / a.shape[1]),
                  "the error of a mean falls with the *root* of n: std / √n."),
    Misconception("n for n − 1", lambda a, b: _verdict(a, b, error=(a - b).std(1, correction=0) / a.shape[1] ** 0.5),
                  "your standard deviation divides by n (numpy's does, unless you say `ddof=1`). Asked for is the one "
                  "that divides by n − 1."),
    Misconception("variance for std", lambda a, b: _verdict(a, b, error=(a - b).var(1) / a.shape[1] ** 0.5),
                  "this is the variance. The interval takes its root, the standard deviation."),
    Misconception("one spread for all seeds", lambda a, b: _verdict(a, b, error=(a - b).std() / a.shape[1] ** 0.5),
                  "you take one standard deviation over all seeds together. Each seed has its own: `std(dim=1)`."),
    Misconception("spread of the losses", lambda a, b: _verdict(a, b, error=a.std(1) / a.shape[1] ** 0.5),
                  "you take the spread of the losses. Speakers differ by far more than the two learners do: take that "
                  "of the differences."),
    Misconception("counts all seeds", lambda a, b: _verdict(a, b, error=(a - b).std(1) / a.numel() ** 0.5),
                  "n is the number of tasks of one seed (columns), not of all numbers in the table."),
    Misconception("counts the seeds", lambda a, b: _verdict(a, b, error=(a - b).std(1) / len(a) ** 0.5),
                  "n is the number of *tasks* here (columns), not of seeds (rows)."),
    Misconception("medians", lambda a, b: _verdict(a - (a - b).mean(1, True) + (a - b).median(1, True).values, b),
                  "this is about the median difference. The interval is drawn around the *mean*."),
    Misconception("relative difference", lambda a, b: _verdict(a / b, torch.ones_like(b)),
                  "you look at ratios. A small gain on an easy speaker then counts as much as a large one on a hard "
                  "speaker: take differences, d = a − b."),
    Misconception("unpaired interval", _unpaired,
                  "your interval is the one for two separate groups of speakers. Both learners met the same ones: take "
                  "differences first."),
    Misconception("sign turned", lambda a, b: -_verdict(a, b),
                  "these are *losses*: smaller is better. −1 says that a wins."),
    Misconception("never b", lambda a, b: _verdict(a, b).clamp(max=0), "b wins with you never, even when it should."),
    Misconception("never a", lambda a, b: _verdict(a, b).clamp(min=0), "a wins with you never, even when it should."),
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
    # How many standard errors the mean of each seed is away from 0.
    for away in ((-8, -6, -9), (8, 9, 6), (-14, -13, 0.3), (14, 0.3, 13), (-0.3, -0.4, -0.3), (-0.3, 0.4, 0.3),
                 (-48, 40, 0), (-48, -50, -46), (-3.2, 1.3, 1.3), (-10, 12, -9), (12, -14, 15), (8, 0.2, 0.3),
                 (-1.8, -1.8, -1.8),  # not shown, but by a narrower interval,
                 (2.2, 2.15, 2.3), (-2.2, -2.3, -2.15),  # and shown, but not by a wider one
                 (-13.6, -13.6, -13.6), (1.06, 1.06, 1.06), (-7, -8), (9, 9, 9, 0.2), (7, 8, 6, 9, 8)):
        problems.append(_losses(away, random))
    for away in ((-1.8, -1.85, -1.8), (2.1, 2.1, 2.1)):
        problems.append(_losses(away, random, tasks=5))  # where n and n − 1 are not the same
    for away in ((-4, -4, -4), (-20, -20, -1.5)):
        problems.append(_losses(away, random, spreads=(0.1, 0.1, 3.0)))  # each seed has its own spread
    problems.append(_losses((-6.3, -6.3, -6.3), random, spreads=(2.0, 2.0, 2.0)))
    problems.append(_losses((0.3, 0.4, 0.3), random, tasks=200, easy_first=True))
    return judge(
        answer, problems, _verdict, _WIN_MISTAKES,
        praise="paired, and in every seed: that is what this course calls winning.",
        otherwise="Take d = a − b, and for each seed (row) mean(d) ± 1.96 · std(d) / √n. Return −1 when all intervals "
                  "lie below 0, 1 when all lie above, else 0.",
    )


def _losses(away: tuple[float, ...], random: torch.Generator, tasks: int = 40, spreads: tuple[float, ...] = (),
            easy_first: bool = False) -> tuple[Tensor, Tensor]:
    """Losses whose differences have exactly these means, in standard errors; speakers differ by far more.

    Exact means, so that no draw lies near the border between "shown" and "not shown". The differences are skewed, as
    losses are: their median is not their mean.

    Args:
        spreads: standard deviation of each seed's differences; 0.4 where it is not said.
        easy_first: whether the largest differences are those of the easiest speakers.
    """
    noise = -torch.rand(len(away), tasks, dtype=torch.float64, generator=random).log()
    noise = (noise - noise.mean(1, keepdim=True)) / noise.std(1, keepdim=True)
    b = 6 + 3 * torch.rand(len(away), tasks, dtype=torch.float64, generator=random)
    b = b + 4 * (torch.arange(tasks) % 2)  # every second speaker is a hard one
    if easy_first:
        b, noise = b.sort(1).values - 5, noise.sort(1, descending=True).values
    spread = torch.tensor(spreads or (0.4,) * len(away), dtype=torch.float64).unsqueeze(1)
    mean = torch.tensor(away, dtype=torch.float64).unsqueeze(1) * spread / math.sqrt(tasks)
    return b + mean + spread * noise, b

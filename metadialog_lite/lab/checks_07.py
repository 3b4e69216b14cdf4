"""Checks of notebook 07: gap closed, who may be compared with whom, a paired interval, and perplexity."""

from __future__ import annotations

import math
import random
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge

# ---------------------------------------------------------------- 07.1: gap closed


def _gap(loss: Tensor, prior: Tensor, bayes: Tensor) -> Tensor:
    return (prior - loss).mean() / (prior - bayes).mean()  # EQ-GAP-1


_GAP_MISTAKES = (
    Misconception("gap left", lambda x, p, b: 1 - _gap(x, p, b),
                  "this is the share of the gap that is *left*: 0 would be the optimum. Turn it round: how far did the "
                  "loss come down from the prior?"),
    Misconception("mean of ratios", lambda x, p, b: ((p - x) / (p - b)).mean(),
                  "you divide speaker by speaker and take the mean of the ratios. A speaker whose support taught next "
                  "to nothing (prior ≈ Bayes) then decides everything. Take the means first, then divide."),
    Misconception("mean of ratios, gap left", lambda x, p, b: ((x - b) / (p - b)).mean(),
                  "two things: this is the share that is left, and you divide speaker by speaker. Means first, then "
                  "(prior − loss) / (prior − Bayes)."),
    Misconception("ratio of losses", lambda x, p, b: b.mean() / x.mean(),
                  "Bayes / loss says nothing about what the support taught: it is not 0 for one who learned nothing."),
    Misconception("divided by the prior", lambda x, p, b: (p - x).mean() / p.mean(),
                  "this is the share by which the *loss* fell. Nobody can bring the loss to 0: divide by what can be "
                  "reached, prior − Bayes."),
    Misconception("upside down", lambda x, p, b: 1 / _gap(x, p, b),
                  "numerator and denominator are exchanged."),
    Misconception("regret", lambda x, p, b: (x - b).mean(),
                  "this is the regret, in nats per turn. The gap closed is a share: relate it to prior − Bayes."),
    Misconception("not divided", lambda x, p, b: (p - x).mean(),
                  "this is how far the loss came down, in nats per turn. Divide by how far it could come down."),
)


@exercise("07.1")
def gap(answer: Any) -> Verdict:
    """``answer(loss, prior, bayes)`` = mean(prior − loss) / mean(prior − bayes), EQ-GAP-1."""
    generator = fresh()
    problems: list[tuple[Any, ...]] = []
    for tasks in (5, 12, 40, 7):
        bayes = 1 + torch.rand(tasks, dtype=torch.float64, generator=generator)
        prior = bayes + 0.05 + 2 * torch.rand(tasks, dtype=torch.float64, generator=generator)
        loss = bayes + (prior - bayes) * torch.rand(tasks, dtype=torch.float64, generator=generator)
        problems.append((loss, prior, bayes))
    return judge(
        answer, problems, _gap, _GAP_MISTAKES,
        praise="0 for one who gained nothing from the support, 1 for the optimum, and speakers who teach little "
               "cannot blow it up.",
        otherwise="This is not mean(prior − loss) / mean(prior − bayes). All three are tensors with one number for "
                  "each speaker; return one number.",
    )


# ---------------------------------------------------------------- 07.2: who may be compared with whom?

#: What two results must agree in before their losses can be compared.
NEEDED = ("world", "tasks_seed", "tasks", "shots", "train_seconds", "trials")


def _fair(a: dict[str, Any], b: dict[str, Any], without: tuple[str, ...] = ()) -> bool:
    return all(a[name] == b[name] for name in NEEDED if name not in without)


def _forgot(*names: str) -> Any:
    return lambda a, b: _fair(a, b, names)


_FAIR_MISTAKES = (
    Misconception("different budgets", _forgot("train_seconds"),
                  "you compare at different training budgets: who trained longer is not the better learner."),
    Misconception("different trials", _forgot("trials"),
                  "whoever may try more settings on validation tasks looks better, with the same method. Trials must "
                  "be equal, too."),
    Misconception("different budgets", _forgot("train_seconds", "trials"),
                  "you look neither at the seconds of training nor at the number of trials: that is a comparison of "
                  "budgets."),
    Misconception("different tasks", _forgot("tasks_seed"),
                  "another seed means other held-out speakers: they cannot be paired."),
    Misconception("different tasks", _forgot("tasks_seed", "tasks"),
                  "other speakers, or not equally many: they cannot be paired."),
    Misconception("different tasks", _forgot("tasks"),
                  "200 speakers and 50 of them cannot be paired one by one."),
    Misconception("different shots", _forgot("shots"),
                  "the loss after 32 support turns is lower than after 4 for everybody."),
    Misconception("different worlds", _forgot("world"),
                  "worlds have other words and another floor: nats there and here are different things."),
    Misconception("parameters must agree", lambda a, b: _fair(a, b) and a["parameters"] == b["parameters"],
                  "families *differ* in how many numbers they meta-learn; asking for equal parameters would forbid the "
                  "comparison. They belong into the table, and f_θ itself is the same."),
    Misconception("learners must agree", lambda a, b: _fair(a, b) and a["learner"] == b["learner"],
                  "with the same learner on both sides there is nothing to compare."),
    Misconception("everything may be compared", lambda a, b: True,
                  "you let every pair pass."),
)


@exercise("07.2")
def may_compare(answer: Any) -> Verdict:
    """``answer(a, b)`` -> True when two results agree in all of ``NEEDED``; learner and parameters may differ."""
    draw = random.Random()
    problems: list[tuple[Any, ...]] = []
    for change in [None] * 3 + list(NEEDED) * 2 + ["learner", "parameters", "both"]:
        a: dict[str, Any] = {"learner": "maml", "world": "restaurants.en", "tasks_seed": draw.randrange(5),
                             "tasks": 200, "shots": 16, "train_seconds": 300, "trials": 3,
                             "parameters": draw.randrange(40_000, 90_000)}
        b = dict(a, learner="anil", parameters=a["parameters"] + (change in ("parameters", "both")))
        if change in NEEDED:
            b[change] = "travel.en" if change == "world" else b[change] + draw.randint(1, 40)
        problems.append((a, b) if draw.random() < 0.5 else (b, a))
    draw.shuffle(problems)
    return judge(
        _as_number(answer), problems, lambda a, b: float(_fair(a, b)),
        [Misconception(m.label, _as_number(m.compute), m.message) for m in _FAIR_MISTAKES],
        praise="same world, same speakers, same support, same seconds, same number of trials. What is left is the "
               "learner (and luck: that is what seeds and intervals are for).",
        otherwise="Return True exactly when a and b agree in world, tasks_seed, tasks, shots, train_seconds, trials.",
    )


def _as_number(answer: Any) -> Any:
    """True and False as 1 and 0, so that answers can be compared like all others; anything else stays what it is."""
    if not callable(answer):
        return answer

    def call(a: Any, b: Any) -> Any:
        value = answer(dict(a), dict(b))
        return float(value) if isinstance(value, bool) else value

    return call


# ---------------------------------------------------------------- 07.3: is the difference real?


def _ends(mean: Tensor, error: Tensor) -> Tensor:
    return torch.stack([mean, mean - 1.96 * error, mean + 1.96 * error])


def _paired(a: Tensor, b: Tensor) -> Tensor:
    return _ends((a - b).mean(), (a - b).std() / math.sqrt(len(a)))  # EQ-PAIR-1


def _paired_population(a: Tensor, b: Tensor) -> Tensor:
    return _ends((a - b).mean(), (a - b).std(correction=0) / math.sqrt(len(a)))


def _unpaired(a: Tensor, b: Tensor, correction: int = 1) -> Tensor:
    both = a.var(correction=correction) + b.var(correction=correction)
    return _ends((a - b).mean(), (both / len(a)).sqrt())


_PAIR_MISTAKES = (
    Misconception("unpaired interval", _unpaired,
                  "this is the interval of two *separate* groups of speakers. Both learners met the same ones, and a "
                  "hard speaker is hard for both: take the differences first, then their spread."),
    Misconception("unpaired interval", lambda a, b: _unpaired(a, b, 0),
                  "this is the interval of two *separate* groups of speakers. Take the differences first, then their "
                  "spread."),
    Misconception("spread instead of error", lambda a, b: _ends((a - b).mean(), (a - b).std()),
                  "mean ± 1.96 · std says where single *speakers* lie. The mean of n speakers is known √n times as "
                  "well: divide by √n."),
    Misconception("divided by n", lambda a, b: _ends((a - b).mean(), (a - b).std() / len(a)),
                  "the error of a mean falls with √n, not with n. This interval is far too narrow: it would call noise "
                  "a result."),
    Misconception("sign turned", lambda a, b: _paired(b, a),
                  "this is b − a. Below zero must mean that a is better: a − b."),
    Misconception("1.96 forgotten", lambda a, b: _ends((a - b).mean(), (a - b).std() / math.sqrt(len(a)) / 1.96),
                  "mean ± one standard error covers about 68 %. For 95 % take 1.96 of them."),
    Misconception("errors added", lambda a, b: _ends((a - b).mean(), (a.std() + b.std()) / math.sqrt(len(a))),
                  "you add the errors of the two means. Both met the same speakers: what they share cancels in a − b. "
                  "Take the differences first."),
)


@exercise("07.3")
def paired_interval(answer: Any) -> Verdict:
    """``answer(a, b)`` = (mean, low, high) of the difference of two learners over the same n speakers.

    EQ-PAIR-1: mean(a − b) ± 1.96 · std(a − b) / √n
    """
    generator = fresh()
    problems: list[tuple[Any, ...]] = []
    for tasks in (6, 20, 50, 9):
        hard = 3 + 2 * torch.randn(tasks, dtype=torch.float64, generator=generator)
        a, b = (hard + 0.3 * torch.randn(tasks, dtype=torch.float64, generator=generator) for _ in range(2))
        problems.append((a, b))
    praise = ("what is hard for both cancels in a − b. The course's tables draw speakers instead of using 1.96 "
              "(bootstrap); with 200 speakers that is nearly the same.")
    verdict = judge(
        _stacked(answer), problems, _paired, _PAIR_MISTAKES, praise,
        otherwise="This is not (mean, mean − 1.96 · error, mean + 1.96 · error) of d = a − b, error = d.std() / √n. "
                  "Return the three numbers in this order.",
    )
    if not verdict.passed and verdict.misconception is None:  # numpy divides by n in a spread, torch by n − 1
        other = judge(_stacked(answer), problems, _paired_population, (), praise, "")
        return other if other.passed else verdict
    return verdict


def _stacked(answer: Any) -> Any:
    """Three numbers may come as a tuple of tensors, too."""
    if not callable(answer):
        return answer

    def call(*arguments: Any) -> Any:
        value = answer(*arguments)
        if isinstance(value, (tuple, list)):
            return torch.stack([torch.as_tensor(number, dtype=torch.float64) for number in value])
        return value

    return call


# ---------------------------------------------------------------- 07.4: perplexity


def _perplexity(nats: Tensor, tokens: Tensor) -> Tensor:
    return (nats.sum() / tokens.sum()).exp()  # EQ-PPL-1


_PPL_MISTAKES = (
    Misconception("mean of perplexities", lambda n, t: (n / t).exp().mean(),
                  "you average perplexities. exp blows up the few bad turns, and the mean is theirs. Average nats, and "
                  "then exp, once."),
    Misconception("short turns count as much", lambda n, t: (n / t).mean().exp(),
                  "you take the mean over turns of nats per token: a turn of two tokens counts as much as one of "
                  "twenty. Divide all nats by all tokens."),
    Misconception("per turn", lambda n, t: n.mean().exp(),
                  "this is exp of the nats per *turn*. Perplexity is per token: divide by the tokens."),
    Misconception("exp forgotten", lambda n, t: n.sum() / t.sum(),
                  "these are nats per token. Perplexity is exp of that."),
    Misconception("base 2", lambda n, t: torch.exp2(n.sum() / t.sum()),
                  "2 to the power of *nats*: the losses are in nats, so the base is e."),
    Misconception("sign turned", lambda n, t: (-n.sum() / t.sum()).exp(),
                  "this is the mean probability of a token (geometric), 1 / perplexity."),
)


@exercise("07.4")
def perplexity(answer: Any) -> Verdict:
    """``answer(nats, tokens)``, one number a turn in each.

    EQ-PPL-1: perplexity = exp(Σ nats / Σ tokens)
    """
    generator = fresh()
    problems: list[tuple[Any, ...]] = []
    for turns in (4, 9, 30, 6):
        tokens = torch.randint(2, 20, (turns,), generator=generator)
        each = 0.2 + 2 * torch.rand(turns, dtype=torch.float64, generator=generator)
        problems.append((each * tokens, tokens))
    return judge(
        answer, problems, _perplexity, _PPL_MISTAKES,
        praise="all nats over all tokens, then exp, once.",
        otherwise="This is not exp(sum of nats / sum of tokens).",
    )

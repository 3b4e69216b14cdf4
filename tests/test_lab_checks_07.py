"""The exercises of notebook 07: right answers pass, usual mistakes are named, nothing cheap passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from metadialog_lite.evaluation import TaskLosses, perplexity
from metadialog_lite.evaluation import interval as bootstrap
from metadialog_lite.lab.check import check, exercises

KEYS = ("world", "tasks_seed", "tasks", "shots", "train_seconds", "trials")


def fair(*without: str, more: tuple[str, ...] = ()) -> Any:
    keys = [key for key in (*KEYS, *more) if key not in without]
    return lambda a, b: all(a[key] == b[key] for key in keys)


def interval(a: Any, b: Any, correction: int = 1) -> Any:
    d = a - b
    error = d.std(correction=correction) / len(d) ** 0.5
    return d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error


def test_the_interval_of_the_exercise_is_nearly_the_bootstraps() -> None:
    """EQ-PAIR-1 against the bootstrap over 200 speakers."""
    random = np.random.default_rng(2)
    hard = random.normal(3, 1, 200)
    a, b = hard + random.normal(-0.05, 0.3, 200), hard + random.normal(0, 0.3, 200)
    mean, low, high = (float(number) for number in interval(torch.tensor(a), torch.tensor(b)))
    drawn = bootstrap(a - b)
    assert mean == pytest.approx((a - b).mean())
    assert (low, high) == pytest.approx(drawn, abs=0.15 * (high - low))


def test_perplexity_sums_before_it_divides() -> None:
    """EQ-PPL-1 is what evaluations store, and the mean of perplexities is larger."""
    random = np.random.default_rng(3)
    nats, tokens = random.uniform(1, 9, (50, 1, 3)), random.uniform(3, 12, 50)
    losses = TaskLosses((16,), nats, None, None, tokens, 0.0)
    spoken = nats[:, 0, 2]
    stored = perplexity(losses)
    assert stored is not None
    assert stored["16"] == pytest.approx(math.exp(spoken.sum() / tokens.sum()))
    assert np.exp(spoken / tokens).mean() > stored["16"]


@pytest.mark.parametrize(("identifier", "answer"), [
    ("07.1", lambda loss, prior, bayes: (prior.sum() - loss.sum()) / (prior.sum() - bayes.sum())),  # EQ-GAP-1
    ("07.2", fair()),
    ("07.3", interval),  # EQ-PAIR-1
    ("07.3", lambda a, b: torch.stack(interval(a, b, 0))),  # as numpy counts
    ("07.4", lambda nats, tokens: math.exp(float(nats.sum()) / int(tokens.sum()))),  # EQ-PPL-1
])
def test_right_answers_pass(identifier: str, answer: Any) -> None:
    for _ in range(3):
        verdict = check(identifier, answer)
        assert verdict.passed, verdict
        assert verdict.misconception is None


@pytest.mark.parametrize(("identifier", "answer", "label"), [
    ("07.1", lambda x, p, b: ((p - x) / (p - b)).mean(), "mean of ratios"),
    ("07.1", lambda x, p, b: (x - b).mean() / (p - b).mean(), "gap left"),
    ("07.1", lambda x, p, b: 1 - ((p - x) / (p - b)).mean(), "mean of ratios, gap left"),
    ("07.1", lambda x, p, b: b.sum() / x.sum(), "ratio of losses"),
    ("07.1", lambda x, p, b: x.mean() - b.mean(), "regret"),
    ("07.1", lambda x, p, b: 1 - x.mean() / p.mean(), "divided by the prior"),
    ("07.1", lambda x, p, b: (p - b).mean() / (p - x).mean(), "upside down"),
    ("07.2", fair("train_seconds"), "different budgets"),
    ("07.2", fair("trials"), "different trials"),
    ("07.2", fair("tasks_seed"), "different tasks"),
    ("07.2", fair("shots"), "different shots"),
    ("07.2", fair(more=("parameters",)), "parameters must agree"),
    ("07.2", fair(more=("learner",)), "learners must agree"),
    ("07.2", lambda a, b: True, "everything may be compared"),
    ("07.3", lambda a, b: torch.stack([m := (a - b).mean(), m - (e := 1.96 * ((a.var() + b.var()) / len(a)).sqrt()),
                                       m + e]), "unpaired interval"),
    ("07.3", lambda a, b: interval(b, a), "sign turned"),
    ("07.3", lambda a, b: torch.stack([m := (a - b).mean(), m - 1.96 * (a - b).std(), m + 1.96 * (a - b).std()]),
     "spread instead of error"),
    ("07.4", lambda n, t: (n / t).exp().mean(), "mean of perplexities"),
    ("07.4", lambda n, t: (n / t).mean().exp(), "short turns count as much"),
    ("07.4", lambda n, t: n.sum() / t.sum(), "exp forgotten"),
    ("07.4", lambda n, t: 2 ** (n.sum() / t.sum()), "base 2"),
])
def test_usual_mistakes_are_named(identifier: str, answer: Any, label: str) -> None:
    verdict = check(identifier, answer)
    assert not verdict.passed
    assert verdict.misconception == label


CHEAP = [lambda *a: ..., None, 0.0, "answer", lambda *a: 0.0, lambda *a: a[0], lambda *a: False, lambda: 1,
         lambda *a: torch.zeros(3), lambda *a: float("nan"), lambda *a: "text", lambda *a: 1 / 0, lambda *a: (0, 0, 0)]


@pytest.mark.parametrize("identifier", ["07.1", "07.2", "07.3", "07.4"])
@pytest.mark.parametrize("answer", CHEAP, ids=range(len(CHEAP)))
def test_no_checker_is_satisfied_by_anything_cheap(identifier: str, answer: Any) -> None:
    assert not check(identifier, answer).passed


def test_the_exercises_of_this_notebook_are_listed() -> None:
    assert exercises("07") == ["07.1", "07.2", "07.3", "07.4"]

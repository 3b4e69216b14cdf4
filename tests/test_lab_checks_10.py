"""The checks of notebook 10: right answers pass, usual wrong ideas are named, and nothing cheap passes."""

from __future__ import annotations

import pytest
import torch
from torch.func import grad

from metadialog_lite.lab import check


def slope_error(claimed, loss, theta, u):
    eps = 1e-4
    return (claimed @ u - (loss(theta + eps * u) - loss(theta - eps * u)) / (2 * eps)).abs()


def measured(loss, theta, u, share=1.0):
    return share * (loss(theta + 1e-4 * u) - loss(theta - 1e-4 * u)) / 2e-4


def reads(adapt, sx, sy, qx, qy):
    return bool((adapt(sx, sy, qx, qy) - adapt(sx, sy, qx, -2 * qy + 1)).abs().max() > 1e-9)


def met(train, test):
    names = [speaker for speaker, _ in train]
    return sum(1 for speaker, _ in test if speaker in names) / len(test)


@pytest.mark.parametrize(("number", "answer"), [("10.1", slope_error), ("10.2", reads), ("10.3", met)])
def test_right_answers_pass(number, answer) -> None:
    for _ in range(5):
        verdict = check(number, answer)
        assert verdict.passed, verdict


WRONG = [
    ("10.1", lambda g, f, t, u: g @ u - measured(f, t, u), "sign"),
    ("10.1", lambda g, f, t, u: (g @ u - measured(f, t, u, 2)).abs(), "forgot the 2"),
    ("10.1", lambda g, f, t, u: measured(f, t, u), "the measured slope alone"),
    ("10.1", lambda g, f, t, u: (g @ u).abs(), "the claimed slope alone"),
    ("10.1", lambda g, f, t, u: (g.norm() - grad(f)(t).norm()).abs(), "lengths compared"),
    ("10.1", lambda g, f, t, u: (g.norm() - measured(f, t, u).abs()).abs(), "length instead of slope"),
    ("10.2", lambda f, a, b, c, d: not torch.allclose(f(a, b, c, d), f(a, b + 2, c, d)), "the support was changed"),
    ("10.2", lambda f, a, b, c, d: not torch.allclose(f(a, b, c, d), f(a, b, c + 2, d)), "the questions were changed"),
    ("10.2", lambda f, a, b, c, d: not torch.allclose(f(a, b, c, d), f(a, b, c, d.flip(0))),
     "answers in another order"),
    ("10.2", lambda *x: not reads(*x), "turned round"),
    ("10.2", lambda *x: True, "every program accused"),
    ("10.2", lambda *x: False, "every program acquitted"),
    ("10.3", lambda a, b: len(set(a) & set(b)) / len(set(b)), "dialogues compared"),
    ("10.3", lambda a, b: len({s for s, _ in a} & {s for s, _ in b}) / len({s for s, _ in b}), "share of speakers"),
    ("10.3", lambda a, b: met(b, a), "counted in training"),
    ("10.3", lambda a, b: met(a, b) * len(b), "a count"),
    ("10.3", lambda a, b: 1 - met(a, b), "share that is clean"),
    ("10.3", lambda a, b: sum(n in [m for _, m in a] for _, n in b) / len(b), "numbers compared"),
]


@pytest.mark.parametrize(("number", "answer", "label"), WRONG)
def test_usual_mistakes_are_named(number, answer, label) -> None:
    verdict = check(number, answer)
    assert not verdict.passed
    assert verdict.misconception == label, verdict


def stub(*arguments):
    ...


CHEAP = [stub, None, 0, 1.0, True, torch.zeros(3), lambda *a: 0.5, lambda *a: torch.zeros(()), lambda *a: 1 / 0,
         lambda *a: float("nan"), lambda *a: "text", lambda: 1]


@pytest.mark.parametrize("number", ["10.1", "10.2", "10.3"])
@pytest.mark.parametrize("answer", CHEAP, ids=range(len(CHEAP)))
def test_nothing_cheap_passes(number, answer) -> None:
    assert not check(number, answer).passed

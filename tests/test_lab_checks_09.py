"""The exercises of notebook 09: right answers pass, usual mistakes are named, nothing cheap passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from metadialog_lite.lab.check import check, exercises


def keep(steps: Any, seen: Any, valid: Any, test: Any) -> Any:
    return steps[valid.index(min(valid))]


def first_rise(steps: Any, seen: Any, valid: Any, test: Any) -> Any:
    for i in range(1, len(steps)):
        if valid[i] > valid[i - 1]:
            return steps[i - 1]
    return steps[-1]


def left_out(theta: Any, alpha: Any, a_s: Any, c_s: Any, a_q: Any, c_q: Any) -> Any:
    adapted = theta - alpha * a_s @ (theta - c_s)
    return alpha * a_s @ a_q @ (adapted - c_q)


def by_autograd(theta: Tensor, alpha: float, a_s: Tensor, c_s: Tensor, a_q: Tensor, c_q: Tensor) -> Tensor:
    """EQ-ORDER-1 the long way round: both gradients by autograd, first order minus full."""
    found = []
    for first_order in (True, False):
        start = theta.clone().requires_grad_()
        support = 0.5 * (start - c_s) @ a_s @ (start - c_s)
        (inner,) = torch.autograd.grad(support, start, create_graph=True)
        adapted = start - alpha * (inner.detach() if first_order else inner)
        found.append(torch.autograd.grad(0.5 * (adapted - c_q) @ a_q @ (adapted - c_q), start)[0])
    return found[0] - found[1]


@pytest.mark.parametrize(("identifier", "answer"), [
    ("09.1", keep), ("09.2", left_out), ("09.2", by_autograd), ("09.3", lambda a, b: float(a.min()) / float(b.min()))])
def test_right_answers_pass(identifier: str, answer: Any) -> None:
    for _ in range(3):
        verdict = check(identifier, answer)
        assert verdict.passed, verdict
        assert verdict.misconception is None


@pytest.mark.parametrize(("identifier", "answer", "label"), [
    ("09.1", lambda steps, seen, valid, test: steps[seen.index(min(seen))], "training speakers"),
    ("09.1", lambda steps, seen, valid, test: steps[-1], "last step"),
    ("09.1", lambda steps, seen, valid, test: steps[test.index(min(test))], "test speakers"),
    ("09.1", first_rise, "first rise"),
    ("09.1", lambda steps, seen, valid, test: valid.index(min(valid)), "index"),
    ("09.2", lambda *x: -left_out(*x), "sign turned"),
    ("09.2", lambda t, a, a_s, c_s, a_q, c_q: a_q @ (t - a * a_s @ (t - c_s) - c_q), "first order itself"),
    ("09.2", lambda t, a, a_s, c_s, a_q, c_q: a_q @ (t - a * a_s @ (t - c_s) - c_q) - left_out(
        t, a, a_s, c_s, a_q, c_q), "full gradient"),
    ("09.2", lambda t, a, a_s, c_s, a_q, c_q: a * a_s @ a_q @ (t - c_q), "at theta"),
    ("09.2", lambda t, a, a_s, c_s, a_q, c_q: a * a_q @ a_q @ (t - a * a_s @ (t - c_s) - c_q), "the query's curvature"),
    ("09.2", lambda t, a, *x: left_out(t, a, *x) / a, "alpha forgotten"),
    ("09.3", lambda a, b: a.mean() / b.mean(), "means"),
    ("09.3", lambda a, b: (a / b).mean(), "mean of ratios"),
    ("09.3", lambda a, b: a.median() / b.median(), "medians"),
    ("09.3", lambda a, b: (a / b).min(), "best ratio"),
    ("09.3", lambda a, b: b.min() / a.min(), "upside down"),
    ("09.3", lambda a, b: a.min() - b.min(), "difference"),
    ("09.3", lambda a, b: a.max() / b.max(), "maxima"),
])
def test_usual_mistakes_are_named(identifier: str, answer: Any, label: str) -> None:
    for _ in range(3):
        verdict = check(identifier, answer)
        assert not verdict.passed
        assert verdict.misconception == label


CHEAP = [lambda *a: ..., None, 0.0, "answer", lambda *a: 0.0, lambda *a: a[0], lambda *a: 100, lambda: 1,
         lambda *a: torch.zeros(3), lambda *a: float("nan"), lambda *a: "text", lambda *a: 1 / 0, lambda *a: a[0][-1],
         lambda *a: a[0][0]]


@pytest.mark.parametrize("identifier", ["09.1", "09.2", "09.3"])
@pytest.mark.parametrize("answer", CHEAP, ids=range(len(CHEAP)))
def test_no_checker_is_satisfied_by_anything_cheap(identifier: str, answer: Any) -> None:
    assert not check(identifier, answer).passed


def test_the_exercises_of_this_notebook_are_listed() -> None:
    assert exercises("09") == ["09.1", "09.2", "09.3"]

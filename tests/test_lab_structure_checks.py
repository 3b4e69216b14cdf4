"""The checks of notebook 04: right answers pass, usual mistakes are named, nothing cheap passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from metadialog_lite.lab.check import check, exercises


def my_gate(score: Any, sharp: float) -> Any:
    return (1.2 / (1 + (-sharp * score).exp()) - 0.1).clip(0, 1)


def my_distance(a: Any, b: Any) -> Any:
    either = torch.maximum(a, b).sum()
    return 1 - torch.minimum(a, b).sum() / either if either else 0.0


def my_count(heads: Any, units: Any, blocks: Any, width: int, size: int) -> Any:
    return 4 * width * size * heads.sum() * blocks[0] + (2 * width + 1) * units.sum() * blocks[1]


@pytest.mark.parametrize(("identifier", "answer"), [("04.1", my_gate), ("04.2", my_distance), ("04.3", my_count)])
def test_right_answers_pass(identifier: str, answer: Callable[..., Any]) -> None:
    for _ in range(3):
        verdict = check(identifier, answer)
        assert verdict.passed, verdict
        assert verdict.misconception is None


@pytest.mark.parametrize(("identifier", "answer", "label"), [
    ("04.1", lambda s, c: torch.sigmoid(c * s), "plain sigmoid"),
    ("04.1", lambda s, c: 1.2 * torch.sigmoid(c * s) - 0.1, "not clipped"),
    ("04.1", lambda s, c: (1.2 * torch.sigmoid(c * s) - 0.1).clamp(min=0), "clipped on one side"),
    ("04.1", lambda s, c: my_gate(s, 1.0), "c forgotten"),
    ("04.1", lambda s, c: (c * (1.2 * torch.sigmoid(s) - 0.1)).clamp(0, 1), "c outside"),
    ("04.1", lambda s, c: 1.0 * (s > 0), "hard gate"),
    ("04.2", lambda a, b: (a != b).double().mean(), "Hamming"),
    ("04.2", lambda a, b: 1 - my_distance(a, b), "similarity"),
    ("04.2", lambda a, b: 1 - (a * b).mean(), "divided by all gates"),
    ("04.2", lambda a, b: 1 - 2 * (a * b).sum() / max(a.sum() + b.sum(), 1), "Dice"),
    ("04.2", lambda a, b: (a - b).abs().sum(), "a number, not a share"),
    ("04.2", lambda a, b: 1 - (a * b).sum() / max(torch.maximum(a, b).sum(), 1), "empty masks"),
    ("04.3", lambda h, u, b, w, s: my_count(h, u, b * 0 + 1, w, s), "blocks ignored"),
    ("04.3", lambda h, u, b, w, s: 4 * w * s * h.sum() * b[0] + 2 * w * u.sum() * b[1], "bias forgotten"),
    ("04.3", lambda h, u, b, w, s: w * s * h.sum() * b[0] + w * u.sum() * b[1], "output only"),
    ("04.3", lambda h, u, b, w, s: my_count(h, u, b, w, s) - 2 * w * s * h.sum() * b[0], "query and key forgotten"),
    ("04.3", lambda h, u, b, w, s: h.sum() + u.sum() + b.sum(), "gates counted"),
    ("04.3", lambda h, u, b, w, s: 4 * w * s * len(h) + (2 * w + 1) * len(u), "all parameters"),
])
def test_usual_mistakes_are_named(identifier: str, answer: Callable[..., Any], label: str) -> None:
    verdict = check(identifier, answer)
    assert not verdict.passed
    assert verdict.misconception == label


CHEAP: list[Any] = [
    lambda *a: ..., None, 0.0, "answer", lambda *a: 0.0, lambda *a: 1.0, lambda *a: a[0], lambda *a: a[0] * 0,
    lambda *a: a[0].mean(), lambda: 1, lambda *a: torch.zeros(3), lambda *a: float("nan"), lambda *a: "text",
    lambda *a: 1 / 0]


@pytest.mark.parametrize("identifier", ["04.1", "04.2", "04.3"])
@pytest.mark.parametrize("answer", CHEAP, ids=range(len(CHEAP)))
def test_no_checker_is_satisfied_by_anything_cheap(identifier: str, answer: Any) -> None:
    assert not check(identifier, answer).passed


def test_the_exercises_of_this_notebook_are_listed() -> None:
    assert exercises("04") == ["04.1", "04.2", "04.3"]
    assert "stub" in check("04.1", lambda *a: ...).message

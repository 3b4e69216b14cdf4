"""The checks of notebook 11: right answers, each named misconception, stubs, constants and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from metadialog_lite.lab import check


def jga(turns: Any) -> float:
    right = [said.keys() == truth.keys() and all(said[s] in truth[s] for s in truth) for said, truth in turns]
    return sum(right) / len(right)


def may_train(talks: Any, held: Any) -> list[int]:
    return [i for i, (a, b) in enumerate(talks) if a not in held and b not in held]


def error(turns: Any) -> float:
    return sum(len(due ^ said) for due, said in turns) / sum(len(due) for due, _ in turns)


RIGHT = {"11.1": jga, "11.2": may_train, "11.3": error}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_passes_again_and_again(name: str) -> None:
    for _ in range(5):
        verdict = check(name, RIGHT[name])
        assert verdict.passed, verdict


def test_any_iterable_of_numbers_will_do() -> None:
    assert check("11.2", lambda talks, held: set(may_train(talks, held))).passed


@pytest.mark.parametrize(("name", "wrong", "label"), [
    ("11.1", lambda turns: sum(s == {k: v[0] for k, v in t.items()} for s, t in turns) / len(turns),
     "first form only"),
    ("11.1", lambda turns: sum(all(s.get(k) in v for k, v in t.items()) for s, t in turns) / len(turns),
     "invented slots forgiven"),
    ("11.1", lambda turns: sum(all(k in t and v in t[k] for k, v in s.items()) for s, t in turns) / len(turns),
     "missing slots forgiven"),
    ("11.1", lambda turns: sum(s.get(k) in v for s, t in turns for k, v in t.items())
     / max(1, sum(len(t) for _, t in turns)), "slot accuracy"),
    ("11.2", lambda talks, held: [i for i, (a, _) in enumerate(talks) if a not in held], "first speaker only"),
    ("11.2", lambda talks, held: [i for i, (_, b) in enumerate(talks) if b not in held], "second speaker only"),
    ("11.2", lambda talks, held: [i for i, (a, b) in enumerate(talks) if a not in held or b not in held],
     "one of them is enough"),
    ("11.2", lambda talks, held: [i for i, (a, b) in enumerate(talks) if a in held or b in held], "turned round"),
    ("11.3", lambda turns: sum(len(d - s) for d, s in turns) / sum(len(d) for d, _ in turns), "missing only"),
    ("11.3", lambda turns: sum(len(s - d) for d, s in turns) / sum(len(d) for d, _ in turns), "redundant only"),
    ("11.3", lambda turns: sum(len(d ^ s) / len(d) for d, s in turns) / len(turns), "mean of turns"),
    ("11.3", lambda turns: min(1.0, error(turns)), "capped"),
])
def test_misconceptions_are_named(name: str, wrong: Callable[..., Any], label: str) -> None:
    for _ in range(3):
        verdict = check(name, wrong)
        assert not verdict.passed
        assert verdict.misconception == label


@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("answer", [lambda *_: ..., lambda *_: None, lambda *_: 0.5, lambda *_: [], lambda *_: [0], 0.5,
                                    None, lambda *_: 1 / 0])
def test_stubs_constants_and_errors_never_pass(name: str, answer: Any) -> None:
    verdict = check(name, answer)
    assert not verdict.passed
    assert verdict.message


def test_the_stub_is_told_so_and_an_error_is_a_sentence() -> None:
    assert "still the stub" in check("11.1", lambda turns: ...).message
    assert "ZeroDivisionError" in check("11.3", lambda turns: 1 / 0).message

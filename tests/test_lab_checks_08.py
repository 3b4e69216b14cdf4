"""The exercises of notebook 08: right answers pass, usual mistakes are named, nothing cheap passes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from metadialog_lite.lab.check import check, exercises


def jga(predicted: Any, gold: Any) -> float:
    return sum(p == g for p, g in zip(predicted, gold)) / len(gold)


def own(track: Any, dialogue: Any) -> float:
    state, right = dialogue[0][0], 0
    for _, said, gold in dialogue:
        state = track(state, said)
        right += state == gold
    return right / len(dialogue)


def until_wrong(track: Any, dialogue: Any) -> float:
    state, right = dialogue[0][0], 0
    for _, said, gold in dialogue:
        state = track(state, said)
        if state != gold:
            break
        right += 1
    return right / len(dialogue)


def last(track: Any, dialogue: Any) -> float:
    state = dialogue[0][0]
    for _, said, _ in dialogue:
        state = track(state, said)
    return float(state == dialogue[-1][2])


def precision(said: Any, meant: Any) -> float:
    hits = sum(sum((Counter(a) & Counter(b)).values()) for a, b in zip(said, meant))
    return hits / sum(len(a) for a in said)


def slots(predicted: Any, gold: Any, skip_empty: bool = False) -> float:
    pairs = [(a, b) for p, g in zip(predicted, gold) for a, b in zip(p, g) if not (skip_empty and b == "-")]
    return sum(a == b for a, b in pairs) / len(pairs)


@pytest.mark.parametrize(("identifier", "answer"), [("08.1", jga), ("08.2", own), ("08.3", precision)])
def test_right_answers_pass(identifier: str, answer: Any) -> None:
    for _ in range(5):
        verdict = check(identifier, answer)
        assert verdict.passed, verdict
        assert verdict.misconception is None


@pytest.mark.parametrize(("identifier", "answer", "label"), [
    ("08.1", slots, "slot accuracy"),
    ("08.1", lambda p, g: slots(p, g, True), "slot accuracy, filled"),
    ("08.1", lambda p, g: sum(all(a == b for a, b in zip(x, y) if b != "-") for x, y in zip(p, g)) / len(g),
     "empty slots not compared"),
    ("08.1", lambda p, g: sum(any(a == b for a, b in zip(x, y)) for x, y in zip(p, g)) / len(g), "one slot is enough"),
    ("08.1", lambda p, g: 1 - jga(p, g), "error rate"),
    ("08.1", lambda p, g: sum(x == y for x, y in zip(p, g)), "not divided"),
    ("08.2", lambda t, d: sum(t(before, said) == gold for before, said, gold in d) / len(d), "gold previous state"),
    ("08.2", until_wrong, "stops at the first error"),
    ("08.2", lambda t, d: sum(t(d[0][0], said) == gold for _, said, gold in d) / len(d), "always starts empty"),
    ("08.2", last, "last turn only"),
    ("08.3", lambda said, meant: sum(w in b for a, b in zip(said, meant) for w in a) / sum(map(len, said)),
     "not clipped"),
    ("08.3", lambda said, meant: sum(precision([a], [b]) for a, b in zip(said, meant)) / len(said),
     "mean of sentences"),
    ("08.3", lambda said, meant: precision(meant, said), "recall"),
    ("08.3", lambda said, meant: sum(len(set(a) & set(b)) for a, b in zip(said, meant)) / sum(
        len(set(a)) for a in said), "types instead of tokens"),
    ("08.3", lambda said, meant: precision([[w for a in said for w in a]], [[w for b in meant for w in b]]), "pooled"),
])
def test_usual_mistakes_are_named(identifier: str, answer: Any, label: str) -> None:
    for _ in range(3):
        verdict = check(identifier, answer)
        assert not verdict.passed
        assert verdict.misconception == label


CHEAP = [lambda *a: ..., None, 0.0, "answer", lambda *a: 0.0, lambda *a: 1.0, lambda *a: a[0], lambda: 1,
         lambda *a: float("nan"), lambda *a: "text", lambda *a: 1 / 0, lambda *a: (0, 0, 0), lambda *a: 0.5]


@pytest.mark.parametrize("identifier", ["08.1", "08.2", "08.3"])
@pytest.mark.parametrize("answer", CHEAP, ids=range(len(CHEAP)))
def test_no_checker_is_satisfied_by_anything_cheap(identifier: str, answer: Any) -> None:
    assert not check(identifier, answer).passed


def test_the_exercises_of_this_notebook_are_listed() -> None:
    assert exercises("08") == ["08.1", "08.2", "08.3"]

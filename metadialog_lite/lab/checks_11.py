"""Checks of notebook 11: joint goal accuracy with several surface forms, who may train, and the slot error rate."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.judging import NOT_YET

Problem = tuple[Any, ...]
_VALUES = ("cheap", "north", "Mezzo", "noon", "two", "thai")


def _judge(answer: Any, problems: list[Problem], right: Callable[..., Any],
           rivals: dict[str, tuple[Callable[..., Any], str]], praise: str, otherwise: str) -> Verdict:
    """Compare on every problem, then with each known misconception; whatever is raised becomes a sentence."""
    if not callable(answer):
        return Verdict(False, "hand in the function itself, without calling it.")
    said: list[Any] = []
    for problem in problems:
        try:
            said.append(answer(*problem))
        except NotImplementedError:
            return Verdict(False, NOT_YET)
        except Exception as error:
            return Verdict(False, f"your function raised {type(error).__name__}: {error}")
        if said[-1] is None or said[-1] is Ellipsis:
            return Verdict(False, NOT_YET)

    def agrees(rule: Callable[..., Any]) -> bool:
        return all(_same(one, rule(*problem)) for one, problem in zip(said, problems, strict=True))

    if agrees(right):
        return Verdict(True, praise)
    for label, (rule, message) in rivals.items():
        if agrees(rule):
            return Verdict(False, message, label)
    return Verdict(False, otherwise)


def _same(one: Any, other: Any) -> bool:
    try:
        return abs(float(one) - float(other)) < 1e-9
    except (TypeError, ValueError):
        return bool(one == other)


# ---------------------------------------------------------------- 11.1: joint goal accuracy


def _states(count: int = 60) -> list[Problem]:
    """Turns of (said, truth), some wholly right, some with another surface form, some with too much or too little."""
    draw, problems = random.Random(), list[Problem]()
    while len(problems) < count:
        turns = []
        for _ in range(draw.randint(3, 8)):
            slots = draw.sample("abcdef", draw.randint(0, 3))
            truth = {slot: draw.sample(_VALUES, draw.randint(1, 3)) for slot in slots}
            said = {slot: draw.choice(forms) for slot, forms in truth.items()}
            kind = draw.randrange(4)
            if kind == 1 and said:
                said.pop(draw.choice(list(said)))
            elif kind == 2:
                said["g"] = draw.choice(_VALUES)
            elif kind == 3 and said:
                slot = draw.choice(list(said))
                said[slot] = draw.choice([value for value in _VALUES if value not in truth[slot]])
            turns.append((said, truth))
        problems.append((turns,))
    return problems


def _right(said: dict[str, str], truth: dict[str, list[str]]) -> bool:
    return said.keys() == truth.keys() and all(said[slot] in truth[slot] for slot in truth)


def _jga(turns: Any) -> float:
    return sum(_right(*turn) for turn in turns) / len(turns)


def _slots(turns: Any) -> float:
    pairs = [(said.get(slot), forms) for said, truth in turns for slot, forms in truth.items()]
    return sum(value in forms for value, forms in pairs) / max(1, len(pairs))


@exercise("11.1")
def joint_goal_accuracy(answer: Any) -> Verdict:
    """``answer(turns)``: turns of (said, truth); truth gives every slot's surface forms."""
    rivals: dict[str, tuple[Callable[..., Any], str]] = {
        "first form only": (
            lambda turns: sum(said == {slot: forms[0] for slot, forms in truth.items()} for said, truth in turns)
            / len(turns),
            "you accept the first surface form alone. Any of them is right."),
        "invented slots forgiven": (
            lambda turns: sum(all(said.get(s) in f for s, f in truth.items()) for said, truth in turns) / len(turns),
            "a state with an invented slot counts as right with you. The *whole* state must be right."),
        "missing slots forgiven": (
            lambda turns: sum(all(s in truth and v in truth[s] for s, v in said.items()) for said, truth in turns)
            / len(turns),
            "a state that lacks a slot counts as right with you: you look at what was said only."),
        "slot accuracy": (
            _slots, "this is the accuracy of single slots. *Joint* means: a turn is right or wrong as a whole."),
    }
    return _judge(answer, _states(), _jga, rivals,
                  "a turn counts when every slot is there, none is too many, and each value is one of its forms.",
                  "This is not the share of turns whose whole state is right.")


# ---------------------------------------------------------------- 11.2: who may train


def _conversations(count: int = 60) -> list[Problem]:
    draw, problems = random.Random(), list[Problem]()
    for _ in range(count):
        people = "abcdefgh"
        held = set(draw.sample(people, draw.randint(1, 4)))
        talks = [tuple(draw.sample(people, 2)) for _ in range(draw.randint(6, 14))]
        problems.append((talks, held))
    return problems


def _may_train(talks: Any, held: Any) -> list[int]:
    return [i for i, pair in enumerate(talks) if not set(pair) & set(held)]


def _as_list(answer: Any) -> Any:
    if not callable(answer):
        return answer

    def call(*problem: Any) -> Any:
        value = answer(*problem)
        return value if value is None or value is Ellipsis else sorted(value)

    return call


@exercise("11.2")
def no_leak(answer: Any) -> Verdict:
    """``answer(talks, held_out)``: the numbers of the conversations that training may see."""
    rivals: dict[str, tuple[Callable[..., Any], str]] = {
        "first speaker only": (
            lambda talks, held: [i for i, (a, _) in enumerate(talks) if a not in held],
            "you look at the first speaker only. The second one is in the conversation as well: their words leak."),
        "second speaker only": (
            lambda talks, held: [i for i, (_, b) in enumerate(talks) if b not in held],
            "you look at the second speaker only. The first one's words leak into training."),
        "one of them is enough": (
            lambda talks, held: [i for i, pair in enumerate(talks) if not set(pair) <= set(held)],
            "you leave out a conversation only when *both* are held out. One held-out person is enough for a leak."),
        "turned round": (
            lambda talks, held: [i for i, pair in enumerate(talks) if set(pair) & set(held)],
            "these are the conversations that training must *not* see."),
    }
    return _judge(_as_list(answer), _conversations(), _may_train, rivals,
                  "a conversation belongs to one side as a whole, and held-out people decide.",
                  "These are not the conversations without any held-out person.")


# ---------------------------------------------------------------- 11.3: slot error rate


def _answers(count: int = 60) -> list[Problem]:
    draw, problems = random.Random(), list[Problem]()
    for _ in range(count):
        turns = []
        for _ in range(draw.randint(3, 8)):
            due = set(draw.sample(_VALUES, draw.randint(1, 3)))
            turns.append((due, set(draw.sample(_VALUES, draw.randint(0, 4)))))
        problems.append((turns,))
    return problems


def _error(turns: Any) -> float:
    return sum(len(due - said) + len(said - due) for due, said in turns) / sum(len(due) for due, _ in turns)


@exercise("11.3")
def slot_error_rate(answer: Any) -> Verdict:
    """``answer(turns)``: turns of (values due, values said), two sets. EQ-ERR-1: (missing + redundant) / due."""
    rivals: dict[str, tuple[Callable[..., Any], str]] = {
        "missing only": (lambda turns: sum(len(d - s) for d, s in turns) / sum(len(d) for d, _ in turns),
                         "you count what is missing only. A value that nobody asked for is an error, too."),
        "redundant only": (lambda turns: sum(len(s - d) for d, s in turns) / sum(len(d) for d, _ in turns),
                           "you count what is redundant only. A value that is missing is an error, too."),
        "mean of turns": (lambda turns: sum((len(d - s) + len(s - d)) / len(d) for d, s in turns) / len(turns),
                          "you average the turns' rates: a turn with one value weighs as much as one with three. Add "
                          "up the errors of all turns, then divide by all values that were due."),
        "capped": (lambda turns: min(1.0, _error(turns)),
                   "you cap the rate at 1. With many redundant values it is above 1, and it says so."),
    }
    return _judge(answer, _answers(), _error, rivals,
                  "missing and redundant together, over all that was due; so it can exceed 1.",
                  "This is not (missing + redundant) / due over all turns together.")

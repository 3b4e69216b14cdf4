"""Checks of notebook 08: joint goal accuracy, the same with one's own previous state, and clipped precision."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.judging import Misconception, judge
from metadialog_lite.lab.metrics import clipped_precision, joint_goal_accuracy, slot_accuracy
from metadialog_lite.turns import EMPTY

State = tuple[str, ...]

# ---------------------------------------------------------------- 08.1: joint goal accuracy


def _wrong_kind(predicted: Sequence[State], gold: Sequence[State]) -> float:
    """Slots that are empty in the gold state are not looked at, so that what was made up costs nothing."""
    right = [all(a == b for a, b in zip(p, g, strict=True) if b != EMPTY)
             for p, g in zip(predicted, gold, strict=True)]
    return sum(right) / len(right)


_JGA_MISTAKES = (
    Misconception("slot accuracy", slot_accuracy,
                  "you count single slots. *Joint* means that a turn counts only when **all** its slots are right: "
                  "with four slots, 90 % right slots can leave 66 % right states."),
    Misconception("slot accuracy, filled", lambda p, g: slot_accuracy(p, g, filled=True),
                  "you count single slots, and only those that are filled. A turn counts when its whole state is "
                  "right, empty slots included."),
    Misconception("empty slots not compared", _wrong_kind,
                  "you skip the slots that are empty in the true state. Whoever invents a value there then pays "
                  "nothing; compare whole states."),
    Misconception("one slot is enough", lambda p, g: sum(
        any(a == b for a, b in zip(x, y, strict=True)) for x, y in zip(p, g, strict=True)) / len(g),
        "a turn counts already when *one* slot is right: `any` where `all` is meant."),
    Misconception("error rate", lambda p, g: 1 - joint_goal_accuracy(p, g),
                  "this is the share of *wrong* turns."),
    Misconception("not divided", lambda p, g: joint_goal_accuracy(p, g) * len(g),
                  "this is the number of right turns; divide by the number of turns."),
)


def _states(draw: random.Random, turns: int) -> list[State]:
    values = ("thai", "north", "cheap", "lunch", EMPTY, EMPTY)
    return [tuple(draw.choice(values) for _ in range(4)) for _ in range(turns)]


def _spoiled(draw: random.Random, gold: Sequence[State]) -> list[State]:
    """Some states with one slot invented, lost or mistaken."""
    found = []
    for state in gold:
        new = list(state)
        if draw.random() < 0.6:
            new[draw.randrange(4)] = draw.choice(("thai", "south", "cheap", EMPTY))
        found.append(tuple(new))
    return found


@exercise("08.1")
def joint(answer: Any) -> Verdict:
    """``answer(predicted, gold)`` on two lists of states: EQ-JGA-1, the share of turns whose whole state is right."""
    draw = random.Random()
    problems: list[tuple[Any, ...]] = []
    while len(problems) < 6:
        gold = _states(draw, draw.randint(8, 30))
        predicted = _spoiled(draw, gold)
        problems.append((predicted, gold))
    return judge(
        answer, problems, joint_goal_accuracy, _JGA_MISTAKES,
        praise="all slots of a turn at once, empty ones included.",
        otherwise="This is not the share of turns with predicted == gold. Each argument is a list of tuples, one a "
                  "turn; return one number.",
    )


# ---------------------------------------------------------------- 08.2: with one's own previous state

Said = tuple[int, str]  # the slot that the user speaks of, and the word
Tracker = Callable[[State, Said], State]
Dialogue = Sequence[tuple[State, Said, State]]  # previous state, what is said, state


def _own(track: Tracker, dialogue: Dialogue) -> float:
    state, right = dialogue[0][0], 0
    for _, said, gold in dialogue:
        state = track(state, said)
        right += state == gold
    return right / len(dialogue)


def _gold(track: Tracker, dialogue: Dialogue) -> float:
    return sum(track(previous, said) == gold for previous, said, gold in dialogue) / len(dialogue)


def _until_first_error(track: Tracker, dialogue: Dialogue) -> float:
    state, right = dialogue[0][0], 0
    for _, said, gold in dialogue:
        state = track(state, said)
        if state != gold:
            break
        right += 1
    return right / len(dialogue)


def _repaired(track: Tracker, dialogue: Dialogue) -> float:
    """An error is put right before the next turn: the gold state under another name."""
    state, right = dialogue[0][0], 0
    for _, said, gold in dialogue:
        right += track(state, said) == gold
        state = gold
    return right / len(dialogue)


_OWN_MISTAKES = (
    Misconception("gold previous state", _gold,
                  "you prompt every turn with the *true* previous state. In a conversation nobody gives it to the "
                  "system: carry on with what it said itself."),
    Misconception("gold previous state", _repaired,
                  "after each turn you go on with the true state: an error then costs one turn instead of all that "
                  "follow."),
    Misconception("stops at the first error", _until_first_error,
                  "you stop at the first error. Later turns can be right again, when the user says it once more."),
    Misconception("always starts empty", lambda track, dialogue: sum(
        track(dialogue[0][0], said) == gold for _, said, gold in dialogue) / len(dialogue),
        "you prompt every turn with the empty state: what was said before is forgotten."),
    Misconception("last turn only", lambda track, dialogue: float(_last(track, dialogue)),
                  "this looks at the dialogue's last turn alone; every turn counts."),
)


def _last(track: Tracker, dialogue: Dialogue) -> bool:
    state = dialogue[0][0]
    for _, said, _ in dialogue:
        state = track(state, said)
    return state == dialogue[-1][2]


def _tracker(wrong: frozenset[str]) -> Tracker:
    """Understands every word but those in ``wrong``; an empty word says nothing."""
    def track(state: State, said: Said) -> State:
        slot, word = said
        new = list(state)
        if word:
            new[slot] = f"not {word}" if word in wrong else word
        return tuple(new)

    return track


def _conversation(draw: random.Random) -> tuple[Tracker, Dialogue]:
    words = [f"w{i}" for i in range(8)]
    state: State = (EMPTY,) * 3
    turns = []
    for _ in range(draw.randint(5, 9)):
        said = (draw.randrange(3), draw.choice([*words, "", ""]))
        new = _tracker(frozenset())(state, said)
        turns.append((state, said, new))
        state = new
    return _tracker(frozenset(draw.sample(words, 3))), turns


@exercise("08.2")
def carried(answer: Any) -> Verdict:
    """``answer(track, dialogue)``: joint goal accuracy with the tracker's own previous state, EQ-JGA-2.

    ``dialogue`` is a list of (true previous state, what is said, true state); ``track(state, said)`` -> state.
    """
    draw = random.Random()
    problems: list[tuple[Any, ...]] = []
    while len(problems) < 8:
        one = _conversation(draw)
        labels = {wrong.compute(*one): wrong.label for wrong in _OWN_MISTAKES} | {_own(*one): "right"}
        if len(labels) == 5 or len(problems) < 2:  # most of them tell the right and all wrong ideas apart
            problems.append(one)
    return judge(
        answer, problems, _own, _OWN_MISTAKES,
        praise="what the system believed is what it goes on with, so that one error can cost several turns.",
        otherwise="Begin with the first turn's previous state, then state = track(state, said) turn by turn; return "
                  "the share of turns where that equals the true state.",
    )


# ---------------------------------------------------------------- 08.3: clipped precision


def _unigrams(said: Sequence[Sequence[str]], meant: Sequence[Sequence[str]]) -> float:
    return clipped_precision(said, meant, 1)


def _unclipped(said: Sequence[Sequence[str]], meant: Sequence[Sequence[str]]) -> float:
    return sum(word in b for a, b in zip(said, meant, strict=True) for word in a) / sum(map(len, said))


_BLEU_MISTAKES = (
    Misconception("not clipped", _unclipped,
                  "you count every word that occurs in the reference. Then “the the the” is perfect against “the "
                  "table”: a word may be counted only as often as the reference has it."),
    Misconception("mean of sentences", lambda said, meant: sum(
        _unigrams([a], [b]) for a, b in zip(said, meant, strict=True)) / len(said),
        "you take the mean of the sentences' precisions: a response of two words then weighs as much as one of twenty. "
        "Sum hits and words over the whole corpus, and divide once."),
    Misconception("recall", lambda said, meant: _unigrams(said, meant) * sum(map(len, said)) / sum(map(len, meant)),
                  "you divide by the words of the *references*: that is recall. Precision asks how much of what was "
                  "*said* is right."),
    Misconception("types instead of tokens", lambda said, meant: sum(
        len(set(a) & set(b)) for a, b in zip(said, meant, strict=True)) / sum(len(set(a)) for a in said),
        "with sets every word counts once, however often it is said. Count with `Counter`."),
    Misconception("pooled", lambda said, meant: _unigrams(
        [[word for a in said for word in a]], [[word for b in meant for word in b]]),
        "you throw all responses into one bag: a word of one response is then excused by the reference of another."),
)


@exercise("08.3")
def precision(answer: Any) -> Verdict:
    """``answer(said, meant)`` on lists of lists of words: EQ-BLEU-1 with n = 1."""
    draw = random.Random()
    words = ("the", "the", "a", "table", "is", "booked", "for", "lunch", "north", "you")
    problems: list[tuple[Any, ...]] = []
    for _ in range(6):
        turns = draw.randint(4, 9)
        said, meant = ([[draw.choice(words) for _ in range(draw.randint(2, 12))] for _ in range(turns)]
                       for _ in range(2))
        problems.append((said, meant))
    return judge(
        answer, problems, _unigrams, _BLEU_MISTAKES,
        praise="clipped, and summed over the corpus before it is divided. BLEU takes this for n = 1 … 4, their "
               "geometric mean, and a penalty for being short.",
        otherwise="For every pair of responses count each word at most as often as the reference has it; sum over all "
                  "pairs; divide by the number of words said.",
    )

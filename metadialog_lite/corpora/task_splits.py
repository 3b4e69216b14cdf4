"""Which tasks are held out, and to which split each dialogue belongs as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from metadialog_lite.corpora.dialogues import Dialogue
from metadialog_lite.corpora.splits import SPLITS, Limits, enough

_SHARES = (0.6, 0.75)  # shares of the tasks up to which they train, and up to which they validate
ENOUGH_TASKS = 5  # wanted in every split
_VALID = 0.2  # share of the official training tasks that validate, where the official parts name none for it


@dataclass(frozen=True)
class TaskLimits(Limits):
    """Sizes for corpora with states. A turn has at most user + 2 state + act + response + 6 tokens."""

    user: int = 48
    response: int = 48
    state: int = 64  # a turn with a longer state is left out: half a state would be a wrong one
    act: int = 32
    support: int = 32  # or half of it, down to 4, where too few tasks have so many: see sizes_to_try
    vocabulary: int = 2000


@dataclass(frozen=True)
class Kind:
    """What sets one corpus apart from the others."""

    name: str
    task: str  # what a task is: "service", "domain", "persona", ...
    capabilities: tuple[str, ...]
    language: str = "en"
    limits: TaskLimits = TaskLimits()
    held_out: Mapping[str, str] = field(default_factory=dict)  # task -> split, where the choice is not left to a hash


def sizes_to_try(dialogues: Sequence[Dialogue], limits: TaskLimits, kind: Kind) -> list[TaskLimits]:
    """``limits`` with support, support/2, ... down to 4; first the largest that gives every split ENOUGH_TASKS.

    Then those that give every split at least one. A small sample of a corpus can so be used with fewer shots.
    """
    many, few = [], []
    while True:
        splits = list(split_tasks(dialogues, limits, kind)[0].values())
        fewest = min(splits.count(split) for split in SPLITS)
        if fewest >= (1 if kind.held_out else ENOUGH_TASKS):
            many.append(limits)
        elif fewest:
            few.append(limits)
        if limits.support < 8:
            return many + few
        limits = replace(limits, support=limits.support // 2)


def split_tasks(dialogues: Sequence[Dialogue], limits: Limits, kind: Kind) -> tuple[dict[str, str], bool]:
    """(task -> split, for all tasks that have enough turns; whether the corpus's official split decided).

    Where the corpus has an official split with tasks that its train part has never seen, those are held out: in test
    what stands in the official test part, the others in valid. Where that leaves one of the two empty, all of them are
    test, and some of the training tasks, chosen by a hash of their names, are taken out of training to be valid.
    Elsewhere ``kind.held_out`` decides, or a hash of the task's name over all tasks (60 % train, 15 % valid, 25 % test,
    at least one each).
    """
    sizes: dict[str, list[int]] = {}
    official: dict[str, set[str]] = {}
    for dialogue in dialogues:
        for task in {exchange.task for exchange in dialogue.exchanges}:
            sizes.setdefault(task, []).append(sum(exchange.task == task for exchange in dialogue.exchanges))
            official.setdefault(task, set()).add(dialogue.official)
    able = sorted(task for task, counts in sizes.items() if enough(counts, limits))
    if kind.held_out and kind.held_out.keys() <= set(able):
        return {task: kind.held_out.get(task, "train") for task in able}, False
    if len(able) < len(SPLITS):
        return dict.fromkeys(able, "train"), False
    unseen = [task for task in able if official[task] <= {"valid", "test"}]
    if not unseen or len(able) - len(unseen) < 2:
        return _by_hash(able, kind.name), False
    known = [task for task in able if task not in unseen]
    tested = [task for task in unseen if "test" in official[task]]
    if tested and tested != unseen:
        splits = {task: "test" if task in tested else "valid" for task in unseen}
        return dict.fromkeys(known, "train") | splits, True
    chosen = _hashed(known, kind.name)[: max(1, round(_VALID * len(known)))]
    return {task: "test" if task in unseen else "valid" if task in chosen else "train" for task in able}, True


def _hashed(tasks: Sequence[str], salt: str) -> list[str]:
    """Tasks in the order of a hash of their names."""
    salted = {task: f"metadialog-lite/{salt}/1/{task}".encode("utf-8", "replace") for task in tasks}
    return sorted(tasks, key=lambda task: hashlib.sha256(salted[task]).digest())


def _by_hash(tasks: Sequence[str], salt: str) -> dict[str, str]:
    """Tasks in the order of a hash, cut at the two shares; at least three of them are needed, and no part is empty."""
    order, count = _hashed(tasks, salt), len(tasks)
    train = max(1, min(round(_SHARES[0] * count), count - 2))
    valid = train + max(1, round((_SHARES[1] - _SHARES[0]) * count))
    return {task: "train" if i < train else "valid" if i < valid else "test" for i, task in enumerate(order)}


def split_dialogues(
    dialogues: Sequence[Dialogue], tasks: Mapping[str, str], official: bool
) -> dict[str, str | None]:
    """Dialogue id -> split: test if anything in the conversation belongs to a test task, else valid, else train.

    None: a dialogue without any task; and, where the official split decides, one of its valid or test part in which
    nothing is held out, since such dialogues are not for training.
    """
    sides: dict[str, set[str]] = {}
    for dialogue in dialogues:
        seen = sides.setdefault(dialogue.group or dialogue.id, set())
        touched = {*dialogue.touches, *(exchange.task for exchange in dialogue.exchanges)}
        seen.update(tasks[task] for task in touched if task in tasks)
    splits: dict[str, str | None] = {}
    for dialogue in dialogues:
        seen = sides[dialogue.group or dialogue.id]
        split = next((split for split in reversed(SPLITS) if split in seen), None)
        splits[dialogue.id] = None if official and split == "train" and dialogue.official != "train" else split
    return splits

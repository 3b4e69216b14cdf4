"""Ways to make new turns out of support turns. Some keep the truth, some break it; a learner finds out which.

Each way takes turn i and its neighbour j (the next turn of the support) and gives one new turn. It works on
token ids and knows nothing of the world: neither what a slot is nor which words belong to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from metadialog_lite.episodes import ACT, EOS, PAD, STATE, SYS, UNK, USR, TurnBatch

Ids = tuple[int, ...]


class Parts(NamedTuple):
    """The five parts of a turn, as token ids without markers."""

    previous: Ids
    user: Ids
    state: Ids
    act: Ids
    response: Ids


def other_past(turn: Parts, other: Parts) -> Parts:
    """The past of another turn: its previous state, with what this turn changed written over it.

    True for the state: what a user says means the same, whatever was known before. Not for the act, which depends
    on what is still missing.
    """
    changed = [now if now != before else past
               for before, now, past in zip(turn.previous, turn.state, other.previous, strict=False)]
    return turn._replace(previous=other.previous, state=tuple(changed)) if other.previous else turn


def other_words(turn: Parts, other: Parts) -> Parts:
    """Another turn's user words under this turn's labels: false for the state, harmless for the rest."""
    return turn._replace(user=other.user)


def other_response(turn: Parts, other: Parts) -> Parts:
    """Another turn's response under this turn's labels: true only when both have the same act and values."""
    return turn._replace(response=other.response)


def fewer_words(turn: Parts, other: Parts) -> Parts:
    """Every third word of the user is hidden."""
    return turn._replace(user=tuple(UNK if i % 3 == 2 else word for i, word in enumerate(turn.user)))


WAYS: dict[str, Callable[[Parts, Parts], Parts]] = {
    "other_past": other_past, "other_words": other_words, "other_response": other_response, "fewer_words": fewer_words,
}


def parts_of(ids: list[int]) -> Parts:
    """Cut a turn's sequence at its markers; a turn without state and act has only user and response."""
    ids = ids[: ids.index(EOS)]
    if ids[0] != STATE:
        middle = ids.index(SYS)
        return Parts((), tuple(ids[1:middle]), (), (), tuple(ids[middle + 1 :]))
    user = ids.index(USR)
    state = ids.index(STATE, user)
    act = ids.index(ACT, state)
    system = ids.index(SYS, act)
    return Parts(*(tuple(ids[a + 1 : b]) for a, b in
                   ((0, user), (user, state), (state, act), (act, system), (system, len(ids)))))


def sequence(parts: Parts) -> tuple[list[int], int]:
    """(ids, how many of them are the prompt): the inverse of :func:`parts_of`."""
    previous, user, state, act, response = parts
    if not previous:
        return [USR, *user, SYS, *response, EOS], len(user) + 2
    prompt = [STATE, *previous, USR, *user, STATE]
    return [*prompt, *state, ACT, *act, SYS, *response, EOS], len(prompt)


def recombined(support: TurnBatch) -> TurnBatch:
    """Every support turn in every way of :data:`WAYS`: [..., ways * turns, length], way by way."""
    tokens = support.tokens
    turns, length = tokens.shape[-2:]
    made: list[tuple[list[int], int]] = []
    for task in tokens.reshape(-1, turns, length).tolist():
        parts = [parts_of(ids) for ids in task]
        made += [sequence(way(turn, parts[(i + 1) % turns])) for way in WAYS.values() for i, turn in enumerate(parts)]
    longest = max(len(ids) for ids, _ in made)
    targets = max(len(ids) - prompt for ids, prompt in made)
    shape = (*tokens.shape[:-2], turns * len(WAYS))
    ids = torch.tensor([ids + [PAD] * (longest - len(ids)) for ids, _ in made])
    segment = torch.tensor([_segments(ids, prompt) + [0] * (longest - len(ids)) for ids, prompt in made])
    where = torch.tensor(
        [[*range(prompt - 1, len(ids) - 1)] + [0] * (targets - len(ids) + prompt) for ids, prompt in made])
    return TurnBatch(
        ids.reshape(*shape, longest), segment.to(torch.uint8).reshape(*shape, longest), where.reshape(*shape, targets)
    ).to(tokens.device)


def _segments(ids: list[int], prompt: int) -> list[int]:
    """0 in the prompt; 1, 2, 3 in state, act and response, each with the marker that ends it."""
    if ids[0] != STATE:
        return [0] * prompt + [3] * (len(ids) - prompt)
    act, system = ids.index(ACT, prompt), ids.index(SYS, prompt)
    return ([0] * prompt + [1] * (act + 1 - prompt) + [2] * (system - act) + [3] * (len(ids) - system - 1))

"""From turns to tensors: the vocabulary, the sequence of a turn, and support/query episodes.

A turn becomes one sequence in the style of SimpleTOD (arXiv 2005.00796)::

    <state> previous state <usr> user words <state> new state <act> system act <sys> response <eos>
    |------------------ prompt -------------------| |- segment 1 --| |- segment 2 -| |- segment 3 -|

The loss is counted on the three segments, and each segment owns the marker that ends it, so that
the lengths of the three parts are learned as well. A source without state and act has the short
form ``<usr> user words <sys> response <eos>`` with segment 3 alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metadialog_lite.turns import Task, TaskSource, Turn

SPECIALS = ("<pad>", "<unk>", "<state>", "<usr>", "<act>", "<sys>", "<eos>")
PAD, UNK, STATE, USR, ACT, SYS, EOS = range(len(SPECIALS))


class Vocabulary:
    """A closed list of tokens; ids 0..6 are :data:`SPECIALS`. Tokens outside the list become ``<unk>``."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(tokens)
        if self.tokens[: len(SPECIALS)] != SPECIALS:
            raise ValueError(
                f"a vocabulary begins with the special tokens {SPECIALS}, not with {self.tokens[: len(SPECIALS)]}"
            )
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            twice = sorted({token for token in self.tokens if self.tokens.count(token) > 1})
            raise ValueError(f"vocabulary tokens must be distinct; these stand in it twice: {twice[:5]}")

    @classmethod
    def of(cls, source: TaskSource) -> Vocabulary:
        """The special tokens followed by the source's own tokens."""
        return cls(SPECIALS + tuple(source.tokens))

    def encode(self, words: Iterable[str]) -> list[int]:
        """Tokens -> ids; an unknown token becomes the id of ``<unk>``."""
        find = self._ids.get
        return [find(word, UNK) for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids -> tokens."""
        return [self.tokens[i] for i in ids]

    def unknown(self, words: Iterable[str]) -> list[str]:
        """The words that are not in the vocabulary, each once, in their order."""
        return list(dict.fromkeys(word for word in words if word not in self._ids))

    def __len__(self) -> int:
        return len(self.tokens)


class TurnBatch(NamedTuple):
    """Encoded turns of one task, or of several tasks with one more dimension in front.

    tokens   long  [..., turns, length]   right-padded with ``<pad>``
    segment  uint8 [..., turns, length]   what the token is: 0 = no target, 1 = state, 2 = act, 3 = response
    where    long  [..., turns, targets]  positions whose *next* token is a target, padded with 0 (token 1
                                          is never a target). The model computes its output only there.
    """

    tokens: Tensor
    segment: Tensor
    where: Tensor

    def turns(self) -> int:
        """Number of turns of each task; may be 0 (zero shots)."""
        return self.tokens.shape[-2]

    def to(self, device: torch.device | str) -> TurnBatch:
        return TurnBatch(*(part.to(device) for part in self))


def prompt_ids(turn: Turn, vocabulary: Vocabulary) -> list[int]:
    """The visible prompt of a turn: everything up to where the first target stands."""
    user = [USR, *vocabulary.encode(turn.user)]
    if turn.state or turn.act or turn.previous_state:
        return [STATE, *vocabulary.encode(turn.previous_state), *user, STATE]
    return [*user, SYS]


def _sequence(turn: Turn, vocabulary: Vocabulary) -> tuple[list[int], list[int]]:
    """(ids, segments) of one whole turn."""
    ids = prompt_ids(turn, vocabulary)
    segments = [0] * len(ids)
    if ids[0] == STATE:
        ids += [*vocabulary.encode(turn.state), ACT, *vocabulary.encode(turn.act), SYS]
        segments += [1] * (len(turn.state) + 1) + [2] * (len(turn.act) + 1)
    ids += [*vocabulary.encode(turn.response), EOS]
    segments += [3] * (len(turn.response) + 1)
    return ids, segments


def _batch(turns: Sequence[Turn], vocabulary: Vocabulary, length: int | None) -> TurnBatch:
    pairs = [_sequence(turn, vocabulary) for turn in turns]
    longest = max((len(ids) for ids, _ in pairs), default=2)
    if length is not None and longest > length:
        turn = next(turn for turn, (ids, _) in zip(turns, pairs) if len(ids) > length)
        raise ValueError(f"a turn of {longest} tokens does not fit into length {length}: {' '.join(turn.user)!r}")
    length = length or longest
    prompts = [segments.count(0) for _, segments in pairs]
    targets = max((len(ids) - prompt for (ids, _), prompt in zip(pairs, prompts)), default=1)
    tokens = [ids + [PAD] * (length - len(ids)) for ids, _ in pairs]
    segment = [segments + [0] * (length - len(segments)) for _, segments in pairs]
    where = [
        [*range(prompt - 1, len(ids) - 1)] + [0] * (targets - len(ids) + prompt)
        for (ids, _), prompt in zip(pairs, prompts)
    ]
    return TurnBatch(
        torch.tensor(tokens, dtype=torch.long).reshape(len(pairs), length),
        torch.tensor(segment, dtype=torch.uint8).reshape(len(pairs), length),
        torch.tensor(where, dtype=torch.long).reshape(len(pairs), targets),
    )


def encode_turns(turns: Sequence[Turn], vocabulary: Vocabulary, length: int | None = None) -> TurnBatch:
    """Turns of one task -> :class:`TurnBatch` [turns, length]; ``length`` defaults to the longest turn.

    No turns at all is legal (zero shots). Raises ValueError for a turn that does not fit into ``length``.
    """
    return _batch(list(turns), vocabulary, length)


def stack_tasks(
    tasks: Sequence[Sequence[Turn]], vocabulary: Vocabulary, length: int | None = None
) -> TurnBatch:
    """Turns of several tasks -> :class:`TurnBatch` [tasks, turns, length]; all with the same number of turns."""
    counts = {len(turns) for turns in tasks}
    if len(counts) != 1:
        raise ValueError(f"tasks in one batch need the same number of turns, not {sorted(counts)}")
    flat = _batch([turn for turns in tasks for turn in turns], vocabulary, length)
    shape = (len(tasks), counts.pop())
    return TurnBatch(*(part.reshape(*shape, part.shape[-1]) for part in flat))


def hide_words(turns: TurnBatch, share: float, random: torch.Generator) -> TurnBatch:
    """Word dropout (Bowman et al. 2016, arXiv 1511.06349): some of the user's words become ``<unk>``.

    A slot shows itself in its value word and in the words around it ("near the …"). A model that has learned to look
    at the latter only cannot adapt to what the value word means. Hiding words makes it look at all of them.
    """
    ids = turns.tokens
    hidden = user_words(ids) & (torch.rand(ids.shape, generator=random).to(ids.device) < share)
    return turns._replace(tokens=ids.masked_fill(hidden, UNK))


def user_words(ids: Tensor) -> Tensor:
    """Which tokens are words of the user: bool, shaped as ``ids`` [..., length]."""
    inside = (ids == USR).cumsum(-1) - ((ids == STATE) | (ids == SYS)).cumsum(-1) + (ids[..., :1] == STATE).long() > 0
    return inside & (ids != USR)


@dataclass
class Episode:
    """One task with its support D_S (what a learner may adapt to) and its query D_Q (what it is judged on)."""

    task: Task
    support: list[Turn]
    query: list[Turn]


def draw_episodes(
    source: TaskSource, split: str, seed: int, first: int, tasks: int, shots: int, query_turns: int,
    pool: int | None = None,
) -> list[Episode]:
    """Episodes number ``first`` .. ``first + tasks - 1``: a pure function of its arguments.

    ``shots`` support turns and ``query_turns`` query turns each. The query does not depend on ``shots``. With a
    ``pool`` there are only so many tasks, and after the last one the first comes again.
    """
    drawn = [source.task(split, seed, index % pool if pool else index) for index in range(first, first + tasks)]
    return [Episode(task, task.support(shots), task.query(query_turns)) for task in drawn]

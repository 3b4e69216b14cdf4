"""Checks of notebook 00: what a speaker's lexicon does to a dialogue state, and nats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge

# ---------------------------------------------------------------- 00.2: a loss in nats


def _nats(p: Sequence[float]) -> float:
    return -sum(math.log(x) for x in p) / len(p)


_NATS_MISTAKES = (
    Misconception("bits", lambda p: _nats(p) / math.log(2), "right, but in bits: the course counts in nats, with the "
                                                             "natural logarithm."),
    Misconception("sum instead of mean", lambda p: _nats(p) * len(p), "this is the sum. A loss per turn is the mean."),
    Misconception("wrong sign", lambda p: -_nats(p), "the sign is wrong: a logarithm of a probability is negative, and "
                                                     "a surprise is positive."),
    Misconception("log of the mean", lambda p: -math.log(sum(p) / len(p)),
                  "you take the logarithm of the mean probability. Each turn has a surprise of its own: first the "
                  "logarithms, then the mean."),
    Misconception("perplexity", lambda p: math.exp(_nats(p)), "this is the perplexity, e to the mean loss. The loss "
                                                              "itself is asked for."),
    Misconception("share of wrong answers", lambda p: 1 - sum(p) / len(p),
                  "1 − p is how often one is wrong. The loss is −ln p: being sure and wrong costs much more."),
)


@exercise("00.2")
def loss_in_nats(answer: Any) -> Verdict:
    """``answer(p)`` = mean of −ln p, for the probabilities that a system gave to what was right."""
    random = fresh()
    problems = [(tuple((0.05 + 0.9 * torch.rand(n, generator=random, dtype=torch.float64)).tolist()),)
                for n in (3, 5, 2, 4)]
    return judge(answer, problems, _nats, _NATS_MISTAKES,
                 praise="this is the loss of the course: 0 for one who is always sure and right, ln n for one who "
                        "guesses among n.",
                 otherwise="This is not the mean of −ln p.")


# ---------------------------------------------------------------- 00.1: one speaker's words, one state
# Values are numbers; −1 is an empty slot. lexicon[slot][word] is the value that this speaker means.

Lexicon = Sequence[Sequence[int]]
Said = Sequence[tuple[int, int]]  # (slot, word)


def _state(lexicon: Lexicon, said: Said, before: Sequence[int]) -> list[int]:
    new = list(before)
    for slot, word in said:
        new[slot] = lexicon[slot][word]
    return new


def _other_way(lexicon: Lexicon, said: Said, before: Sequence[int]) -> list[int]:
    new = list(before)
    for slot, word in said:
        new[slot] = list(lexicon[slot]).index(word)
    return new


def _keep_old(lexicon: Lexicon, said: Said, before: Sequence[int]) -> list[int]:
    new = list(before)
    for slot, word in said:
        new[slot] = new[slot] if new[slot] >= 0 else lexicon[slot][word]
    return new


_STATE_MISTAKES = (
    Misconception("forgets the state", lambda lx, said, b: _state(lx, said, [-1] * len(b)),
                  "you begin with an empty state each turn. What was known before stays known."),
    Misconception("one lexicon for all", lambda lx, said, b: _state([range(len(x)) for x in lx], said, b),
                  "you write the word's own number into the state, as if every speaker meant the same by it. Look up "
                  "what *this* speaker means."),
    Misconception("looked up backwards", _other_way,
                  "you look for the word that has this value; asked is for the value that this word has."),
    Misconception("never changes its mind", _keep_old,
                  "you keep what a slot held before. When the user names it again, the new word counts."),
    Misconception("only the first word", lambda lx, said, b: _state(lx, said[:1], b),
                  "you use only the first word; a user may name several slots in one turn."),
    Misconception("nothing changed", lambda lx, said, b: list(b), "this is the state before: nothing was heard."),
)


@exercise("00.1")
def new_state(answer: Any) -> Verdict:
    """``answer(lexicon, said, before)`` = the state after the words ``said``, as this speaker means them."""
    random = fresh()
    problems = []
    for slots, size in ((4, 5), (3, 4), (4, 3), (5, 5), (3, 5)):
        lexicon = tuple(tuple(_shifted(size, random)) for _ in range(slots))
        told = torch.randperm(slots, generator=random).tolist()[:2]
        said = tuple((s, int(torch.randint(size, (1,), generator=random))) for s in told)
        before = [int(torch.randint(-1, size, (1,), generator=random)) for _ in range(slots)]
        before[told[0]] = (lexicon[told[0]][said[0][1]] + 1) % size  # something else stood there
        before[told[1]] = -1
        before[next(s for s in range(slots) if s not in told)] = 0  # something is known that isn't named
        problems.append((lexicon, said, tuple(before)))
    return judge(answer, problems, _state, _STATE_MISTAKES,
                 praise="this is state tracking, for one who knows the lexicon. The bots of this course do not: they "
                        "have to find it out from a handful of turns.",
                 otherwise="Copy the state before; for each (slot, word) write lexicon[slot][word] into that slot.")


def _shifted(size: int, random: torch.Generator) -> list[int]:
    """A permutation that is neither the identity nor its own inverse, so that mistakes differ from the right answer."""
    while True:
        found: list[int] = torch.randperm(size, generator=random).tolist()
        moved = all(v != i for i, v in enumerate(found))
        if moved and all(found[v] != i for i, v in enumerate(found)):
            return found

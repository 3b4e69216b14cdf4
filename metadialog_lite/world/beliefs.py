"""What a prompt asks about the hidden lexicon, and what the optimum believes about it.

A turn's new state is decided by its value words alone, so that the loss of state tracking is a sum over these words:

EQ-ASK-1:  −ln p(state | D_S, prompt) = Σ_words −ln p(value that is meant | word, D_S, prompt)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from metadialog_lite.turns import Turn
from metadialog_lite.world.bayes import Posterior
from metadialog_lite.world.dialogues import Meaning


class Asked(NamedTuple):
    """One value word of a prompt, and what it turned out to mean. All numbers are positions in the world's lists."""

    slot: int
    word: int
    value: int  # what is meant: the answer
    old: int = -1  # of a correction the value that stood there before, which it cannot be any more


def asked(turn: Turn) -> list[Asked]:
    """The words of a toy turn that decide its new state, as they were spoken; a correction comes first.

    Raises:
        ValueError: the turn is not from a toy world.
    """
    m = turn.meaning
    if not isinstance(m, Meaning):
        raise ValueError("only toy-world turns have known meanings; this turn has none attached")
    first = [] if m.correction is None else [
        Asked(m.correction.slot, m.correction.word, m.correction.value, m.correction.old)]
    return first + [Asked(*mention) for mention in m.mentions]


def believed(posterior: Posterior, turn: Turn) -> list[list[float]]:
    """For each of ``asked(turn)`` the optimum's probability of every value of its slot. EQ-ASK-1, EQ-BAYES-3."""
    fix = turn.meaning.correction
    first = [] if fix is None else [list(posterior._corrected(fix))]
    return first + [list(posterior._value(slot, word)) for slot, word, _ in turn.meaning.mentions]


def heard(support: Sequence[Turn]) -> list[tuple[int, int, int]]:
    """(slot, word, value) of everything that the support says about the lexicon, the old words of corrections too."""
    found = []
    for turn in support:
        found += [(slot, word, value) for slot, word, value, _ in asked(turn)]
        fix = turn.meaning.correction
        if fix is not None and fix.old_word >= 0:
            found.append((fix.slot, fix.old_word, fix.old))
    return found


def habit(posterior: Posterior, act: int) -> list[float]:
    """The optimum's probability of every response template of an act (its position in ACTS). EQ-BAYES-5."""
    return posterior._templates(act)

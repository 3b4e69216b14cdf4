"""Joint goal accuracy (EQ-JGA-1), and what is often taken for it: for the check of a3.1."""

from __future__ import annotations

import torch
from torch import Tensor

from metadialog_lite.lab.judging import Misconception


def right_share(condition: Tensor) -> Tensor:
    """The share of True."""
    return condition.to(torch.float64).mean()


def jga(said: Tensor, gold: Tensor) -> Tensor:
    """EQ-JGA-1, for values as numbers: [turns, slots] each; 0 is an empty slot."""
    return right_share((said == gold).all(1))


JGA_MISTAKES = (
    Misconception("slot accuracy", lambda s, g: right_share(s == g),
                  "this is the share of right *slots*. Joint goal accuracy counts a turn only when *all* its slots are "
                  "right."),
    Misconception("filled slots only", lambda s, g: right_share(((s == g) | (g == 0)).all(1)),
                  "you look only at slots that are filled in the gold state, so a slot that the system made up costs "
                  "nothing. An empty slot must be empty."),
    Misconception("filled slots only", lambda s, g: right_share(((s == g) | (s == 0)).all(1)),
                  "you look only at slots that the system filled, so one that it forgot costs nothing."),
    Misconception("any slot", lambda s, g: right_share((s == g).any(1)),
                  "one right slot is not enough: the state as a whole must be right."),
    Misconception("whole dialogue", lambda s, g: right_share((s == g).all()),
                  "this is 1 only when every turn is right. JGA is the *share* of turns."),
    Misconception("errors", lambda s, g: 1 - jga(s, g), "this is the share of wrong turns."),
    Misconception("a count", lambda s, g: (s == g).all(1).sum(), "this is a number of turns. Asked is their share."),
    Misconception("sums compared", lambda s, g: right_share(s.sum(1) == g.sum(1)),
                  "you compare sums over the slots. Two wrong slots may have the right sum: the numbers are names of "
                  "values. Compare slot by slot."),
    Misconception("slots exchanged", lambda s, g: right_share((s.sort(1).values == g.sort(1).values).all(1)),
                  "you ask whether the right values are there, in whatever slot. A value in another slot is wrong."),
    Misconception("slots exchanged",
                  lambda s, g: sum(set(x) == set(y) for x, y in zip(s.tolist(), g.tolist())) / len(g),
                  "you compare sets of values. A set does not know which slot a value stands in."),
    Misconception("empty turns left out", lambda s, g: right_share((s == g).all(1)[(g > 0).any(1)]),
                  "you leave out the turns whose state is empty. An empty state that is empty is right, and counts."),
    Misconception("empty turns left out", lambda s, g: right_share((s == g).all(1)[(s > 0).any(1)]),
                  "you leave out the turns in which the system's state is empty. They count as well."),
    Misconception("a slot left out", lambda s, g: right_share((s == g)[:, :-1].all(1)),
                  "you do not look at the last slot."),
    Misconception("a slot left out", lambda s, g: right_share((s == g)[:, 1:].all(1)),
                  "you do not look at the first slot."),
    Misconception("one slot only", lambda s, g: right_share(s[:, 0] == g[:, 0]), "you look at the first slot only."),
    Misconception("one error forgiven", lambda s, g: right_share((s != g).sum(1) <= 1),
                  "one wrong slot, and the whole turn is wrong."),
)

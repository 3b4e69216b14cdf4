"""Checks of notebook 04: the stretched gate, the distance of two masks, and what a mask keeps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge

# ---------------------------------------------------------------- 04.1: a gate that can close


def _gate(score: Tensor, sharp: float) -> Tensor:
    return (1.2 * (sharp * score).sigmoid() - 0.1).clamp(0, 1)  # EQ-GATE-1


_GATE_MISTAKES = (
    Misconception("plain sigmoid", lambda s, c: (c * s).sigmoid(),
                  "a sigmoid never reaches 0: nothing would ever be closed, only turned down. Stretch it to the range "
                  "from −0.1 to 1.1 first, then clip."),
    Misconception("not clipped", lambda s, c: 1.2 * (c * s).sigmoid() - 0.1,
                  "this goes below 0 and above 1. A gate of −0.1 would make a part say the opposite: clip to [0, 1]."),
    Misconception("clipped on one side", lambda s, c: (1.2 * (c * s).sigmoid() - 0.1).clamp(min=0),
                  "closed gates are right, but open ones exceed 1: clip on both sides."),
    Misconception("clipped on one side", lambda s, c: (1.2 * (c * s).sigmoid() - 0.1).clamp(max=1),
                  "open gates are right, but closed ones go below 0: clip on both sides."),
    Misconception("c outside", lambda s, c: (c * (1.2 * s.sigmoid() - 0.1)).clamp(0, 1),
                  "c multiplies the gate here. It belongs inside the sigmoid, to the score: there it makes the middle "
                  "steeper and leaves g(0) = 1/2."),
    Misconception("c forgotten", lambda s, c: _gate(s, 1.0), "c is not used: the gate has the same steepness always."),
    Misconception("hard gate", lambda s, c: (s > 0).to(s.dtype),
                  "this is the hard gate. It has no derivative, so training could not move it: give the relaxed one."),
    Misconception("score clipped", lambda s, c: (c * s).clamp(0, 1),
                  "this clips the score. Without the sigmoid a score below 0 is closed for good and above 1/c wide "
                  "open: between them there is hardly any room."),
)


@exercise("04.1")
def relaxed_gate(answer: Any) -> Verdict:
    """``answer(score, sharp)`` = clip(1.2 σ(c·s) − 0.1, 0, 1), EQ-GATE-1."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for n, sharp in ((6, 1.0), (9, 2.5), (5, 5.0), (7, 0.7)):
        score = torch.randn(n, dtype=torch.float64, generator=random)
        score[:3] = torch.tensor([-5.0, 5.0, 0.2])  # both flat ends, and the middle
        problems.append((score, sharp + 0.2 * float(torch.rand(1, generator=random))))
    return judge(
        answer, problems, _gate, _GATE_MISTAKES,
        praise="0 and 1 are reached, and between them there is a slope for training to climb.",
        otherwise="This is not clip(1.2 σ(c·s) − 0.1, 0, 1). `torch.sigmoid` and `.clamp(0, 1)` are all you need.",
    )


# ---------------------------------------------------------------- 04.2: how far apart are two masks


def _counts(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return (a * b).sum(), (a + b).clamp(max=1).sum()  # open in both, in at least one


def _jaccard(a: Tensor, b: Tensor) -> Tensor:
    both, either = _counts(a, b)
    return 1 - both / either if either else torch.zeros((), dtype=a.dtype)  # EQ-MASK-2


def _over_all(a: Tensor, b: Tensor) -> Tensor:
    return 1 - _counts(a, b)[0] / len(a)


_MASK_MISTAKES = (
    Misconception("Hamming", lambda a, b: (a - b).abs().mean(),
                  "this is the Hamming distance (EQ-MASK-1). It counts what both leave out as agreement; Jaccard asks "
                  "only about parts that at least one of the two keeps."),
    Misconception("similarity", lambda a, b: 1 - _jaccard(a, b),
                  "this is the similarity: 1 for equal masks. A distance is 0 for equal masks: one minus that."),
    Misconception("divided by all gates", _over_all,
                  "you divide by the number of all gates. Then two equal masks that keep little are far apart: divide "
                  "by the number that at least one of them keeps."),
    Misconception("Dice", lambda a, b: 1 - 2 * _counts(a, b)[0] / (a.sum() + b.sum()).clamp(min=1),
                  "this is Dice: parts that both keep are counted twice below. Jaccard divides by the union."),
    Misconception("a number, not a share", lambda a, b: (a - b).abs().sum(),
                  "this counts the gates that differ; a Jaccard distance is a share, from 0 to 1."),
    Misconception("not symmetric", lambda a, b: 1 - _counts(a, b)[0] / a.sum().clamp(min=1),
                  "you divide by what the first mask keeps: then the distance depends on which one comes first."),
    Misconception("empty masks", lambda a, b: 1 - _counts(a, b)[0] / _counts(a, b)[1].clamp(min=1),
                  "right, except for two masks that keep nothing: they are equal, so their distance is 0. (0 / 0 has "
                  "to be decided by you.)"),
)


@exercise("04.2")
def mask_distance(answer: Any) -> Verdict:
    """``answer(a, b)`` = 1 − open in both / open in at least one, EQ-MASK-2; 0 for two empty masks."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for n in (12, 20, 7, 30):
        a, b = ((torch.rand(n, generator=random) < share).double() for share in (0.7, 0.4))
        a[:3], b[:3] = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 0.0])
        problems.append((a, b))
    problems.append((problems[0][0], problems[0][0].clone()))  # equal masks
    problems.append((torch.zeros(9, dtype=torch.float64), torch.zeros(9, dtype=torch.float64)))  # nothing is kept
    return judge(
        answer, problems, _jaccard, _MASK_MISTAKES,
        praise="0 for equal masks, 1 for masks without a common part, and what both leave out does not count.",
        otherwise="This is not 1 − (open in both) / (open in at least one). With masks of zeros and ones, `a * b` is "
                  "what both keep.",
    )


# ---------------------------------------------------------------- 04.3: what a mask keeps


def _kept(heads: Tensor, units: Tensor, blocks: Tensor, width: int, size: int, matrices: int = 4) -> Tensor:
    return blocks[0] * heads.sum() * matrices * width * size + blocks[1] * units.sum() * (2 * width + 1)


_KEPT_MISTAKES = (
    Misconception("blocks ignored", lambda h, u, b, w, s: h.sum() * 4 * w * s + u.sum() * (2 * w + 1),
                  "an open head in a closed attention block says nothing: multiply by the block's gate."),
    Misconception("bias forgotten", lambda h, u, b, w, s: _kept(h, 0 * u, b, w, s) + b[1] * u.sum() * 2 * w,
                  "a unit also has a bias: 2 · width + 1 numbers."),
    Misconception("output only", lambda h, u, b, w, s: b[0] * h.sum() * w * s + b[1] * u.sum() * w,
                  "these are the rows that a gate multiplies. But what a closed part *computes* is not needed either: "
                  "its query, key and value, or its incoming weights and bias, go as well."),
    Misconception("query and key forgotten", lambda h, u, b, w, s: _kept(h, u, b, w, s, 2),
                  "a head has four matrices: query, key, value and output."),
    Misconception("query and key forgotten", lambda h, u, b, w, s: _kept(h, u, b, w, s, 3),
                  "a head has four matrices: query, key, value and output."),
    Misconception("gates counted", lambda h, u, b, w, s: h.sum() + u.sum() + b.sum(),
                  "this is the number of open gates; a head is many more parameters than a unit."),
    Misconception("all parameters", lambda h, u, b, w, s: _kept(torch.ones_like(h), torch.ones_like(u),
                                                                torch.ones_like(b), w, s),
                  "this is what the layer has, whatever the mask says."),
)


@exercise("04.3")
def parameters_kept(answer: Any) -> Verdict:
    """``answer(heads, units, blocks, width, size)`` = parameters of one layer that its gates keep."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for n, m, both in ((4, 10, (1, 1)), (3, 8, (0, 1)), (5, 6, (1, 0)), (2, 12, (1, 1))):
        heads, units = ((torch.rand(k, generator=random) < 0.6).double() for k in (n, m))
        heads[:2], units[:2] = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])
        width, size = (int(torch.randint(3, 12, (), generator=random)) for _ in range(2))
        problems.append((heads, units, torch.tensor(both, dtype=torch.float64), width, size))
    return judge(
        answer, problems, _kept, _KEPT_MISTAKES,
        praise="this is what would have to be stored and computed for this task.",
        otherwise="Count for one head: four matrices of width × size. For one unit: width in, width out, one bias. "
                  "Closed blocks keep nothing.",
    )

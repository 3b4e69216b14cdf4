"""The sub-network of a task: which gates are open, how many parameters that keeps, and how far two masks are apart.

A mask is a row of zeros and ones, one for each gate: for each layer its heads, its MLP units, and its two blocks
(attention, MLP), in this order.

    EQ-MASK-1   Hamming(a, b) = share of all gates that are open in one of a, b and closed in the other
    EQ-MASK-2   Jaccard(a, b) = 1 - open in both / open in at least one

Hamming counts what both leave out as agreement, Jaccard does not look at it: two masks that keep 5 of 100 units, and
not one in common, are 0.1 apart for Hamming and 1 for Jaccard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metadialog_lite.families.base import AdaptedModel, Learner, as_batch
from metadialog_lite.families.meta_neural_networks import SCORES, StructureParameters, gate, score_shapes
from metadialog_lite.model import ModelConfig, Theta
from metadialog_lite.turns import Turn


class SubNetworks(NamedTuple):
    """What each task keeps: [tasks, gates] each.

    relaxed  gates between 0 and 1, as in training
    open     hard gates, bool, as an adapted model has them
    """

    relaxed: Tensor
    open: Tensor


def parts(config: ModelConfig) -> tuple[str, ...]:
    """The name of every gate, counted from 1: "head 1", …, "unit 1", …, "attention", "MLP"."""
    names: list[str] = []
    for i in range(config.layers):
        layer = f"layer {i + 1} " if config.layers > 1 else ""
        names += [f"{layer}head {h + 1}" for h in range(config.heads)]
        names += [f"{layer}unit {u + 1}" for u in range(config.mlp)]
        names += [f"{layer}attention", f"{layer}MLP"]
    return tuple(names)


def places(config: ModelConfig) -> list[dict[str, slice]]:
    """Where in a mask the gates of each layer stand: [{"heads": …, "units": …, "blocks": …}, …]."""
    found: list[dict[str, slice]] = []
    begin = 0
    for name, n in score_shapes(config).items():
        layer, part = name.removeprefix("layer").split("_")
        if int(layer) == len(found):
            found.append({})
        found[-1][part] = slice(begin, begin + n)
        begin += n
    return found


def in_use(opened: Tensor, config: ModelConfig) -> Tensor:
    """What really speaks, bool [..., gates]: a head in a closed attention block is silent, an empty block, too."""
    found = opened.bool().clone()
    for where in places(config):
        blocks = found[..., where["blocks"]].clone()
        for number, part in enumerate(("heads", "units")):
            found[..., where[part]] &= blocks[..., number : number + 1]
            blocks[..., number] &= found[..., where[part]].any(-1)
        found[..., where["blocks"]] = blocks
    return found


def sizes(config: ModelConfig) -> Tensor:
    """Parameters that go with each gate [gates]: query, key, value and output of a head; both sides and bias of a unit.

    A block has none of its own: its parameters are those of its heads or units.
    """
    found = torch.zeros(sum(score_shapes(config).values()), dtype=torch.long)
    for where in places(config):
        found[where["heads"]] = 4 * config.width * config.attention // config.heads
        found[where["units"]] = 2 * config.width + 1
    return found


def kept(opened: Tensor, config: ModelConfig) -> Tensor:
    """Parameters of the layers that a mask keeps: whole numbers [...]; all of them are ``sizes(config).sum()``."""
    return (in_use(opened, config) * sizes(config).to(opened.device)).sum(-1)


def hamming(a: Tensor, b: Tensor) -> Tensor:
    """EQ-MASK-1: share of all gates that are open in one of a, b [..., gates] and closed in the other."""
    return (a.bool() ^ b.bool()).double().mean(-1)


def jaccard(a: Tensor, b: Tensor) -> Tensor:
    """EQ-MASK-2: 1 - open in both / open in at least one, for a, b [..., gates]; 0 when nothing is open in either."""
    both, either = (a.bool() & b.bool()).sum(-1), (a.bool() | b.bool()).sum(-1)
    return 1 - torch.where(either > 0, both / either.clamp(min=1), 1.0).double()


def apart(a: Tensor, b: Tensor, distance: Callable[[Tensor, Tensor], Tensor], same: bool = False) -> Tensor:
    """Distances between all pairs of masks, one of a [n, gates] and one of b [m, gates]: [pairs].

    same  a is b: each pair of two different tasks once
    """
    table = distance(a.unsqueeze(1), b.unsqueeze(0))
    if same:
        return table[tuple(torch.triu_indices(len(a), len(a), 1))]
    return table.flatten()


def told_apart(
    a: Tensor, b: Tensor, distance: Callable[[Tensor, Tensor], Tensor], draws: int = 500
) -> tuple[float, float]:
    """(how much farther apart masks of two groups are than masks of one, share of random groupings that reach that).

    A permutation test for a [n, gates] and b [m, gates], because the pairs of a few tasks are not independent. The
    share counts the grouping that was found as one of them, so it is at least 1 / (draws + 1); always the same draws.
    """
    every, random = torch.cat([a, b]), torch.Generator().manual_seed(0)
    table = distance(every.unsqueeze(1), every.unsqueeze(0)).cpu()

    def separation(order: Tensor) -> float:
        one, other = order[: len(a)], order[len(a) :]
        within = [table[g][:, g].sum() / max(1, len(g) * (len(g) - 1)) for g in (one, other)]
        return float(table[one][:, other].mean() - sum(within) / 2)

    found = separation(torch.arange(len(every)))
    as_large = sum(separation(torch.randperm(len(every), generator=random)) >= found - 1e-12 for _ in range(draws))
    return found, (1 + as_large) / (1 + draws)


class Architectures(NamedTuple):
    """How many masks there are among some tasks, and whether one dominates."""

    distinct: int
    share: float  # of the tasks that have the most frequent one
    mask: Tensor  # the most frequent one, bool [gates]


def architectures(opened: Tensor) -> Architectures:
    """Count the different masks among ``opened`` [tasks, gates]. Raises ValueError without tasks."""
    if len(opened) == 0:
        raise ValueError("there is no mask to count: give the masks of at least one task")
    masks, counts = opened.bool().unique(dim=0, return_counts=True)
    return Architectures(len(masks), float(counts.max() / len(opened)), masks[counts.argmax()])


def proposes_structure(learner: Learner) -> StructureParameters:
    """The learner, when it has gates to look at. Raises ValueError otherwise."""
    if isinstance(learner, StructureParameters) and learner.proposes_structure and learner.gates:
        return learner
    off = " with gates=False" if isinstance(learner, StructureParameters) and not learner.gates else ""
    raise ValueError(f"learner '{learner.name}'{off} has no gates to look at; structure and structure_parameters have")


@torch.no_grad()
def undecided(learner: Learner, support: Sequence[Turn], steps: int | None = None) -> Theta:
    """theta' and its scores, before any gate is applied. Raises ValueError for a learner without gates."""
    ours = proposes_structure(learner)
    theta = ours.adapt_theta(ours.phi(), as_batch(support, ours.vocabulary, ours.model), steps)
    return {name: value.detach() for name, value in theta.items()}


def gates_of(learner: Learner, theta: Theta) -> SubNetworks:
    """The gates that the scores in theta make, [gates], in the computer's own memory wherever the model is."""
    ours = proposes_structure(learner)
    found = torch.cat([theta[SCORES + name] for name in score_shapes(ours.model.config)], -1).cpu()
    return SubNetworks(gate(found, False, ours.sharp), gate(found, True).bool())


def sub_networks(learner: Learner, supports: Sequence[Sequence[Turn]], steps: int | None = None) -> SubNetworks:
    """The gates of several tasks, [tasks, gates]; ``steps`` 0: as phi proposes them, before any refinement."""
    found = [gates_of(learner, undecided(learner, support, steps)) for support in supports]
    return SubNetworks(torch.stack([one.relaxed for one in found]), torch.stack([one.open for one in found]))


def with_mask(learner: Learner, theta: Theta, opened: Tensor) -> AdaptedModel:
    """The model with theta (see :func:`undecided`) and hard gates ``opened`` [gates], whatever its scores say."""
    ours = proposes_structure(learner)
    chosen, begin = dict(theta), 0
    for name, n in score_shapes(ours.model.config).items():
        old = theta[SCORES + name]
        chosen[SCORES + name] = 2 * opened[begin : begin + n].to(old) - 1
        begin += n
    return AdaptedModel(ours.model, ours.vocabulary, ours.finish(chosen))

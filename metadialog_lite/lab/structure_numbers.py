"""One speaker's network, support turn by support turn: which gates are open, what is left, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metadialog_lite.episodes import encode_turns
from metadialog_lite.families.base import AdaptedModel, Learner
from metadialog_lite.families.masks import (
    SubNetworks,
    gates_of,
    in_use,
    kept,
    places,
    proposes_structure,
    sizes,
    undecided,
)
from metadialog_lite.lab.speaker import named
from metadialog_lite.lab.understanding import cost, floors
from metadialog_lite.model import ModelConfig
from metadialog_lite.turns import Turn
from metadialog_lite.world import World, WorldError
from metadialog_lite.world.shift import shifted

#: Shifts of a world whose words a model of that world can read (``metadialog_lite.world.shift``).
SHIFTS = ("style=1.0", "lexicon")


def readable_worlds(world: World) -> dict[str, World]:
    """Worlds whose words a model of ``world`` can read, by name, ``world`` itself first.

    The vocabulary is closed: of another domain φ would read nothing but <unk>. So these are shifts of the world (other
    habits, other surface words); of several worlds at once, each of them.
    """
    if len(world.members) > 1:
        return {member.name: member for member in world.members}
    found = {world.name: world}
    for kind in SHIFTS:
        try:
            other = shifted(world, kind)
        except WorldError:  # nobody has written other words for this world
            continue
        found[other.name] = other
    return found


@dataclass(frozen=True, eq=False)
class Watched:
    """One speaker, support turn by support turn; entry k is after the first k turns."""

    config: ModelConfig
    support: list[Turn]
    gates: SubNetworks  # [shots + 1, gates]
    loss: list[dict[str, float]]  # nats per query turn of the network with hard gates, by capability and in total
    relaxed: list[float]  # the same in total, with the gates as they are in training
    floor: list[dict[str, float]]  # of the exact optimum

    def text(self, k: int) -> str:
        """What is to be seen after k support turns, in two or three sentences."""
        said = [f"After {k} support turn{'s' * (k != 1)}" if k else "No support turn yet",
                f"{described(self.gates.open[k], self.config)}"]
        soft = self.gates.relaxed[k]
        between = int(((soft > 0) & (soft < 1)).sum())
        said.append(f"{between} relaxed gate{'s are' if between != 1 else ' is'} neither 0 nor 1")
        if k:
            changed = int((self.gates.open[k] != self.gates.open[k - 1]).sum())
            said.append(f"the last turn changed {changed} hard gate{'s' * (changed != 1)}")
        return (f"{said[0]}: {'; '.join(said[1:])}. {cost(self.loss[k], self.floor[k])} "
                f"With relaxed gates it would be {self.relaxed[k]:.2f} nats/turn.")


def described(opened: Tensor, config: ModelConfig) -> str:
    """A mask in words: how many heads, units and blocks are in use, and how many parameters that are."""
    used = in_use(opened, config)
    counts = {"heads": 0, "units": 0, "blocks": 0}
    of = dict(counts)
    for where in places(config):
        for part, pick in where.items():
            counts[part] += int(used[pick].sum())
            of[part] += used[pick].numel()
    numbers, all_ = int(kept(opened, config)), int(sizes(config).sum())
    return (f"{', '.join(f'{counts[part]} of {of[part]} {part}' for part in counts)} are kept, "
            f"{numbers:,} of {all_:,} parameters of the layers ({100 * numbers / all_:.0f} %)")


def left_out(opened: Tensor, config: ModelConfig) -> str:
    """The parts that a mask [gates] leaves out, in words: "head 2; units 1, 5–7, 11"."""
    said = []
    for i, where in enumerate(places(config)):
        layer = f"layer {i + 1} " if config.layers > 1 else ""
        for part, pick in where.items():
            numbers = [n + 1 for n, one in enumerate(opened[pick].tolist()) if not one]
            if numbers and part == "blocks":
                said += [f"{layer}{('attention', 'MLP')[n - 1]} block" for n in numbers]
            elif numbers:
                said.append(f"{layer}{part if len(numbers) > 1 else part[:-1]} {runs(numbers)}")
    return "; ".join(said) or "nothing"


def runs(numbers: Sequence[int]) -> str:
    """[1, 5, 6, 7, 11] → "1, 5–7, 11"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1].append(number)
        else:
            found.append([number])
    return ", ".join(str(one[0]) if len(one) == 1 else f"{one[0]}–{one[-1]}" for one in found)


def watch(learner: Learner, world: World, seed: int, index: int, shots: int, query_turns: int = 16) -> Watched:
    """The network of held-out speaker ``index`` after 0, 1, …, ``shots`` support turns.

    Raises ValueError for a learner without gates.
    """
    ours = proposes_structure(learner)
    task = world.task("test", seed, index)
    support, query = task.support(shots), encode_turns(task.query(query_turns), ours.vocabulary).to(ours.device)
    thetas = [undecided(ours, support[:k]) for k in range(shots + 1)]
    gates = [gates_of(ours, theta) for theta in thetas]
    hard, soft = ([AdaptedModel(ours.model, ours.vocabulary, ours.with_gates(theta, hard)).nll(query).mean(0).tolist()
                   for theta in thetas] for hard in (True, False))
    return Watched(
        ours.model.config, support,
        SubNetworks(torch.stack([one.relaxed for one in gates]), torch.stack([one.open for one in gates])),
        [named(each) for each in hard], [sum(each) for each in soft],
        floors(world, support, task.query(query_turns)),
    )

"""What notebook 02 checks the optimum with: a smaller world, dialogues played out by chance, averages over speakers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from metadialog_lite.turns import CAPABILITIES, Turn
from metadialog_lite.world import BayesReference, Posterior, World


def smaller(world: World, values: int = 3) -> World:
    """The same world with only the first ``values`` values and words of each slot: few lexicons, all can be listed.

    Raises:
        ValueError: fewer than two values.
    """
    if values < 2:
        raise ValueError(f"values: got {values}; a slot needs at least 2")
    slots = {name: slot.model_copy(update={"values": slot.values[:values], "words": slot.words[:values]})
             for name, slot in world.spec.slots.items()}
    return World(world.spec.model_copy(update={"slots": slots}), f"{world.name}.{values}")


def surprising_order(world: World, seed: int, shots: int = 6, tries: int = 400) -> tuple[list[Turn], Turn, Posterior]:
    """(support, query turn, posterior) of the speaker whose prompt says most about the order in which slots are asked.

    Compared are the optimum and one who only crosses out the orders that the support contradicts: EQ-BAYES-2.
    """
    reference, best, found = BayesReference(world), -1.0, None
    for index in range(tries):
        task = world.task("test", seed, index)
        support, turn = task.support(shots), task.query(1)[0]
        if turn.meaning.asked < 0:
            continue
        posterior = reference.posterior(support)
        exact, naive = next_slot(posterior, turn), crossed_out(posterior, turn)
        if (apart := max(abs(exact[s] - naive.get(s, 0.0)) for s in exact)) > best:
            best, found = apart, (support, turn, posterior)
    assert found is not None, "no request among the query turns"
    return found


def next_slot(posterior: Posterior, turn: Turn) -> dict[int, float]:
    """Slot → the optimum's probability that it is asked for next."""
    m = turn.meaning
    return posterior.reference.asked(posterior.alive, m.before, m.mentions[0][0], m.after)


def possible_orders(posterior: Posterior) -> list[tuple[int, ...]]:
    """The orders of asking that the support does not contradict."""
    return [order for i, order in enumerate(posterior.reference.orders) if posterior.alive >> i & 1]


def crossed_out(posterior: Posterior, turn: Turn) -> dict[int, float]:
    """Slot → share of the possible orders that ask for it next: what one believes who doesn't read the prompt."""
    orders, chances = possible_orders(posterior), dict[int, float]()
    for order in orders:
        slot = next(s for s in order if not turn.meaning.after >> s & 1)
        chances[slot] = chances.get(slot, 0.0) + 1 / len(orders)
    return chances


def played_out(world: World, posterior: Posterior, turn: Turn, plays: int, seed: int) -> dict[int, int]:
    """Slot → how often it was asked for in random turns with this turn's prompt, ``plays`` turns for each order.

    No formula: systems with each possible order talk, turns are picked, and those with another prompt thrown away.
    What a prompt shows of the order is which slots were filled, which one was told first, and which are filled now.
    """
    counts: dict[int, int] = {}
    wanted = turn.meaning
    for number, order in enumerate(possible_orders(posterior)):
        task = world.task("played", seed, number)
        task.asks_first = order
        for other in task.query(plays):
            m = other.meaning
            if m.asked >= 0 and (m.before, m.after, m.mentions[0][0]) == (wanted.before, wanted.after,
                                                                          wanted.mentions[0][0]):
                counts[m.asked] = counts.get(m.asked, 0) + 1
    return counts


def floor(world: World, shots: Sequence[int], speakers: int, turns: int, seed: int) -> dict[int, dict[str, float]]:
    """Shots → capability and total → the optimum's loss on held-out speakers, nats per turn."""
    reference, result = BayesReference(world), dict[int, dict[str, float]]()
    tasks = [(task.support(max(shots)), task.query(turns))
             for task in (world.task("test", seed, index) for index in range(speakers))]
    for k in shots:
        rows = [reference.posterior(support[:k]).nll(turn) for support, query in tasks for turn in query]
        parts = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        result[k] = {**dict(zip(CAPABILITIES, parts, strict=True)), "total": sum(parts)}
    return result


def habits(concentration: float, templates: int, draws: int, seed: int) -> list[list[float]]:
    """Random habits over templates as a task draws them: Dirichlet, through normalised gamma variates."""
    gamma: Callable[[float, float], float] = Random(seed).gammavariate
    drawn = [[gamma(concentration, 1.0) for _ in range(templates)] for _ in range(draws)]
    return [[x / sum(row) for x in row] for row in drawn]

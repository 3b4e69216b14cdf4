"""How probable the unseen parts of a dialogue are: the sums over whole paths behind EQ-BAYES-2."""

from __future__ import annotations

from collections.abc import Sequence

from metadialog_lite.world.generate import World


def subsets(items: Sequence[int], rate: float) -> list[tuple[int, float]]:
    """Bit masks of all subsets with their probability when each item is in with probability ``rate``."""
    found = [(0, 1.0)]
    for item in items:
        found = [(m | 1 << item, p * rate) for m, p in found] + [(m, p * (1 - rate)) for m, p in found]
    return [(m, p) for m, p in found if p > 0]


def reach(order: tuple[int, ...], world: World) -> dict[int, dict[int, float]]:
    """Filled slots → number of inform turns → probability that a dialogue passes through there, given the order."""
    table: dict[int, dict[int, float]] = {0: {0: 1.0}}
    for filled in range(world.full):  # a superset is a larger number, so this order is topological
        missing = [s for s in order if not filled >> s & 1]
        firsts = missing[:1] if filled else missing
        for turns, p in list(table.get(filled, {}).items()):
            for first in firsts:
                for more, q in subsets([s for s in missing if s != first], world.spec.knobs.volunteer):
                    row = table.setdefault(filled | 1 << first | more, {})
                    row[turns + 1] = row.get(turns + 1, 0.0) + p * q / len(firsts)
    return table


def rounds(missing: int, rate: float) -> list[float]:
    """p(exactly r more inform turns) for r = 0, 1, …, when ``missing`` slots are still empty."""
    if missing == 0:
        return [1.0]
    result = [0.0] * (missing + 1)
    for mask, p in subsets(range(missing - 1), rate):
        for r, q in enumerate(rounds(missing - 1 - mask.bit_count(), rate)):
            result[r + 1] += p * q
    return result


def inverse_lengths(world: World) -> list[float]:
    """E[1/number of turns] of a dialogue with n inform turns, for n = 0, 1, … (one more than there are slots).

    Greeting, correction after ``confirm`` and thanks each come or not; one turn affirms. Corrections within an inform
    turn don't lengthen a dialogue, and which slot they are about says nothing about the order.
    """
    knobs = world.spec.knobs
    extra = how_many((knobs.greet, knobs.correct, knobs.thank))
    return [sum(p / (n + 1 + more) for more, p in enumerate(extra)) for n in range(len(world.slots) + 1)]


def how_many(rates: Sequence[float]) -> list[float]:
    """p(0, 1, … of some independent turns come), each at its rate."""
    chances = [1.0]
    for rate in rates:
        chances = [a * (1 - rate) + b * rate for a, b in zip([*chances, 0.0], [0.0, *chances], strict=True)]
    return chances

"""Noise in the support by plain enumeration: Bayes' rule for one who is told what was replaced, and for one who isn't.

Nothing is shared with ``metadialog_lite.world.noise``. A support turn is given as its user's words and its state, act
and response, each ``None`` where it is a stranger's; previous states are not looked at. Every whole dialogue, goal and
latent that agrees with what is left is enumerated (``brute_force.py``).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from brute_force import BruteForce, Counts, Path, _counts
from brute_process import Plan

from metadialog_lite.turns import Turn
from metadialog_lite.world.spec import WorldSpec

PARTS = ("state", "act", "response")
Given = tuple[Any, Any, Any, Any]  # user, state, act, response


def told(turn: Turn) -> Given:
    """The turn as one sees it who knows what was replaced."""
    return (turn.user, *(None if part in turn.meaning.replaced else getattr(turn, part) for part in PARTS))


class Told(BruteForce):
    """Knows which segments were replaced."""

    def __init__(self, spec: WorldSpec):
        super().__init__(spec)
        self.starts = cache(self._starts)

    def weights(self, support: Sequence[Turn]) -> dict[Any, float]:
        return self.support_weights(tuple(told(turn) for turn in support))

    def losses(self, support: Sequence[Turn], turn: Turn) -> tuple[float, float, float]:
        """−ln p of the query turn's state, act and response."""
        weights = self.weights(support)
        self.support_weights = lambda _: weights  # type: ignore[method-assign, assignment]
        try:
            return self.nll(self.joint([], turn), turn)
        finally:
            self.support_weights = cache(self._support_weights)  # type: ignore[method-assign]

    def _one_dialogue(self, turns: tuple[Any, ...], may_be_cut: bool,
                      order: tuple[str, ...]) -> dict[tuple[int, int, Counts], float]:
        total: dict[tuple[int, int, Counts], float] = defaultdict(float)
        for steps, p_steps in self.starts(order, len(turns), may_be_cut).items():
            acts = [self.act(step, order) for step in steps]
            if any(turn[2] not in (None, act) for turn, act in zip(turns, acts, strict=True)):
                continue
            for path, p_path in self._paths(steps, turns):
                spoken = [self._said(steps, turns, path, lexicon) for lexicon in self.lexicons]
                if not any(spoken):
                    continue
                states = [self.state(step.after, after) for step, (_, after) in zip(steps, path, strict=True)]
                for per, persona in enumerate(self.personas):
                    fitting = [[None] if turn[3] is None else
                               [(act[0], t) for t, words in enumerate(self.responses(act, state, persona))
                                if words == turn[3]] for turn, act, state in zip(turns, acts, states, strict=True)]
                    for choice in itertools.product(*fitting):
                        counts = _counts([used for used in choice if used is not None])
                        for lex, p_user in enumerate(spoken):
                            if p_user > 0:
                                total[lex, per, counts] += p_steps * p_path * p_user
        return dict(total)

    def _starts(self, order: tuple[str, ...], length: int, may_be_cut: bool) -> dict[Plan, float]:
        found: dict[Plan, float] = defaultdict(float)
        for plan, p in self.plans[order]:
            if len(plan) == length or (may_be_cut and len(plan) > length):
                found[plan[:length]] += p
        return dict(found)

    def _paths(self, steps: Plan, turns: tuple[Any, ...]) -> Iterator[tuple[Path, float]]:
        def follow(goal: Any, i: int) -> Iterator[tuple[Path, float]]:
            if i == len(steps):
                yield (), 1.0
                return
            for after, p in self.moves(goal, steps[i].corrected):
                if turns[i][1] in (None, self.state(steps[i].after, after)):
                    for rest, q in follow(after, i + 1):
                        yield ((goal, after), *rest), p * q

        words = {word: name for name, slot in self.spec.slots.items() for word in slot.words}
        for step, turn in zip(steps, turns, strict=True):  # these slots' words and no others: else nobody says so
            if {words[token] for token in turn[0] if token in words} != {*step.told, *filter(None, [step.corrected])}:
                return
        for goal in self.goals:
            for path, p in follow(goal, 0):
                yield path, p / len(self.goals)

    def _said(self, steps: Plan, turns: tuple[Any, ...], path: Path, lexicon: Any) -> float:
        p = 1.0
        for step, turn, (before, after) in zip(steps, turns, path, strict=True):
            p *= self.says(turn[0], step, before, after, lexicon)
        return p


class NotTold(Told):
    """Knows the rate alone, and what strangers say: sums over everything that may have been replaced."""

    def __init__(self, spec: WorldSpec):
        super().__init__(spec)
        self.rate = spec.knobs.support_noise
        self.strangers = self._strangers()

    def _strangers(self) -> dict[str, dict[Any, float]]:
        """Segment -> tokens -> p(a uniformly chosen turn of a new speaker's dialogue has them)."""
        chances: dict[str, dict[Any, float]] = {part: defaultdict(float) for part in PARTS}
        for order in self.orders:
            for step, changes in self.turn_chances(order).items():
                act = self.act(step, order)
                for (_, after), q in changes.items():
                    p, state = q / len(self.orders), self.state(step.after, after)
                    chances["state"][state] += p
                    chances["act"][act] += p
                    for persona in self.personas:
                        said = self.responses(act, state, persona)
                        for words in said:  # before anything is known, each template is as probable
                            chances["response"][words] += p / len(self.personas) / len(said)
        return chances

    def weights(self, support: Sequence[Turn]) -> dict[Any, float]:
        total: dict[Any, float] = defaultdict(float)
        segments = [(i, part) for i in range(len(support)) for part in PARTS]
        for replaced in itertools.product((False, True), repeat=len(segments)):
            p, hidden = 1.0, set()
            for (i, part), gone in zip(segments, replaced, strict=True):
                p *= self.rate * self.strangers[part].get(getattr(support[i], part), 0.0) if gone else 1 - self.rate
                if gone:
                    hidden.add((i, part))
            if p > 0:
                given = tuple((turn.user, *(None if (i, part) in hidden else getattr(turn, part) for part in PARTS))
                              for i, turn in enumerate(support))
                for key, weight in self.support_weights(given).items():
                    total[key] += p * weight
        return dict(total)

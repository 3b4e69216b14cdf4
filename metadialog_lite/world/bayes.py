"""The exact Bayes-optimal learner of a toy world: the floor under every curve.

EQ-BAYES-1:  p(target | D_S, prompt) = Σ_latents p(target | latents, prompt) · p(latents | D_S, prompt)

The latents (lexicon, order, style, persona) are independent a priori and stay independent given what was
seen, so the sum splits into four small ones:

* lexicon, slot by slot: counting (no noise), or a sum over all V! permutations (word noise);
* order: a sum over all orders, weighted by how probable the *prompt* is under each (it is evidence too);
* style: Dirichlet habits integrate to (concentration + count) / (sum of these) — Pólya's urn;
* persona: uniform until heard, then certain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import permutations, zip_longest

import numpy as np
from numpy.typing import NDArray

from metadialog_lite.turns import Turn
from metadialog_lite.world.dialogues import Correction, Meaning
from metadialog_lite.world.generate import World
from metadialog_lite.world.noise import remaining
from metadialog_lite.world.plans import inverse_lengths, reach, rounds
from metadialog_lite.world.spec import ACTS, WorldError

_REQUEST = ACTS.index("request")
Floats = NDArray[np.float64]


class BayesReference:
    """Everything about a world that does not depend on a task.

    Args:
        world: the world whose generative process is inverted. Its knobs are taken as known.
        prior: a world that differs from ``world`` in its knobs alone: what is believed in its stead. The reference then
            reads turns of ``world`` as if they were of ``prior``, which is no longer optimal (see ``shift.py``).

    Of several worlds (``Worlds``) the reference of each turn's own world is used; its words show which one that is.

    Raises:
        WorldError: when ``prior`` is another world in more than its knobs: its reference is undefined then.
    """

    def __init__(self, world: World, prior: World | None = None):
        if prior is not None and (field := not_the_same(world, prior)):
            raise WorldError(f"the prior of '{prior.name}' is undefined for turns of '{world.name}': these worlds "
                             f"differ in {field}")
        self.members = {} if world.members == (world,) else {
            m.name: BayesReference(m, p) for m, p in zip(world.members, (prior or world).members, strict=True)}
        self.world = world = prior or world
        if self.members:
            return
        slots = range(len(world.slots))
        self.orders = list(permutations(slots))
        self._masks = {  # (filled, asked) -> bit mask of the orders that ask for ``asked`` then
            (filled, s): sum(1 << i for i, order in enumerate(self.orders)
                             if next(x for x in order if not filled >> x & 1) == s)
            for filled in range(world.full) for s in slots if not filled >> s & 1
        }
        self.every_order = (1 << len(self.orders)) - 1
        self._reach = [reach(order, world) for order in self.orders]
        self._inverse_length = inverse_lengths(world)
        self.asked = lru_cache(maxsize=65536)(self._asked)
        self.facts_at = lru_cache(maxsize=None)(self._facts_at)
        self.word_posterior = lru_cache(maxsize=65536)(self._word_posterior)

    def posterior(self, support: Sequence[Turn]) -> Posterior:
        """What the support turns (whole turns, in order, from a dialogue's start) say about the latents."""
        if not self.members:
            return Posterior(self, support)
        return self.member(support[0]).posterior(support) if support else _UnknownWorld(self, support)

    def member(self, turn: Turn) -> BayesReference:
        """Of several worlds the reference of the one that a turn is from. Raises ValueError for a foreign turn."""
        name = _meaning(turn).world
        if name not in self.members:
            raise ValueError(f"a turn of world '{name}': this reference knows {', '.join(self.members)}")
        return self.members[name]

    def _facts_at(self, act: int, template: int, asked: int) -> tuple[tuple[str, int], ...]:
        """The persona facts that a template shows, each with the position of its word in the response."""
        shown = self.world.render(act, template, asked, {})  # {ask} may be several words
        return tuple((fact, shown.index(f"{{{fact}}}")) for fact in self.world.spec.persona if f"{{{fact}}}" in shown)

    def _asked(self, alive: int, before: int, first: int, after: int) -> dict[int, float]:
        """p(slot asked next | prompt, orders still possible).

        The prompt is evidence: which slots are filled already (``before``) and which one the user answers
        ``first`` is more probable under some orders. Weights follow ``_reach``: EQ-BAYES-2.

        Raises:
            ValueError: when no order explains the prompt together with the support (another task's turn).
        """
        weights: dict[int, float] = {}
        for i, order in enumerate(self.orders):
            if alive >> i & 1 and (weight := self._prompt_weight(i, order, before, first, after)) > 0:
                asked = next(s for s in order if not after >> s & 1)
                weights[asked] = weights.get(asked, 0.0) + weight
        total = sum(weights.values())
        if not total:
            raise ValueError("no order of asking explains this prompt after this support: are they of one task, and "
                             f"are the knobs those of its world (volunteer {self.world.spec.knobs.volunteer})?")
        return {slot: weight / total for slot, weight in weights.items()}

    def _prompt_weight(self, i: int, order: tuple[int, ...], before: int, first: int, after: int) -> float:
        """EQ-BAYES-2: p(a uniformly chosen turn of a dialogue is this prompt | order), up to a common factor.

        Σ_k p(k inform turns led to ``before``) · p(first mentioned | order) · Σ_r p(r more will follow) · E[1/length]
        """
        if before and next(s for s in order if not before >> s & 1) != first:
            return 0.0
        remaining = rounds(len(order) - after.bit_count(), self.world.spec.knobs.volunteer)
        return sum(p_earlier * p_later * self._inverse_length[earlier + 1 + later]
                   for earlier, p_earlier in self._reach[i].get(before, {}).items()
                   for later, p_later in enumerate(remaining))

    def _word_posterior(self, counts: tuple[tuple[int, ...], ...]) -> Floats:
        """EQ-BAYES-4:  p(D | lexicon π) ∝ exp(λ Σ_w counts[w][π(w)]),  λ = ln((1−ε)(V−1)/ε), with word noise ε > 0.

        ``counts[w][v]``: how often w was heard for v. Returns p(v is meant | w is heard, D), [w][v].
        """
        noise, size = self.world.spec.knobs.word_noise, len(counts)
        lexicons = _lexicons(size)
        weight = np.array(counts, dtype=np.float64)[np.arange(size), lexicons].sum(axis=1)
        weight = np.exp((weight - weight.max()) * math.log((1 - noise) * (size - 1) / noise))
        means = np.zeros((size, size))
        for w in range(size):
            means[w] = np.bincount(lexicons[:, w], weights=weight, minlength=size)
        means /= weight.sum()
        result: Floats = (1 - noise) * means + noise / (size - 1) * (1 - means)  # the heard word may be wrong
        return result


class Posterior:
    """The posterior over a task's latents after some support turns, and its predictions for a query turn."""

    def __init__(self, reference: BayesReference, support: Sequence[Turn]):
        self.reference = reference
        world = reference.world
        self.alive = reference.every_order
        self.counts = [[[0] * len(words) for _ in words] for words in world.words]  # [slot][word][value]
        self.used = [[0] * len(templates) for templates in world.templates]  # [act][template]
        self.known: dict[str, str] = {}  # persona facts heard
        for turn, known in zip(support, remaining(world, [_meaning(turn) for turn in support]), strict=True):
            self._observe(known, turn.response)

    def _observe(self, m: Meaning, response: tuple[str, ...]) -> None:
        for slot, word, value in m.mentions:
            self.counts[slot][word][value] += 1
        if (fix := m.correction) is not None:
            self.counts[fix.slot][fix.word][fix.value] += 1
            if fix.old_word >= 0:
                self.counts[fix.slot][fix.old_word][fix.old] += 1
        if m.asked >= 0:
            self.alive &= self.reference._masks[m.after, m.asked]
        if m.template < 0:  # a stranger's response
            return
        self.used[m.act][m.template] += 1
        for fact, at in self.reference.facts_at(m.act, m.template, m.asked):
            self.known[fact] = response[at]

    def nll(self, turn: Turn) -> tuple[float, float, float]:
        """−ln p of a query turn's (state, act, response), in nats, each given what stands before it. EQ-BAYES-1.

        Infinite where the support rules the turn out (it is another task's turn).
        """
        m = _meaning(turn)
        state = sum((_minus_log(self._value(slot, word)[value]) for slot, word, value in m.mentions), 0.0)
        if m.correction is not None:
            state += _minus_log(self._corrected(m.correction)[m.correction.value])
        act = 0.0
        if m.asked >= 0:
            act = _minus_log(self._asked(m).get(m.asked, 0.0))
        response = _minus_log(self._templates(m.act)[m.template])
        for fact, at in self.reference.facts_at(m.act, m.template, m.asked):
            if fact not in self.known:
                response += math.log(len(self.reference.world.spec.persona[fact]))
            elif self.known[fact] != turn.response[at]:
                response = math.inf
        return state, act, response

    def predict(self, turn: Turn) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """The most probable state, act and response for a prompt; only the turn's prompt is read."""
        world, m = self.reference.world, _meaning(turn)
        state = list(turn.previous_state)
        for slot, word, _ in m.mentions:
            state[slot] = world.values[slot][int(np.argmax(self._value(slot, word)))]
        if (fix := m.correction) is not None:
            state[fix.slot] = world.values[fix.slot][int(np.argmax(self._corrected(fix)))]
        act, asked = m.act, -1  # what the user did and which slots are filled decide the act …
        if act == _REQUEST:  # … except for the slot that is asked for
            chances = self._asked(m)
            asked = max(sorted(chances), key=lambda slot: chances[slot])
        template = int(np.argmax(self._templates(act)))
        persona = {f"{{{k}}}": self.known.get(k, items[0]) for k, items in world.spec.persona.items()}
        fill = persona | {f"{{{slot}}}": value for slot, value in zip(world.slots, state, strict=True)}
        words = (ACTS[act], world.slots[asked]) if asked >= 0 else (ACTS[act],)
        return tuple(state), words, world.render(act, template, asked, fill)

    def lexicon(self) -> dict[str, dict[str, dict[str, float]]]:
        """Slot → heard word → value → probability that this value is meant."""
        world = self.reference.world
        return {slot: {word: dict(zip(world.values[s], map(float, self._value(s, w)), strict=True))
                       for w, word in enumerate(world.words[s])} for s, slot in enumerate(world.slots)}

    def _asked(self, m: Meaning) -> dict[int, float]:
        """p(slot asked next | support, the prompt of turn ``m``)."""
        return self.reference.asked(self.alive, m.before, m.mentions[0][0], m.after)

    def _value(self, slot: int, word: int) -> Sequence[float]:
        """p(intended value | heard word) for every value of the slot."""
        return self._given(self.counts[slot], word)

    def _corrected(self, fix: Correction) -> Sequence[float]:
        """EQ-BAYES-3:  p(new = v | D_S, prompt)  ∝  [v ≠ old] · p(v | heard word, D_S, the old value's word).

        The prompt shows the old value. The new one is another one, uniformly; and where the old value's word
        is named, the prompt says as much about its meaning as a support turn does.
        """
        counts = self.counts[fix.slot]
        if fix.old_word >= 0:
            counts = [list(row) for row in counts]
            counts[fix.old_word][fix.old] += 1
        chances = list(self._given(counts, fix.word))
        chances[fix.old] = 0.0
        total = sum(chances)
        return [p / total for p in chances] if total else chances

    def _given(self, counts: Sequence[Sequence[int]], word: int) -> Sequence[float]:
        """p(intended value | heard word, how often each word was heard for each value)."""
        if self.reference.world.spec.knobs.word_noise > 0:
            row: Sequence[float] = self.reference.word_posterior(tuple(map(tuple, counts)))[word].tolist()
            return row
        if any(counts[word]):  # heard before: certain
            return [float(c > 0) for c in counts[word]]
        taken = [any(column) for column in zip(*counts, strict=True)]  # values that other words have
        return [0.0 if t else 1.0 / (len(taken) - sum(taken)) for t in taken]

    def _templates(self, act: int) -> list[float]:
        """EQ-BAYES-5:  p(template j | D) = (c + times used_j) / Σ_i (c + times used_i)     (Pólya's urn)"""
        concentration, used = self.reference.world.spec.knobs.style, self.used[act]
        total = concentration * len(used) + sum(used)
        return [(concentration + n) / total for n in used]


class _UnknownWorld(Posterior):
    """Before the first support turn of a task that may be of several worlds: the prompt shows which one it is."""

    def __init__(self, reference: BayesReference, support: Sequence[Turn]):
        self.reference = reference
        self.priors = {member: member.posterior(support) for member in reference.members.values()}

    def _of(self, turn: Turn) -> Posterior:
        return self.priors[self.reference.member(turn)]

    def nll(self, turn: Turn) -> tuple[float, float, float]:
        return self._of(turn).nll(turn)

    def predict(self, turn: Turn) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        return self._of(turn).predict(turn)

    def lexicon(self) -> dict[str, dict[str, dict[str, float]]]:
        return {slot: words for prior in self.priors.values() for slot, words in prior.lexicon().items()}


def not_the_same(world: World, prior: World) -> str:
    """The first field of the spec, knobs aside, in which two worlds differ; empty when there is none."""
    for a, b in zip_longest(world.members, prior.members):
        if a is None or b is None:
            return "their number"
        for field in ("slots", "user", "system", "persona", "language"):
            if getattr(a.spec, field) != getattr(b.spec, field):
                return field
    return ""


def _meaning(turn: Turn) -> Meaning:
    if not isinstance(turn.meaning, Meaning):
        raise ValueError("the Bayes reference knows toy-world turns only; this turn has no meaning attached")
    return turn.meaning


def _minus_log(p: float) -> float:
    return max(0.0, -math.log(p)) if p > 0 else math.inf  # max: rounding may leave p a hair above 1


@cache
def _lexicons(size: int) -> NDArray[np.intp]:
    """All permutations of ``size`` values, [size!, size]: row π gives word w the value π[w]."""
    return np.array(list(permutations(range(size))), dtype=np.intp)

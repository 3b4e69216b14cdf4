"""How a speaker talks: the generative process behind every toy dialogue, which Bayes inverts exactly.

A task draws its hidden latents once: a lexicon (which word means which value), an order in which the
system asks, habits over response templates, and a persona. Each of its dialogues then

1. draws a goal: one value a slot, uniformly;
2. follows this plan, the part in brackets each at the rate of its knob:

    [greet]  →  inform, inform, … until every slot is known  →  [correct]  →  affirm  →  [thank]

   The first ``inform`` tells a uniformly chosen slot, every other one the slot that was asked for; each slot
   that is still empty is told as well at rate ``volunteer``. The system answers ``greet``, then ``request(first
   missing slot in its order)`` or ``confirm``, again ``confirm`` after ``correct``, ``offer``, ``bye``.
3. changes the goal by corrections. At rate ``correct`` an ``inform`` after the first begins by correcting one slot,
   chosen uniformly among those filled before; and at the same rate the user answers ``confirm`` with a correction
   of a uniformly chosen slot alone, once (the ``correct`` of the plan). The new value is uniform over the
   slot's other values, and from then on it is the goal.
4. is put into words. Sentences and phrases are uniform and independent; a sentence of ``user.correct`` gets one phrase
   of its slot, with the old value's word for {old} (where it stands) and the new one's for {new}. Each spoken value
   word is replaced at rate ``word_noise`` by another word of its slot, independently; states follow what was meant.

With ``correct`` at 0 nothing is drawn for it, so that worlds without corrections stay as they were. What noise in the
support does to all this afterwards stands in ``noise.py``.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate, chain, islice
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from metadialog_lite.turns import EMPTY, Turn
from metadialog_lite.world.noise import Noise
from metadialog_lite.world.spec import ACTS

if TYPE_CHECKING:
    from metadialog_lite.world.generate import World

GREET, INFORM, AFFIRM, THANK, CORRECT = range(5)  # what the user does
_A_GREET, _A_REQUEST, _A_CONFIRM, _A_OFFER, _A_BYE = range(5)  # positions in ACTS

Tokens = tuple[str, ...]


class Correction(NamedTuple):
    """The user takes back what was said about a slot."""

    slot: int
    old_word: int  # as heard; -1 when the sentence does not name it
    old: int  # the value before
    word: int  # as heard
    value: int  # the value from now on


class Meaning(NamedTuple):
    """What a rendered turn says, as numbers: all that exact inference needs."""

    kind: int  # GREET, INFORM, AFFIRM, THANK or CORRECT
    before: int  # bit mask of the slots filled before the turn
    mentions: tuple[tuple[int, int, int], ...]  # (slot, heard word, intended value) of the slots told, as spoken
    after: int  # bit mask of the slots filled after the turn
    act: int  # position in ACTS
    asked: int  # the slot asked for, -1 unless the act is request
    template: int  # which response template was used
    correction: Correction | None = None
    world: str = ""  # the name of the world that it was spoken in
    replaced: tuple[str, ...] = ()  # which of "state", "act", "response" are a stranger's (see noise.py)


class Step(NamedTuple):
    """One turn of a dialogue's plan, before any word is chosen."""

    kind: int
    before: int
    told: tuple[int, ...]  # slots, in the order in which they are mentioned
    after: int
    corrected: int = -1  # the slot corrected, -1 for none
    shift: int = 0  # how far the corrected value moves on in the slot's list


class WorldTask:
    """One speaker: hidden latents and an endless supply of dialogues.

    EQ-WORLD-1:  p(task) = Π_slots 1/V! · 1/S! · Π_acts Dirichlet(habits given c) · Π_facts 1/choices
    """

    def __init__(self, world: World, name: str):
        self.world, self.name = world, name
        rng = Random(name)
        random = rng.random
        self.meaning_of = tuple(_permutation(len(words), random) for words in world.words)  # [slot][word] -> value
        self.asks_first = _permutation(len(world.slots), random)  # the policy: slots in the order of asking
        self._persona = {f"{{{key}}}": items[int(random() * len(items))] for key, items in world.spec.persona.items()}
        gamma, concentration = rng.gammavariate, world.spec.knobs.style
        self._habits = []  # per act: cumulative probabilities of its templates
        for templates in world.templates:
            drawn = [gamma(concentration, 1.0) for _ in templates]
            self._habits.append(list(accumulate(x / sum(drawn) for x in drawn)))
        self._seeds = [rng.getrandbits(64) for _ in range(3)]  # streams: support, query, whole dialogues

    @property
    def lexicon(self) -> dict[str, dict[str, str]]:
        """Slot → surface word → canonical value (hidden from learners)."""
        w = self.world
        return {slot: {word: w.values[s][v] for word, v in zip(w.words[s], self.meaning_of[s], strict=True)}
                for s, slot in enumerate(w.slots)}

    @property
    def order(self) -> tuple[str, ...]:
        """The slots in the order in which this system asks for them."""
        return tuple(self.world.slots[s] for s in self.asks_first)

    @property
    def persona(self) -> dict[str, str]:
        """The system's name and facts."""
        return {key[1:-1]: value for key, value in self._persona.items()}

    @property
    def style(self) -> dict[str, tuple[float, ...]]:
        """Act → probability of each response template."""
        return {act: tuple(b - a for a, b in zip([0.0, *h], h, strict=False))
                for act, h in zip(ACTS, self._habits, strict=True)}

    def support(self, shots: int) -> list[Turn]:
        """The first ``shots`` turns of this task's stream of consecutive dialogues (nested)."""
        return list(islice(chain.from_iterable(self.stream()), shots))

    def stream(self) -> Iterator[list[Turn]]:
        """The support as whole dialogues, one after the other without end, with noise where the world has it."""
        rng, rate = Random(self._seeds[0]), self.world.spec.knobs.support_noise
        noise = Noise(rate, self.name, lambda name: WorldTask(self.world, name).query(1)[0])
        while True:
            dialogue = self._dialogue(rng)
            yield noise.spoil(dialogue) if rate else dialogue

    def query(self, turns: int) -> list[Turn]:
        """``turns`` query turns: each is a uniformly chosen turn of a new dialogue of its own."""
        rng = Random(self._seeds[1])
        chosen = []
        for _ in range(turns):
            goal, plan = self._goal(rng.random), self._plan(rng.random)
            number = int(rng.random() * len(plan))
            for step in plan[:number]:
                goal = self._moved(goal, step)
            chosen.append(self._turn(plan[number], goal, rng.random))
        return chosen

    def dialogues(self, count: int) -> list[list[Turn]]:
        """``count`` whole new dialogues."""
        rng = Random(self._seeds[2])
        return [self._dialogue(rng) for _ in range(count)]

    def _dialogue(self, rng: Random) -> list[Turn]:
        goal, plan = self._goal(rng.random), self._plan(rng.random)
        turns = []
        for step in plan:
            turns.append(self._turn(step, goal, rng.random))
            goal = self._moved(goal, step)
        return turns

    def _goal(self, random: Any) -> list[int]:
        """What the user wants: one value a slot, uniformly."""
        return [int(random() * len(values)) for values in self.world.values]

    def _moved(self, goal: list[int], step: Step) -> list[int]:
        """The goal after a step: the corrected slot has another value."""
        if step.corrected < 0:
            return goal
        moved = list(goal)
        moved[step.corrected] = (goal[step.corrected] + step.shift) % len(self.world.values[step.corrected])
        return moved

    def _plan(self, random: Any) -> list[Step]:
        knobs, full = self.world.spec.knobs, self.world.full
        plan = [Step(GREET, 0, (), 0)] if random() < knobs.greet else []
        filled = 0
        while filled != full:
            missing = [s for s in self.asks_first if not filled >> s & 1]
            # The opening is about any slot; afterwards the user answers what was asked.
            first = missing[0] if filled else missing[int(random() * len(missing))]
            told = [first, *sorted(s for s in missing if s != first and random() < knobs.volunteer)]
            after = filled
            for s in told:
                after |= 1 << s
            plan.append(Step(INFORM, filled, tuple(told), after, *self._change(filled, random)))
            filled = after
        change = self._change(full, random)
        if change[0] >= 0:
            plan.append(Step(CORRECT, full, (), full, *change))
        plan.append(Step(AFFIRM, full, (), full))
        if random() < knobs.thank:
            plan.append(Step(THANK, full, (), full))
        return plan

    def _change(self, filled: int, random: Any) -> tuple[int, int]:
        """(slot corrected, how far its value moves on), or (-1, 0)."""
        rate = self.world.spec.knobs.correct
        if not (rate and filled and random() < rate):
            return -1, 0
        known = [s for s in range(len(self.world.slots)) if filled >> s & 1]
        slot = known[int(random() * len(known))]
        return slot, 1 + int(random() * (len(self.world.values[slot]) - 1))

    def _turn(self, step: Step, goal: list[int], random: Any) -> Turn:
        """Choose the words of one planned turn; ``goal`` is what the user wanted before it."""
        world = self.world
        kind, before, told, after, corrected, _ = step
        wanted = goal if corrected < 0 else self._moved(goal, step)
        state = tuple([v[wanted[s]] if after >> s & 1 else EMPTY for s, v in enumerate(world.values)])
        if after == before and corrected < 0:
            previous = state
        else:
            previous = tuple([v[goal[s]] if before >> s & 1 else EMPTY for s, v in enumerate(world.values)])
        user: Tokens = ()
        correction = None
        if corrected >= 0:
            user, correction = self._take_back(corrected, goal[corrected], wanted[corrected], random)
        mentions: list[tuple[int, int, int]] = []
        asked = -1
        if kind == INFORM:
            said, mentions = self._inform(told, wanted, opening=before == 0, random=random)
            user += said
            act = _A_CONFIRM if after == world.full else _A_REQUEST
            if act == _A_REQUEST:
                asked = next(s for s in self.asks_first if not after >> s & 1)
        else:
            act = (_A_GREET, 0, _A_OFFER, _A_BYE, _A_CONFIRM)[kind]
            if kind != CORRECT:
                user = _pick(world.user[("greet", "", "affirm", "thank")[kind]], random)
        template = bisect(self._habits[act], random() * self._habits[act][-1])
        fill = self._persona
        if act >= _A_CONFIRM:
            fill = fill | {f"{{{slot}}}": value for slot, value in zip(world.slots, state, strict=True)}
        words = (ACTS[act], world.slots[asked]) if asked >= 0 else (ACTS[act],)
        meaning = Meaning(kind, before, tuple(mentions), after, act, asked, template, correction, world.name)
        return Turn(previous, user, state, words, world.render(act, template, asked, fill), meaning)

    def _take_back(self, slot: int, old: int, new: int, random: Any) -> tuple[Tokens, Correction]:
        """The user's words for "not ``old``, ``new``"."""
        sentence = _pick(self.world.user["correct"], random)
        phrases = self.world.say[slot][int(random() * len(self.world.say[slot]))]
        named = "{old}" in sentence
        old_word = self._spoken(slot, old, random) if named else -1
        word = self._spoken(slot, new, random)
        fill = {"{new}": phrases[word], "{old}": phrases[old_word] if named else ()}
        return (tuple(t for token in sentence for t in fill.get(token, (token,))),
                Correction(slot, old_word, old, word, new))

    def _spoken(self, slot: int, value: int, random: Any) -> int:
        """The word heard for a value: this speaker's own, or at rate ε another one of the slot."""
        noise = self.world.spec.knobs.word_noise
        word = self.meaning_of[slot].index(value)
        if noise and random() < noise:
            other = int(random() * (len(self.world.words[slot]) - 1))
            word = other + (other >= word)
        return word

    def _inform(self, told: tuple[int, ...], goal: list[int], opening: bool,
                random: Any) -> tuple[Tokens, list[tuple[int, int, int]]]:
        """The user's words for the slots ``told``."""
        world = self.world
        comma, last = world.user["join"]
        user = _pick(world.user["open" if opening else "answer"], random)
        mentions = []
        for i, s in enumerate(told):
            word = self._spoken(s, goal[s], random)
            if i:
                user += last if i == len(told) - 1 else comma
            user += world.say[s][int(random() * len(world.say[s]))][word]
            mentions.append((s, word, goal[s]))
        return user, mentions


def _pick(options: tuple[Tokens, ...], random: Any) -> Tokens:
    return options[int(random() * len(options))]


def _permutation(size: int, random: Any) -> tuple[int, ...]:
    """A uniform permutation of range(size) (Fisher–Yates, so that it costs ``size`` draws)."""
    items = list(range(size))
    for i in range(size - 1, 0, -1):
        j = int(random() * (i + 1))
        items[i], items[j] = items[j], items[i]
    return tuple(items)

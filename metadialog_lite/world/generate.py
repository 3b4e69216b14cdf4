"""From a world spec to tasks, and from a task to dialogues.

A task draws its hidden latents once: a lexicon (which word means which value), an order in which the
system asks, habits over response templates, and a persona. Its dialogues then follow one plan:

    [greet]  →  inform, inform, … until every slot is known  →  affirm  →  [thank]

The system answers ``greet``, then ``request(first missing slot in its order)`` or ``confirm``, ``offer``, ``bye``.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from pydantic import ValidationError

from metadialog_lite.turns import CAPABILITIES, EMPTY, Turn
from metadialog_lite.world.ambiguity import faults, placeholder
from metadialog_lite.world.reading import knob_faults, read_spec
from metadialog_lite.world.spec import ACTS, Knobs, WorldError, WorldSpec

GREET, INFORM, AFFIRM, THANK = range(4)  # what the user does
_A_GREET, _A_REQUEST, _A_CONFIRM, _A_OFFER, _A_BYE = range(5)  # positions in ACTS

Tokens = tuple[str, ...]


class Meaning(NamedTuple):
    """What a rendered turn says, as numbers: all that exact inference needs."""

    kind: int  # GREET, INFORM, AFFIRM or THANK
    before: int  # bit mask of the slots filled before the turn
    mentions: tuple[tuple[int, int, int], ...]  # (slot, heard word, intended value), as spoken
    after: int  # bit mask of the slots filled after the turn
    act: int  # position in ACTS
    asked: int  # the slot asked for, -1 unless the act is request
    template: int  # which response template was used


class Step(NamedTuple):
    """One turn of a dialogue's plan, before any word is chosen."""

    kind: int
    before: int
    told: tuple[int, ...]  # slots, in the order in which they are mentioned
    after: int


class World:
    """A validated spec with its sentences split into tokens; the source of toy tasks.

    Example:
        >>> world = load_world("restaurants.en")
        >>> world.task("train", seed=0, index=0).support(1)[0].act[0] in ACTS
        True
    """

    capabilities: tuple[str, ...] = CAPABILITIES

    def __init__(self, spec: WorldSpec):
        self.spec = spec
        self.name = spec.world
        self.slots = tuple(spec.slots)
        self.full = (1 << len(self.slots)) - 1
        self.values: tuple[Tokens, ...] = tuple(slot.values for slot in spec.slots.values())
        self.words: tuple[Tokens, ...] = tuple(slot.words for slot in spec.slots.values())
        self.templates = tuple(tuple(_split(text) for text in spec.system.templates(act)) for act in ACTS)
        self.asks = tuple(_split(slot.ask) for slot in spec.slots.values())
        self.user = {kind: tuple(_split(text) for text in getattr(spec.user, kind))
                     for kind in ("greet", "open", "answer", "affirm", "thank", "join")}
        self.say = tuple(tuple(tuple(_with(_split(text), word) for word in slot.words) for text in slot.say)
                         for slot in spec.slots.values())  # [slot][phrase][word]
        self.tokens = self._vocabulary()

    def _vocabulary(self) -> Tokens:
        """Every token that a turn can hold, in a fixed order."""
        seen = dict.fromkeys([EMPTY, *ACTS, *self.slots])
        for group in (*self.values, *self.words, *self.asks, *self.spec.persona.values(),
                      *(t for kind in self.user.values() for t in kind),
                      *(phrase[0] for slot in self.say for phrase in slot),
                      *(t for act in self.templates for t in act)):
            seen.update(dict.fromkeys(token for token in group if placeholder(token) is None))
        return tuple(seen)

    def with_knobs(self, **knobs: float) -> World:
        """The same world with other probabilities, for example ``with_knobs(word_noise=0.1)``.

        Raises:
            WorldError: when a knob is unknown or out of range.
        """
        fields: dict[str, Any] = self.spec.knobs.model_dump() | knobs
        try:
            spec = self.spec.model_copy(update={"knobs": Knobs.model_validate(fields)})
        except ValidationError as error:
            raise WorldError("\n".join(f"world '{self.name}', knob {line}" for line in knob_faults(error))) from error
        if found := faults(spec):
            raise WorldError("\n".join(f"world '{self.name}': {line}" for line in found))
        return World(spec)

    def task(self, split: str, seed: int, index: int) -> WorldTask:
        """Task number ``index``: a pure function of (world, split, seed, index)."""
        return WorldTask(self, f"{self.name}/{split}/{seed}/{index}")

    def text(self, tokens: Sequence[str]) -> str:
        """Tokens as a person would read them (Chinese without blanks)."""
        if self.spec.language == "zh":
            return "".join(tokens)
        text = " ".join(tokens)
        for mark in ",.?!:;":
            text = text.replace(f" {mark}", mark)
        return text

    def render(self, act: int, template: int, asked: int, fill: dict[str, str]) -> Tokens:
        """The response ``template`` of ``act`` with its placeholders filled."""
        tokens = self.templates[act][template]
        if act == _A_REQUEST:
            ask = self.asks[asked]
            return tuple(word for token in tokens
                         for word in (ask if token == "{ask}" else (fill.get(token, token),)))
        return tuple([fill.get(token, token) for token in tokens])


class WorldTask:
    """One speaker: hidden latents and an endless supply of dialogues."""

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
        rng = Random(self._seeds[0])
        turns: list[Turn] = []
        while len(turns) < shots:
            turns += self._dialogue(rng)
        return turns[:shots]

    def query(self, turns: int) -> list[Turn]:
        """``turns`` query turns: each is a uniformly chosen turn of a new dialogue of its own."""
        rng = Random(self._seeds[1])
        chosen = []
        for _ in range(turns):
            goal, plan = self._goal(rng.random), self._plan(rng.random)
            chosen.append(self._turn(plan[int(rng.random() * len(plan))], goal, rng.random))
        return chosen

    def dialogues(self, count: int) -> list[list[Turn]]:
        """``count`` whole new dialogues."""
        rng = Random(self._seeds[2])
        return [self._dialogue(rng) for _ in range(count)]

    def _dialogue(self, rng: Random) -> list[Turn]:
        goal, plan = self._goal(rng.random), self._plan(rng.random)
        return [self._turn(step, goal, rng.random) for step in plan]

    def _goal(self, random: Any) -> list[int]:
        """What the user wants: one value a slot, uniformly."""
        return [int(random() * len(values)) for values in self.world.values]

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
            plan.append(Step(INFORM, filled, tuple(told), after))
            filled = after
        plan.append(Step(AFFIRM, full, (), full))
        if random() < knobs.thank:
            plan.append(Step(THANK, full, (), full))
        return plan

    def _turn(self, step: Step, goal: list[int], random: Any) -> Turn:
        """Choose the words of one planned turn."""
        world = self.world
        kind, before, told, after = step
        state = tuple([v[goal[s]] if after >> s & 1 else EMPTY for s, v in enumerate(world.values)])
        previous = state if after == before else tuple([x if before >> s & 1 else EMPTY for s, x in enumerate(state)])
        mentions: list[tuple[int, int, int]] = []
        asked = -1
        if kind == INFORM:
            user, mentions = self._inform(told, goal, opening=before == 0, random=random)
            act = _A_CONFIRM if after == world.full else _A_REQUEST
            if act == _A_REQUEST:
                asked = next(s for s in self.asks_first if not after >> s & 1)
        else:
            act = (_A_GREET, 0, _A_OFFER, _A_BYE)[kind]
            user = _pick(world.user[("greet", "", "affirm", "thank")[kind]], random)
        template = bisect(self._habits[act], random() * self._habits[act][-1])
        fill = self._persona
        if act >= _A_CONFIRM:
            fill = fill | {f"{{{slot}}}": value for slot, value in zip(world.slots, state, strict=True)}
        words = (ACTS[act], world.slots[asked]) if asked >= 0 else (ACTS[act],)
        meaning = Meaning(kind, before, tuple(mentions), after, act, asked, template)
        return Turn(previous, user, state, words, world.render(act, template, asked, fill), meaning)

    def _inform(self, told: tuple[int, ...], goal: list[int], opening: bool,
                random: Any) -> tuple[Tokens, list[tuple[int, int, int]]]:
        """The user's words for the slots ``told``, with each value word misheard at rate ε."""
        world, noise = self.world, self.world.spec.knobs.word_noise
        comma, last = world.user["join"]
        user = _pick(world.user["open" if opening else "answer"], random)
        mentions = []
        for i, s in enumerate(told):
            word = self.meaning_of[s].index(goal[s])
            if noise and random() < noise:
                other = int(random() * (len(world.words[s]) - 1))
                word = other + (other >= word)
            if i:
                user += last if i == len(told) - 1 else comma
            user += world.say[s][int(random() * len(world.say[s]))][word]
            mentions.append((s, word, goal[s]))
        return user, mentions


def load_world(name_or_path: str | Path) -> World:
    """A shipped world by name, or the world in a YAML file. Raises WorldError (see ``read_spec``)."""
    return World(read_spec(name_or_path))


def _split(text: str) -> Tokens:
    return tuple(text.split())


def _with(phrase: Tokens, word: str) -> Tokens:
    return tuple(word if token == "{word}" else token for token in phrase)


def _pick(options: tuple[Tokens, ...], random: Any) -> Tokens:
    return options[int(random() * len(options))]


def _permutation(size: int, random: Any) -> tuple[int, ...]:
    """A uniform permutation of range(size) (Fisher–Yates, so that it costs ``size`` draws)."""
    items = list(range(size))
    for i in range(size - 1, 0, -1):
        j = int(random() * (i + 1))
        items[i], items[j] = items[j], items[i]
    return tuple(items)

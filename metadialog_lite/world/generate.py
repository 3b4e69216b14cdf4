"""From a world spec to a source of tasks: sentences split into tokens, the closed vocabulary, rendering.

How a task talks stands in ``dialogues.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from metadialog_lite.turns import CAPABILITIES, EMPTY
from metadialog_lite.world.ambiguity import faults, placeholder
from metadialog_lite.world.dialogues import Tokens, WorldTask
from metadialog_lite.world.noise import TOLD
from metadialog_lite.world.reading import knob_faults
from metadialog_lite.world.spec import ACTS, Knobs, WorldError, WorldSpec

_A_REQUEST = ACTS.index("request")


class World:
    """A validated spec with its sentences split into tokens; the source of toy tasks.

    Args:
        spec: what the world file says.
        name: another name than the spec's, for a shifted world.
        tokens: another vocabulary than the spec's own words, for a shifted world.
        training: of a shifted world the one that it is a shift of.

    Example:
        >>> world = load_world("restaurants.en")
        >>> world.task("train", seed=0, index=0).support(1)[0].act[0] in ACTS
        True
    """

    capabilities: tuple[str, ...] = CAPABILITIES

    def __init__(self, spec: WorldSpec, name: str | None = None, tokens: Tokens | None = None,
                 training: World | None = None):
        self.spec, self.training = spec, training
        self.name = name or spec.world
        self.slots = tuple(spec.slots)
        self.full = (1 << len(self.slots)) - 1
        self.values: tuple[Tokens, ...] = tuple(slot.values for slot in spec.slots.values())
        self.words: tuple[Tokens, ...] = tuple(slot.words for slot in spec.slots.values())
        self.templates = tuple(tuple(_split(text) for text in spec.system.templates(act)) for act in ACTS)
        self.asks = tuple(_split(slot.ask) for slot in spec.slots.values())
        self.user = {kind: tuple(_split(text) for text in getattr(spec.user, kind))
                     for kind in ("greet", "open", "answer", "affirm", "thank", "join", "correct")}
        self.say = tuple(tuple(tuple(_with(_split(text), word) for word in slot.words) for text in slot.say)
                         for slot in spec.slots.values())  # [slot][phrase][word]
        self.tokens = tokens or self._vocabulary()

    def _vocabulary(self) -> Tokens:
        """Every token that a turn can hold, in a fixed order."""
        seen = dict.fromkeys([EMPTY, *ACTS, *self.slots])
        for group in (*self.values, *self.words, *self.asks, *self.spec.persona.values(),
                      *(t for kind in self.user.values() for t in kind),
                      *(phrase[0] for slot in self.say for phrase in slot),
                      *(t for act in self.templates for t in act)):
            seen.update(dict.fromkeys(token for token in group if placeholder(token) is None))
        return tuple(seen)

    @property
    def members(self) -> tuple[World, ...]:
        """The worlds that tasks come from: this one."""
        return (self,)

    @property
    def clean_name(self) -> str:
        """The name of the world without noise in its support: noise changes no speaker and no true dialogue."""
        return self.name.replace(f"+noise={self.spec.knobs.support_noise!r}", "")

    @property
    def told(self) -> str | None:
        """What the Bayes reference is told and learners are not; None: it knows exactly what they know."""
        return TOLD if any(world.spec.knobs.support_noise for world in self.members) else None

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
        others = {knob: value for knob, value in knobs.items() if knob != "style"}  # a shift may be one of style
        return World(spec, self.name, self.tokens, self.training and self.training.with_knobs(**others))

    def task(self, split: str, seed: int, index: int) -> WorldTask:
        """Task number ``index``: a pure function of (world, split, seed, index)."""
        return WorldTask(self, f"{self.clean_name}/{split}/{seed}/{index}")

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


def _split(text: str) -> Tokens:
    return tuple(text.split())


def _with(phrase: Tokens, word: str) -> Tokens:
    return tuple(word if token == "{word}" else token for token in phrase)

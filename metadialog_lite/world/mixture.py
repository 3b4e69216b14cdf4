"""Several worlds as one source, for training on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from metadialog_lite.world.dialogues import Tokens, WorldTask
from metadialog_lite.world.generate import World
from metadialog_lite.world.spec import WorldError

#: Before the name of a world that gives its words to the vocabulary, but no tasks.
WORDS_ONLY = "words:"


class Worlds(World):
    """A source whose tasks come from several worlds in turn: task 0 from the first, task 1 from the second, …

    Its tasks are those of the worlds themselves, so that a learner of several worlds and one of a single world
    can be compared on the same tasks. The vocabulary is the union. A task's exact reference is that of its own
    world: every prompt of a turn shows which world it is from (worlds in which it would not are refused), so that
    the optimum knows no more than a learner.

    It has no slots, values or templates of its own: see ``members``.

    Args:
        worlds: where tasks come from.
        words_of: worlds of which only the words are known (for a shift of the domain: a model that is to meet them
            later must have them in its vocabulary).

    Raises:
        WorldError: when the worlds can't be told apart by each prompt, or have different languages.
    """

    def __init__(self, worlds: Sequence[World], words_of: Sequence[World] = ()):
        if not worlds:
            raise WorldError("several worlds: at least one is needed that is not only words")
        everyone = (*worlds, *words_of)
        for world in everyone:
            if world.spec.language != everyone[0].spec.language:
                raise WorldError(f"worlds '{everyone[0].name}' and '{world.name}': languages "
                                 f"{everyone[0].spec.language} and {world.spec.language}; give worlds of one language")
        for a, b in combinations(worlds, 2):
            if reason := _look_alike(a, b):
                raise WorldError(f"worlds '{a.name}' and '{b.name}': both have {reason}; the words of a turn must show "
                                 "its world, or the optimum would not be exact")
        self._members, self._words_of = tuple(worlds), tuple(words_of)
        self.name = ",".join((*(w.name for w in worlds), *(f"{WORDS_ONLY}{w.name}" for w in words_of)))
        self.spec = worlds[0].spec  # for the language
        shifts = any(world.training for world in worlds)
        self.training = Worlds([world.training or world for world in worlds], words_of) if shifts else None
        self.tokens: Tokens = tuple(dict.fromkeys(token for world in everyone for token in world.tokens))

    @property
    def members(self) -> tuple[World, ...]:
        """The worlds that tasks come from."""
        return self._members

    def with_knobs(self, **knobs: float) -> Worlds:
        """The same worlds, each with these probabilities."""
        return Worlds([world.with_knobs(**knobs) for world in self._members], self._words_of)

    def task(self, split: str, seed: int, index: int) -> WorldTask:
        """Task number ``index``: a pure function of (worlds, split, seed, index)."""
        number, which = divmod(index, len(self._members))
        return self._members[which].task(split, seed, number)


def _look_alike(a: World, b: World) -> str:
    """What could make a prompt of one world look like one of the other; empty when nothing can."""
    if shared := {word for slot in a.words for word in slot} & {word for slot in b.words for word in slot}:
        return f"the word '{min(shared)}' for a value"
    if a.spec.knobs.greet and b.spec.knobs.greet and (greets := set(a.user["greet"]) & set(b.user["greet"])):
        return f"the user's greeting '{' '.join(min(greets))}'"
    if len(a.slots) == len(b.slots) and all(set(x) & set(y) for x, y in zip(a.values, b.values, strict=True)):
        return "values in common in every slot"
    return ""

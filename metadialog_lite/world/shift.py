"""Shifts: worlds that a learner was not trained on, and what is optimal in them.

| shift | what changes | informed optimum | with the training prior |
|---|---|---|---|
| ``style=C`` | concentration of the template habits (0.3 in training) | exact | exact |
| ``lexicon`` | a disjoint set of surface words | exact | undefined: these words have probability 0 |
| ``domain=W`` | everything: another world | exact | undefined: these words have probability 0 |

The informed optimum is ``BayesReference(world)``: Bayes with the prior of the shifted world. Nobody beats it, but
nobody who was trained elsewhere can be expected to reach it: what is measured is the distance to the informed
optimum. The second reference is ``training_reference(world)``: Bayes with the prior of the training world. It is what
a perfect learner would do that was meta-trained there, and it may be beaten.

Which other words are there for the shift of the lexicon? A shipped model has a closed vocabulary; words
outside it are all the same <unk>, and nobody can tell five of them apart. So the words are taken from the world's own
vocabulary: those that only the system ever said (names, towns, hobbies). A model can read them, and has never seen
them mean a value. They stand in ``shifts/`` beside the world's file, because the world itself is frozen.

``noise=0.2`` (see ``noise.py``) is named and combined like a shift, but changes neither speakers nor query: a prior is
not concerned, and there is no second reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from metadialog_lite.paths import data_dir
from metadialog_lite.world.ambiguity import faults
from metadialog_lite.world.bayes import BayesReference, not_the_same
from metadialog_lite.world.generate import World
from metadialog_lite.world.reading import read_spec
from metadialog_lite.world.spec import WorldError

SHIFTS = "lexicon, style=1.0, style=0.1, domain=travel.en, noise=0.2"


def shifted(world: World, kind: str, words: Mapping[str, Sequence[str]] | None = None) -> World:
    """The world after a shift, named such as ``restaurants.en+style=1.0`` (``load_world`` knows these names).

    Args:
        world: the world that learners were trained on.
        kind: ``lexicon``, ``style=C`` with a concentration C, or ``domain=W`` with another world. A shift of the
            domain is that other world itself, under its own name and with its own tasks. Or ``noise=R`` with the rate
            at which segments of the support are replaced.
        words: slot → surface words for ``lexicon``; by default those shipped for the world (``data/worlds/shifts``).

    Raises:
        WorldError: when there is no such shift, or the words don't suit the world.
    """
    name, _, value = kind.partition("=")
    if name in ("style", "noise") and value:
        try:
            number = float(value)
        except ValueError:
            raise WorldError(f"shift '{kind}' of '{world.name}': a number expected, such as "
                             f"{'style=1.0' if name == 'style' else 'noise=0.2'}") from None
        if name == "noise":
            return _with_noise(world, number)
        return _after(world, world.with_knobs(style=number), f"style={number!r}")
    if name == "domain" and value:
        return World(read_spec(value))
    if kind == "lexicon":
        return _other_words(world, shift_words(world) if words is None else words)
    raise WorldError(f"shift '{kind}' of '{world.name}': no such shift; there are {SHIFTS}")


def shift_words(world: World, file: Path | None = None) -> dict[str, tuple[str, ...]]:
    """Slot → other surface words, from ``file`` (by default the one shipped for the world). Raises WorldError."""
    example = f"lines such as '{world.slots[0]}: [{', '.join(world.words[0])}]'"
    path = file or data_dir() / "worlds" / "shifts" / f"{world.spec.world}.yaml"
    try:
        loaded: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise WorldError(f"shift 'lexicon' of '{world.name}': {path} cannot be read; write {example} there, with other "
                         "words for each slot") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise WorldError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict) or not all(
            isinstance(items, list) and all(isinstance(word, str) for word in items) for items in loaded.values()):
        raise WorldError(f"{path}: expected {example}")
    return {str(slot): tuple(items) for slot, items in loaded.items()}


def _other_words(world: World, words: Mapping[str, Sequence[str]]) -> World:
    found = []
    if set(words) != set(world.slots):
        found.append(f"slots {', '.join(words) or 'none'}; expected {', '.join(world.slots)}")
    old = {word for slot in world.words for word in slot}
    for slot, items in words.items():
        for word in items:
            if word in old:
                found.append(f"{slot}: {word!r} is a word of the world itself; take one that no user says")
            elif word not in world.tokens:
                found.append(f"{slot}: {word!r} is not in the world's vocabulary; a trained model can't read it")
    if not found:
        slots = {slot: spec.model_copy(update={"words": tuple(words[slot])}) for slot, spec in world.spec.slots.items()}
        spec = world.spec.model_copy(update={"slots": slots})
        found = faults(spec)
        if not found:
            return _after(world, World(spec, world.name, world.tokens), "lexicon")
    raise WorldError("\n".join(f"shift 'lexicon' of '{world.name}': {line}" for line in found))


def _after(world: World, other: World, kind: str) -> World:
    return World(other.spec, f"{world.name}+{kind}", world.tokens, world.training or world)


def _with_noise(world: World, rate: float) -> World:
    if world.spec.knobs.support_noise:
        raise WorldError(f"noise={rate!r} of '{world.name}': there is noise already; give it once")
    noisy = world.with_knobs(support_noise=rate)
    return World(noisy.spec, f"{world.name}+noise={rate!r}", world.tokens, noisy.training)


def training_reference(world: World, training: World | None = None) -> BayesReference | None:
    """Bayes with the prior of the training world; None where that is undefined (see the table above).

    Args:
        world: the world whose turns are to be scored.
        training: the world that learners were trained on; by default the one that ``world`` is a shift of, and a
            world that is no shift is its own.
    """
    prior = training or world.training or world
    return None if not_the_same(world, prior) else BayesReference(world, prior)

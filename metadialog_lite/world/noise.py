"""Noise in the support: some of what the learner is given as right is somebody else's.

In every support turn each of the three segments (state, act, response) is replaced, independently and at the known rate
``support_noise``, by the same segment of a stranger's turn: another speaker of the world, and a uniformly chosen turn
of a new dialogue, for each replaced segment anew. What the user says is never touched, and the query is clean. A turn's
previous state is the state that the turn before *was given*, right or wrong: whoever wrote down a wrong state went on
from it. (The true one would undo every replaced state but the last of a dialogue.)

By chance a stranger's segment may be the same as the true one. It is not drawn again until it differs: then it
would tell what the truth is *not*, and replaced segments would not be worthless, as they are meant to be.

**The floor is told which segments were replaced.** A stranger's latents are independent of this speaker's, so that a
replaced segment says nothing about this task once one knows that it was replaced, and the whole evidence is what
remains:

EQ-NOISE-1:  p(target | D_S, R, prompt) = p(target | D_S without R, prompt),  R = the replaced segments

Learners are not told R. On average nobody who knows less does better than one who knows R as well (for each prompt
E[p_learner / p_told] = 1 under the true process, as for any other exact reference), so that the told one is a lower
bound on everybody's loss; but a bound that even the best learner who is not told may not reach.

It holds only if *all* that remains is used, and much does: turns of a dialogue share what the user wants. A replaced
state is known from a later state of the dialogue, or from a response that repeats it, unless the user has changed
it since. A replaced request is known from its response, or from what the user answers first. And that the words of the
user show who fills, corrects or affirms what needs no state at all. ``remaining`` collects this; where it could not
be exact (see ``ambiguity.py``) a world with noise is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING

from metadialog_lite.turns import CAPABILITIES, EMPTY, Turn

if TYPE_CHECKING:
    from metadialog_lite.world.dialogues import Meaning
    from metadialog_lite.world.generate import World

#: What the floor of a noisy world knows that learners don't; shown wherever it is.
TOLD = "told which support segments were replaced"


class Noise:
    """Replaces segments of one task's support, turn by turn.

    Args:
        rate: how often a segment is replaced.
        name: of the task; decides all that is drawn, whatever the number of shots. What is replaced at a low rate is
            replaced at a higher one too, by the same.
        stranger: from a name to a turn of another speaker.
    """

    def __init__(self, rate: float, name: str, stranger: Callable[[str], Turn]):
        self.rate, self.name, self.stranger = rate, name, stranger
        self.random = Random(f"{name}/noise")

    def spoil(self, dialogue: Iterable[Turn]) -> list[Turn]:
        """The next dialogue of the support as the learner is given it."""
        given: list[Turn] = []
        for turn in dialogue:
            before = given[-1].state if given else (EMPTY,) * len(turn.state)
            parts, replaced = {}, []
            for part in CAPABILITIES:
                chance, who = self.random.random(), self.random.getrandbits(64)
                if chance < self.rate:
                    parts[part] = getattr(self.stranger(f"{self.name}/stranger/{who}"), part)
                    replaced.append(part)
            meaning = turn.meaning._replace(replaced=tuple(replaced))
            given.append(turn._replace(previous_state=before, meaning=meaning, **parts))
        return given


def remaining(world: World, support: Sequence[Meaning]) -> list[Meaning]:
    """What the support says to one who is told what was replaced: EQ-NOISE-1.

    Of each turn's meaning only this is left: as ``mentions`` every heard word (those of corrections too) whose value
    can be known, ``asked`` where it can be known (else −1), and the ``template`` where the response is its own
    (else −1).
    """
    if not any(m.replaced for m in support):
        return list(support)
    return [m for dialogue in _dialogues(support) for m in _known(world, dialogue)]


def _dialogues(support: Sequence[Meaning]) -> list[list[Meaning]]:
    """Where dialogues begin: the user greets, or tells something first without having greeted."""
    found: list[list[Meaning]] = []
    for m in support:
        greeted = bool(found) and len(found[-1]) == 1 and not found[-1][0].mentions  # its first turn told nothing
        if not found or (m.before == 0 and not (greeted and m.mentions)):
            found.append([])
        found[-1].append(m)
    return found


def _known(world: World, dialogue: Sequence[Meaning]) -> list[Meaning]:
    """A slot's value is one thing until it is corrected; seen once, in a state or a response, it is known."""
    slots = range(len(world.slots))
    times, counts = [0] * len(world.slots), []  # how often a slot has been corrected
    seen: set[tuple[int, int]] = set()  # (slot, how often it had been corrected)
    for m in dialogue:
        if m.correction is not None:
            times[m.correction.slot] += 1
        counts.append(tuple(times))
        if "state" not in m.replaced:
            seen |= {(s, times[s]) for s in slots if m.after >> s & 1}
        if "response" not in m.replaced:
            shown = world.templates[m.act][m.template]
            seen |= {(s, times[s]) for s in slots if f"{{{world.slots[s]}}}" in shown}
    return [_reduced(m, number, seen, last=m is dialogue[-1]) for m, number in zip(dialogue, counts, strict=True)]


def _reduced(m: Meaning, times: tuple[int, ...], seen: set[tuple[int, int]], last: bool) -> Meaning:
    words = [(s, word, value) for s, word, value in m.mentions if (s, times[s]) in seen]
    if (fix := m.correction) is not None:
        if (fix.slot, times[fix.slot]) in seen:
            words.append((fix.slot, fix.word, fix.value))
        if fix.old_word >= 0 and (fix.slot, times[fix.slot] - 1) in seen:
            words.append((fix.slot, fix.old_word, fix.old))
    nobody_says = last and "act" in m.replaced and "response" in m.replaced  # nor does the user's next answer
    return m._replace(mentions=tuple(words), correction=None, asked=-1 if nobody_says else m.asked,
                      template=-1 if "response" in m.replaced else m.template)

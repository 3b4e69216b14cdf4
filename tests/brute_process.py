"""The generative process of a toy world once more, from the spec's strings alone: for ``brute_force.py``.

Nothing here is shared with ``metadialog_lite.world.bayes``, nor with the generator: sentences are put together
again from the spec's strings, and dialogues are enumerated whole.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from metadialog_lite.world.spec import WorldSpec


class Step(NamedTuple):
    kind: str  # "greet", "inform", "correct", "affirm" or "thank"
    before: frozenset[str]
    told: tuple[str, ...]
    corrected: str = ""

    @property
    def after(self) -> frozenset[str]:
        return self.before | set(self.told)


Plan = tuple[Step, ...]
Goal = tuple[str, ...]  # one value a slot
Lexicon = dict[str, dict[str, str]]  # slot -> value -> word


class Process:
    """Plans, goals and words of a world, with their probabilities.

    ``inline=False`` leaves out corrections within inform turns, for worlds with too many plans.
    """

    def __init__(self, spec: WorldSpec, inline: bool = True):
        self.spec, self.inline = spec, inline
        self.names = tuple(spec.slots)
        self.knobs = spec.knobs
        self.orders = list(itertools.permutations(self.names))
        self.lexicons: list[Lexicon] = [dict(zip(self.names, choice, strict=True)) for choice in itertools.product(*(
            [dict(zip(slot.values, words, strict=True)) for words in itertools.permutations(slot.words)]
            for slot in spec.slots.values()))]
        self.personas = [dict(zip(spec.persona, facts, strict=True))
                         for facts in itertools.product(*spec.persona.values())]
        self.goals: list[Goal] = list(itertools.product(*(slot.values for slot in spec.slots.values())))
        self.plans = {order: list(self._plans(order)) for order in self.orders}
        self.user_probability = cache(self._user_probability)
        self.told_probability = cache(self._told_probability)
        self.correction_probability = cache(self._correction_probability)
        self.phrases = cache(self._phrases)

    # --- dialogues -------------------------------------------------------------------------------------------

    def _plans(self, order: tuple[str, ...]) -> Iterator[tuple[Plan, float]]:
        """All whole dialogues of a system that asks in ``order``, with their probability."""
        k = self.knobs
        everything, nothing = frozenset(self.names), frozenset[str]()
        for middle, p in self._informs(order, nothing):
            for corrected, p_corrected in self._corrections(everything):
                middle_and_end = (*middle, *([Step("correct", everything, (), corrected)] if corrected else []),
                                  Step("affirm", everything, ()))
                for greet, thank in itertools.product((False, True), repeat=2):
                    q = p * p_corrected * (k.greet if greet else 1 - k.greet) * (k.thank if thank else 1 - k.thank)
                    if q > 0:
                        yield (*([Step("greet", nothing, ())] * greet), *middle_and_end,
                               *([Step("thank", everything, ())] * thank)), q

    def _corrections(self, filled: frozenset[str]) -> list[tuple[str, float]]:
        """Which slot is corrected ("" for none), when ``filled`` are."""
        rate = self.knobs.correct if filled else 0.0
        none = [("", 1 - rate)] if rate < 1 else []
        return none + [(s, rate / len(filled)) for s in self.names if s in filled and rate]

    def _informs(self, order: tuple[str, ...], filled: frozenset[str]) -> Iterator[tuple[Plan, float]]:
        missing = [s for s in order if s not in filled]
        if not missing:
            yield (), 1.0
            return
        corrections = self._corrections(filled) if self.inline else [("", 1.0)]
        for first in missing if not filled else missing[:1]:
            rest = [s for s in self.names if s in missing and s != first]  # mentioned in the order of the slots
            for extra in itertools.chain.from_iterable(itertools.combinations(rest, n) for n in range(len(rest) + 1)):
                v = self.knobs.volunteer
                p = v ** len(extra) * (1 - v) ** (len(rest) - len(extra)) / (1 if filled else len(missing))
                for corrected, p_corrected in corrections if p > 0 else []:
                    step = Step("inform", filled, (first, *extra), corrected)
                    for tail, q in self._informs(order, step.after):
                        yield (step, *tail), p * p_corrected * q

    def moves(self, goal: Goal, corrected: str) -> list[tuple[Goal, float]]:
        """The goals that a correction can lead to: any other value of that slot."""
        if not corrected:
            return [(goal, 1.0)]
        i = self.names.index(corrected)
        others = [v for v in self.spec.slots[corrected].values if v != goal[i]]
        return [((*goal[:i], v, *goal[i + 1:]), 1 / len(others)) for v in others]

    def act(self, step: Step, order: tuple[str, ...]) -> tuple[str, ...]:
        if step.kind != "inform":
            return ({"greet": "greet", "correct": "confirm", "affirm": "offer", "thank": "bye"}[step.kind],)
        missing = [s for s in order if s not in step.after]
        return ("request", missing[0]) if missing else ("confirm",)

    def state(self, filled: frozenset[str], goal: Goal) -> tuple[str, ...]:
        return tuple(value if s in filled else "-" for s, value in zip(self.names, goal, strict=True))

    # --- words -----------------------------------------------------------------------------------------------

    def responses(self, act: tuple[str, ...], state: tuple[str, ...], persona: dict[str, str]) -> list[tuple[str, ...]]:
        """The rendered response of every template of the act."""
        fill = {**persona, **dict(zip(self.names, state, strict=True))}
        if act[0] == "request":
            fill["ask"] = self.spec.slots[act[1]].ask
        return [tuple(text.format(**fill).split()) for text in getattr(self.spec.system, act[0])]

    def says(self, tokens: tuple[str, ...], step: Step, before: Goal, after: Goal, lexicon: Lexicon) -> float:
        """p(user tokens | step, the goal before and after it, lexicon), over misheard words and sentences."""
        told = tuple([lexicon[s][after[self.names.index(s)]] for s in step.told])
        taken_back = tuple([lexicon[step.corrected][goal[self.names.index(step.corrected)]]
                            for goal in (before, after)]) if step.corrected else ()
        p: float = self.user_probability(tokens, step, told, taken_back)
        return p

    def _user_probability(self, tokens: tuple[str, ...], step: Step, told: tuple[str, ...],
                          taken_back: tuple[str, ...]) -> float:
        """``told`` and ``taken_back`` (old, new) are the words that mean the user's values."""
        if step.kind in ("greet", "affirm", "thank"):
            options = [tuple(text.split()) for text in getattr(self.spec.user, step.kind)]
            return options.count(tokens) / len(options)
        if not step.corrected:
            return self.told_probability(tokens, step, told)
        total = 0.0
        for cut in range(len(tokens) + 1):  # a correction, then what is told
            rest = self.told_probability(tokens[cut:], step, told) if step.told else float(cut == len(tokens))
            if rest > 0:
                total += rest * self.correction_probability(tokens[:cut], step.corrected, *taken_back)
        return total

    def heard_probability(self, slot: str, heard: str, word: str) -> float:
        noise, words = self.knobs.word_noise, self.spec.slots[slot].words
        return 1 - noise if heard == word else noise / (len(words) - 1)

    def _correction_probability(self, tokens: tuple[str, ...], slot: str, old: str, new: str) -> float:
        total, words = 0.0, self.spec.slots[slot].words
        for heard_old, heard_new in itertools.product(words, repeat=2):
            p = self.heard_probability(slot, heard_old, old) * self.heard_probability(slot, heard_new, new)
            said = [tuple(text.format(old=phrase.replace("{word}", heard_old),
                                      new=phrase.replace("{word}", heard_new)).split())
                    for text in self.spec.user.correct for phrase in self.spec.slots[slot].say]
            total += p * said.count(tokens) / len(said)
        return total

    def _told_probability(self, tokens: tuple[str, ...], step: Step, told: tuple[str, ...]) -> float:
        total = 0.0
        for heard in itertools.product(*(self.spec.slots[s].words for s in step.told)):
            p = math.prod(self.heard_probability(s, h, w) for s, h, w in zip(step.told, heard, told, strict=True))
            if p > 0:
                said = self.phrases(step.told, heard, not step.before)
                total += p * said[tokens] / sum(said.values())
        return total

    def _phrases(self, told: tuple[str, ...], heard: tuple[str, ...], opening: bool) -> Counter[tuple[str, ...]]:
        """Everything a user may say to tell ``heard`` words, each as often as there are ways to say it."""
        user, said = self.spec.user, []
        starts = user.open if opening else user.answer
        for choice in itertools.product(starts, *(self.spec.slots[s].say for s in told)):
            text = choice[0]
            for i, (phrase, word) in enumerate(zip(choice[1:], heard, strict=True)):
                link = "" if i == 0 else user.join[1] if i == len(told) - 1 else user.join[0]
                text += f" {link} {phrase.replace('{word}', word)}"
            said.append(tuple(text.split()))
        return Counter(said)

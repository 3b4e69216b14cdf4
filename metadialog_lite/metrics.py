"""Metrics of what a system says on real dialogues, as the field defines them. docs/METRICS.md compares the variants.

What a number is counted on is plain text and dictionaries, so that every definition can be checked by hand:

    state    {slot: value} as the system says it
    truth    the slots of the true state, each with all surface forms that count as right (Google's SGD gives several)
    values   the slot values that the reference response mentions
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class TrueValue(Protocol):
    """One slot of a true state."""

    @property
    def slot(self) -> str:
        """Its name."""
        ...

    @property
    def forms(self) -> tuple[str, ...]:
        """Every surface form that counts as right; the first is the usual one."""
        ...

    @property
    def free(self) -> bool:
        """No fixed list of values (non-categorical): a similar value is partly right."""
        ...


def normal(text: str) -> str:
    """Small letters, single blanks: models here write small letters only."""
    return " ".join(text.lower().split())


def value_score(said: str, true: TrueValue, fuzzy: bool) -> float:
    """How right a value is, from 0 to 1: the maximum over its forms f of token_sort_ratio(said, f) / 100.

    Only for free values and with ``fuzzy``, else 1 for an exact form and 0 for anything else. This is the rule of the
    official SGD evaluation (google-research/google-research, ``schema_guided_dst/metrics.py``). It uses ``fuzzywuzzy``,
    whose successor ``thefuzz`` computes with the ``rapidfuzz`` that is used here; as there, a sign that is no letter or
    digit counts as a blank, and the ratio is rounded to whole per cent. One difference: a categorical value is compared
    with the first form alone, capitals and all, there, with any form in small letters here.
    """
    said, forms = normal(said), [normal(form) for form in true.forms]
    if said in forms:
        return 1.0
    if not (fuzzy and true.free):
        return 0.0
    from rapidfuzz import fuzz, utils

    ratios = (fuzz.token_sort_ratio(said, form, processor=utils.default_process) for form in forms)
    return max((round(ratio) / 100 for ratio in ratios), default=0.0)


def joint_goal(said: Mapping[str, str], truth: Sequence[TrueValue], fuzzy: bool = False) -> float:
    """EQ-JGA-3: prod_j s_j, over all slots, of how right each is; a slot that is missing or invented makes it 0.

    Exact (the default) it is 1 or 0: MultiWOZ's and CrossWOZ's joint goal accuracy. With ``fuzzy`` it is SGD's.
    """
    if set(said) - {true.slot for true in truth}:
        return 0.0
    score = 1.0
    for true in truth:
        score *= value_score(said[true.slot], true, fuzzy) if true.slot in said else 0.0
    return score


@dataclass(frozen=True)
class F1:
    """Precision, recall and their harmonic mean, from counts over all turns together (micro average)."""

    hits: int = 0
    said: int = 0
    true: int = 0

    @property
    def precision(self) -> float | None:
        """Share of what was said that is right; None when nothing was said."""
        return self.hits / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """Share of what is true that was said; None when nothing is."""
        return self.hits / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """2 hits / (said + true); None when there is nothing to say and nothing was said."""
        return 2 * self.hits / (self.said + self.true) if self.said + self.true else None

    def __add__(self, other: F1) -> F1:
        return F1(self.hits + other.hits, self.said + other.said, self.true + other.true)


def slot_f1(said: Mapping[str, str], truth: Sequence[TrueValue]) -> F1:
    """Slot F1 of one turn: pairs (slot, value), a pair is right when the value is one of the slot's forms."""
    hits = sum(true.slot in said and value_score(said[true.slot], true, False) == 1 for true in truth)
    return F1(hits, len(said), len(truth))


def mentions(text: str, value: str) -> bool:
    """Whether a text says a value, as whole words: "10" is not in "10:30", nor "art" in "party"."""
    value = normal(value)
    if not value:
        return False
    if not value.isascii():  # Chinese has no blanks between words
        return value in normal(text)
    return re.search(rf"(?<![\w:.]){re.escape(value)}(?![\w:]|\.\d)", normal(text)) is not None


def slot_error(response: str, values: Iterable[str], known: Iterable[str] = ()) -> tuple[int, int]:
    """EQ-ERR-1: (p + q, N); slot error rate = Σ(p + q) / ΣN over all turns (Wen et al. 2015, arXiv 1508.01745).

    p is the number of ``values`` that the response lacks, N how many there are, q the number of ``known`` values (of
    the state) that the response says though it should not. The paper counts slot tokens of delexicalised sentences;
    here the values themselves are looked for.
    """
    due = {normal(value) for value in values}
    missing = sum(not mentions(response, value) for value in due)
    extra = sum(mentions(response, value) for value in {normal(value) for value in known} - due)
    return missing + extra, len(due)


def entity_f1(response: str, reference: str, entities: Iterable[str]) -> F1:
    """Entity F1 of one turn: which of ``entities`` the response mentions, against which the reference mentions."""
    known = {normal(entity) for entity in entities}
    said = {entity for entity in known if mentions(response, entity)}
    true = {entity for entity in known if mentions(reference, entity)}
    return F1(len(said & true), len(said), len(true))


def bleu(responses: Sequence[str], references: Sequence[str], language: str = "en") -> tuple[float, str]:
    """(BLEU from 0 to 100, sacrebleu's signature), over all responses at once; ``zh`` cuts Chinese into characters."""
    from sacrebleu.metrics import BLEU

    metric = BLEU(tokenize="zh" if language == "zh" else "13a")
    score = metric.corpus_score(list(responses), [list(references)])
    return float(score.score), str(metric.get_signature())


def distinct(responses: Sequence[Sequence[str]], n: int) -> float | None:
    """Different n-grams / all n-grams of the responses together; None when there is none.

    Li et al. 2016, arXiv 1510.03055. It falls with the number of responses: compare equally many only.
    """
    grams = Counter(tuple(words[i : i + n]) for words in responses for i in range(len(words) - n + 1))
    return len(grams) / sum(grams.values()) if grams else None

"""Metrics of a dialogue system, written out so that their traps can be seen in numbers.

The evaluations of this course use sacrebleu's BLEU and ``decoded.py``; here are the same quantities in the open, and
the variants of them that papers report under the same name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metadialog_lite.turns import EMPTY, Turn

State = tuple[str, ...]
DONTCARE = "dontcare"


def joint_goal_accuracy(predicted: Sequence[State], gold: Sequence[State]) -> float:
    """EQ-JGA-1: JGA = share of turns t with ŝ_t = s_t, all slots at once."""
    return sum(p == g for p, g in zip(predicted, gold, strict=True)) / len(gold)


def slot_accuracy(predicted: Sequence[State], gold: Sequence[State], filled: bool = False) -> float:
    """Share of single slots that are right; with ``filled`` only of those that hold something in the gold state."""
    pairs = [(a, b) for p, g in zip(predicted, gold, strict=True) for a, b in zip(_fit(p, g), g, strict=True)
             if not filled or b != EMPTY]
    return sum(a == b for a, b in pairs) / len(pairs)


def own_states(answer: Callable[[Turn], State], dialogue: Sequence[Turn]) -> list[State]:
    """EQ-JGA-2: ŝ_t = f(ŝ_(t−1), u_t): each turn is prompted with the answerer's own previous state."""
    state, found = dialogue[0].previous_state, []
    for turn in dialogue:
        state = answer(turn._replace(previous_state=state))
        found.append(state)
        state = _fit(state, turn.state)  # a garbled state can be no prompt
    return found


def gold_states(answer: Callable[[Turn], State], dialogue: Sequence[Turn]) -> list[State]:
    """ŝ_t = f(s_(t−1), u_t): each turn is prompted with the true previous state."""
    return [answer(turn) for turn in dialogue]


def without_dontcare(predicted: Sequence[State], gold: Sequence[State]) -> tuple[list[State], list[State]]:
    """Both with "dontcare" written as an empty slot: what some evaluation scripts do before they compare."""
    def blank(states: Sequence[State]) -> list[State]:
        return [tuple(EMPTY if value == DONTCARE else value for value in state) for state in states]

    return blank(predicted), blank(gold)


def call_dontcare(states: Sequence[State], names: Sequence[str]) -> list[State]:
    """The same states in a label set that calls these values "dontcare"."""
    return [tuple(DONTCARE if value in names else value for value in state) for state in states]


def perplexities(nats: NDArray[np.float64], tokens: NDArray[np.float64], size: int) -> tuple[float, float]:
    """(mean of the perplexities of batches of ``size`` turns, perplexity of all tokens together: EQ-PPL-1)."""
    starts = range(0, len(nats), size)
    each = [np.exp(nats[i : i + size].sum() / tokens[i : i + size].sum()) for i in starts]
    return float(np.mean(each)), float(np.exp(nats.sum() / tokens.sum()))


def clipped_precision(said: Sequence[Sequence[str]], meant: Sequence[Sequence[str]], n: int) -> float:
    """EQ-BLEU-1: p_n = Σ_t Σ_g min(count of g in ŷ_t, count of g in y_t) / Σ_t number of n-grams of ŷ_t

    The sums run over all responses t of the corpus first; g are n-grams.
    """
    hits = total = 0
    for a, b in zip(said, meant, strict=True):
        ours, theirs = grams(a, n), grams(b, n)
        hits += sum((ours & theirs).values())
        total += sum(ours.values())
    return hits / total if total else 0.0


def corpus_bleu(said: Sequence[Sequence[str]], meant: Sequence[Sequence[str]]) -> float:
    """EQ-BLEU-2: BLEU = 100 · min(1, exp(1 − |y| / |ŷ|)) · (p_1 p_2 p_3 p_4)^(1/4)

    |·| is the number of words of the whole corpus.
    """
    ours, theirs = sum(map(len, said)), sum(map(len, meant))
    each = [clipped_precision(said, meant, n) for n in (1, 2, 3, 4)]
    short = min(1.0, float(np.exp(1 - theirs / ours))) if ours else 0.0
    return 100 * short * float(np.prod(each)) ** 0.25


def grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """The n-grams of one response with their counts."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu_table(said: Sequence[str], meant: Sequence[str]) -> list[tuple[str, float, str]]:
    """(what was done, score, signature) for the same texts: sacrebleu's settings that papers leave out."""
    from sacrebleu.metrics import BLEU

    rows: list[tuple[str, float, str]] = []
    settings: dict[str, dict[str, Any]] = {
        "as in this course": {}, "split at blanks only": {"tokenize": "none"}, "characters": {"tokenize": "char"},
        "words, bigrams at most": {"max_ngram_order": 2}, "other smoothing": {"smooth_method": "add-k"},
    }
    for what, options in settings.items():
        metric: Any = BLEU(**options)
        rows.append((what, float(metric.corpus_score(list(said), [list(meant)]).score), str(metric.get_signature())))
    single: Any = BLEU(effective_order=True)
    mean = sum(single.sentence_score(a, [b]).score for a, b in zip(said, meant, strict=True)) / len(said)
    rows.append(("mean of the sentences' BLEU", float(mean), f"{single.get_signature()}, averaged"))
    return rows


def _fit(state: State, like: State) -> State:
    return tuple([*state, *[EMPTY] * len(like)][: len(like)])

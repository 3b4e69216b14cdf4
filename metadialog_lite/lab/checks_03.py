"""Checks of notebook 03: the set encoder's sums, an emitted low-rank change, and a memory with a null entry."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge


def _randn(random: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=random)


# ---------------------------------------------------------------- 03.1: a set encoder


def _each_word(rows: Tensor, words: Tensor, vocabulary: int) -> Tensor:
    return (words == torch.arange(vocabulary).unsqueeze(-1)).to(rows.dtype)  # [vocabulary, positions]


def _by_word(rows: Tensor, words: Tensor, vocabulary: int) -> Tensor:
    of_word = _each_word(rows, words, vocabulary)
    return of_word @ rows / (1 + of_word.sum(1, keepdim=True))  # EQ-SET-1


def _last_seen(rows: Tensor, words: Tensor, vocabulary: int) -> Tensor:
    found = torch.zeros(vocabulary, rows.shape[1], dtype=rows.dtype)
    for row, word in zip(rows, words.tolist(), strict=True):
        found[word] = row
    return found


def _mean(rows: Tensor, words: Tensor, vocabulary: int) -> Tensor:
    of_word = _each_word(rows, words, vocabulary)
    return of_word @ rows / of_word.sum(1, keepdim=True).clamp(min=1)


_SET_MISTAKES = (
    Misconception("order decides", _last_seen,
                  "the last row of each word overwrites the ones before, so the order of the turns matters: this is no "
                  "function of a *set*. Add the rows up."),
    Misconception("order decides", lambda r, w, v: _last_seen(r, w, v) / 2,
                  "you keep one row of each word, and which one depends on the order. Add the rows up."),
    Misconception("mean without the 1", _mean,
                  "this is the plain mean of each word's rows. One sighting then counts as much as many: divide by "
                  "1 + n_w, not by n_w."),
    Misconception("sum without division", lambda r, w, v: _each_word(r, w, v) @ r,
                  "these are sums: they grow without end with the support. Divide by 1 + n_w."),
    Misconception("n instead of n_w", lambda r, w, v: _each_word(r, w, v) @ r / (1 + len(w)),
                  "you divide by 1 + n, the number of all positions. A word that is rare in a long support would "
                  "vanish: each word is divided by 1 + its own count."),
    Misconception("everything in every word", lambda r, w, v: (r.sum(0) / (1 + len(w))).expand(v, -1),
                  "this is the sum over the whole support, the same for each word. Take only the positions where "
                  "this word stands."),
    Misconception("added to the mean", lambda r, w, v: _mean(r, w, v) + 1,
                  "the 1 belongs to the count, in the denominator."),
)


@exercise("03.1")
def set_encoder(answer: Any) -> Verdict:
    """``answer(rows, words, vocabulary)`` = Σ_{i: x_i = w} h_i / (1 + n_w) for each word w, EQ-SET-1."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for positions, vocabulary, width in ((7, 4, 3), (12, 5, 2), (3, 6, 4), (20, 3, 5)):
        words = torch.randint(vocabulary - 1, (positions,), generator=random)  # the last word is never said
        words[1] = words[0]  # and one is said at least twice
        problems.append((_randn(random, positions, width), words, vocabulary))
    return judge(
        answer, problems, _by_word, _SET_MISTAKES,
        praise="these are sums over a set, so the order of the support cannot matter; an unheard word reads as zero.",
        otherwise="This is not Σ rows of the word / (1 + their number). Make a table [vocabulary, positions] of ones "
                  "where word w stands at position i, and a matrix product does the sums.",
    )


# ---------------------------------------------------------------- 03.2: emit a change of low rank


def _emit(weight: Tensor, z: Tensor, left: Tensor, right: Tensor) -> Tensor:
    return weight + (z @ left).reshape(len(weight), -1) @ right  # EQ-EMIT-1


_EMIT_MISTAKES = (
    Misconception("θ₀ forgotten", lambda w, z, left, right: _emit(w, z, left, right) - w,
                  "this is the change alone. φ emits a *change* of θ₀: add it to the matrix that is there "
                  "(EQ-HYPER-1)."),
    Misconception("change subtracted", lambda w, z, left, right: 2 * w - _emit(w, z, left, right),
                  "the change is added, not subtracted: this is no gradient step."),
    Misconception("numbers in the wrong order",
                  lambda w, z, left, right: w + (z @ left).reshape(len(right), len(w)).T @ right,
                  "z·left holds U(z) row by row: shape it as [rows, rank]. You shaped it as [rank, rows] and "
                  "transposed, which mixes the numbers up."),
    Misconception("z ignored", lambda w, z, left, right: w + left.sum(0).reshape(len(w), -1) @ right,
                  "this change is the same for all speakers: it does not depend on what z says."),
    Misconception("nothing emitted", lambda w, z, left, right: w,
                  "this is θ₀: nothing was emitted."),
    Misconception("multiplied instead of added", lambda w, z, left, right: w * (_emit(w, z, left, right) - w),
                  "you multiply the matrix with the change; low-rank changes are added (FiLM is what scales)."),
    Misconception("multiplied instead of added", lambda w, z, left, right: w * (1 + _emit(w, z, left, right) - w),
                  "you scale the matrix by the change; low-rank changes are added (FiLM is what scales)."),
)


@exercise("03.2")
def low_rank(answer: Any) -> Verdict:
    """``answer(weight, z, left, right)`` = W + U(z) V with U(z) = z·left as [rows, rank], EQ-EMIT-1."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for width, rows, columns, rank in ((4, 5, 3, 2), (3, 2, 6, 2), (6, 4, 4, 3), (5, 7, 2, 2)):
        problems.append((_randn(random, rows, columns), _randn(random, width), _randn(random, width, rows * rank),
                         _randn(random, rank, columns)))
    return judge(
        answer, problems, _emit, _EMIT_MISTAKES,
        praise="this is W + U(z) V: `width · rows · rank + rank · columns` parameters of φ for a matrix of "
               "`rows · columns` numbers.",
        otherwise="This is not W + U(z) V. First U: z @ left, reshaped to [rows, rank]. Then U @ right has the "
                  "shape of W.",
    )


# ---------------------------------------------------------------- 03.3: read from a memory


def _scores(query: Tensor, key: Tensor) -> Tensor:
    return query @ key.T / math.sqrt(key.shape[-1])


def _recall(query: Tensor, key: Tensor, value: Tensor, null: float) -> Tensor:
    scores = _scores(query, key)
    nothing = torch.full((len(query), 1), null, dtype=scores.dtype)
    return torch.cat([nothing, scores], 1).softmax(1)[:, 1:] @ value  # EQ-MEM-1


def _unscaled(query: Tensor, key: Tensor, value: Tensor, null: float) -> Tensor:
    return _recall(query * math.sqrt(key.shape[-1]), key, value, null)


_MEMORY_MISTAKES = (
    Misconception("no null entry", lambda q, k, v, n: _scores(q, k).softmax(1) @ v,
                  "ordinary attention: the weights always add up to 1, so something is read even when nothing fits. "
                  "The null is one more *entry* and must get its share (its value is zero); adding it to all scores "
                  "changes nothing."),
    Misconception("scores not scaled", _unscaled, "divide the scores q·k by √size (not the null score)."),
    Misconception("neither null nor scale", lambda q, k, v, n: (q @ k.T).softmax(1) @ v,
                  "ordinary attention without scaling: divide q·k by √size, and give the null entry its share."),
    Misconception("null scaled, too", lambda q, k, v, n: _recall(q, k, v, n / math.sqrt(k.shape[-1])),
                  "the null score is compared with the *scaled* scores: do not divide it by √size."),
    Misconception("softmax over the questions", lambda q, k, v, n: _scores(q, k).softmax(0) @ v,
                  "your softmax runs over the rows that ask; each row must share 1 among the *entries*."),
    Misconception("not normalised", lambda q, k, v, n: _scores(q, k).exp() @ v,
                  "exp alone does not share anything out: divide by the sum over all entries, the null included."),
    Misconception("sigmoid for each entry", lambda q, k, v, n: (_scores(q, k) - n).sigmoid() @ v,
                  "each entry competes with the null alone here; in a softmax all entries compete with each other."),
    Misconception("best entry only", lambda q, k, v, n: v[_scores(q, k).argmax(1)],
                  "this reads the best entry alone. It has no derivative with respect to the scores, so φ could not "
                  "learn where to look: softmax weights, please."),
)


@exercise("03.3")
def memory(answer: Any) -> Verdict:
    """``answer(query, key, value, null)`` = Σ_i softmax_i(q·k_i/√size; null) value_i, EQ-MEM-1 with one head."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for rows, entries, size, out in ((3, 4, 5, 2), (1, 6, 3, 4), (4, 2, 8, 3), (2, 5, 2, 2)):
        problems.append((_randn(random, rows, size), _randn(random, entries, size), _randn(random, entries, out),
                         float(_randn(random, 1)[0]) + 0.5))
    return judge(
        answer, problems, _recall, _MEMORY_MISTAKES,
        praise="this is attention with a null entry: a memory that has nothing to say stays silent.",
        otherwise="This is not Σ weight · value with weights from a softmax over the null score and the scaled "
                  "scores. Put the null score in front of each row of scores, take the softmax, drop the first weight.",
    )

"""Checks of notebook 02: the posterior of a lexicon, Pólya's urn, and the regret of a learner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge

Heard = Sequence[tuple[int, int]]  # (word, value) pairs of one slot


# ---------------------------------------------------------------- 02.1: what may a word mean?


def _meaning(heard: Heard, word: int, size: int) -> list[float]:
    known = dict(heard)
    if word in known:
        return [float(v == known[word]) for v in range(size)]
    return _even([v not in known.values() for v in range(size)])


def _even(possible: Sequence[bool]) -> list[float]:
    return [p / sum(possible) if any(possible) else 1 / len(possible) for p in possible]


def _each_word_alone(heard: Heard, word: int, size: int) -> list[float]:
    known = dict(heard)
    return [float(v == known[word]) for v in range(size)] if word in known else [1 / size] * size


def _smoothed(heard: Heard, word: int, size: int) -> list[float]:
    counts = [1 + sum(pair == (word, v) for pair in heard) for v in range(size)]
    return [c / sum(counts) for c in counts]


def _popular(heard: Heard, word: int, size: int) -> list[float]:
    counts = [sum(value == v for _, value in heard) for v in range(size)]
    return [c / sum(counts) for c in counts]


_MEANING_MISTAKES = (
    Misconception("no elimination", _each_word_alone,
                  "you treat each word by itself. A lexicon is a *permutation*: a value that another word has is not "
                  "free any more."),
    Misconception("add-one counting", _smoothed,
                  "you add one to every count, as if a word could mean several things. Nothing is noisy here: a word "
                  "that was heard is certain, and values of other words are impossible."),
    Misconception("values instead of meanings", _popular,
                  "you count how often each value was wanted. That says what people like to eat, not what this word "
                  "means."),
    Misconception("forgets what it heard", lambda h, w, n: _even([v not in dict(h).values() for v in range(n)]),
                  "you rule out the values that are taken, also for a word that was heard itself: of that word the "
                  "meaning is known."),
    Misconception("rules out the wrong ones", lambda h, w, n: _even([v in dict(h).values() for v in range(n)]),
                  "you give the chances to the values that are taken; they are the ones that are ruled out."),
    Misconception("nothing learned", lambda h, w, n: [1 / n] * n,
                  "this is the prior: it does not look at what was heard."),
)


@exercise("02.1")
def meaning_of_a_word(answer: Any) -> Verdict:
    """``answer(heard, word, size)`` = p(value | word, heard) for every value: EQ-BAYES-1 for one slot, no noise."""
    random = fresh()
    problems = []
    for size, kinds, again in ((5, 2, 1), (4, 2, 0), (6, 3, 2), (5, 3, 1), (4, 1, 2)):
        lexicon = torch.randperm(size, generator=random).tolist()
        known = torch.randperm(size, generator=random).tolist()
        pairs = tuple((w, lexicon[w]) for w in (*known[:kinds], *known[:kinds][:again]))
        problems += [(pairs, known[kinds], size), (pairs, known[0], size)]  # a word not heard, and one that was
    return judge(
        answer, problems, _meaning, _MEANING_MISTAKES,
        praise="this is the posterior: certain for a word that was heard, and even over the values that are left for "
               "any other. No learner can do better.",
        otherwise="Two cases: was this word itself heard? Then its value has probability 1. If not: which values do "
                  "other words have already? The rest share the probability evenly.",
    )


# ---------------------------------------------------------------- 02.2: Pólya's urn


def _urn(used: Sequence[int], c: float) -> list[float]:
    return [(c + n) / (c * len(used) + sum(used)) for n in used]  # EQ-BAYES-5


_URN_MISTAKES = (
    Misconception("frequencies", lambda used, c: [n / sum(used) for n in used],
                  "these are the frequencies so far. A template that was never used would then be impossible; the "
                  "prior gives each a head start of c."),
    Misconception("prior only", lambda used, c: [1 / len(used)] * len(used),
                  "this is the prior: what was used is not counted."),
    Misconception("add-one counting", lambda used, c: _urn(used, 1.0),
                  "the head start is c, not 1: with c = 0.3 a speaker sticks to few templates."),
    Misconception("not normalised", lambda used, c: [(c + n) / (c + sum(used)) for n in used],
                  "every one of the templates has the head start c: the sum in the denominator holds it once for each "
                  "(do your probabilities sum to 1?)."),
    Misconception("not normalised", lambda used, c: [c + n for n in used],
                  "these are the balls in the urn. Divide by their number to get probabilities."),
    Misconception("one shared head start", lambda used, c: [(c / len(used) + n) / (c + sum(used)) for n in used],
                  "you share one c among the templates. Here each has a c of its own."),
)


@exercise("02.2")
def urn(answer: Any) -> Verdict:
    """``answer(used, c)`` = p(next template) for every template, EQ-BAYES-5."""
    random = fresh()
    problems = []
    for size in (4, 3, 5, 2):
        used = torch.randint(0, 6, (size,), generator=random).tolist()
        used[0] += 1  # at least one was used
        problems.append((tuple(used), 0.2 + 1.6 * float(torch.rand(1, generator=random)) + 0.05))
    return judge(
        answer, problems, _urn, _URN_MISTAKES,
        praise="this is Pólya's urn: c balls of each colour to begin with, and one more for each use.",
        otherwise="This is not (c + used_j) / Σ_i (c + used_i).",
    )


# ---------------------------------------------------------------- 02.3: the expected regret


def _regret(b: Sequence[float], p: Sequence[float]) -> float:
    return sum(x * math.log(x / y) for x, y in zip(b, p) if x > 0)  # EQ-REGRET-1


_REGRET_MISTAKES = (
    Misconception("the other way round", lambda b, p: sum(y * math.log(y / x) for x, y in zip(b, p)),
                  "you average over the learner's own probabilities. What happens is drawn from the optimum's: "
                  "Σ b ln(b/p)."),
    Misconception("loss instead of regret", lambda b, p: -sum(x * math.log(y) for x, y in zip(b, p)),
                  "this is what the learner pays (the cross-entropy). Take off what the optimum pays as well."),
    Misconception("what the optimum pays", lambda b, p: -sum(x * math.log(x) for x in b),
                  "this is the entropy: what even the optimum pays. How much *more* does the learner pay?"),
    Misconception("bits", lambda b, p: _regret(b, p) / math.log(2),
                  "right, but in bits. The course counts in nats: the natural logarithm."),
    Misconception("wrong sign", lambda b, p: -_regret(b, p), "the sign is wrong: nobody has a negative regret on "
                                                             "average."),
    Misconception("differences of probabilities", lambda b, p: sum(abs(x - y) for x, y in zip(b, p)),
                  "you add up differences of probabilities. A loss is a logarithm: compare ln b with ln p."),
    Misconception("not weighted", lambda b, p: sum(math.log(x / y) for x, y in zip(b, p)) / len(b),
                  "you average over the values as if they were equally likely. Weigh each with b."),
)


@exercise("02.3")
def expected_regret(answer: Any) -> Verdict:
    """``answer(b, p)`` = Σ b ln(b / p) (EQ-REGRET-1) for b of the optimum and p of the learner, without zeros."""
    random = fresh()
    problems = []
    for size in (3, 5, 4, 2):
        b, p = ((0.05 + torch.rand(size, generator=random, dtype=torch.float64)) for _ in range(2))
        problems.append((tuple((b / b.sum()).tolist()), tuple((p / p.sum()).tolist())))
    return judge(
        answer, problems, _regret, _REGRET_MISTAKES,
        praise="this is the Kullback–Leibler divergence KL(b ‖ p): what it costs to believe p in a world where the "
               "optimum believes b. It is 0 only for p = b.",
        otherwise="In expectation the learner pays −Σ b ln p and the optimum −Σ b ln b. Take the difference.",
    )

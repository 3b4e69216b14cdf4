"""Checks of assignment a2: a table of counts, and the exact posterior of a lexicon without and with noise."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge

# ---------------------------------------------------------------- a2.1: a table of counts


def _counts(words: Tensor, values: Tensor, size: int) -> Tensor:
    table = torch.zeros(size, size, dtype=torch.float64)
    table.index_put_((words, values), torch.ones(len(words), dtype=torch.float64), accumulate=True)
    return table


def _seen(words: Tensor, values: Tensor, size: int) -> Tensor:
    return (_counts(words, values, size) > 0).to(torch.float64)


def _last(words: Tensor, values: Tensor, size: int) -> Tensor:
    table = torch.zeros(size, size, dtype=torch.float64)
    for word, value in zip(words.tolist(), values.tolist(), strict=True):
        table[word] = 0
        table[word, value] = 1
    return table


_COUNT_MISTAKES = (
    Misconception("counted once", _seen,
                  "each pair counts once, however often it was seen. `table[words, values] += 1` does that: it adds 1 "
                  "to each place only once. Use a loop, `index_put_(…, accumulate=True)` or `bincount`."),
    Misconception("order decides", _last,
                  "the last sighting of a word overwrites the ones before, so the order of the turns matters. Add up."),
    Misconception("transposed", lambda w, v, n: _counts(v, w, n),
                  "rows and columns are exchanged: row = word, column = value."),
    Misconception("shares", lambda w, v, n: _counts(w, v, n) / len(w),
                  "these are shares of all sightings. Asked are the counts."),
    Misconception("shares", lambda w, v, n: _counts(w, v, n) / _counts(w, v, n).sum(1, keepdim=True).clamp(min=1),
                  "these are shares within each word. Asked are the counts."),
    Misconception("smoothed", lambda w, v, n: _counts(w, v, n) + 1,
                  "you added 1 to every place. What was never seen has the count 0."),
)


@exercise("a2.1")
def counts(answer: Any) -> Verdict:
    """``answer(words, values, size)``: how often word w was seen with value v, [size, size], rows are words."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for pairs, size in ((6, 3), (20, 5), (9, 4), (12, 3)):
        words, values = (torch.randint(size, (pairs,), generator=random) for _ in range(2))
        # One pair for sure twice, and one word for sure with two values, the first sighting not the last.
        words[2], values[2], words[-1], values[-1] = words[0], values[0], words[0], (values[0] + 1) % size
        problems.append((words, values, size))
    return judge(
        answer, problems, _counts, _COUNT_MISTAKES,
        praise="sums over a set: shuffle the support and nothing changes.",
        otherwise="This is not the table of counts. Start from zeros [size, size]; each sighting adds 1 at "
                  "[word, value].",
    )


# ---------------------------------------------------------------- a2.2: the posterior without noise


def _posterior(words: Tensor, values: Tensor, size: int) -> Tensor:
    return _noisy(words, values, size, 0.0)


def _rows(words: Tensor, values: Tensor, size: int, unheard: str) -> Tensor:
    """Heard words are known; the rows of all others by a rival idea."""
    table = _seen(words, values, size)
    if unheard == "everything":
        table[table.sum(1) == 0] = 1 / size
    elif unheard == "smoothed":
        table = _counts(words, values, size) + 1
        table = table / table.sum(1, keepdim=True)
    elif unheard == "not renormalised":
        free = table.sum(0) == 0
        table[table.sum(1) == 0] = free.to(table.dtype) / size
    return table


_POSTERIOR_MISTAKES = (
    Misconception("words independent", lambda w, v, n: _rows(w, v, n, "everything"),
                  "an unheard word could mean anything, you say. But a lexicon is a permutation: values that belong to "
                  "a heard word are taken. Spread it over the values that are left."),
    Misconception("smoothed counts", lambda w, v, n: _rows(w, v, n, "smoothed"),
                  "these are smoothed counts (add one). Without noise, one sighting settles what a word means, and "
                  "which value is taken."),
    Misconception("unheard words left out", lambda w, v, n: _rows(w, v, n, "nothing"),
                  "unheard words have a row of zeros here: that is no probability. They mean *one* of the values that "
                  "are left, and we don't know which."),
    Misconception("not renormalised", lambda w, v, n: _rows(w, v, n, "not renormalised"),
                  "you cross out the values that are taken but forget to divide anew: each row must sum to 1."),
    Misconception("uniform", lambda w, v, n: torch.full((n, n), 1 / n, dtype=torch.float64),
                  "this is the prior: it does not look at the support."),
    Misconception("transposed", lambda w, v, n: _posterior(v, w, n),
                  "rows and columns are exchanged: row = word, column = value."),
)


@exercise("a2.2")
def posterior(answer: Any) -> Verdict:
    """``answer(words, values, size)`` = P(word w means value v | noise-free sightings), uniform over permutations."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for size, heard in ((4, 2), (5, 2), (6, 3), (5, 1)):
        lexicon = torch.randperm(size, generator=random)
        order = torch.randperm(size, generator=random)[:heard]
        words = torch.cat([order, order[:1]])  # one word is heard twice
        problems.append((words, lexicon[words], size))
    return judge(
        answer, problems, _posterior, _POSTERIOR_MISTAKES,
        praise="heard words are certain, and unheard ones share exactly the values that are left.",
        otherwise="This is not the posterior. List the permutations that agree with every sighting; P(w means v) is "
                  "the share of them with π[w] = v.",
    )


# ---------------------------------------------------------------- a2.3: the posterior with noise


def _noisy(words: Tensor, values: Tensor, size: int, noise: float) -> Tensor:
    every = torch.tensor(list(permutations(range(size))))  # [size!, size]: π[w] is the value of word w
    agrees = (every[:, words] == values).to(torch.float64)  # [size!, sightings]
    weight = (agrees * (1 - noise) + (1 - agrees) * noise / (size - 1)).prod(1)
    means = torch.nn.functional.one_hot(every, size).to(torch.float64)  # [size!, word, value]
    return torch.einsum("p,pwv->wv", weight / weight.sum(), means)


def _one_by_one(words: Tensor, values: Tensor, size: int, noise: float) -> Tensor:
    """Each word by itself, as if it could share its value with another word."""
    n = _counts(words, values, size)
    odds = torch.tensor((1 - noise) * (size - 1) / noise, dtype=torch.float64)
    return (n * odds.log()).softmax(1)


def _noise_of_each(words: Tensor, values: Tensor, size: int, noise: float) -> Tensor:
    """The rate ε given to every single other word, instead of shared among them."""
    share = noise * (size - 1) / (1 - noise + noise * (size - 1))  # the same odds (1 − ε) : ε
    return _noisy(words, values, size, share)


def _each_pair_once(words: Tensor, values: Tensor, size: int, noise: float) -> Tensor:
    pairs = torch.unique(torch.stack([words, values]), dim=1)
    return _noisy(pairs[0], pairs[1], size, noise)


_NOISY_MISTAKES = (
    Misconception("noise ignored", lambda w, v, n, e: _noisy(w, v, n, 1e-9),
                  "you take every sighting for certain. With noise, two sightings can contradict each other, and a "
                  "single one is only evidence."),
    Misconception("words independent", _one_by_one,
                  "you weigh each word by itself. A lexicon is a permutation: what one word means says something about "
                  "all others. Sum over whole permutations."),
    Misconception("ε not shared", _noise_of_each,
                  "a wrong word comes with probability ε *in all*: each of the V − 1 other words with ε / (V − 1)."),
    Misconception("noise mixed in at the end",
                  lambda w, v, n, e: (1 - e) * _noisy(w, v, n, 1e-9) + e / n,
                  "you mix the noise into the result. It belongs into the likelihood of each sighting."),
    Misconception("most probable only", lambda w, v, n, e: torch.nn.functional.one_hot(
        _noisy(w, v, n, e).argmax(1), n).to(torch.float64),
        "this names the most probable value of each word. Asked are the probabilities."),
    Misconception("1 − ε and ε exchanged", lambda w, v, n, e: _noisy(w, v, n, 1 - e),
                  "1 − ε and ε are exchanged: the right word is heard with probability 1 − ε."),
    Misconception("repetition ignored", _each_pair_once,
                  "each pair counts once. Two sightings of the same pair are twice the evidence: multiply."),
)


@exercise("a2.3")
def noisy_posterior(answer: Any) -> Verdict:
    """``answer(words, values, size, noise)``: the same with word noise ε.

    p(hear w | meant v, π) = 1 − ε when π[w] = v, and ε / (V − 1) otherwise; the prior over π is uniform.
    """
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for size, sightings in ((3, 4), (4, 5), (5, 4), (4, 6)):
        noise = 0.1 + 0.2 * float(torch.rand((), dtype=torch.float64, generator=random))
        lexicon = torch.randperm(size, generator=random)
        words = torch.randint(size, (sightings,), generator=random)
        words[1] = words[0]
        values = lexicon[words]
        values[-1] = (values[-1] + 1) % size  # one sighting for sure is noise
        problems.append((words, values, size, noise))
    return judge(
        answer, problems, _noisy, _NOISY_MISTAKES,
        praise="a sum over all V! lexicons, each weighed by the product of its likelihoods: this is the course's exact "
               "reference.",
        otherwise="This is not the posterior. Weigh every permutation π by the product over sightings of (1 − ε) or "
                  "ε / (V − 1), divide by the sum, and add up the weights of those with π[w] = v.",
    )

"""The checks of the assignments: right answers pass, usual mistakes are named, nothing cheap passes."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
import torch
from torch.func import grad, jvp

from metadialog_lite.lab import checks_a1, checks_a2, checks_a3
from metadialog_lite.lab.check import check, exercises
from metadialog_lite.lab.judging import Misconception
from metadialog_lite.world import load_world
from metadialog_lite.world.bayes import BayesReference

IDS = [f"a{number}.{task}" for number in (1, 2, 3) for task in (1, 2, 3)]


def walk(theta, alpha, steps, loss):
    return theta if steps == 0 else walk(theta - alpha * grad(loss)(theta), alpha, steps - 1, loss)


def outer(theta, alpha, steps, support, query):
    theta = theta.requires_grad_()
    end = theta
    for _ in range(steps):
        (slope,) = torch.autograd.grad(support(end), end, create_graph=True)
        end = end - alpha * slope
    return torch.autograd.grad(query(end), theta)[0]


def pull_back(theta, alpha, v, loss):
    return v - alpha * jvp(grad(loss), (theta,), (v,))[1]  # forward over reverse: another way than the checker's


def counts(words, values, size):
    return torch.bincount(words * size + values, minlength=size * size).reshape(size, size)


def posterior(words, values, size):
    table = (counts(words, values, size) > 0).double()
    table[table.sum(1) == 0] = (table.sum(0) == 0).double() / (table.sum(0) == 0).sum().clamp(min=1)
    return table


def noisy(words, values, size, noise):
    table, total = torch.zeros(size, size, dtype=torch.float64), 0.0
    for lexicon in permutations(range(size)):
        weight = 1.0
        for word, value in zip(words.tolist(), values.tolist(), strict=True):
            weight *= 1 - noise if lexicon[word] == value else noise / (size - 1)
        total += weight
        for word, value in enumerate(lexicon):
            table[word, value] += weight
    return table / total


def jga(predicted, gold):
    return sum(p == g for p, g in zip(predicted.tolist(), gold.tolist(), strict=True)) / len(gold)


def honest(valid, test):
    best = min(range(len(valid)), key=lambda row: float(valid[row].sum()))
    return float(test[best].mean())


def wins(a, b):
    sides = set()
    for d in a - b:
        error = 1.96 * d.std() / len(d) ** 0.5
        sides.add(-1 if d.mean() + error < 0 else 1 if d.mean() - error > 0 else 0)
    return sides.pop() if len(sides) == 1 else 0


RIGHT = dict(zip(IDS, (walk, outer, pull_back, counts, posterior, noisy, jga, honest, wins), strict=True))
TABLES = {"a1.1": checks_a1._WALK_MISTAKES, "a1.2": checks_a1._OUTER_MISTAKES, "a1.3": checks_a1._PULL_MISTAKES,
          "a2.1": checks_a2._COUNT_MISTAKES, "a2.2": checks_a2._POSTERIOR_MISTAKES,
          "a2.3": checks_a2._NOISY_MISTAKES, "a3.1": checks_a3.JGA_MISTAKES, "a3.2": checks_a3._HONEST_MISTAKES,
          "a3.3": checks_a3._WIN_MISTAKES}
MISTAKES = [(identifier, mistake) for identifier, table in TABLES.items() for mistake in table]


def test_each_assignment_has_its_three_checks():
    assert [identifier for notebook in ("a1", "a2", "a3") for identifier in exercises(notebook)] == IDS


@pytest.mark.parametrize("identifier", IDS)
def test_right_answers_pass_on_every_draw(identifier):
    for _ in range(3):
        verdict = check(identifier, RIGHT[identifier])
        assert verdict.passed, verdict


@pytest.mark.parametrize(("identifier", "mistake"), MISTAKES, ids=[f"{i} {m.label}" for i, m in MISTAKES])
def test_usual_mistakes_are_named_on_every_draw(identifier: str, mistake: Misconception):
    for _ in range(3):
        verdict = check(identifier, mistake.compute)
        assert not verdict.passed
        assert verdict.misconception == mistake.label, verdict


@pytest.mark.parametrize("identifier", IDS)
def test_nothing_cheap_passes(identifier):
    def stub(*arguments):
        raise NotImplementedError("write this function")

    for cheap in (stub, None, 1.0, lambda *a: 0.0, lambda *a: a[0], lambda *a: None):
        assert not check(identifier, cheap).passed


@pytest.mark.parametrize("world", ["restaurants.en", "restaurants.zh"])
def test_a2_2_is_the_packages_bayes_reference(world):
    """The homework's posterior is what the toy world's exact reference says about every slot's words (EQ-BAYES-1)."""
    source = load_world(world)
    seen = BayesReference(source).posterior(source.task("test", 0, 3).support(6))
    for slot, table in zip(source.slots, seen.counts, strict=True):
        words, values = sightings(table)
        mine = posterior(words, values, len(table))
        theirs = [list(row.values()) for row in seen.lexicon()[slot].values()]
        assert torch.allclose(mine, torch.tensor(theirs, dtype=torch.float64), atol=1e-12)


def test_a2_3_is_the_packages_bayes_reference_with_word_noise():
    """p(value | heard word) of the reference is the homework's posterior of the meaning, and the word may be wrong."""
    source = load_world(Path(__file__).parent / "worlds" / "brute_noise.yaml")
    noise = source.spec.knobs.word_noise
    seen = BayesReference(source).posterior(source.task("test", 0, 3).support(6))
    for slot, table in zip(source.slots, seen.counts, strict=True):
        means = noisy(*sightings(table), len(table), noise)
        expected = (1 - noise) * means + noise / (len(table) - 1) * (1 - means)
        theirs = [list(row.values()) for row in seen.lexicon()[slot].values()]
        assert torch.allclose(expected, torch.tensor(theirs, dtype=torch.float64), atol=1e-12)


def sightings(table):
    """A table of counts as a list of (word, value)."""
    pairs = [(w, v) for w, row in enumerate(table) for v, count in enumerate(row) for _ in range(count)]
    return torch.tensor([w for w, _ in pairs], dtype=torch.long), torch.tensor([v for _, v in pairs], dtype=torch.long)

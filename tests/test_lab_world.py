"""What notebook 02 checks the optimum with, and the game against it."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations
from typing import Any

import pytest
import torch

from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_02 import WorldParameters
from metadialog_lite.lab.world_checks import (
    crossed_out,
    floor,
    habits,
    next_slot,
    played_out,
    smaller,
    surprising_order,
)
from metadialog_lite.lab.world_game import DOUBT, Game, clean, sure
from metadialog_lite.world import ACTS, BayesReference, Meaning, asked, believed, habit, heard, load_world

WORLD, TRAVEL = load_world("restaurants.en"), load_world("travel.en")

# What a prompt asks, and what the optimum believes ------------------------------------------------------------------


@pytest.mark.parametrize("world", [WORLD, TRAVEL, TRAVEL.with_knobs(word_noise=0.2, correct=0.6)],
                         ids=["plain", "corrections", "noise"])
def test_the_state_loss_is_a_sum_over_the_words_of_the_prompt(world: Any) -> None:
    """EQ-ASK-1."""
    reference, corrections = BayesReference(world), 0
    for index in range(20):
        task = world.task("test", 3, index)
        posterior = reference.posterior(task.support(5))
        for turn in task.query(4):
            rows = believed(posterior, turn)
            assert all(sum(row) == pytest.approx(1) for row in rows)
            total = sum(-math.log(row[q.value]) for q, row in zip(asked(turn), rows, strict=True))
            assert total == pytest.approx(posterior.nll(turn)[0], abs=1e-9)
            corrections += sum(q.old >= 0 for q in asked(turn))
    assert (corrections > 0) == (world is not WORLD)


def test_what_was_heard_is_what_the_optimum_counts() -> None:
    posterior = BayesReference(TRAVEL).posterior(TRAVEL.task("test", 0, 4).support(20))
    counted = Counter(heard(TRAVEL.task("test", 0, 4).support(20)))
    for slot, rows in enumerate(posterior.counts):
        for word, row in enumerate(rows):
            assert row == [counted[slot, word, value] for value in range(len(row))]
    with pytest.raises(ValueError, match="only toy-world turns"):
        asked(TRAVEL.task("test", 0, 4).support(1)[0]._replace(meaning=None))


def test_latents_are_drawn_from_their_prior() -> None:
    """EQ-WORLD-1: every lexicon, order and fact equally often; habits with the Dirichlet's mean and variance."""
    tiny, speakers = smaller(WORLD, 3), 3000
    tasks = [tiny.task("train", 5, index) for index in range(speakers)]
    for kind, of in (("lexicon", lambda t: t.meaning_of[1]), ("order", lambda t: t.asks_first),
                     ("name", lambda t: t.persona["name"])):
        counts = Counter(map(of, tasks))
        kinds = {"lexicon": 6, "order": 24, "name": 6}[kind]
        assert len(counts) == kinds
        chi = sum((n - speakers / kinds) ** 2 for n in counts.values()) / (speakers / kinds)
        assert chi < kinds - 1 + 5 * math.sqrt(2 * (kinds - 1)), kind
    shares = torch.tensor([task.style["offer"] for task in tasks], dtype=torch.float64)
    c, size = tiny.spec.knobs.style, shares.shape[1]
    expected = (1 / size) * (1 - 1 / size) / (size * c + 1)
    assert shares.mean(0).tolist() == pytest.approx([1 / size] * size, abs=0.03)
    assert shares.var(0).tolist() == pytest.approx([expected] * size, rel=0.1)


def test_the_probabilities_of_all_turns_after_a_prompt_sum_to_one() -> None:
    """EQ-TURN-1: state, act and response, each given what stands before it, make one distribution over turns."""
    tiny = smaller(WORLD, 3)
    task = tiny.task("test", 0, 2)
    posterior = BayesReference(tiny).posterior(task.support(4))
    turn = next(t for t in task.query(50) if len(t.meaning.mentions) == 1 and t.meaning.asked >= 0)
    m: Meaning = turn.meaning
    slot, word, _ = m.mentions[0]
    missing = [s for s in range(len(tiny.slots)) if not m.after >> s & 1]
    total = 0.0
    for value in range(3):
        for ask in missing:
            for template in range(len(tiny.templates[m.act])):
                facts = posterior.reference.facts_at(m.act, template, ask)
                names = tiny.spec.persona["name"] if facts else ("-",)
                for name in names:
                    response = tiny.render(m.act, template, ask, {"{name}": name})
                    other = m._replace(mentions=((slot, word, value),), asked=ask, template=template)
                    total += math.exp(-sum(posterior.nll(turn._replace(response=response, meaning=other))))
    assert total == pytest.approx(1)


def test_the_urn_is_the_integral_over_habits() -> None:
    """EQ-BAYES-5, with two templates, where the integral is one over a fine grid."""
    posterior = BayesReference(WORLD).posterior(WORLD.task("test", 0, 3).support(12))
    act, c = ACTS.index("confirm"), WORLD.spec.knobs.style
    posterior.used[act] = [3, 1]
    h = torch.linspace(0, 1, 400_001, dtype=torch.float64)[1:-1]
    weight = h ** (c - 1 + 3) * (1 - h) ** (c - 1 + 1)
    assert habit(posterior, act)[0] == pytest.approx(float((weight * h).sum() / weight.sum()), abs=1e-4)


def test_a_smaller_world_with_noise_against_all_lexicons() -> None:
    """EQ-BAYES-4: the posterior of one word, listing the six lexicons of a slot by hand."""
    tiny = smaller(WORLD, 3).with_knobs(word_noise=0.25)
    support = tiny.task("test", 1, 0).support(9)
    weights = {pi: math.prod(0.75 if pi[w] == v else 0.125 for s, w, v in heard(support) if s == 2)
               for pi in permutations(range(3))}
    lexicon = BayesReference(tiny).posterior(support).lexicon()[tiny.slots[2]]
    for w, row in enumerate(lexicon.values()):
        for v, p in enumerate(row.values()):
            by_hand = sum(x * (0.75 if pi[w] == v else 0.125) for pi, x in weights.items()) / sum(weights.values())
            assert p == pytest.approx(by_hand, abs=1e-12)
    with pytest.raises(ValueError, match="values: got 1"):
        smaller(WORLD, 1)


def test_dialogues_played_out_agree_with_the_optimum_and_not_with_the_orders_left() -> None:
    """EQ-BAYES-2 by simulation: the prompt is evidence."""
    support, turn, posterior = surprising_order(WORLD, 0, tries=200)
    exact, naive = next_slot(posterior, turn), crossed_out(posterior, turn)
    counts = played_out(WORLD, posterior, turn, 6000, seed=9)
    total = sum(counts.values())
    assert len(support) == 6
    assert total > 50
    assert sum(naive.values()) == pytest.approx(1)
    for slot, p in exact.items():
        assert abs(counts[slot] / total - p) < 5 * math.sqrt(p * (1 - p) / total)
    assert max(abs(p - naive.get(slot, 0.0)) for slot, p in exact.items()) > 0.1


def test_averages_of_the_optimum() -> None:
    rows = floor(WORLD, (0, 4), 30, 2, 0)
    assert rows[4]["total"] < rows[0]["total"]
    assert rows[4]["total"] == pytest.approx(sum(rows[4][part] for part in ("state", "act", "response")))
    assert torch.tensor(habits(0.3, 4, 500, 1)).sum(1).tolist() == pytest.approx([1.0] * 500)


# The game -----------------------------------------------------------------------------------------------------------


def everything_even(game: Game) -> list[list[float]]:
    return [[1.0] * len(game.world.values[q.slot]) for q in game.questions]


@pytest.mark.parametrize("world", [WORLD, TRAVEL])
def test_who_never_learns_pays_as_one_who_never_learns(world: Any) -> None:
    game = Game(world, seed=1, index=2, shots=20)
    while not game.done:
        game.play(everything_even(game))
    assert game.paid("you") == pytest.approx(game.paid("never learns"))
    assert game.paid("optimum") < game.paid("you")
    reference = BayesReference(world)
    online = [reference.posterior(game.support[:i]).nll(turn)[0] for i, turn in enumerate(game.support)]
    assert game.paid("optimum") == pytest.approx(sum(online))
    assert "gap closed 0.00" in game.text()
    with pytest.raises(ValueError, match="has been played"):
        game.play([])


def test_nobody_beats_the_optimum_on_average_though_many_are_lucky() -> None:
    """EQ-REGRET-1: with one question per fresh speaker, Σ regret ≤ −ln 10⁴ has probability ≤ 10⁻⁴."""
    regrets = []
    for index in range(300):
        game = Game(WORLD, seed=2, index=index, shots=3)
        while not game.done and game.at < 2:
            game.play(game.optimum())
        if not game.done:  # then a wild guess: the first value that is left, 70 % sure
            bets = [sure(row.index(max(row)), 0.7, len(row)) for row in game.optimum()]
            played = game.play(bets)
            regrets.append(played.nats["you"] - played.nats["optimum"])
    assert min(regrets) < -0.5  # lucky
    assert sum(regrets) > -math.log(1e4)
    assert sum(regrets) > 0


def test_playing_as_the_optimum_costs_only_the_doubt() -> None:
    game = Game(WORLD, shots=24)
    while not game.done:
        game.play(game.optimum())
    words = sum(len(each.asked) for each in game.rounds)
    assert 0 <= game.paid("you") - game.paid("optimum") < 1.01 * DOUBT * words


def test_bets_are_made_into_probabilities() -> None:
    assert clean([0, 0, 0], 3) == pytest.approx([1 / 3] * 3)
    assert clean([2, 2, 0], 3)[:2] == pytest.approx([(1 - DOUBT) / 2 + DOUBT / 3] * 2)
    assert clean([1, 1, 1], 3, old=1) == pytest.approx([0.5, 0, 0.5])
    assert sure(2, 0.8, 4, old=0) == pytest.approx([0, 0.1, 0.8, 0.1])
    assert sum(clean(sure(0, 0.9, 2, old=1), 2, old=1)) == pytest.approx(1)
    for bad in ([1, 2], [1, -1, 0], [math.nan, 0, 0], [math.inf, 0, 0]):
        with pytest.raises(ValueError, match="3 numbers from 0 on"):
            clean(bad, 3)
    with pytest.raises(ValueError, match="bets for"):
        Game(WORLD).play([])


@pytest.mark.parametrize(("world", "words"), [
    ("restaurants.en,travel.en", "several worlds"), ("restaurants.en+noise=0.2", "noise in the support")])
def test_worlds_without_a_fair_game_are_refused(world: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Game(load_world(world))
    with pytest.raises(ParameterError, match=words):
        parameters(None, WorldParameters, world=world)

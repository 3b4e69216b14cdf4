"""Properties of the exact reference: it sums to one, reads only the prompt, and finds the hidden latents."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from read_turn import read
from responses import response_event

from metadialog_lite.world import ACTS, BayesReference, load_world

HERE = Path(__file__).parent / "worlds"
BRUTE, THREE = (load_world(HERE / f"{name}.yaml") for name in ("brute", "brute_three"))
EN, ZH, TRAVEL = load_world("restaurants.en"), load_world("restaurants.zh"), load_world("travel.en")

worlds = st.builds(
    lambda world, noise, volunteer, greet, thank, style: world.with_knobs(
        word_noise=noise, volunteer=volunteer, greet=greet, thank=thank, style=style),
    st.sampled_from([EN, ZH, BRUTE, THREE, TRAVEL, TRAVEL.with_knobs(correct=0.9), BRUTE.with_knobs(correct=0.6)]),
    st.sampled_from([0.0, 0.01, 0.1, 0.5]),
    st.sampled_from([0.0, 0.22, 0.95]), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.05, 0.3, 3.0]))


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(0, 10**6), st.integers(0, 20))
def test_probabilities_sum_to_one_and_losses_are_finite(world, index, shots):
    task = world.task("sum", 0, index)
    posterior = BayesReference(world).posterior(task.support(shots))
    for turn in task.query(3):
        m = turn.meaning
        nll = posterior.nll(turn)
        assert all(math.isfinite(x) and x >= 0 for x in nll)
        assert all(isinstance(x, float) for x in nll)
        ranges = [range(len(world.values[s])) for s, _, _ in m.mentions]
        states = [tuple((s, w, v) for (s, w, _), v in zip(m.mentions, choice, strict=True))
                  for choice in product(*ranges)]
        given = 1 if m.correction is None else posterior._corrected(m.correction)[m.correction.value]
        assert sum(math.exp(-posterior.nll(turn._replace(meaning=m._replace(mentions=x)))[0])
                   for x in states) == pytest.approx(given)
        if (fix := m.correction) is not None:
            assert posterior._corrected(fix)[fix.old] == 0
            others = [m._replace(correction=fix._replace(value=v)) for v in range(len(world.values[fix.slot]))]
            assert sum(posterior._corrected(fix)) == pytest.approx(1)
            assert sum(math.exp(nll[0] - posterior.nll(turn._replace(meaning=x))[0])
                       for x in others) == pytest.approx(1 / posterior._corrected(fix)[fix.value])
        if m.asked >= 0:
            missing = [s for s in range(len(world.slots)) if not m.after >> s & 1]
            assert sum(math.exp(-posterior.nll(turn._replace(
                act=("request", world.slots[s]), response=world.render(m.act, m.template, s, task._persona),
                meaning=m._replace(asked=s)))[1]) for s in missing) == pytest.approx(1)
        assert sum(response_event(world, posterior, turn)[1]) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(worlds, st.integers(0, 10**6), st.integers(0, 12))
def test_predict_reads_only_the_prompt(world, index, shots):
    """Whatever the targets say (and the meaning that goes with them), the prediction is the same."""
    task, other = world.task("predict", 0, index), world.task("predict", 1, index)
    posterior = BayesReference(world).posterior(task.support(shots))
    for turn in task.query(4):
        m = turn.meaning
        prediction = posterior.predict(turn)
        missing = [s for s in range(len(world.slots)) if not m.after >> s & 1]
        forged = turn._replace(
            state=("?",) * len(turn.state), act=("?",), response=other.query(1)[0].response,
            meaning=m._replace(mentions=tuple((s, w, 0) for s, w, _ in m.mentions),
                               correction=m.correction and m.correction._replace(value=0),
                               asked=missing[-1] if m.asked >= 0 else -1, template=0))
        assert posterior.predict(forged) == prediction
        # the kind of turn, the act and the filled slots that it reads are a function of the prompt
        assert (m.kind, m.before, m.after) == read(world.spec, turn)[:2] + (read(world.spec, turn)[3],)
        assert ACTS[m.act] == {0: "greet", 1: "request" if missing else "confirm", 2: "offer", 3: "bye",
                                4: "confirm"}[m.kind]
        state, act, response = prediction
        assert len(state) == len(world.slots)
        assert act[0] == turn.act[0]
        assert set(state) | set(act) | set(response) <= set(world.tokens)


@pytest.mark.parametrize("world", [EN, ZH, TRAVEL.with_knobs(correct=0.8)])
def test_predictions_are_the_most_probable(world):
    bayes = BayesReference(world)
    for index in range(60):
        task = world.task("best", 0, index)
        posterior = bayes.posterior(task.support(index % 20))
        for turn in task.query(2):
            m = turn.meaning
            state, act, _ = posterior.predict(turn)
            values = tuple((s, w, world.values[s].index(state[s])) for s, w, _ in m.mentions)
            fix = m.correction and m.correction._replace(
                value=world.values[m.correction.slot].index(state[m.correction.slot]))
            best = posterior.nll(turn._replace(meaning=m._replace(mentions=values, correction=fix)))[0]
            assert best <= posterior.nll(turn)[0] + 1e-12
            if m.asked >= 0:
                asked = m._replace(asked=world.slots.index(act[1]))
                rendered = world.render(m.act, m.template, asked.asked, task._persona)
                likeliest = posterior.nll(turn._replace(meaning=asked, response=rendered))[1]
                assert likeliest <= posterior.nll(turn)[1] + 1e-12


@pytest.mark.parametrize(("noise", "shots", "least"), [(0.0, 120, 0.9999), (0.1, 150, 0.85)])
def test_posterior_concentrates_on_the_hidden_lexicon_order_and_persona(noise, shots, least):
    world = EN.with_knobs(word_noise=noise)
    bayes = BayesReference(world)
    for index in range(5):
        task = world.task("hidden", 0, index)
        posterior = bayes.posterior(task.support(shots))
        lexicon = posterior.lexicon()
        for slot, words in task.lexicon.items():
            for word, value in words.items():
                assert sum(lexicon[slot][word].values()) == pytest.approx(1)
                assert lexicon[slot][word][value] >= least
        alive = [order for i, order in enumerate(bayes.orders) if posterior.alive >> i & 1]
        assert task.asks_first in alive
        assert len(alive) <= 2
        assert posterior.known.items() <= task.persona.items()


def test_posterior_says_who_is_to_blame():
    bayes = BayesReference(EN.with_knobs(volunteer=0.0))
    turn = EN.task("train", 0, 0).query(1)[0]
    with pytest.raises(ValueError, match="toy-world turns only"):
        bayes.posterior([turn._replace(meaning=None)])
    with pytest.raises(ValueError, match="toy-world turns only"):
        bayes.posterior([]).nll(turn._replace(meaning=None))


def test_turns_of_another_task_are_impossible_not_a_crash():
    bayes, infinite, refused = BayesReference(EN), 0, 0
    for index in range(40):
        posterior = bayes.posterior(EN.task("mine", 0, index).support(32))
        for turn in EN.task("other", 0, index).query(4):
            try:
                infinite += math.isinf(sum(posterior.nll(turn)))
            except ValueError as error:
                refused += "no order of asking explains this prompt" in str(error)
    assert infinite > 0
    assert refused > 0

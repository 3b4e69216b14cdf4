"""Meta-Data Generation: D' = g_phi(D). Bilevel gradients, recombinations, weights, soft turns, controls."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from small import world
from test_gradients import largest_error
from test_meta_networks import assert_batched_equals_looped, shaken
from tiny import VOCABULARY, make_batches, make_tasks, make_tiny

from metadialog_lite.episodes import STATE, TurnBatch, encode_turns
from metadialog_lite.families.base import gradients, inner_step
from metadialog_lite.families.recombine import WAYS, Parts, other_past, parts_of, recombined, sequence

LEARNERS = ["distillation", "augmentation", "example_weights"]
SMALL = {"inner_lr": 0.0005, "inner_steps": 2}


def options(name: str) -> dict[str, object]:
    return SMALL | ({"synthetic": 2, "slots": 0} if name == "distillation" else {})


@pytest.fixture(autouse=True)
def short_synthetic_turns(monkeypatch):
    monkeypatch.setattr("metadialog_lite.families.meta_data_generation.Distillation.LENGTHS", (3, 1, 3))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", LEARNERS)
def test_bilevel_gradient_is_the_derivative_of_the_outer_loss(name, frozen):
    """EQ-MDG-2 with EQ-DIST-1, EQ-AUG-1 and EQ-REW-1 against finite differences along 24 random unit directions."""
    learner = shaken(name, frozen=frozen, **options(name))
    if name == "distillation":  # at the start synthetic turns count so little that finite differences see rounding only
        torch.nn.init.constant_(learner.strength, 0.0)
    support, query = make_batches()
    gradient, _ = learner.outer_gradient(support, query)
    assert largest_error(learner, gradient, support, query) <= 1e-6
    own = {"distillation": "scores", "augmentation": "trust", "example_weights": "weigh."}[name]
    assert largest_error(learner, gradient, support, query, own) <= 1e-6
    assert any(key.startswith("model.") for key in gradient) is not frozen


@pytest.mark.parametrize("name", LEARNERS)
def test_batched_equals_looped(name):
    assert_batched_equals_looped(shaken(name, **options(name)))


@pytest.mark.parametrize("name", LEARNERS)
def test_the_control_is_meta_sgd(name):
    """EQ-MDG-1 with g = identity: each of the three is Meta-SGD, to the last digit."""
    control = shaken(name, identity=True, **options(name))
    twin = shaken("meta_sgd", **SMALL)
    twin.load_state_dict({k: v for k, v in control.state_dict().items() if k.startswith(("model.", "rates."))})
    turns, query = make_tasks(1, 4)[0], make_tasks(1, 3, seed=9)[0]
    torch.testing.assert_close(control.adapt(turns).nll(query), twin.adapt(turns).nll(query), rtol=1e-12, atol=1e-12)
    full = shaken(name, **options(name))
    assert float((full.adapt(turns).nll(query) - twin.adapt(turns).nll(query)).abs().max()) > 1e-6


def test_parts_and_sequence_are_inverse():
    batch = encode_turns(make_tasks(1, 6)[0], VOCABULARY)
    for ids in batch.tokens.tolist():
        again, _ = sequence(parts_of(ids))
        assert again == ids[: len(again)]
        assert not any(ids[len(again):])


def test_recombined_turns_are_valid_batches():
    """Their segments are what encode_turns gives for the same turns."""
    support, _ = make_batches()
    new = recombined(support)
    assert new.tokens.shape[:2] == (3, 3 * len(WAYS))
    assert new.where.max() < new.tokens.shape[-1]
    old = encode_turns(make_tasks(3, 3, 1)[0], VOCABULARY)
    first = recombined(old)  # "fewer_words" keeps all but the user's words
    kept = first.tokens[-3:, : old.tokens.shape[-1]]
    same = (kept == old.tokens) | (kept == 1)
    assert bool(same.all())
    assert torch.equal(first.segment[-3:, : old.tokens.shape[-1]], old.segment)


def test_another_past_keeps_what_the_user_changed():
    turn = Parts((1, 2, 0), (9,), (1, 7, 0), (5,), (6,))
    other = Parts((3, 3, 3), (8,), (3, 3, 3), (5,), (6,))
    assert other_past(turn, other) == Parts((3, 3, 3), (9,), (3, 7, 3), (5,), (6,))


def test_another_past_is_true_in_the_toy_world():
    """In a world without noise the recombined state is what the world itself would say."""
    turns = world().task("train", 0, 0).support(12)
    for turn, other in pairwise(turns):
        parts = [Parts(*(tuple(part) for part in (t.previous_state, t.user, t.state, t.act, t.response)))
                 for t in (turn, other)]
        made = other_past(*parts)
        changed = {i for i, (a, b) in enumerate(zip(turn.previous_state, turn.state, strict=True)) if a != b}
        for i, value in enumerate(made.state):
            assert value == (turn.state[i] if i in changed else other.previous_state[i])


@pytest.mark.parametrize("name", ["augmentation", "distillation"])
def test_at_the_start_generated_data_count_next_to_nothing(name):
    """EQ-AUG-1, EQ-DIST-1: a start with long learned steps is not thrown off by data that nobody has learned yet."""
    fresh, control = (make_tiny(name, identity=same, **options(name)) for same in (False, True))
    turns, query = make_tasks(1, 4)[0], make_tasks(1, 3, seed=9)[0]
    gap = (fresh.adapt(turns).nll(query) - control.adapt(turns).nll(query)).abs().max()
    assert 0 < float(gap) < 0.02


def test_probabilities_of_the_random_control_are_not_learned():
    learner = shaken("augmentation", random=True, **SMALL)
    assert "trust" not in learner.phi()
    torch.testing.assert_close(learner.probabilities(), torch.full((len(WAYS), 3), 1 / 9))


def test_weights_start_at_one_and_lie_between_zero_and_two():
    """EQ-REW-1: before training, D' = D."""
    support, _ = make_batches()
    learner = make_tiny("example_weights", **SMALL)
    with torch.no_grad():
        learner.weigh["out"].zero_()
    weights = learner.weights(learner.phi(), support)
    assert weights.shape == (3, 3, 3)
    torch.testing.assert_close(weights, torch.ones_like(weights))
    other = shaken("example_weights", **SMALL)
    weights = other.weights(other.phi(), support).detach()
    assert float(weights.min()) > 0
    assert float(weights.max()) < 2
    assert float(weights.std()) > 0.01


def test_a_weight_helps_when_its_gradient_points_where_the_query_points():
    """EQ-REW-2: after one step dL_Q/dw_i = -(alpha ∘ grad l_i) · grad L_Q(theta'), for each segment of each turn."""
    learner = shaken("example_weights", inner_lr=0.0005, inner_steps=1)
    support, query = (TurnBatch(*(part[0] for part in turns)) for turns in make_batches())
    phi, theta = learner.phi(), learner.model.theta()
    rates = learner.inner_rates(phi, theta)
    weight = torch.ones(3, 3, dtype=torch.float64, requires_grad=True)
    moved = inner_step(theta, rates, lambda now: (learner.model.nll(now, support) * weight).sum(), True)
    (exact,) = torch.autograd.grad(learner.query_losses(moved, query).sum(), weight)
    there = {name: value.detach().requires_grad_() for name, value in moved.items()}
    towards = gradients(learner.query_losses(there, query).sum(), there)
    for turn in range(3):
        for part in range(3):
            mine = gradients(learner.model.nll(theta, support)[turn, part], theta)
            product = -sum((rates[name] * mine[name] * towards[name]).sum().item() for name in theta)
            assert product == pytest.approx(float(exact[turn, part]), rel=1e-8)


def test_soft_turns_with_hard_words_are_ordinary_turns():
    """EQ-DIST-1: a mixture that is one word at each place gives the loss of these words."""
    learner = shaken("distillation", synthetic=2, slots=2, **SMALL)
    theta = learner.model.theta()
    with torch.no_grad():
        learner.scores.mul_(1e4)
    soft = learner.model.soft_nll(theta, learner.mixtures(learner.phi()), learner.layout)
    ids = learner.mixtures(learner.phi()).argmax(-1)
    begin = soft.shape[-1]
    assert begin == len(learner.layout) - 1 - (learner.layout.index(STATE, 1))  # all behind the second <state>
    logits = learner.model.logits(theta, ids)[:, :-1].log_softmax(-1)
    hard = -logits.gather(-1, ids[:, 1:, None])[..., 0][:, -begin:]
    torch.testing.assert_close(soft, hard, rtol=1e-6, atol=1e-6)
    assert all(len(words) == len(learner.layout) for words in learner.readable())


def test_bad_sizes_get_a_clear_word():
    with pytest.raises(ValueError, match="synthetic is 0"):
        shaken("distillation", synthetic=0)
    with pytest.raises(ValueError, match="exceeds max_length=24"):
        shaken("distillation", slots=8)
    with pytest.raises(ValueError, match="begin is 3"):
        shaken("distillation", begin=3.0)

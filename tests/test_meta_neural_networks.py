"""Meta-Neural Networks: structure and parameters, proposed from D and refined. Gates, gradients, batches."""

from __future__ import annotations

import pytest
import torch
from test_gradients import largest_error
from test_meta_networks import assert_batched_equals_looped, shaken
from tiny import CONFIG, VOCABULARY, make_batches, make_tasks

from metadialog_lite.episodes import encode_turns
from metadialog_lite.families.meta_neural_networks import GATES, SCORES, gate, gated, score_shapes

LEARNERS = ["structure", "parameters", "structure_parameters"]


@pytest.mark.parametrize("name", LEARNERS)
def test_outer_gradient_is_the_derivative_of_the_outer_loss(name):
    """EQ-MNN-1 and EQ-MNN-2 against finite differences along 24 random unit directions; EQ-GATE-1 has corners."""
    learner = shaken(name, inner_lr=0.0005, inner_steps=2)
    support, query = make_batches()
    gradient, _ = learner.outer_gradient(support, query)
    assert largest_error(learner, gradient, support, query) <= 1e-6
    for part in ("model.", "emit." if learner.proposes_parameters else "structure.", "rates."):
        if any(key.startswith(part) for key in gradient):
            assert largest_error(learner, gradient, support, query, part) <= 1e-6


@pytest.mark.parametrize("name", LEARNERS)
def test_batched_equals_looped(name):
    assert_batched_equals_looped(shaken(name, inner_lr=0.0005))


def test_a_gate_reaches_zero_and_one():
    """EQ-GATE-1."""
    scores = torch.tensor([-9.0, -0.1, 0.0, 0.1, 9.0])
    assert gate(scores, hard=False).tolist() == pytest.approx([0.0, 0.47, 0.5, 0.53, 1.0], abs=0.01)
    assert gate(scores, hard=True).tolist() == [0, 0, 0, 1, 1]


def test_a_closed_gate_is_a_removed_part():
    """Closing head 1 and unit 3 of layer 0 equals cutting their weights out; closing a block equals leaving it out."""
    learner = shaken("structure")
    batch = encode_turns(make_tasks(1, 3)[0], VOCABULARY)
    theta = learner.model.theta()
    scores = {SCORES + name: torch.full((n,), 9.0, dtype=torch.float64) for name, n in score_shapes(CONFIG).items()}
    open_ = learner.model.nll(gated({**theta, **scores}, CONFIG, hard=True), batch)
    torch.testing.assert_close(open_, learner.model.nll(theta, batch))
    scores[SCORES + "layer0_heads"][1] = -9
    scores[SCORES + "layer0_units"][3] = -9
    scores[SCORES + "layer1_blocks"][0] = -9
    cut = {name: value.clone() for name, value in theta.items()}
    cut["layer0_attention_out"][4:8] = 0  # head 1 of 2, 4 wide
    cut["layer0_mlp_out"][3] = 0
    cut["layer1_attention_out"][:] = 0
    found = learner.model.nll(gated({**theta, **scores}, CONFIG, hard=True), batch)
    torch.testing.assert_close(found, learner.model.nll(cut, batch))
    assert float((found - open_).detach().abs().max()) > 1e-3


def test_what_adapt_returns_has_hard_gates():
    learner = shaken("structure_parameters", inner_lr=0.0005)
    theta = learner.adapt(make_tasks(1, 4)[0]).theta
    gates = torch.cat([value for name, value in theta.items() if name.startswith(GATES)])
    assert len(gates) == sum(score_shapes(CONFIG).values())
    assert set(gates.tolist()) <= {0.0, 1.0}


def test_the_proposal_needs_the_support_and_the_steps_refine_it():
    learner, turns = shaken("parameters", inner_lr=0.00002, inner_steps=2), make_tasks(1, 6)[0]
    loss = [float(point.nll(turns).sum()) for point in learner.trajectory(turns)]
    assert len(loss) == 3
    assert loss[2] < loss[1] < loss[0]  # argmin steps lower the support loss
    other = learner.adapt(make_tasks(2, 6)[1], steps=0).theta
    proposed = learner.adapt(turns, steps=0).theta
    assert float((other["norm_bias"] - proposed["norm_bias"]).abs().max()) > 1e-4


def test_structure_alone_keeps_every_parameter():
    """Only rows that a gate closes differ from theta_0."""
    learner = shaken("structure", inner_lr=0.0005)
    theta = learner.adapt(make_tasks(1, 4)[0]).theta
    for name, value in learner.model.theta().items():
        same = (theta[name] == value) | ((theta[name] == 0) & name.endswith(("attention_out", "mlp_out")))
        assert bool(same.all()), name


def test_sparsity_is_a_price_of_open_gates():
    support, query = make_batches()
    free, dear = (shaken("structure", inner_lr=0.0005, sparsity=s) for s in (0.0, 1.0))
    difference = dear.task_loss(dear.phi(), support, query)[0] - free.task_loss(free.phi(), support, query)[0]
    assert 0 < float(difference.detach()) <= 1
    with pytest.raises(ValueError, match="sparsity is -1"):
        shaken("structure", sparsity=-1)

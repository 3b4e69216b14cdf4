"""Meta-Neural Networks: structure and parameters, proposed from D and refined. Gates, gradients, batches."""

from __future__ import annotations

import pytest
import torch
from test_gradients import largest_error
from test_meta_networks import assert_batched_equals_looped, shaken
from tiny import CONFIG, VOCABULARY, make_batches, make_tasks, make_tiny

from metadialog_lite.episodes import encode_turns, stack_tasks
from metadialog_lite.families.masks import (
    apart,
    architectures,
    hamming,
    in_use,
    jaccard,
    kept,
    parts,
    places,
    sizes,
    sub_networks,
    told_apart,
    undecided,
    with_mask,
)
from metadialog_lite.families.meta_neural_networks import (
    GATES,
    OPEN,
    SCORES,
    gate,
    gated,
    scale,
    score_shapes,
    straight_through,
)
from metadialog_lite.model import ModelConfig

LEARNERS = ["structure", "parameters", "structure_parameters"]
GATES_OF_CONFIG = sum(score_shapes(CONFIG).values())


def hard(score):
    return gate(score, hard=True)


@pytest.mark.parametrize("name", LEARNERS)
def test_outer_gradient_is_the_derivative_of_the_outer_loss(name):
    """EQ-MNN-1 and EQ-MNN-2 against finite differences along 24 random unit directions; EQ-GATE-1 has corners."""
    assert_exact(shaken(name, inner_lr=0.0005, inner_steps=2))


@pytest.mark.parametrize("options", [{"sharp": 2.0}, {"gates": False}], ids=str)
def test_sharper_gates_and_the_control_have_exact_outer_gradients(options):
    """EQ-GATE-1 with c = 2, and EQ-GATE-2, the control."""
    assert_exact(shaken("structure_parameters", inner_lr=0.0005, **options))


def assert_exact(learner):
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
    open_ = learner.model.nll(gated({**theta, **scores}, CONFIG, hard), batch)
    torch.testing.assert_close(open_, learner.model.nll(theta, batch))
    scores[SCORES + "layer0_heads"][1] = -9
    scores[SCORES + "layer0_units"][3] = -9
    scores[SCORES + "layer1_blocks"][0] = -9
    cut = {name: value.clone() for name, value in theta.items()}
    cut["layer0_attention_out"][4:8] = 0  # head 1 of 2, 4 wide
    cut["layer0_mlp_out"][3] = 0
    cut["layer1_attention_out"][:] = 0
    found = learner.model.nll(gated({**theta, **scores}, CONFIG, hard), batch)
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


def test_sharper_gates_are_nearer_to_hard_ones_and_begin_and_step_alike():
    """EQ-GATE-1: the larger c, the less is left between; g and its first change are the same for every c."""
    assert float(gate(torch.tensor(-0.5), False, sharp=5.0)) < 0.001 < float(gate(torch.tensor(-0.5), False))
    found = []
    for sharp in (1.0, 4.0):
        learner = make_tiny("structure", sharp=sharp)
        phi, theta = learner.phi(), learner.model.theta()
        rate = learner.inner_lr * 100 / sharp**2
        score = torch.tensor(OPEN / sharp, dtype=torch.float64, requires_grad=True)
        g = gate(score, False, sharp)
        (slope,) = torch.autograd.grad(g, score)
        score, g = score.detach(), g.detach()
        found.append((float(g), float(gate(score - rate * slope, False, sharp) - g)))
        assert float((learner.inner_rates(phi, theta)[SCORES + "layer0_heads"] / rate - 1).detach().abs().max()) < 0.6
    assert found[0] == pytest.approx(found[1])
    with pytest.raises(ValueError, match="sharp is 0"):
        make_tiny("structure", sharp=0.0)


def test_straight_gates_train_what_is_returned_and_have_the_relaxed_gates_slope():
    """EQ-GATE-3: hard forward, relaxed backward; so the losses of training are those of the adapted model."""
    score = torch.tensor([-0.3, -0.05, 0.05, 0.3], dtype=torch.float64, requires_grad=True)
    value = straight_through(score, 2.0)
    assert value.tolist() == pytest.approx([0, 0, 1, 1])
    (slope,), (relaxed,) = (torch.autograd.grad(g.sum(), score) for g in (value, gate(score, False, 2.0)))
    torch.testing.assert_close(slope, relaxed)
    assert float(slope.min()) > 0
    support, query = make_tasks(1, 4)[0], make_tasks(1, 4, seed=1)[0]
    for straight in (True, False):
        learner = shaken("structure_parameters", inner_lr=0.0005, sharp=2.0, straight=straight)
        trained = learner.task_loss(learner.phi(), *(stack_tasks([t], VOCABULARY) for t in (support, query)))[1]
        returned = learner.adapt(support).nll(query)
        assert torch.allclose(trained.reshape(-1, 3).mean(0), returned.mean(0)) == straight


def test_structure_off_has_as_many_parameters_begins_alike_and_never_removes_anything():
    """EQ-GATE-2: the control reads as many numbers from D; at the start it has the gate's value and slope."""
    on, off = make_tiny("structure_parameters"), make_tiny("structure_parameters", gates=False)
    assert {name: value.shape for name, value in on.phi().items()} == {n: v.shape for n, v in off.phi().items()}
    begin = torch.tensor(OPEN, dtype=torch.float64, requires_grad=True)
    values = [gate(begin, False), scale(begin)]
    slopes = [torch.autograd.grad(value, begin)[0] for value in values]
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(slopes[0], slopes[1])
    below = scale(torch.tensor([-20.0, -19.0, 30.0]))
    assert below[0] < below[1] < 0  # no flat ends: nothing is closed, a part may even speak against itself
    assert below[2] > 3
    off = shaken("structure_parameters", gates=False, inner_lr=0.0005, sparsity=1.0)
    turns = make_tasks(1, 4)[0]
    sharper = shaken("structure_parameters", gates=False, inner_lr=0.0005, sparsity=1.0, sharp=5.0)
    sharper.load_state_dict(off.state_dict())  # a second stage with sharper gates goes on where the first one ended
    torch.testing.assert_close(sharper.adapt(turns).nll(turns), off.adapt(turns).nll(turns))
    theta = off.adapt(turns).theta
    scales = torch.cat([value for name, value in theta.items() if name.startswith(GATES)])
    assert not set(scales.tolist()) & {0.0, 1.0}  # nothing is made hard
    support, query = make_batches()
    loss, parts_ = off.task_loss(off.phi(), support, query)
    torch.testing.assert_close(loss, parts_.sum(-1).mean())  # and there is no price of open gates
    with pytest.raises(ValueError, match="with gates=False has no gates to look at"):
        sub_networks(off, [turns])


# Masks ---------------------------------------------------------------------------------------------------------------


def random_masks(count, seed=0):
    return torch.rand(count, GATES_OF_CONFIG, generator=torch.Generator().manual_seed(seed)) < 0.6


def test_distances_of_masks_against_sets():
    """EQ-MASK-1 and EQ-MASK-2 against Python's sets; both are metrics: zero for equal masks, symmetric, triangle."""
    masks = random_masks(12)
    sets = [{i for i, open_ in enumerate(mask.tolist()) if open_} for mask in masks]
    for a, one in zip(masks, sets):
        for b, other in zip(masks, sets):
            assert float(hamming(a, b)) == pytest.approx(len(one ^ other) / GATES_OF_CONFIG)
            assert float(jaccard(a, b)) == pytest.approx(1 - len(one & other) / len(one | other))
    for distance in (hamming, jaccard):
        d = distance(masks.unsqueeze(1), masks.unsqueeze(0))
        assert not d.diagonal().any()
        torch.testing.assert_close(d, d.T)
        assert bool((d.unsqueeze(2) <= d.unsqueeze(1) + d.T.unsqueeze(0) + 1e-12).all())
    nothing = torch.zeros(GATES_OF_CONFIG)
    assert float(jaccard(nothing, nothing)) == 0
    assert float(jaccard(nothing, masks[0])) == 1
    assert len(apart(masks, masks, hamming, same=True)) == 12 * 11 // 2
    assert len(apart(masks, masks[:5], jaccard)) == 60


def test_groups_are_told_apart_only_when_they_differ():
    """EQ-MASK-1 and EQ-MASK-2: pairs of tasks are not independent, so groups are judged by random groupings."""
    masks = random_masks(24)
    for distance in (hamming, jaccard):
        _, chance = told_apart(masks[:12], masks[12:], distance, 200)
        assert chance > 0.05
        other = masks[12:].clone()
        other[:, :6] = False
        found, chance = told_apart(masks[:12], other, distance, 200)
        assert found > 0.01
        assert chance == 1 / 201
        assert told_apart(masks[:12], masks[:12], distance, 50) == (pytest.approx(0, abs=0.05), 1.0)
    everybody_alike = masks[:1].repeat(6, 1)
    assert told_apart(everybody_alike, everybody_alike, jaccard, 50) == (0, 1)


def test_how_many_architectures():
    masks = random_masks(4)[[0, 1, 1, 2, 1, 3]]
    found = architectures(masks)
    assert (found.distinct, found.share) == (4, 0.5)
    assert torch.equal(found.mask, masks[1])
    with pytest.raises(ValueError, match="no mask to count"):
        architectures(masks[:0])


def test_kept_parameters_are_those_that_matter():
    """Numbers of the layers that may be changed without changing any loss are exactly those that a mask leaves out."""
    learner, batch = shaken("structure"), encode_turns(make_tasks(1, 4)[0], VOCABULARY)
    theta = {name: value.detach() for name, value in learner.model.theta().items()}
    mask = random_masks(1, seed=3)[0]
    mask[places(CONFIG)[1]["blocks"]] = torch.tensor([False, True])  # no attention in layer 2, whatever its heads
    shapes = score_shapes(CONFIG)
    decided = dict(zip((SCORES + name for name in shapes), (2.0 * mask - 1).double().split(list(shapes.values()))))
    free = {name: value.clone().requires_grad_() for name, value in theta.items() if name.startswith("layer")}
    loss = learner.model.nll(gated({**theta, **free, **decided}, CONFIG, hard), batch)
    gradient = torch.autograd.grad((loss * torch.tensor([1.0, 0.7, 1.3])).sum(), list(free.values()))
    used = sum(int((g != 0).sum()) for g in gradient)
    assert used == int(kept(mask, CONFIG)) < int(sizes(CONFIG).sum())
    assert int(sizes(CONFIG).sum()) == sum(value.numel() for value in free.values())
    assert not in_use(mask, CONFIG)[places(CONFIG)[1]["heads"]].any()


def test_an_empty_block_is_not_in_use():
    mask = torch.ones(GATES_OF_CONFIG, dtype=torch.bool)
    mask[places(CONFIG)[0]["heads"]] = False
    used = in_use(mask, CONFIG)[places(CONFIG)[0]["blocks"]]
    assert used.tolist() == [False, True]
    assert mask[places(CONFIG)[0]["blocks"]].all()  # the argument is left as it was


def test_every_gate_has_a_name():
    names = parts(CONFIG)
    assert len(names) == len(set(names)) == GATES_OF_CONFIG
    assert (names[0], names[CONFIG.heads], names[-1]) == ("layer 1 head 1", "layer 1 unit 1", "layer 2 MLP")
    assert parts(ModelConfig(9, width=4, attention=4, mlp=3, heads=2))[-2:] == ("attention", "MLP")


def test_masks_of_tasks_are_the_hard_gates_of_what_adapt_returns():
    learner, supports = shaken("structure_parameters", inner_lr=0.0005), make_tasks(3, 4)
    found = sub_networks(learner, supports)
    for support, opened in zip(supports, found.open):
        theta = learner.adapt(support).theta
        gates = torch.cat([theta[GATES + name] for name in score_shapes(CONFIG)])
        assert gates.bool().tolist() == opened.tolist()
        same = with_mask(learner, undecided(learner, support), opened).theta
        assert all(torch.equal(same[name], theta[name]) for name in learner.model.theta())
    assert torch.equal(found.relaxed > 0.5, found.open)
    everything = with_mask(learner, undecided(learner, supports[0]), torch.ones(GATES_OF_CONFIG)).theta
    assert all(bool((everything[GATES + name] == 1).all()) for name in score_shapes(CONFIG))
    with pytest.raises(ValueError, match="learner 'parameters' has no gates to look at"):
        sub_networks(shaken("parameters"), supports)

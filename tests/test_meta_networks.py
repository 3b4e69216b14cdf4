"""Meta-Networks: theta = phi(D) in one pass. Gradients, sets, batches, and what the memory does."""

from __future__ import annotations

import pytest
import torch
from test_gradients import largest_error
from tiny import VOCABULARY, make_batches, make_tasks, make_tiny

from metadialog_lite.episodes import encode_turns
from metadialog_lite.families import Learner
from metadialog_lite.families.base import tasks_of
from metadialog_lite.families.set_encoder import read_changes, read_set, reader
from metadialog_lite.memory import recall

NETWORKS = ["hypernetwork", "fast_weights", "in_context"]


def shaken(name: str, **options: object) -> Learner:
    """A tiny float64 learner none of whose parameters is zero: what begins at zero would hide its mistakes."""
    learner = make_tiny(name, **options)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in learner.phi().values():
            value += 0.2 * torch.randn(value.shape, generator=random, dtype=value.dtype)
    return learner


@pytest.mark.parametrize("name", NETWORKS)
def test_outer_gradient_is_the_derivative_of_the_outer_loss(name):
    """EQ-HYPER-1, EQ-FAST-1 and EQ-CTX-1 against finite differences along 24 random unit directions."""
    learner = shaken(name)
    support, query = make_batches()
    gradient, _ = learner.outer_gradient(support, query)
    assert largest_error(learner, gradient, support, query) <= 1e-6
    assert largest_error(learner, gradient, support, query, "model.") <= 1e-6
    for own in ("emit.",) if name == "hypernetwork" else ("words.", "states."):
        assert largest_error(learner, gradient, support, query, own) <= 1e-6


def assert_batched_equals_looped(learner: Learner) -> None:
    """Three tasks side by side give the mean of their gradients one by one, and each its own loss."""
    support, query = make_batches()
    together, losses = learner.outer_gradient(support, query)
    alone = [learner.outer_gradient(tasks_of(support, slice(i, i + 1)), tasks_of(query, slice(i, i + 1)))
             for i in range(3)]
    for name, value in together.items():
        torch.testing.assert_close(value, sum(g[name] for g, _ in alone) / 3, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(losses, torch.cat([loss for _, loss in alone]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_batched_equals_looped(name):
    assert_batched_equals_looped(shaken(name))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_shorter_padding_changes_nothing(name):
    learner, turns = shaken(name), make_tasks(1, 4)[0]
    query = make_tasks(1, 2, seed=9)[0]
    short = learner.adapt(encode_turns(turns, VOCABULARY)).nll(query)
    long = learner.adapt(encode_turns(turns, VOCABULARY, length=22)).nll(query)
    torch.testing.assert_close(short, long, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_support_is_a_set(name):
    """Permuting the support leaves theta(D) unchanged as a function: EQ-SET-1, EQ-MEM-1 are sums over positions."""
    learner, turns = shaken(name), make_tasks(1, 5)[0]
    query = make_tasks(1, 3, seed=9)[0]
    there = learner.adapt(turns).nll(query)
    back = learner.adapt(turns[::-1]).nll(query)
    torch.testing.assert_close(there, back, rtol=1e-10, atol=1e-12)
    assert float((there - learner.adapt(turns[:3]).nll(query)).abs().max()) > 1e-4  # ... but what is in it matters


@pytest.mark.parametrize("name", NETWORKS)
def test_empty_support_is_theta_0(name):
    learner, query = shaken(name), make_tasks(1, 3, seed=9)[0]
    expected = learner.model.nll(learner.model.theta(), encode_turns(query, VOCABULARY)).detach()
    torch.testing.assert_close(learner.adapt([]).nll(query), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_adaptation_curve_runs_over_support_turns(name):
    learner, turns = shaken(name), make_tasks(1, 4)[0]
    curve = learner.trajectory(turns)
    assert len(curve) == 5
    query = make_tasks(1, 3, seed=9)[0]
    for seen, adapted in enumerate(curve):
        torch.testing.assert_close(adapted.nll(query), learner.adapt(turns[:seen]).nll(query))


def test_fast_weights_read_the_gradient_of_the_support_loss():
    """EQ-FAST-1: the meta-information against finite differences of the summed support loss."""
    learner = shaken("fast_weights")
    support, _ = make_batches(tasks=1, shots=2)
    theta = {k: v.detach() for k, v in learner.theta_0(learner.phi(), support).items()}
    words = torch.nn.functional.embedding(support.tokens.flatten(-2), learner.model.theta()["embedding"]).detach()
    targets = support.tokens.gather(-1, support.where + 1).flatten(-2)
    counted = support.segment.gather(-1, support.where + 1).flatten(-2) > 0

    def loss(rows: torch.Tensor) -> torch.Tensor:
        surprise = -learner.model.speak(theta, rows).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        return (surprise * counted).sum()

    def hidden(at: torch.Tensor) -> torch.Tensor:
        return learner.model.hidden(theta, support.tokens, support.where, words=at)

    random, h = torch.Generator().manual_seed(0), 1e-6
    entering = learner.word_gradient(theta, support).detach()
    leaving = learner.state_gradient(theta, hidden(words), support).detach()
    for of_loss, at, found in ((lambda x: loss(hidden(x)), words, entering), (loss, hidden(words), leaving)):
        for _ in range(24):
            u = torch.randn(at.shape, generator=random, dtype=at.dtype)
            slope = float(of_loss(at + h * u) - of_loss(at - h * u)) / (2 * h)
            assert slope == pytest.approx(float((found * u).sum()), rel=1e-5, abs=1e-6)


def test_recall_is_attention_with_a_null_entry():
    """EQ-MEM-1 written out for one head, one row and two entries, one of which is padding."""
    theta = {
        "memory_query": torch.eye(2), "memory_out": torch.eye(2), "memory_null": torch.tensor([0.5]),
        "memory_key": torch.tensor([[1.0, 2.0], [9.0, 9.0]]), "memory_value": torch.tensor([[3.0, 4.0], [9.0, 9.0]]),
        "memory_open": torch.tensor([0.0, -torch.inf]),
    }
    row = torch.tensor([[-1.0, 1.0]])  # LayerNorm leaves it as it is
    score = torch.tensor((-1.0 + 2.0) / 2**0.5)
    weight = score.exp() / (score.exp() + torch.tensor(0.5).exp())
    torch.testing.assert_close(recall(theta, row), weight * torch.tensor([[3.0, 4.0]]), rtol=1e-4, atol=1e-4)


def test_a_set_encoder_counts_each_word_on_its_own():
    """EQ-SET-1: words that nobody said read as zero; two equal turns say more than one; the user's words are apart."""
    learner, turns = make_tiny("hypernetwork"), make_tasks(1, 2)[0]
    weights = {name: value.detach() for name, value in reader(learner.phi()).items()}
    once, twice = (read_set(learner.model, weights, encode_turns(t, VOCABULARY)) for t in (turns[:1], turns[:1] * 2))
    for a, b, words in ((once.heard, twice.heard, turns[0].user),
                        (once.said, twice.said, (*turns[0].state, *turns[0].act, *turns[0].response))):
        present = torch.zeros(len(VOCABULARY), dtype=torch.bool)
        present[VOCABULARY.encode(words)] = True
        if words is not turns[0].user:
            present[VOCABULARY.encode(["<act>", "<sys>", "<eos>"])] = True  # the markers that end the parts
        assert torch.equal(a.abs().sum(-1) > 0, present)
        assert bool((b[present].norm(dim=-1) > a[present].norm(dim=-1)).all())


def test_emitted_changes_are_film_and_low_rank():
    """EQ-EMIT-1: FiLM by hand, low rank by its rank, and nothing at all as long as the emitting matrices are zero."""
    learner, turns = shaken("hypernetwork", rank=1), make_tasks(1, 4)[0]
    theta_0 = {name: value.detach() for name, value in learner.model.theta().items()}
    theta = learner.adapt(turns).theta
    weights = {name: value.detach() for name, value in reader(learner.phi()).items()}
    whole = read_set(learner.model, weights, encode_turns(turns, VOCABULARY)).whole
    shift = whole @ learner.emit["film_bias"].detach()
    torch.testing.assert_close(theta["norm_bias"] - theta_0["norm_bias"], shift)
    change = theta["layer0_mlp_in"] - theta_0["layer0_mlp_in"]
    sizes = torch.linalg.svdvals(change)
    assert float(sizes[0]) > 1e-3
    assert float(sizes[1]) < 1e-10 * float(sizes[0])
    with torch.no_grad():
        for name, value in learner.emit.items():
            if not name.startswith(("left_", "word_heard", "word_said", "word_whole")) and name != "word":
                value.zero_()
    for name, value in learner.adapt(turns).theta.items():
        if name in theta_0:
            torch.testing.assert_close(value, theta_0[name], rtol=0, atol=0)


def test_a_users_word_takes_note_of_what_changed_in_the_state():
    """EQ-SET-2 by hand: the mean (with one more in the count) of the rows of new state tokens, added to every row."""
    learner = shaken("hypernetwork")
    weights = {name: value.detach() for name, value in reader(learner.phi()).items()}
    batch = encode_turns(make_tasks(1, 3)[0], VOCABULARY)
    rows = torch.randn(*batch.tokens.shape, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = read_changes(weights, rows, batch)
    for i, ids in enumerate(batch.tokens.tolist()):
        new = [p for p, token in enumerate(ids) if batch.segment[i, p] == 1 and token not in ids[:p]]
        assert new  # the marker that ends the state is always new
        change = rows[i, new].sum(0) / (1 + len(new))
        torch.testing.assert_close(found[i], rows[i] + change @ weights["change"])

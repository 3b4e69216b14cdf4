"""Exhibits that *measure* wrongly: statistics of the query, unequal budgets, perplexity averaged per batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor

from metadialog_lite.checkpoints import load_checkpoint
from metadialog_lite.episodes import draw_episodes, encode_turns
from metadialog_lite.lab.museum import ALPHA, INNER, SIZES, SOURCE, Curve, Exhibit, descend
from metadialog_lite.lab.toys import Points, adapt, network, seeded, split, squared_error
from metadialog_lite.model import Theta
from metadialog_lite.world import load_world

COMPANY = (2, 3, 5, 10, 20, 40)
BATCHES = (1, 2, 4, 8, 16, 32, 64)

# ---------------------------------------------------------------- 5: batch statistics leaking the query


def normalised(theta: Theta, x: Tensor, support_x: Tensor, bug: bool) -> Tensor:
    """f_θ(x) behind a layer that takes away mean and deviation. The mistake: those of the points being judged."""
    of = x if bug else support_x
    centred = (x - of.mean(-2, keepdim=True)) / (of.std(-2, keepdim=True) + 0.1)
    hidden = (2 * centred @ theta["weight0"] + theta["bias0"].unsqueeze(-2)).tanh()
    return hidden @ theta["weight1"] + theta["bias1"].unsqueeze(-2)


def _moved_waves(tasks: int, points: int, random: torch.Generator) -> Points:
    """y = sin(2(x − m)) + noise: each task has its own place m, and whoever sees many x knows it."""
    place = 2 * torch.randn(tasks, 1, 1, generator=random)
    z = torch.randn(tasks, points, 1, generator=random)
    return place + z, (2 * z).sin() + 0.3 * torch.randn(z.shape, generator=random)


def _step(theta: Theta, support: Points) -> Theta:
    theta = {name: value.expand(len(support[0]), *value.shape) for name, value in theta.items()}
    error = (normalised(theta, support[0], support[0], False) - support[1]).square().mean((-1, -2)).sum()
    slopes = torch.autograd.grad(error, list(theta.values()), create_graph=True)
    return {name: value - 0.1 * g for (name, value), g in zip(theta.items(), slopes)}


def _company(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    theta, random, curve = network((1, 40, 1), seed), seeded(seed), Curve()

    def loss(theta: Theta) -> Tensor:
        support, query = split(_moved_waves(16, 23, random), 3)
        said = normalised(_step(theta, support), query[0], support[0], bug)
        return (said - query[1]).square().mean()

    for _ in descend(theta, loss, steps, 0.01):
        pass
    support, query = split(_moved_waves(400, 43, seeded(10_000 + seed)), 3)
    after = _step(theta, support)
    for company in COMPANY:  # the same 400 points are judged, with more and more others beside them
        said = normalised(after, query[0][:, :company], support[0], bug)[:, 0]
        yield curve.add(company, test_loss=float((said - query[1][:, 0]).square().mean().detach()))


def _company_probe(bug: bool, seed: int) -> float:
    theta, (support, query) = network((1, 40, 1), seed), split(_moved_waves(8, 13, seeded(seed)), 3)
    alone = normalised(theta, query[0], support[0], bug)[:, 0]
    others = torch.cat([query[0][:, :1], query[0][:, 1:] + 1], 1)  # the first point stays, those beside it move
    return float((normalised(theta, others, support[0], bug)[:, 0] - alone).abs().max().detach())


# ---------------------------------------------------------------- 7: unequal budget for the baseline

_RATES, _STEPS = (0.01, 0.03, 0.1, 0.2, 0.3), (1, 2, 5, 10)


def budget(outer_steps: int, bug: bool) -> dict[str, tuple[int, ...]]:
    """What MAML and the fine-tuned baseline get: (gradients in training, settings tried on validation tasks)."""
    ours = (outer_steps * (INNER + 1), len(_RATES) * len(_STEPS))
    return {"MAML": ours, "fine-tuning": (outer_steps, 1) if bug else ours}


def _likeable(tasks: int, points: int, random: torch.Generator) -> Points:
    """EQ-TOY-1 with c ~ N(1, 0.3): tasks that resemble each other, so that a joint model is a good start."""
    secret = 1 + 0.3 * torch.randn(tasks, 1, SOURCE.factors, generator=random)
    x = torch.randn(tasks, points, SOURCE.inputs, generator=random)
    clean = (x @ SOURCE.reads.T * secret) @ SOURCE.writes.T
    return x, clean + SOURCE.noise * torch.randn(clean.shape, generator=random)


def _errors(theta: Theta, rate: float, steps: int, seed: int, tasks: int) -> Tensor:
    support, query = split(_likeable(tasks, 30, seeded(seed)), 10)
    return squared_error(adapt(theta, support, rate, steps, exact=False), query).detach()


@cache
def _prepared(name: str, gradients: int, settings: int, seed: int) -> tuple[Theta, float]:
    """A trained θ and the rate it chose on validation tasks, for so many gradients and settings."""
    theta, random, inner = network(SIZES, seed), seeded(seed), INNER if name == "MAML" else 0

    def loss(theta: Theta) -> Tensor:
        support, query = split(_likeable(16, 30, random), 10)
        return squared_error(adapt(theta, support, ALPHA, inner), query).mean()

    for _ in descend(theta, loss, gradients // (inner + 1)):
        pass
    if settings == 1:
        return theta, _RATES[0]  # the value that stood in somebody's script
    tried = {(rate, steps): float(_errors(theta, rate, steps, 50_000 + seed, 60).mean()) for rate in _RATES
             for steps in _STEPS}
    return theta, min(tried, key=lambda one: tried[one])[0]


def _unequal(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    curve, given = Curve(), budget(steps, bug)
    for count in range(max(_STEPS) + 1):
        both = {name: _errors(*_prepared(name, *given[name], seed), count, 60_000 + seed, 200) for name in given}
        yield curve.add(count, MAML=float(both["MAML"].mean()), **{"fine-tuning": float(both["fine-tuning"].mean())})


def _unequal_probe(bug: bool, seed: int) -> float:
    given = budget(100, bug)
    return max(math.log(a / b) for a, b in zip(given["MAML"], given["fine-tuning"]))


# ---------------------------------------------------------------- 9: perplexity averaged per batch


@cache
def state_tokens(seed: int) -> tuple[Tensor, Tensor]:
    """(nats, number) of the state tokens of 64 turns of 64 speakers, by the shipped joint model: two [64] tensors."""
    source = load_world("restaurants.en")
    learner = load_checkpoint("restaurants.en.joint", source.name).learner
    turns = [episode.query[0] for episode in draw_episodes(source, "test", seed, 0, 64, 0, 1)]
    batch = encode_turns(turns, learner.vocabulary)
    state = batch.segment.gather(-1, batch.where + 1) == 1
    with torch.no_grad():
        nats = learner.model.token_nll(learner.model.theta(), batch)
    return (nats * state).sum(-1), state.sum(-1)


def reported(nats: Tensor, tokens: Tensor, batch: int, bug: bool) -> float:
    """EQ-PPL-1 over all turns. The mistake: a perplexity for each batch, and then their mean."""
    nats, tokens = nats.view(-1, batch).sum(1), tokens.view(-1, batch).sum(1)
    if bug:
        return float((nats / tokens).exp().mean())
    return float((nats.sum() / tokens.sum()).exp())


def _averaged(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    curve = Curve()
    for batch in BATCHES:
        yield curve.add(batch, reported_perplexity=reported(*state_tokens(seed), batch, bug))


def _averaged_probe(bug: bool, seed: int) -> float:
    one, all_of_them = (reported(*state_tokens(seed), batch, bug) for batch in (1, 64))
    return abs(one - all_of_them) / all_of_them


EXHIBITS = (
    Exhibit(
        "batch_statistics", 5, "batch statistics leaking the query",
        "“In our evaluation it works. In the product, where users come one or two at a time, it is worse than always "
        "saying 0.”", "query points judged together", "test loss of the first", _company, _company_probe,
        "how far a prediction moves when only the *other* query points are changed", normalised,
        "In MAML's own few-shot image experiments: BatchNorm in training mode at test time normalises the query by the "
        "query (pointed out with Reptile, arXiv 1803.02999, and by TaskNorm, arXiv 2003.03284).",
        "The loss of one point depends on who else is in the batch. Judge a point alone and in company.",
        "Statistics of the support, or a normalisation within one example (LayerNorm, as in this package).",
        ticks=COMPANY),
    Exhibit(
        "budget", 7, "unequal budget for the baseline",
        "“Our meta-learner halves the error of fine-tuning. Fine-tuning we ran as it stood in the script.”",
        "inner steps", "error on new tasks", _unequal, _unequal_probe,
        "ln(ours / baseline's) of gradients in training or of settings tried, whichever is larger", budget,
        "Everywhere. The own method is tuned for months, the baseline runs once with a default rate, one step, or less "
        "training.",
        "Ask for both rows: seconds (or gradients) of training, and settings tried on validation tasks.",
        "Equal budgets by construction, and both in the table, as in [07](07_compare_families.ipynb)."),
    Exhibit(
        "perplexity", 9, "perplexity averaged per batch",
        "“With the new GPU we evaluate in larger batches, and our perplexity got better by some per cent.”",
        "turns in a batch", "perplexity of state tokens", _averaged, _averaged_probe,
        "relative change of the number between batches of 1 and of 64 turns", reported,
        "In evaluation loops that print a running mean of `exp(loss)`. exp is convex, so the mean of perplexities is "
        "too large (Jensen), and by how much depends on how one cut.",
        "Evaluate the same turns with two batch sizes: the number must not move.",
        "Sum nats, sum tokens, divide, exp; in this order and once.", zero=False,
        ticks=BATCHES),
)

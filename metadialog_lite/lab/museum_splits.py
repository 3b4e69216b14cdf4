"""Exhibits that *judge on what was learned from*: query in the inner loop, support = query, tasks shared."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from metadialog_lite.lab.museum import (
    ALPHA,
    INNER,
    SIZES,
    SOURCE,
    Curve,
    Exhibit,
    descend,
    distance,
    in_blocks,
    mean_error,
)
from metadialog_lite.lab.toys import Points, adapt, network, seeded, split, squared_error
from metadialog_lite.model import Theta

SHOTS, QUERY = 5, 5
#: Speakers that meta-training meets again and again (exhibit 6).
POOL = 12


def _held_out(seed: int, tasks: int = 300) -> tuple[Points, Points]:
    return split(SOURCE.draw(tasks, SHOTS + QUERY, seeded(10_000 + seed)), SHOTS)


def _floor(seed: int) -> float:
    support, query = _held_out(seed)
    return float((SOURCE.best(*support, query[0]) - query[1]).square().mean())


# ---------------------------------------------------------------- 2: query set used in the inner loop


def adapted(theta: Theta, support: Points, query: Points, bug: bool, exact: bool = True) -> Theta:
    """θ′ of each task. The mistake: one wrong name, in training and in evaluation alike."""
    return adapt(theta, query if bug else support, ALPHA, INNER, exact)


def _peeking(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    theta, random, curve, (support, query) = network(SIZES, seed), seeded(seed), Curve(), _held_out(seed)

    def loss(theta: Theta) -> Tensor:
        seen, asked = split(SOURCE.draw(16, SHOTS + QUERY, random), SHOTS)
        return squared_error(adapted(theta, seen, asked, bug), asked).mean()

    for step, _ in in_blocks(descend(theta, loss, steps), steps):
        after = adapted(theta, support, query, bug, exact=False)
        yield curve.add(step, reported_test_loss=mean_error(after, query))


def _peeking_probe(bug: bool, seed: int) -> float:
    theta, (support, query) = network(SIZES, seed), _held_out(seed, 8)
    moved = (query[0], query[1] + torch.randn(query[1].shape, generator=seeded(seed)))  # other answers, same questions
    return distance(adapted(theta, support, moved, bug), adapted(theta, support, query, bug))


# ---------------------------------------------------------------- 3: support = query


def halves(points: Points, bug: bool) -> tuple[Points, Points]:
    """(support, query) of a training task. The mistake: the same points are both."""
    support, query = split(points, SHOTS)
    return (support, support) if bug else (support, query)


def _same_points(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    theta, random, curve, (support, query) = network(SIZES, seed), seeded(seed), Curve(), _held_out(seed)

    def loss(theta: Theta) -> Tensor:
        seen, asked = halves(SOURCE.draw(16, SHOTS + QUERY, random), bug)
        return squared_error(adapt(theta, seen, ALPHA, INNER), asked).mean()

    for step, value in in_blocks(descend(theta, loss, steps), steps):
        after = adapt(theta, support, ALPHA, INNER, exact=False)
        yield curve.add(step, training=value, new_tasks=mean_error(after, query))


def _same_points_probe(bug: bool, seed: int) -> float:
    (seen, _), (asked, _) = halves(SOURCE.draw(16, SHOTS + QUERY, seeded(seed)), bug)
    met = (asked.unsqueeze(-2) == seen.unsqueeze(-3)).all(-1).any(-1)  # [tasks, query points]
    return float(met.float().mean())


# ---------------------------------------------------------------- 6: tasks shared between meta-train and meta-test


def test_speakers(trained: Tensor, seed: int, bug: bool) -> Tensor:
    """Secret numbers of the speakers one is judged on. The mistake: new dialogues of speakers met in training."""
    if bug:
        return trained.repeat(25, 1)
    return torch.randn(25 * POOL, trained.shape[-1], generator=seeded(30_000 + seed))


def _dialogues(secrets: Tensor, random: torch.Generator, points: int = SHOTS + 20) -> Points:
    """New points of given speakers: EQ-TOY-1 with c given."""
    x = torch.randn(len(secrets), points, SOURCE.inputs, generator=random)
    clean = (x @ SOURCE.reads.T * secrets.unsqueeze(1)) @ SOURCE.writes.T
    return x, clean + SOURCE.noise * torch.randn(clean.shape, generator=random)


def _speakers(seed: int) -> Tensor:
    return torch.randn(POOL, SOURCE.factors, generator=seeded(20_000 + seed))


def _shared(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    theta, random, curve, trained = network(SIZES, seed), seeded(seed), Curve(), _speakers(seed)
    support, query = split(_dialogues(test_speakers(trained, seed, bug), seeded(40_000 + seed)), SHOTS)

    def loss(theta: Theta) -> Tensor:
        some = trained[torch.randint(POOL, (16,), generator=random)]
        seen, asked = split(_dialogues(some, random), SHOTS)
        return squared_error(adapt(theta, seen, ALPHA, INNER), asked).mean()

    for step, _ in in_blocks(descend(theta, loss, steps), steps):
        after = adapt(theta, support, ALPHA, INNER, exact=False)
        yield curve.add(step, reported_test_loss=mean_error(after, query))


def _shared_probe(bug: bool, seed: int) -> float:
    trained = _speakers(seed)
    judged = test_speakers(trained, seed, bug)
    return float((judged.unsqueeze(1) == trained).all(-1).any(-1).float().mean())


EXHIBITS = (
    Exhibit(
        "query_inside", 2, "query set used in the inner loop",
        "“Five examples of a new task are enough: our test loss is a small part of what anybody else has reported.”",
        "outer step", "reported test loss", _peeking, _peeking_probe,
        "how far θ′ moves, relative to its length, when only the query's answers are changed", adapted,
        "Wherever support and query travel through the code side by side and one name is mistaken for the other; in "
        "transductive set-ups it is done by intention, and should then be called so.",
        "The reported loss lies below what the best possible learner reaches. Where no floor is known: change the "
        "query's answers and look whether θ′ moves. It must not.",
        "Give `adapt` the support alone, so that it *cannot* see the query (in this package: `adapt(support)`).",
        floor=_floor, log_y=True),
    Exhibit(
        "same_points", 3, "support = query",
        "“In training everything is solved after a few steps, to the noise and below. On new tasks the same network is "
        "not worth much, however long we train.”", "outer step", "loss after 5 inner steps",
        _same_points, _same_points_probe, "share of query points that stand in the support as well", halves,
        "In training loops that take one batch a task and use it twice, and in dialogue data where support and query "
        "turns come from the same dialogue, or the same dialogue stands twice in the corpus.",
        "The training loss falls below the floor and the loss on new tasks does not follow: what is rewarded is "
        "learning by heart in K steps.",
        "Other points (in dialogue: other dialogues) for the query. Count what support and query have in common.",
        floor=_floor, log_y=True),
    Exhibit(
        "shared_tasks", 6, "tasks shared between meta-train and meta-test",
        "“We held out a third of all dialogues, and the test loss falls nicely with training. For our first real "
        "customers it was much higher, from the first day to the last.”", "outer step", "reported test loss",
        _shared, _shared_probe, "share of test tasks that were met in training", test_speakers,
        "In personalised dialogue: corpora are split by dialogue, so that every test speaker has spoken in training. "
        "In few-shot classification: classes shared between the splits.",
        "Not by the reported curve: it falls as a right one does, only lower. Look for the test tasks' names among "
        "those of training.",
        "Split by *task* (speaker, persona, domain) before anything else, and test that the sets are disjoint."),
)

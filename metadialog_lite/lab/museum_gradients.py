"""Exhibits whose *gradient* is wrong while every loss is right: no graph, weights restored too early, vmap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

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
from metadialog_lite.lab.slopes import random_direction, shifted, slope
from metadialog_lite.lab.toys import Points, Sinusoids, adapt, network, seeded, split, squared_error
from metadialog_lite.model import Theta

SHOTS = 10


def slope_errors(loss: Callable[[Theta], Tensor], theta: Theta, claimed: Theta, seed: int, count: int) -> list[float]:
    """EQ-FD-1 along random directions u: (claimed g · u − measured slope) / ‖g‖, one number a direction."""
    length, eps, errors = slope(claimed, claimed) ** 0.5, 1e-4, []
    for number in range(count):
        u = random_direction(theta, 1000 * seed + number)
        measured = float((loss(shifted(theta, u, eps)) - loss(shifted(theta, u, -eps))).detach()) / (2 * eps)
        errors.append((slope(claimed, u) - measured) / length)
    return errors


def _batch(tasks: int, seed: int, dtype: torch.dtype = torch.float32) -> tuple[Points, Points]:
    x, y = SOURCE.draw(tasks, SHOTS + 20, seeded(seed))
    return split((x.to(dtype), y.to(dtype)), SHOTS)


# ---------------------------------------------------------------- 1: first order by accident


def inner_loop(theta: Theta, support: Points, bug: bool) -> Theta:
    """θ′ after K inner steps. The mistake: the inner gradient keeps no graph, a constant for the outer one."""
    tasks = support[0].shape[0]
    theta = {name: value.expand(tasks, *value.shape) for name, value in theta.items()}
    for _ in range(INNER):
        loss = squared_error(theta, support).sum()
        slopes = torch.autograd.grad(loss, list(theta.values()), create_graph=not bug)
        theta = {name: value - ALPHA * g for (name, value), g in zip(theta.items(), slopes)}
    return theta


def _no_graph(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    theta, random, curve = network(SIZES, seed), seeded(seed), Curve()

    def loss(theta: Theta) -> Tensor:
        support, query = split(SOURCE.draw(16, SHOTS + 20, random), SHOTS)
        return squared_error(inner_loop(theta, support, bug), query).mean()

    new_tasks = _batch(200, 10_000 + seed)
    for step, _ in in_blocks(descend(theta, loss, steps), steps):
        yield curve.add(step, loss=mean_error(adapt(theta, new_tasks[0], ALPHA, INNER, exact=False), new_tasks[1]))


def _no_graph_probe(bug: bool, seed: int) -> float:
    theta, (support, query) = network(SIZES, seed, torch.float64), _batch(4, seed, torch.float64)

    def loss(theta: Theta) -> Tensor:
        return squared_error(inner_loop(theta, support, bug), query).mean()

    claimed = dict(zip(theta, torch.autograd.grad(loss(theta), list(theta.values()))))
    return max(map(abs, slope_errors(loss, theta, claimed, seed, 5)))


# ---------------------------------------------------------------- 4: weights restored before backward()


def overwrite(model: nn.Module, values: list[Tensor]) -> None:
    """Write ``values`` into the weights behind autograd's back (``.data``), as published code does."""
    for weight, value in zip(model.parameters(), values):
        weight.data.copy_(value)


def task_gradient(model: nn.Module, support: Points, query: Points, bug: bool,
                  restore: Callable[[nn.Module, list[Tensor]], None] = overwrite) -> tuple[Tensor, list[Tensor]]:
    """One task of first-order MAML on a module: (query loss, gradient). The mistake: θ is put back too early."""
    mse, weights = nn.functional.mse_loss, list(model.parameters())
    start = [weight.detach().clone() for weight in weights]
    for _ in range(3):
        slopes = torch.autograd.grad(mse(model(support[0]), support[1]), weights)
        overwrite(model, [weight - 0.3 * g for weight, g in zip(weights, slopes)])  # θ′, in place
    loss = mse(model(query[0]), query[1])
    if bug:
        restore(model, start)  # the graph of the loss was made with θ′ and is now read with θ
    found = list(torch.autograd.grad(loss, weights))
    overwrite(model, start)
    return loss.detach(), found


def by_load_state_dict(model: nn.Module, values: list[Tensor]) -> None:
    """The way of restoring that PyTorch notices."""
    model.load_state_dict(dict(zip(model.state_dict(), values)))


def noticed(restore: Callable[[nn.Module, list[Tensor]], None]) -> str:
    """What PyTorch says when the weights are restored in this way before the gradient is taken; "" for nothing."""
    support, query = _batch(1, 0)
    try:
        task_gradient(_module(0), (support[0][0], support[1][0]), (query[0][0], query[1][0]), True, restore)
    except RuntimeError as error:
        return str(error).split(": [")[0]
    return ""


def _module(seed: int, dtype: torch.dtype = torch.float32) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # the notebook's own random numbers are left alone
        model = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 4)).to(dtype)
    overwrite(model, [v.mT if v.dim() > 1 else v for v in network(SIZES, seed, dtype).values()])
    return model


def _turned(values: Iterable[Tensor]) -> Theta:
    """A module's tensors under the names, and the way round, of the networks in ``toys``."""
    names = ("weight0", "bias0", "weight1", "bias1")
    return {name: value.mT if value.dim() > 1 else value for name, value in zip(names, values)}


def _too_early(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    model, random, curve = _module(seed), seeded(seed), Curve()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    steps = steps // 2 + 1  # one task after the other is slow

    def losses() -> Iterator[float]:
        for _ in range(steps):
            support, query = split(SOURCE.draw(8, SHOTS + 20, random), SHOTS)
            each = [task_gradient(model, seen, asked, bug) for seen, asked in zip(zip(*support), zip(*query))]
            for number, weight in enumerate(model.parameters()):
                weight.grad = torch.stack([found[number] for _, found in each]).mean(0)
            optimizer.step()
            yield float(torch.stack([loss for loss, _ in each]).mean())

    new_tasks = _batch(200, 10_000 + seed)
    for step, _ in in_blocks(losses(), steps):
        after = adapt(_turned(model.parameters()), new_tasks[0], 0.3, 3, exact=False)
        yield curve.add(step, loss=mean_error(after, new_tasks[1]))


def _too_early_probe(bug: bool, seed: int) -> float:
    theta, (support, query) = network(SIZES, seed, torch.float64), _batch(1, seed, torch.float64)
    after = {name: value[0].detach().requires_grad_() for name, value in adapt(theta, support, 0.3, 3).items()}
    right = torch.autograd.grad(squared_error(after, (query[0][0], query[1][0])), list(after.values()))
    seen, asked = ((x[0], y[0]) for x, y in (support, query))
    _, found = task_gradient(_module(seed, torch.float64), seen, asked, bug)
    return distance(_turned(found), dict(zip(theta, right)))


# ---------------------------------------------------------------- 8: affine LayerNorm under vmap

with torch.device("meta"):  # shapes only: the numbers come with each call
    _NORMED = nn.Sequential(*(layer for size in (1, 16, 16) for layer in
                              (nn.Linear(size, 16), nn.Tanh(), nn.LayerNorm(16))), nn.Linear(16, 1)).double()


def task_loss(theta: Theta, x: Tensor, y: Tensor, new_x: Tensor, new_y: Tensor) -> Tensor:
    """The query loss of one task after one inner step, with ``torch.func``."""
    def loss(theta: Theta, x: Tensor, y: Tensor) -> Tensor:
        error: Tensor = (functional_call(_NORMED, theta, (x,)) - y).square().mean()
        return error

    slopes = grad(loss)(theta, x, y)
    return loss({name: value - 0.5 * slopes[name] for name, value in theta.items()}, new_x, new_y)


def outer_gradient(theta: Theta, points: tuple[Tensor, ...], bug: bool) -> Theta:
    """The gradient of the mean over tasks. The mistake: ``backward()`` outside of vmap."""
    over_tasks = (None, 0, 0, 0, 0)
    if bug:
        total = vmap(task_loss, over_tasks)(theta, *points).mean()
        return dict(zip(theta, torch.autograd.grad(total, list(theta.values()))))
    each = vmap(grad(task_loss), over_tasks)(theta, *points)
    return {name: value.mean(0).detach() for name, value in each.items()}


def _vmap_errors(bug: bool, seed: int, count: int) -> list[float]:
    random = seeded(seed)
    theta = {name: torch.randn(value.shape, generator=random, dtype=torch.float64) * value.shape[-1] ** -0.5
             for name, value in _NORMED.named_parameters()}
    theta = {name: value.requires_grad_() for name, value in theta.items()}
    support, query = split(Sinusoids().draw(4, 15, random), 5)

    def loss(theta: Theta) -> Tensor:  # no vmap here: one task after the other
        return torch.stack([task_loss(theta, *one) for one in zip(*support, *query)]).mean()

    return slope_errors(loss, theta, outer_gradient(theta, (*support, *query), bug), seed, count)


def _vmapped(bug: bool, seed: int, steps: int) -> Iterator[Curve]:
    curve = Curve()
    for number, error in enumerate(_vmap_errors(bug, seed, 12), 1):
        yield curve.add(number, error_of_the_slope=error)


EXHIBITS = (
    Exhibit(
        "first_order", 1, "first order by accident",
        "“Our MAML runs fast, faster than we thought. It learns, too. Only it never gets quite as good as in the "
        "paper, whatever rate we take.”", "outer step", "loss on new tasks", _no_graph,
        _no_graph_probe, "slope claimed by the gradient − slope measured by two small moves, over ‖g‖", inner_loop,
        "In many re-implementations of MAML: `create_graph=True` is forgotten, or a `.detach()`, `.item()` or "
        "`torch.no_grad()` stands in the inner loop. Nothing fails, because first-order MAML is an algorithm of its "
        "own.",
        "Memory and time per step are those of first order. Nothing in the loss itself tells you: compare slopes.",
        "`create_graph=True` in the inner gradient, and a finite-difference test that stays in the test suite."),
    Exhibit(
        "restored", 4, "weights restored before backward()",
        "“We adapt the module in place, take the query loss, put the old weights back for the next task, and call "
        "backward(). Training hardly gets anywhere, however long it runs.”", "outer step",
        "loss on new tasks", _too_early, _too_early_probe,
        "distance of the gradient to the query gradient at θ′, relative to its length", task_gradient,
        "The pattern of three published code bases for dialogue (DAML `model.py`, PAML `MAML.py`, CMAML `CMAML.py`) "
        "restores with `load_state_dict` before `backward()`. Older PyTorch computed a wrong gradient without a word; "
        "PyTorch 2.13 raises “modified by an inplace operation”. A restore through `.data.copy_`, as here, is still "
        "silent.",
        "Compare with the gradient that `torch.func` gives for one task. A cosine of 0.9 looks like a small bug and is "
        "another algorithm: layers below see weights of θ in a graph made with θ′.",
        "Take the gradient first, then restore; or never write into weights: `functional_call(model, theta, x)`."),
    Exhibit(
        "layernorm_vmap", 8, "affine LayerNorm under vmap",
        "“We vectorised over tasks with vmap. The outer loss is the same as before, to the last digit. So the "
        "gradient must be right.”", "random direction", "error of the slope, over ‖g‖", _vmapped,
        lambda bug, seed: max(map(abs, _vmap_errors(bug, seed, 5))),
        "slope claimed by the gradient − slope measured by two small moves, over ‖g‖", outer_gradient,
        "In PyTorch 2.13 (CPU): `vmap` of a function with `torch.func.grad` inside, then `backward()` from outside, as "
        "soon as an `nn.LayerNorm` with weight and bias stands behind other layers. It was found while this course was "
        "made.",
        "Only by its slopes: value and first order are right. Check a gradient *in the form in which you use it*: a "
        "loop over tasks is right, so a test of the loop proves nothing about vmap.",
        "Take the outer gradient inside, `vmap(grad(task_loss))`, then average; write the affine part outside: "
        "`F.layer_norm(x, (d,)) * w + b`.", signed=True, zero=False),
)

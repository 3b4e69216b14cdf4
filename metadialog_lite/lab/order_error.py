"""How far is the first-order outer gradient from the full one? It depends on how long the inner steps are.

For one inner step (EQ-MAML-1) the outer gradient can be written down:

EQ-ORDER-1: d L_Q(θ′) / dθ₀ = ∇L_Q(θ′) − α H_S(θ₀) ∇L_Q(θ′)

First order (EQ-FOMAML-1) keeps the first term. What it leaves out has a factor α, so it is good where steps are short
or where the support loss is flat (H_S, its second derivatives, is small).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metadialog_lite.challenges.costs import milliseconds
from metadialog_lite.episodes import TurnBatch, draw_episodes, stack_tasks
from metadialog_lite.families.base import Learner, gradients
from metadialog_lite.lab.settings import copy_learner
from metadialog_lite.turns import TaskSource


class Agreement(NamedTuple):
    """First against second order at one length of the inner steps."""

    factor: float  # times the learner's own inner rates
    error: float  # |first − full| / |full|
    cosine: float
    gain: float  # nats per query turn by which the inner steps lower the query loss


def episodes_of(learner: Learner, source: TaskSource, seed: int, tasks: int, shots: int) -> tuple[TurnBatch, TurnBatch]:
    """Support and query of some training tasks, stacked."""
    drawn = draw_episodes(source, "train", seed, 0, tasks, shots, 8)
    return (stack_tasks([e.support for e in drawn], learner.vocabulary),
            stack_tasks([e.query for e in drawn], learner.vocabulary))


def agreement(learner: Learner, support: TurnBatch, query: TurnBatch, factors: Sequence[float]) -> list[Agreement]:
    """Compare the two gradients with respect to θ₀, in float64, with all inner rates multiplied by each factor."""
    twin: Any = copy_learner(learner).double()
    own, found = twin.inner_lr, []
    phi = {name: value.detach().requires_grad_() for name, value in twin.phi().items()}
    theta = {name: value for name, value in phi.items() if name.startswith("model.")}
    with torch.no_grad():
        before = float(twin.query_losses(twin.theta_0(phi, query), query).sum(-1).mean())

    def outer(first_order: bool) -> tuple[Tensor, float]:
        twin.first_order = first_order
        loss, _ = twin.task_loss(phi, support, query)
        found = gradients(loss, theta)
        return torch.cat([value.reshape(-1) for value in found.values()]), float(loss.detach())

    for factor in factors:
        twin.inner_lr = own * factor
        (full, loss), (first, _) = outer(False), outer(True)
        found.append(Agreement(factor, float((first - full).norm() / full.norm()),
                               float(first @ full / (first.norm() * full.norm())), before - loss))
    return found


def agreement_plot(rows: Sequence[Agreement], learner: str) -> tuple[Any, str]:
    """The relative error of first order against the length of the inner steps, on logarithmic axes: (figure, text)."""
    from metadialog_lite.lab.comparison_plots import empty_figure
    from metadialog_lite.lab.figures import FLOOR, LOOKS, line

    figure = empty_figure(360, f"{learner}: what first order leaves out, by the length of its inner steps")
    x = [row.factor for row in rows]
    figure.add_trace(line(LOOKS[0], "relative error of the first-order gradient", x, [row.error for row in rows]))
    slope = [rows[0].error * factor / rows[0].factor for factor in x]
    figure.add_trace(line(FLOOR, "in proportion to α", x, slope) | {"mode": "lines"})
    figure.update_xaxes(title="inner rates, times the learner's own", type="log", tickvals=x,
                        ticktext=[f"{factor:g}" for factor in x])
    figure.update_yaxes(title="|first − full| / |full|", type="log", dtick=1, tickformat="~g")
    said = "; ".join(f"× {row.factor:g}: error {row.error:.3f}, cosine {row.cosine:.3f}, the steps gain {row.gain:.2f}"
                     for row in rows)
    return figure, f"Inner rates times a factor, and nats per turn gained: {said}."


def step_times(learner: Learner, support: TurnBatch, query: TurnBatch, inner_steps: Sequence[int],
               rounds: int = 3) -> dict[tuple[int, int], float]:
    """(order, inner steps) -> CPU milliseconds of one outer step, the minimum of ``rounds``; the cases take turns."""
    twin: Any = copy_learner(learner)
    best: dict[tuple[int, int], float] = {}
    for _ in range(rounds):
        for steps in inner_steps:
            for order in (1, 2):
                twin.inner_steps, twin.first_order = steps, order == 1
                spent = milliseconds((twin, support, query), None)
                best[order, steps] = min(best.get((order, steps), float("inf")), spent)
    return best

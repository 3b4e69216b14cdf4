"""What adaptation buys, measured on fresh speakers: by capability, by what the support teaches, and token by token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from metadialog_lite.episodes import Episode, TurnBatch, encode_turns, stack_tasks
from metadialog_lite.evaluation import TaskLosses, interval
from metadialog_lite.families.base import Adapted, Learner
from metadialog_lite.lab.comparison_data import family_of
from metadialog_lite.lab.comparison_figure import colour_of
from metadialog_lite.lab.comparison_plots import empty_figure
from metadialog_lite.lab.curve import NAMES
from metadialog_lite.lab.figures import LOOK_OF, NATS
from metadialog_lite.turns import CAPABILITIES, Turn
from metadialog_lite.world import BayesReference, World

Floats = NDArray[np.float64]
#: What the support may teach in :func:`taught`: its segments one by one, and all of them.
TAUGHT = (*CAPABILITIES, "all")


class Bought(NamedTuple):
    """One capability: nats per query turn without and with the support, and the exact optimum's."""

    part: str
    before: float
    after: float
    low: float  # 95 % interval of before − after over speakers, paired
    high: float
    prior: float
    bayes: float


def bought(losses: TaskLosses) -> list[Bought]:
    """What the largest number of support turns buys against none. Raises ValueError without 0 shots or a floor."""
    if losses.loss is None or losses.bayes is None or losses.prior is None or losses.shots[0] != 0:
        raise ValueError(f"shots {losses.shots}: losses with 0 among the shots and a Bayes floor are needed")
    found = []
    for i, part in enumerate(CAPABILITIES):
        gain = losses.loss[:, 0, i] - losses.loss[:, -1, i]
        low, high = interval(gain)
        found.append(Bought(part, float(losses.loss[:, 0, i].mean()), float(losses.loss[:, -1, i].mean()), low, high,
                            float(losses.prior[:, 0, i].mean()), float(losses.bayes[:, -1, i].mean())))
    return found


def bought_plot(rows: Sequence[Bought], learner: str, shots: int) -> tuple[Any, str]:
    """Bars: the learner before and after, the optimum before and after, for each capability: (figure, text)."""
    figure = empty_figure(360, f"Nats per query turn without and with {shots} support turns")
    names = [NAMES[row.part] for row in rows]
    grey, colour = "#999999", colour_of(family_of(learner))
    for name, values, fill, pattern in (
            (f"{learner}, no support", [r.before for r in rows], colour, "/"),
            (f"{learner}, {shots} turns", [r.after for r in rows], colour, ""),
            ("optimum, no support", [r.prior for r in rows], grey, "/"),
            (f"optimum, {shots} turns (floor)", [r.bayes for r in rows], grey, "")):
        figure.add_trace({"type": "bar", "name": name, "x": names, "y": values,
                          "marker": {"color": fill, "pattern": {"shape": pattern}}})
    figure.update_yaxes(title=NATS)
    figure.update_layout(barmode="group")
    text = "; ".join(f"{NAMES[r.part]} {r.before:.2f} → {r.after:.2f} (bought {r.before - r.after:.2f} "
                     f"[{r.low:.2f}, {r.high:.2f}], to be had {r.prior - r.bayes:.2f})" for r in rows)
    return figure, f"{learner}, nats per turn: {text}."


def only(support: TurnBatch, part: str) -> TurnBatch:
    """The same support in which the targets of one capability alone count; the words all stay where they are.

    part is a capability, or "all".
    """
    if part == "all":
        return support
    own = support.segment == CAPABILITIES.index(part) + 1
    return support._replace(segment=support.segment * own)


def taught(learner: Learner, world: World, episodes: Sequence[Episode]) -> Floats:
    """Share of the gap closed, [4 taught, 3 judged]: the learner adapts to one segment of the support, or to all.

    Rows are in the order of TAUGHT, columns in that of CAPABILITIES. The gap is the one that the whole support opens.
    """
    support = stack_tasks([e.support for e in episodes], learner.vocabulary).to(learner.device)
    query = stack_tasks([e.query for e in episodes], learner.vocabulary).to(learner.device)
    reference = BayesReference(world)
    blank = reference.posterior([])
    prior = np.mean([blank.nll(turn) for e in episodes for turn in e.query], axis=0)
    known = [reference.posterior(e.support) for e in episodes]
    bayes = np.mean([post.nll(t) for post, e in zip(known, episodes, strict=True) for t in e.query], axis=0)
    loss = np.array([learner.adapt(only(support, part)).nll(query).double().flatten(0, -2).mean(0).cpu().numpy()
                     for part in TAUGHT])
    return np.asarray((prior - loss) / (prior - bayes))


def taught_plot(shares: Floats, learner: str) -> tuple[Any, str]:
    """The matrix of :func:`taught` as bars, one group for each judged capability: (figure, text)."""
    figure = empty_figure(360, f"{learner}: share of the gap, by what the support teaches")
    looks = [LOOK_OF[part] for part in CAPABILITIES] + [LOOK_OF["total"]]
    for look, part, row, pattern in zip(looks, TAUGHT, shares, ("", "/", "x", "."), strict=True):
        figure.add_trace({"type": "bar", "name": f"taught: {NAMES.get(part, 'all three')}",
                          "x": [NAMES[judged] for judged in CAPABILITIES], "y": np.clip(row, -1.5, None),
                          "marker": {"color": look.colour, "pattern": {"shape": pattern}}})
    figure.add_hline(y=1, line={"color": "#444444", "dash": "dash"})
    figure.update_yaxes(title="share of the gap (bars end at −1.5)")
    own = ", ".join(f"{NAMES[part]} {shares[i, i]:.2f}" for i, part in enumerate(CAPABILITIES))
    across = [(shares[i, j], a, b) for i, a in enumerate(CAPABILITIES) for j, b in enumerate(CAPABILITIES) if i != j]
    most, least = max(across), min(across)
    whole = ", ".join(f"{NAMES[part]} {shares[3, i]:.2f}" for i, part in enumerate(CAPABILITIES))
    best, worst = (f"{NAMES[a]} to {NAMES[b]} ({share:.2f})" for share, a, b in (most, least))
    return figure, (f"Taught alone, each capability gains for itself: {own}; all three taught together: {whole}. From "
                    f"one to another most goes from {best}, least from {worst}.")


def token_costs(adapted: Adapted, turn: Turn, learner: Learner) -> list[tuple[str, str, float]]:
    """(token, capability, nats) of every target token of one turn. Raises ValueError for an adapted without theta."""
    if adapted.theta is None:
        raise ValueError("this learner has no theta whose tokens could be looked at")
    batch = encode_turns([turn], learner.vocabulary).to(learner.device)
    with torch.no_grad():
        nats = learner.model.token_nll(adapted.theta, batch)[0]
    at = batch.where[0] + 1
    parts = batch.segment[0][at].tolist()
    words = learner.vocabulary.decode(batch.tokens[0][at].tolist())
    return [(word, CAPABILITIES[part - 1], float(cost)) for word, part, cost in zip(words, parts, nats) if part]


def token_plot(before: Sequence[tuple[str, str, float]], after: Sequence[tuple[str, str, float]]) -> tuple[Any, str]:
    """What every token of one turn costs without and with the support: (figure, text)."""
    figure = empty_figure(340, "One turn, token by token: nats without (light) and with the support (full)")
    x = list(range(len(before)))
    for costs, strength in ((before, 0.35), (after, 1.0)):
        figure.add_trace({"type": "bar", "x": x, "y": [cost for _, _, cost in costs], "showlegend": False,
                          "marker": {"color": [LOOK_OF[part].colour for _, part, _ in costs], "opacity": strength}})
    figure.update_xaxes(tickvals=x, ticktext=[word for word, _, _ in before], tickangle=-50)
    figure.update_yaxes(title="nats")
    figure.update_layout(barmode="group", margin={"b": 90})
    sums = {part: [sum(cost for _, own, cost in costs if own == part) for costs in (before, after)]
            for part in CAPABILITIES}
    text = "; ".join(f"{NAMES[part]} {a:.2f} → {b:.2f}" for part, (a, b) in sums.items())
    dear = max(zip(before, after, strict=True), key=lambda pair: pair[0][2] - pair[1][2])
    return figure, (f"Nats of this turn: {text}. Most was bought at “{dear[0][0]}” ({NAMES[dear[0][1]]}): "
                    f"{dear[0][2]:.2f} → {dear[1][2]:.2f}.")

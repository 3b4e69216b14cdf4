"""The comparison's main figure: what each learner reaches after k support turns, over the Bayes floor.

Colour is the family, dash and marker are the member, so that nobody has to tell colours apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from metadialog_lite.lab.comparison_data import FAMILIES, MEASURES, Comparison, Value, family_of
from metadialog_lite.lab.curve import NAMES
from metadialog_lite.lab.figures import FLOOR, LOOKS, NATS, SHOTS, Look, band, layout, line
from metadialog_lite.lab.live_plot import LivePlot, Picture

#: Instead of one training seed: the mean of all, and their range.
MEAN = 0
#: What lies farther out is not drawn: a share of the gap below this, a loss or regret above so many times the prior's.
FAR_BELOW, FAR_ABOVE = -1.0, 2.0
#: The exact optimum without any support: what one knows who has heard nothing.
PRIOR = Look("#888888", "dot", "line-ew")
_AXIS = {"loss": NATS, "regret": "nats per turn above the floor", "gap_closed": "share of the gap"}


@dataclass(frozen=True)
class View:
    """What is looked at."""

    learners: tuple[str, ...]
    part: str = "total"  # total, state, act or response
    measure: str = "gap_closed"  # loss, regret or gap_closed
    seed: int = 1  # a training seed, or MEAN
    bands: bool = True


def look_of(learner: str) -> Look:
    """Colour of the family, dash and marker of the member."""
    family = family_of(learner)
    own = LOOKS[FAMILIES[family].index(learner) % len(LOOKS)]
    return Look(colour_of(family), own.dash, own.marker)


def colour_of(family: str) -> str:
    """A family's colour (Okabe and Ito)."""
    return LOOKS[list(FAMILIES).index(family)].colour


def value_of(found: Comparison, view: View, learner: str, shots: int) -> Value:
    """What is drawn of a learner after ``shots`` turns: one training seed with its interval, or the mean and range."""
    if view.seed == MEAN:
        return found.spread(learner, shots, view.part, view.measure)
    return found.value(learner, view.seed, shots, view.part, view.measure)


def frame(height: int) -> dict[str, Any]:
    """The figure's layout: legend at the right, because there may be many lines."""
    return layout(height, margin={"l": 60, "r": 10, "t": 36, "b": 45}, uirevision="keep", hovermode="closest",
                  xaxis={"zeroline": False}, yaxis={"zeroline": False},
                  legend={"x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top", "font": {"size": 11}})


def bare_traces(learners: Sequence[str]) -> list[dict[str, Any]]:
    """All traces without numbers: a band for each learner, the floor, the prior, then a line for each learner."""
    bands = [band(look_of(name), [], [], []) for name in learners]
    floor = line(FLOOR, "Bayes floor (best possible)") | {"mode": "lines"}
    prior = line(PRIOR, "knows nothing (Bayes, no support)") | {"mode": "lines"}
    lines = [line(look_of(name), name, hovertemplate="%{y:.3f} after %{text} turns") for name in learners]
    return [*bands, floor, prior, *lines]


def numbers(found: Comparison, learners: Sequence[str], view: View) -> Picture:
    """What the traces of ``learners`` show now, and the changes of the layout."""
    shots = found.shots
    bands: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    heights = [0.0]
    for name in learners:
        shown = name in view.learners
        points = [(at, k, value_of(found, view, name, k)) for at, k in enumerate(shots)] if shown else []
        known = [(at, k, value) for at, k, value in points if value.value is not None]
        wide = [(at, value) for at, _, value in known if view.bands and value.low is not None]
        bands.append({"x": [at for at, _ in wide] + [at for at, _ in reversed(wide)],
                      "y": [v.high for _, v in wide] + [v.low for _, v in reversed(wide)], "visible": bool(wide)})
        lines.append({"x": [at for at, _, _ in known], "y": [v.value for _, _, v in known],
                      "text": [str(k) for _, k, _ in known], "visible": shown})
        heights += [v.value for _, _, v in known if v.value is not None]
        heights += [v.high for _, v in wide if v.high is not None]
    floor, prior = _references(found, view)
    heights += floor["y"] + prior["y"]
    lowest = min([0.0, *(y for one in (*lines, *bands) for y in one["y"])])
    title = f"<b>{NAMES[view.part]}</b>: {MEASURES[view.measure]} after k support turns, {seed_words(view)}"
    # One who is hopeless (trained from nothing on a few turns) would press all others into one line.
    limit = math.inf if view.measure == "gap_closed" else FAR_ABOVE * max(prior["y"], default=0.0) or math.inf
    outside = [name for name, one in zip(learners, lines, strict=True)
               if any(not FAR_BELOW <= y <= limit for y in one["y"])]
    title += f"<br>outside the picture: {', '.join(outside)}" if outside else ""
    lowest, top = max(lowest, FAR_BELOW), 1.06 * min(max(heights), limit) or 1.0
    changes = {"title.text": title, "yaxis.title.text": _AXIS[view.measure],
               "yaxis.range": [min(1.06 * lowest, -0.03 * top), top],
               "xaxis.tickvals": list(range(len(shots))), "xaxis.ticktext": [str(k) for k in shots],
               "xaxis.range": [-0.2, max(1, len(shots) - 1) + 0.2], "xaxis.title.text": SHOTS}
    return [*bands, floor, prior, *lines], changes


def _references(found: Comparison, view: View) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Bayes floor and the prior in the measure that is drawn: by definition 0 or 1 for regret and gap."""
    some = found.any_run()
    rows = [row for row in some.rows if row.capability == view.part] if some else []
    rows = sorted((row for row in rows if row.bayes is not None and row.prior is not None), key=lambda row: row.shots)
    if view.measure == "gap_closed":
        rows = [row for row in rows if row.shots > 0]  # undefined where nothing was heard
    x = [found.shots.index(row.shots) for row in rows]
    bayes, prior = [float(row.bayes or 0) for row in rows], [float(row.prior or 0) for row in rows]
    if view.measure == "regret":
        prior = [p - b for p, b in zip(prior, bayes, strict=True)]
        bayes = [0.0] * len(rows)
    elif view.measure == "gap_closed":
        bayes, prior = [1.0] * len(rows), [0.0] * len(rows)
    return {"x": x, "y": bayes}, {"x": x, "y": prior}


def seed_words(view: View) -> str:
    """Which training seeds are looked at."""
    return "mean of the training seeds" if view.seed == MEAN else f"training seed {view.seed}"


def live(learners: Sequence[str]) -> LivePlot:
    """The figure for a panel; :func:`numbers` gives its numbers in the same order of traces."""
    return LivePlot(bare_traces(learners), frame(470))


def explorer(found: Comparison, view: View, text: str) -> tuple[Any, str]:
    """The same figure for paper and GitHub, of the learners in view alone: (figure, text)."""
    import plotly.graph_objects as go

    changes, more = numbers(found, view.learners, view)
    figure = go.Figure(layout=frame(max(400, 70 + 20 * (len(view.learners) + 2))))  # the whole legend
    for trace, change in zip(bare_traces(view.learners), changes, strict=True):
        figure.add_trace({**trace, **change})
    figure.update_layout({name.replace(".", "_"): value for name, value in more.items()})
    return figure, text


def shown_of(found: Comparison, asked: str, shots: int) -> tuple[str, ...]:
    """The learners that a parameter names: "best" (each family's best and the rival), "all", or names with commas."""
    if asked in ("best", "all"):
        return tuple(found.shortlist(shots) if asked == "best" else found.learners)
    names: Collection[str] = [name.strip() for name in asked.split(",")]
    return tuple(name for name in found.learners if name in names)

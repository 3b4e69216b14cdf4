"""One look for all figures: Okabe–Ito colours, each with its own dash and marker, so that no colour has to be seen."""

from __future__ import annotations

import base64
import json
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from metadialog_lite.lab.curve import NAMES, PARTS, Curve, Drawn, curve_text, parts_of
from metadialog_lite.results import Result

#: The words a figure's horizontal axis may need.
STEPS, SHOTS, NATS = "outer step", "support turns", "nats per turn"


#: Characters in a printed line: JupyterLab breaks longer ones in the middle of a word.
WIDTH = 92


class Look(NamedTuple):
    """How a line is told apart three times over."""

    colour: str
    dash: str
    marker: str


#: Okabe & Ito's palette, distinguishable with every common kind of colour blindness.
LOOKS = (
    Look("#0072B2", "solid", "circle"),
    Look("#D55E00", "dash", "square"),
    Look("#009E73", "dot", "diamond"),
    Look("#CC79A7", "dashdot", "triangle-up"),
    Look("#E69F00", "longdash", "cross"),
    Look("#56B4E9", "longdashdot", "x"),
)
LOOK_OF = {"state": LOOKS[0], "act": LOOKS[1], "response": LOOKS[2], "total": LOOKS[3]}
#: The Bayes floor looks the same everywhere.
FLOOR = Look("#444444", "dash", "line-ew")


#: A legend above the plot: where a panel may be narrow, one below would cover the axis.
ABOVE = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}


def layout(height: int = 340, **more: Any) -> dict[str, Any]:
    """The common layout: white, thin grid, legend below."""
    base: dict[str, Any] = {
        "template": "plotly_white",
        "height": height,
        "autosize": True,
        "margin": {"l": 55, "r": 15, "t": 40, "b": 45},
        "font": {"size": 12, "color": "#222222"},
        "legend": {"orientation": "h", "y": -66 / max(60, height - 85),  # 66 pixels below the axis, below its title
                   "x": 0, "xanchor": "left", "yanchor": "top"},
        "hovermode": "x",
        "title": {"font": {"size": 14}, "x": 0.01, "xanchor": "left"},
    }
    return {**base, **more}


def line(look: Look, name: str, x: Any = (), y: Any = (), **more: Any) -> dict[str, Any]:
    """A line with markers as a plotly trace."""
    return {"type": "scatter", "mode": "lines+markers", "name": name, "x": x, "y": y,
            "line": {"color": look.colour, "dash": look.dash, "width": 2},
            "marker": {"symbol": look.marker, "size": 6, "color": look.colour}, **more}


def band(look: Look, x: Sequence[float], low: Sequence[float], high: Sequence[float], **more: Any) -> dict[str, Any]:
    """A 95 % band round a line, without a name of its own."""
    red, green, blue = (int(look.colour[i : i + 2], 16) for i in (1, 3, 5))
    return {"type": "scatter", "mode": "lines", "x": [*x, *reversed(x)], "y": [*high, *reversed(low)], "fill": "toself",
            "fillcolor": f"rgba({red},{green},{blue},0.18)", "line": {"width": 0}, "hoverinfo": "skip",
            "showlegend": False, **more}


def curve_traces(drawn: Mapping[str, Drawn], parts: Sequence[str] = PARTS) -> list[dict[str, Any]]:
    """Three traces a part, in this order: single steps, moving average, Bayes floor. Subplot i shows part i."""
    traces: list[dict[str, Any]] = []
    for i, part in enumerate(parts):
        d, look, axis = drawn[part], LOOK_OF[part], "" if i == 0 else str(i + 1)
        where = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "showlegend": i == 0}
        traces += [
            {"type": "scatter", "mode": "markers", "name": "single steps", "x": d.step, "y": d.raw,
             "hoverinfo": "skip", "marker": {"size": 3, "color": look.colour, "opacity": 0.3}, **where},
            line(look, "moving average of the loss", d.step, d.mean, **where)
            | {"marker": {"symbol": look.marker, "size": 7, "color": look.colour, "maxdisplayed": 12}},
            line(FLOOR, "Bayes floor (best possible)", d.step, d.floor, **where) | {"mode": "lines"},
        ]
    return traces


def curve_layout(parts: Sequence[str] = PARTS, tops: Mapping[str, float] | None = None,
                 axis_name: str = STEPS) -> dict[str, Any]:
    """Subplots side by side, the first one wider, each with a title above."""
    gap, first = 0.055, 0.31 if len(parts) > 1 else 1.0
    rest = (1 - first - gap * (len(parts) - 1)) / max(1, len(parts) - 1)
    result = layout(height=310, margin={"l": 50, "r": 10, "t": 30, "b": 45}, annotations=[], uirevision="keep")
    left = 0.0
    for i, part in enumerate(parts):
        axis, width = "" if i == 0 else str(i + 1), first if i == 0 else rest
        end = min(1.0, left + width)
        top = (tops or {}).get(part, 1.0)
        result[f"xaxis{axis}"] = {"domain": [left, end], "anchor": f"y{axis}", "rangemode": "tozero",
                                  "title": {"text": axis_name, "standoff": 4}, "nticks": 6}
        result[f"yaxis{axis}"] = {"anchor": f"x{axis}", "range": [0, top], "nticks": 6,
                                  "title": {"text": NATS if i == 0 else None, "standoff": 4}}
        result["annotations"].append({
            "text": f"<b>{NAMES[part]}</b>", "x": left, "y": 1.02, "xref": "paper", "yref": "paper",
            "xanchor": "left", "yanchor": "bottom", "showarrow": False,
            "font": {"size": 12}})
        left = end + gap
    return result


def learning_curve(records: Iterable[Any], window: int = 20) -> tuple[Any, str]:
    """A finished training run as (figure, what it says): loss for each capability over its Bayes floor."""
    import plotly.graph_objects as go

    curve = Curve(records)
    parts = parts_of([part for part in PARTS if any(curve.loss[part])] or PARTS)
    drawn = {part: curve.drawn(part, window) for part in parts}
    tops = {part: curve.top(part, window) for part in parts}
    figure = go.Figure(curve_traces(drawn, parts), curve_layout(parts, tops))
    return figure, curve_text(curve, window)


def adaptation_curve(results: Sequence[Result], capability: str = "total") -> tuple[Any, str]:
    """Loss after k support turns for several learners with 95 % bands, over the Bayes floor: (figure, text)."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(title={"text": f"Loss after adaptation: {NAMES[capability]}", "x": 0.01}))
    shots = sorted({row.shots for result in results for row in result.rows})
    place = {k: i for i, k in enumerate(shots)}  # evenly spaced, because each value is about twice the one before
    floor = {row.shots: row.bayes for result in results for row in result.rows
             if row.capability == capability and row.bayes is not None}
    for result, look in zip(results, LOOKS, strict=False):
        rows = [row for row in result.rows if row.capability == capability and row.loss is not None]
        banded = [row for row in rows if row.low is not None and row.high is not None]
        if banded:
            figure.add_trace(band(look, [place[r.shots] for r in banded], [float(r.low or 0) for r in banded],
                                  [float(r.high or 0) for r in banded]))
        figure.add_trace(line(look, result.learner, [place[r.shots] for r in rows], [r.loss for r in rows]))
    if floor:
        ks = sorted(floor)
        figure.add_trace(line(FLOOR, "Bayes floor (best possible)", [place[k] for k in ks], [floor[k] for k in ks])
                         | {"mode": "lines"})
    figure.update_xaxes(title=SHOTS, tickvals=list(place.values()), ticktext=[str(k) for k in shots])
    figure.update_yaxes(title=NATS, rangemode="tozero")
    return figure, adaptation_text(results, capability)


def adaptation_text(results: Sequence[Result], capability: str = "total") -> str:
    """What an adaptation curve says, one sentence a learner, the best one first."""
    said = []
    for result in results:
        rows = [row for row in result.rows if row.capability == capability and row.loss is not None]
        if not rows:
            said.append((np.inf, f"{result.learner} has no loss to show"))
            continue
        first, last = min(rows, key=lambda r: r.shots), max(rows, key=lambda r: r.shots)
        assert first.loss is not None
        assert last.loss is not None
        text = f"{result.learner} goes from {first.loss:.2f} to {last.loss:.2f} nats/turn"
        if last.bayes is not None:
            text += f", {last.loss - last.bayes:.2f} above the Bayes floor"
        if last.gap_closed is not None:
            text += f" (gap closed {last.gap_closed:.2f})"
        said.append((last.loss, text))
    if not said:
        return "There is no result to show."
    most = max((row.shots for result in results for row in result.rows), default=0)
    return f"From 0 to {most} support turns, {NAMES[capability]}: " + "; ".join(t for _, t in sorted(said)) + "."


def show(figure: Any, text: str) -> None:
    """Display a plotly figure (or its dictionary of ``data`` and ``layout``) and the sentence that says what it shows.

    The picture that GitHub can show is added only where METADIALOG_TWINS=1 (``make notebooks``): it needs Chromium.
    """
    from IPython.display import display
    from plotly.io.json import to_json_plotly

    plain = json.loads(to_json_plotly(figure))  # a notebook file takes no arrays
    data = {"text/plain": text,
            "application/vnd.plotly.v1+json": plain | {"config": {"displayModeBar": False, "responsive": True}}}
    if os.environ.get("METADIALOG_TWINS") == "1":
        data |= _twin(figure)
    display(data, raw=True)
    print(textwrap.fill(text, WIDTH, break_on_hyphens=False))


def _twin(figure: Any) -> dict[str, str]:
    """The figure as a picture, SVG or PNG, whichever is smaller: a notebook may have at most 300 kB."""
    from plotly.graph_objects import Figure

    figure = Figure(figure)
    size = {"width": 860, "height": figure.layout.height or 340}
    svg = figure.to_image(format="svg", **size).decode()
    png = base64.b64encode(figure.to_image(format="png", **size)).decode()
    return {"image/svg+xml": svg} if len(svg) <= len(png) else {"image/png": png}

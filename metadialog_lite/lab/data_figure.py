"""Figures of notebook 06: the loss and the learned numbers as they move, the learned table, weights of segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metadialog_lite.lab.curve import NAMES, Curve
from metadialog_lite.lab.data_text import Line, Place
from metadialog_lite.lab.figures import FLOOR, LOOK_OF, LOOKS, NATS, STEPS, layout, line
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.theta_figure import BLUES, heatmap
from metadialog_lite.turns import CAPABILITIES

#: What was learned after some number of steps: (step, capability -> name -> number).
History = Sequence[tuple[int, Mapping[str, Mapping[str, float]]]]
#: Lines for each capability in the live figure.
SERIES = 4
_MOST = 200  # points of a line


def build() -> LivePlot:
    """The live figure without numbers: the loss over its floor, then the learned numbers of each capability."""
    frame = layout(310, margin={"l": 50, "r": 10, "t": 34, "b": 86}, annotations=[], uirevision="keep")
    frame["legend"] |= {"y": -0.24, "font": {"size": 11}}
    look = LOOK_OF["total"]
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "markers", "name": "single steps", "hoverinfo": "skip", "showlegend": False,
         "marker": {"size": 3, "color": look.colour, "opacity": 0.3}, "xaxis": "x", "yaxis": "y"},
        line(look, "loss", showlegend=False) | {"mode": "lines"},
        line(FLOOR, "Bayes floor", showlegend=False) | {"mode": "lines"},
    ]
    heads = ["<b>loss</b>, nats per turn; dashed: its floor", *(f"<b>{NAMES[part]}</b>" for part in CAPABILITIES)]
    for i, (left, right) in enumerate(((0, 0.31), (0.38, 0.56), (0.6, 0.78), (0.82, 1))):
        n = str(i + 1) if i else ""
        frame[f"xaxis{n}"] = {"domain": [left, right], "anchor": f"y{n}", "rangemode": "tozero", "nticks": 5,
                              "title": {"text": STEPS, "standoff": 4}}
        frame[f"yaxis{n}"] = {"anchor": f"x{n}", "range": [0, 1], "nticks": 6, "showticklabels": i < 2}
        frame["annotations"].append({"text": heads[i], "x": left, "y": 1.02, "xref": "paper", "yref": "paper",
                                     "xanchor": "left", "yanchor": "bottom", "showarrow": False, "font": {"size": 12}})
        if i:
            traces += [line(each, "", xaxis=f"x{n}", yaxis=f"y{n}", showlegend=False) for each in LOOKS[:SERIES]]
    return LivePlot(traces, frame, rest=1.0)


def numbers(curve: Curve, history: History, window: int = 20) -> Picture:
    """What the live figure shows: of the curve its moving average, of the history every learned number."""
    drawn = curve.drawn("total", window)
    changes: list[dict[str, Any]] = [{"x": drawn.step, "y": y} for y in (drawn.raw, drawn.mean, drawn.floor)]
    last = len(history) - 1
    points = [history[i] for i in sorted({round(i * last / (_MOST - 1)) for i in range(_MOST)})] if history else []
    steps = np.array([step for step, _ in points], np.float32)
    legend: set[str] = set()
    top = 1.0
    for part in CAPABILITIES:
        names = list(points[-1][1][part])[:SERIES] if points else []
        for i in range(SERIES):
            if i >= len(names):
                changes.append({"x": np.zeros(0, np.float32), "y": np.zeros(0, np.float32), "showlegend": False})
                continue
            values = np.array([found[part][names[i]] for _, found in points], np.float32)
            top = max(top, float(values.max()))
            changes.append({"x": steps, "y": values, "name": names[i], "showlegend": names[i] not in legend,
                            "marker.maxdisplayed": 8})
            legend.add(names[i])
    top = 1.0 if top <= 1 else 2.0
    return changes, {"yaxis.range": [0, curve.top("total", window)],
                     **{f"yaxis{i}.range": [0, 1.03 * top] for i in (2, 3, 4)}}


def _grid(table: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], title: str, top: float = 1.0,
          height: int = 250) -> Any:
    """A table of numbers as shades of blue, each number written in its cell: a figure."""
    import plotly.graph_objects as go

    text = [["<0.01" if 0 < value < 0.005 else f"{value:.2f}" for value in row] for row in table]
    trace = heatmap(len(rows), BLUES, 0, x=list(range(len(columns))), texttemplate="%{text}", xgap=2, ygap=2,
                    textfont={"size": 12, "color": "#222222"})
    figure = go.Figure([trace | {"z": [list(row) for row in table], "text": text, "zmax": top}],
                       layout(height, margin={"l": 170, "r": 20, "t": 66, "b": 15},
                              title={"text": title, "x": 0.01, "font": {"size": 14}}))
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=list(columns), side="top", showgrid=False)
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=list(rows), autorange="reversed", showgrid=False)
    return figure


def trust_figure(found: Mapping[str, Mapping[str, float]]) -> tuple[Any, str]:
    """The learned probabilities of augmentation, ways by capabilities: (figure, what it says)."""
    ways = list(next(iter(found.values())))
    table = [[found[part][way] for part in CAPABILITIES] for way in ways]
    figure = _grid(table, ways, [NAMES[part] for part in CAPABILITIES], "How far each recombination is trusted")
    best = sorted(((p, way, part) for part, row in found.items() for way, p in row.items()), reverse=True)
    said = [f"the {part} of “{way}” {p:.2f}" for p, way, part in best]
    return figure, f"Trusted most: {', '.join(said[:3])}; least: {', '.join(said[-2:])}."


def sure_figure(turns: Sequence[Sequence[Place]]) -> tuple[Any, str]:
    """How sure each place of each synthetic turn is, its word written on it: (figure, what it says)."""
    places = turns[0]
    names = [place.part if i == 0 or places[i - 1].part != place.part else "" for i, place in enumerate(places)]
    rows = [f"synthetic turn {i + 1}" for i in range(len(turns))]
    figure = _grid([[p.sure for p in turn] for turn in turns], rows, names, "The most probable word of each place",
                   height=120 + 42 * len(turns))
    figure.data[0].text = [[place.word for place in turn] for turn in turns]
    figure.update_traces(textfont={"size": 9})
    figure.update_layout(margin={"l": 110})
    figure.update_xaxes(tickangle=0)
    every = [place.sure for turn in turns for place in turn]
    return figure, (f"{sum(sure >= 0.5 for sure in every)} of {len(every)} places are at least half sure of one word; "
                    f"the mean probability of the best word is {np.mean(every):.2f}.")


def weights_figure(lines: Sequence[Line]) -> tuple[Any, str]:
    """Weights of true and of replaced segments, capability by capability: (figure, what it says)."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(320, title={"text": "Weights of support segments", "x": 0.01}))
    said = []
    for look, replaced, name in ((LOOKS[0], False, "this speaker's"), (LOOKS[1], True, "a stranger's")):
        for i, part in enumerate(CAPABILITIES):
            values = [one.weight[i] for one in lines if (part in one.replaced) is replaced]
            if values:
                figure.add_trace({"type": "violin", "y": values, "x0": NAMES[part], "name": name, "legendgroup": name,
                                  "showlegend": i == 0, "side": "positive" if replaced else "negative", "points": False,
                                  "line": {"color": look.colour}, "meanline": {"visible": True}, "scalemode": "width",
                                  "spanmode": "hard"})
                said.append(f"{NAMES[part]}, {name}: {np.mean(values):.2f}")
    figure.update_yaxes(title="weight (1 = as it is)", rangemode="tozero")
    return figure, f"Mean weights. {'; '.join(said)}."


def bars_figure(losses: Mapping[str, Sequence[float]], floor: Sequence[float], title: str) -> tuple[Any, str]:
    """Loss above the floor for each capability and name, as stacked bars: (figure, what it says).

    losses, floor   nats per turn, in the order of CAPABILITIES
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(110 + 44 * len(losses), title={"text": title, "x": 0.01}, barmode="relative",
                                     margin={"l": 190, "r": 15, "t": 40, "b": 45}, hovermode="closest"))
    for i, (part, shape) in enumerate(zip(CAPABILITIES, ("", "/", "."), strict=True)):
        above = [loss[i] - floor[i] for loss in losses.values()]
        figure.add_trace({"type": "bar", "orientation": "h", "y": list(losses), "x": above, "name": NAMES[part],
                          "marker": {"color": LOOK_OF[part].colour, "pattern": {"shape": shape}}})
    figure.update_xaxes(title=f"{NATS} above the Bayes floor")
    figure.update_yaxes(autorange="reversed")
    each = (f"{name} {sum(loss) - sum(floor):.2f}" for name, loss in losses.items())
    return figure, f"Nats per turn above the floor: {'; '.join(each)}."

"""The theta panel's figure: meanings above, changed numbers and losses below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from metadialog_lite.lab.figures import LOOK_OF, layout, line
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.understanding import Floats, Growth
from metadialog_lite.turns import CAPABILITIES
from metadialog_lite.world import World

BLUES = [[0, "#FFFFFF"], [1, "#56B4E9"]]
SIGNED = [[0, "#D55E00"], [0.5, "#FFFFFF"], [1, "#0072B2"]]
_LEFT, _GAP, _MIDDLE = 0.06, 0.075, 0.56  # places, as shares of the figure's width
_UPPER, _LOWER = [0.6, 1], [0, 0.4]


def traces_of(world: World) -> int:
    """How many traces the figure has: two a slot, the changed numbers, six curves, and where we are."""
    return 2 * len(world.slots) + 8


def build(world: World, shots: int) -> LivePlot:
    """The figure without numbers; :func:`numbers` gives them in the same order of traces."""
    count = len(world.slots)
    frame = layout(620, margin={"l": 10, "r": 10, "t": 30, "b": 70}, annotations=[], hovermode="closest")
    frame["legend"] = {"orientation": "h", "x": _MIDDLE, "y": -0.09, "yanchor": "top", "font": {"size": 11}}
    width = (1 - _LEFT - _GAP * (count - 1)) / count
    tables, frames = [], []
    for i, slot in enumerate(world.slots):
        left = _LEFT + i * (width + _GAP)
        values, words = world.values[i], world.words[i]
        where = axes(frame, i + 1, [left, left + width], _UPPER, f"<b>{slot}</b>: p(value | word)")
        frame[where["xaxis"].replace("x", "xaxis")] |= _names(values) | {"tickangle": -40}
        frame[where["yaxis"].replace("y", "yaxis")] |= _names(words, downwards=True)
        tables.append(heatmap(len(words), BLUES, 0, x=list(range(len(values))), texttemplate="%{text}", xgap=2, ygap=2,
                               textfont={"size": 10, "color": "#222222"}, **where))
        frames.append({"type": "scatter", "mode": "markers", "x": [], "y": [], "name": "what the speaker means",
                       "showlegend": False, "hoverinfo": "skip", **where,
                       "marker": {"symbol": "square-open", "size": 24, "color": "#000000", "line": {"width": 2.5}}})
    every = [word for words in world.words for word in words]
    where = axes(frame, count + 1, [_LEFT, 0.48], _LOWER, "<b>θ − θ₀</b> of each word (blue: up, orange: down)")
    frame[f"xaxis{count + 1}"] |= {"showticklabels": False, "showgrid": False,
                                   "title": {"text": "the numbers of the word's embedding row", "standoff": 4}}
    frame[f"yaxis{count + 1}"] |= _names(every, downwards=True) | {"tickfont": {"size": 8}}
    rows = heatmap(len(every), SIGNED, -1, **where)
    where = axes(frame, count + 2, [_MIDDLE, 1], _LOWER, "<b>loss on new turns</b>; thin: its Bayes floor")
    frame[f"xaxis{count + 2}"] |= {"range": [-0.3, shots + 0.3], "title": {"text": "support turns", "standoff": 4}}
    frame[f"yaxis{count + 2}"] |= {"range": [0, 1], "title": {"text": "nats per turn", "standoff": 4}}
    losses = [line(LOOK_OF[part], part, **where) for part in CAPABILITIES]
    floors = [line(LOOK_OF[part], f"floor of {part}", showlegend=False, **where) | {"mode": "lines"}
              for part in CAPABILITIES]
    for floor in floors:
        floor["line"]["width"] = 1
    now = {"type": "scatter", "mode": "lines", "name": "now", "showlegend": False, "hoverinfo": "skip",
           "line": {"color": "#000000", "width": 1}, **where}
    return LivePlot([*tables, *frames, rows, *losses, *floors, now], frame)


def numbers(growth: Growth, k: int, optimum: bool, reveal: bool) -> Picture:
    """What the figure shows after k support turns: theta's or the optimum's meanings, the lexicon framed or not."""
    k = min(k, len(growth.loss) - 1)
    shown = (growth.bayes if optimum else growth.meanings)[k]
    changes: list[dict[str, Any]] = [{"z": table.tolist(), "text": _text(table)} for table in shown.values()]
    for table in growth.truth.values():
        right = table.argmax(1).tolist() if reveal else []
        changes.append({"x": right, "y": list(range(len(right)))})
    most = max(float(np.abs(table).max()) for table in growth.moved) or 1.0
    changes.append({"z": (growth.moved[k] / most).round(3).tolist()})
    turns = np.arange(len(growth.loss), dtype=np.float32)
    curves = [np.array([loss[part] for loss in losses], np.float32)
              for losses in (growth.loss, growth.floor) for part in CAPABILITIES]
    changes += [{"x": turns, "y": curve} for curve in curves]
    top = 1.08 * max(float(curve.max()) for curve in curves)
    changes.append({"x": np.full(2, k, np.float32), "y": np.array([0, top], np.float32)})
    frame: dict[str, Any] = {f"yaxis{len(growth.words) + 2}.range": [0, top]}
    heard = growth.heard(k)
    for i, words in enumerate(growth.words):  # words that were heard get a dot
        frame[f"yaxis{i + 1 if i else ''}.ticktext"] = [f"• {w}" if w in heard else w for w in words]
    return changes, frame


def axes(frame: dict[str, Any], number: int, x: list[float], y: list[float], heading: str) -> dict[str, str]:
    """A new pair of axes with a heading above; returns what a trace on them says."""
    n = "" if number == 1 else str(number)
    frame[f"xaxis{n}"] = {"domain": x, "anchor": f"y{n}", "fixedrange": True, "zeroline": False}
    frame[f"yaxis{n}"] = {"domain": y, "anchor": f"x{n}", "fixedrange": True, "zeroline": False}
    frame["annotations"].append({"text": heading, "x": x[0], "y": y[1], "xref": "paper", "yref": "paper", "yshift": 3,
                                 "xanchor": "left", "yanchor": "bottom", "showarrow": False, "font": {"size": 12}})
    return {"xaxis": f"x{n}", "yaxis": f"y{n}"}


def _names(names: Sequence[str], downwards: bool = False) -> dict[str, Any]:
    """An axis with names in the place of numbers, the first one left, or on top."""
    ends = [-0.5, len(names) - 0.5]
    return {"tickvals": list(range(len(names))), "ticktext": list(names), "showgrid": False,
            "range": ends[::-1] if downwards else ends}


def heatmap(rows: int, colours: Any, low: float, **more: Any) -> dict[str, Any]:
    """An empty heatmap whose rows are numbered, so that their names may change."""
    return {"type": "heatmap", "y": list(range(rows)), "z": [], "zmin": low, "zmax": 1, "colorscale": colours,
            "showscale": False, "hoverinfo": "skip", **more}


def _text(table: Floats) -> list[list[str]]:
    """Probabilities as short as they can be read; nothing below 0.02."""
    return [["" if p < 0.02 else "1" if p >= 0.995 else f"{p:.2f}".lstrip("0") for p in row] for row in table]


def small_multiples(growth: Growth, world: World, slot: str, points: Sequence[int]) -> Any:
    """p(value | word) of one slot after some numbers of support turns, side by side, the truth framed: a figure."""
    import plotly.graph_objects as go

    number = world.slots.index(slot)
    words, values = world.words[number], world.values[number]
    frame = layout(250, margin={"l": 70, "r": 10, "t": 56, "b": 70}, annotations=[], showlegend=False)
    width = (1 - 0.02 * (len(points) - 1)) / len(points)
    traces: list[dict[str, Any]] = []
    for i, k in enumerate(points):
        left = i * (width + 0.02)
        where = axes(frame, i + 1, [left, left + width], [0, 1], f"after {k}")
        frame[where["xaxis"].replace("x", "xaxis")] |= _names(values) | {"tickangle": -60}
        frame[where["yaxis"].replace("y", "yaxis")] |= _names(words, downwards=True) | {"showticklabels": i == 0}
        table = growth.meanings[k][slot]
        traces += [
            heatmap(len(words), BLUES, 0, x=list(range(len(values))), texttemplate="%{text}", xgap=1, ygap=1,
                     textfont={"size": 10, "color": "#222222"}, **where) | {"z": table.tolist(), "text": _text(table)},
            {"type": "scatter", "mode": "markers", "x": growth.truth[slot].argmax(1).tolist(),
             "y": list(range(len(words))), **where,
             "marker": {"symbol": "square-open", "size": 17, "color": "#000000", "line": {"width": 1.5}}}]
    frame["title"] = {"text": f"p(value | word) for '{slot}' after k support turns; framed: the truth", "x": 0.01,
                      "font": {"size": 14}}
    return go.Figure(traces, frame)

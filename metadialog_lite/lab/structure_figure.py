"""The network as a drawing: heads, MLP units and blocks fade with their gates. Pure figure code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metadialog_lite.families.masks import SubNetworks, parts, places
from metadialog_lite.lab.figures import LOOK_OF, layout, line
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.structure_numbers import Watched
from metadialog_lite.lab.theta_figure import BLUES, axes, heatmap
from metadialog_lite.model import ModelConfig
from metadialog_lite.turns import CAPABILITIES

#: Edges are drawn in so many strengths; a closed gate's edges not at all.
LEVELS = 5
_INK, _CLOSED, _RING = "#0072B2", "#BBBBBB", "#D55E00"
_SIZES = {"heads": 25, "units": 8, "blocks": 29}
_PER_LAYER = 300  # pixels of height


def positions(config: ModelConfig) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where each gate stands: x and y [gates]. A layer is 4 high: its heads at 1, attention's sum at 2, units at 3."""
    x, y = np.full(places(config)[-1]["blocks"].stop, 0.5), np.zeros(places(config)[-1]["blocks"].stop)
    for i, where in enumerate(places(config)):
        heads, units = config.heads, config.mlp
        x[where["heads"]] = 0.5 + (np.arange(heads) - (heads - 1) / 2) * min(0.2, 0.9 / heads)
        x[where["units"]] = 0.02 + 0.96 * (np.arange(units) + 0.5) / units
        y[where["heads"]], y[where["units"]], y[where["blocks"]] = 4 * i + 1, 4 * i + 3, (4 * i + 2, 4 * i + 4)
    return x, y


def edges(strength: np.ndarray[Any, Any], config: ModelConfig) -> list[tuple[list[Any], list[Any]]]:
    """(x, y) of the lines of each level, weakest first, None between two lines; ``strength`` [gates] from 0 to 1."""
    x, y = positions(config)
    found: list[tuple[list[Any], list[Any]]] = [([], []) for _ in range(LEVELS)]
    for where in places(config):
        blocks = strength[where["blocks"]]
        for number, part in enumerate(("heads", "units")):
            gather = y[where["blocks"]][number]
            for at in range(where[part].start, where[part].stop):
                level = int(np.ceil(LEVELS * float(strength[at] * blocks[number]) - 1e-6)) - 1
                if level >= 0:
                    found[level][0].extend((0.5, x[at], 0.5, None))
                    found[level][1].extend((gather - 2, y[at], gather, None))
    return found


def drawing(config: ModelConfig, where: Mapping[str, str]) -> list[dict[str, Any]]:
    """The traces of a network without gates: :func:`drawn` fills them. Grey: the stream that goes round all blocks."""
    x, y = positions(config)
    top = 4 * config.layers
    sizes = np.zeros(len(x))
    for layer in places(config):
        for part, pick in layer.items():
            sizes[pick] = _SIZES[part]
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "x": [0.5, 0.5], "y": [-0.4, top + 0.4], "hoverinfo": "skip",
         "line": {"color": "#DDDDDD", "width": 9}, "showlegend": False, **where}]
    traces += [
        {"type": "scatter", "mode": "lines", "x": [], "y": [], "hoverinfo": "skip", "showlegend": False,
         "line": {"color": _INK, "width": 1}, "opacity": (0.08 + 0.5 * (level + 1) / LEVELS), **where}
        for level in range(LEVELS)]
    traces.append({"type": "scatter", "mode": "markers", "x": [], "y": [], "hoverinfo": "skip", "showlegend": False,
                   "marker": {"symbol": "circle-open", "size": [], "color": _RING, "line": {"width": 2.5}}, **where})
    traces.append({"type": "scatter", "mode": "markers", "x": x.tolist(), "y": y.tolist(), "showlegend": False,
                   "hovertemplate": "%{text}<extra></extra>", **where,
                   "marker": {"size": sizes.tolist(), "color": [1.0] * len(x), "cmin": 0, "cmax": 1, "symbol": "circle",
                              "colorscale": BLUES, "line": {"width": 1.5, "color": _INK}}})
    traces.append({"type": "scatter", "mode": "markers", "x": [], "y": [], "hoverinfo": "skip", "showlegend": False,
                   "marker": {"symbol": "x-thin", "size": [], "line": {"width": 1, "color": "#555555"}}, **where})
    large = sizes > 20
    traces.append({"type": "scatter", "mode": "text", "x": x[large].tolist(), "y": y[large].tolist(), "text": [],
                   "textfont": {"size": 10, "color": "#000000"}, "hoverinfo": "skip", "showlegend": False, **where})
    return traces


def drawn(relaxed: Tensor, opened: Tensor, names: Sequence[str], config: ModelConfig, hard: bool = False,
          ringed: Tensor | None = None) -> list[dict[str, Any]]:
    """What fills the traces of :func:`drawing` for gates [gates]: colour = relaxed gate, × = its hard gate is closed.

    hard    lines are as strong as the hard gates, not as the relaxed ones
    ringed  bool [gates], parts that get a ring
    """
    x, y = positions(config)
    soft, open_ = relaxed.double().cpu().numpy(), opened.cpu().numpy()
    sizes = np.zeros(len(x))
    for layer in places(config):
        for part, pick in layer.items():
            sizes[pick] = _SIZES[part]
    changes: list[dict[str, Any]] = [{}]
    changes += [{"x": lines[0], "y": lines[1]} for lines in edges(open_ * 1.0 if hard else soft, config)]
    ring = np.zeros(len(x), bool) if ringed is None else ringed.cpu().numpy()
    changes.append({"x": x[ring].tolist(), "y": y[ring].tolist(), "marker.size": (sizes[ring] + 7).tolist()})
    changes.append({"marker.color": (open_ * 1.0 if hard else soft).round(3).tolist(),
                    "marker.line.color": [_INK if one else _CLOSED for one in open_],
                    "text": [f"{name}: relaxed {value:.2f}, hard {int(one)}"
                             for name, value, one in zip(names, soft, open_, strict=True)]})
    changes.append({"x": x[~open_].tolist(), "y": y[~open_].tolist(),
                    "marker.size": np.maximum(6, 0.6 * sizes[~open_]).tolist()})
    changes.append({"text": [f"{value:.2f}" for value in soft[sizes > 20]]})
    return changes


def labels(config: ModelConfig, yref: str = "y", xref: str = "x") -> list[dict[str, Any]]:
    """What the rows of the drawing are, at its left edge."""
    said: list[tuple[float, str]] = [(0, "the words so far ↑")]
    for i in range(config.layers):
        layer = f"layer {i + 1}: " if config.layers > 1 else ""
        said += [(4 * i + 1, f"{layer}{config.heads} attention heads"), (4 * i + 2, "+ attention block"),
                 (4 * i + 3.45, f"{layer}{config.mlp} units of the MLP"), (4 * i + 4, "+ MLP block → the next word")]
    return [{"text": text, "x": 0.0, "y": height, "xref": xref, "yref": yref, "xanchor": "left", "yanchor": "middle",
             "showarrow": False, "font": {"size": 11, "color": "#444444"}} for height, text in said]


# The panel's figure: the network above, all gates turn by turn and the loss below ----------------------------------


def build(config: ModelConfig, shots: int) -> LivePlot:
    """The figure without numbers; :func:`numbers` gives them in the same order of traces."""
    height = 250 + _PER_LAYER * config.layers
    frame = layout(height, margin={"l": 50, "r": 10, "t": 26, "b": 75}, annotations=[], hovermode="closest")
    frame["legend"] = {"orientation": "h", "x": 0.56, "y": -52 / (height - 101), "yanchor": "top", "font": {"size": 11}}
    low = 165 / (height - 101)
    where = axes(frame, 1, [0, 1], [low + 0.11, 1], "<b>the network of this task</b>: colour = relaxed gate, "
                 "× = closed when made hard, orange ring = changed by the last turn")
    _bare(frame, config, 1)
    traces = drawing(config, where)
    where = axes(frame, 2, [0, 0.46], [0, low], "<b>relaxed gates</b>, turn by turn (blue: open)")
    frame["xaxis2"] |= {"title": {"text": "support turns", "standoff": 4}, "range": [-0.5, shots + 0.5]}
    gates = places(config)[-1]["blocks"].stop
    frame["yaxis2"] |= {"title": {"text": f"{gates} gates", "standoff": 4}, "showticklabels": False, "showgrid": False,
                        "range": [gates - 0.5, -0.5]}
    traces.append(heatmap(gates, BLUES, 0, x=list(range(shots + 1)), **where))
    now = {"type": "scatter", "mode": "lines", "showlegend": False, "hoverinfo": "skip",
           "line": {"color": "#000000", "width": 1}}
    traces.append(now | where)
    where = axes(frame, 3, [0.56, 1], [0, low], "<b>loss on new turns</b>, hard gates; thin: its Bayes floor")
    frame["xaxis3"] |= {"range": [-0.3, shots + 0.3], "title": {"text": "support turns", "standoff": 4}}
    frame["yaxis3"] |= {"range": [0, 1], "title": {"text": "nats per turn", "standoff": 4}}
    traces += [line(LOOK_OF[part], part, **where) for part in CAPABILITIES]
    for part in CAPABILITIES:
        floor = line(LOOK_OF[part], f"floor of {part}", showlegend=False, **where) | {"mode": "lines"}
        floor["line"]["width"] = 1
        traces.append(floor)
    return LivePlot([*traces, now | where], frame)


def numbers(watched: Watched, k: int, names: Sequence[str], hard: bool) -> Picture:
    """What the figure of :func:`build` shows after k support turns."""
    k = min(k, len(watched.loss) - 1)
    gates = watched.gates
    changed = gates.open[k] != gates.open[max(0, k - 1)]
    changes = drawn(gates.relaxed[k], gates.open[k], names, watched.config, hard, changed)
    shown = gates.open.double() if hard else gates.relaxed.double()
    order = shown[-1].argsort(descending=True, stable=True)
    changes.append({"z": shown[:, order].T.cpu().numpy().round(3).tolist()})
    changes.append({"x": np.full(2, k, np.float32), "y": np.array([-0.5, len(order) - 0.5], np.float32)})
    turns = np.arange(len(watched.loss), dtype=np.float32)
    curves = [np.array([loss[part] for loss in losses], np.float32)
              for losses in (watched.loss, watched.floor) for part in CAPABILITIES]
    changes += [{"x": turns, "y": curve} for curve in curves]
    top = 1.08 * max(float(curve.max()) for curve in curves)
    changes.append({"x": np.full(2, k, np.float32), "y": np.array([0, top], np.float32)})
    return changes, {"yaxis3.range": [0, top]}


def nothing_read(config: ModelConfig) -> Picture:
    """What the figure of :func:`build` shows before anything was read: every part, and no numbers."""
    names = parts(config)
    every = torch.ones(len(names))
    changes = drawn(every, every.bool(), names, config)
    changes[-1] = {"text": []}
    return [*changes, *({} for _ in range(9))], {}


# Figures for the page -----------------------------------------------------------------------------------------------


def network(relaxed: Tensor, opened: Tensor, names: Sequence[str], config: ModelConfig, title: str) -> Any:
    """One network [gates] as a figure."""
    import plotly.graph_objects as go

    frame = layout(60 + _PER_LAYER * config.layers, margin={"l": 10, "r": 10, "t": 40, "b": 10}, annotations=[],
                   title={"text": title, "x": 0.01, "font": {"size": 14}})
    where = axes(frame, 1, [0, 1], [0, 1], "")
    _bare(frame, config, 1)
    figure = go.Figure(drawing(config, where), frame)
    for trace, change in zip(figure.data, drawn(relaxed, opened, names, config), strict=True):
        trace.update({name.replace(".", "_"): value for name, value in change.items()})
    return figure


def barcodes(groups: Mapping[str, SubNetworks], title: str) -> Any:
    """Each task's mask as a row, world by world: blue = open, grey = closed; gates that nobody uses come last."""
    import plotly.graph_objects as go

    tables = [each.open.double().cpu().numpy() for each in groups.values()]
    order = np.argsort(-np.concatenate(tables).mean(0), kind="stable")
    rows: list[list[float | None]] = []
    for table in tables:  # two empty rows between two worlds
        rows += [[None] * len(order)] * (2 * bool(rows)) + table[:, order].tolist()
    frame = layout(96 + 3 * len(rows), margin={"l": 10, "r": 10, "t": 56, "b": 40}, annotations=[],
                   title={"text": title, "x": 0.01, "font": {"size": 14}})
    where = axes(frame, 1, [0.2, 1], [0, 1], "")
    frame["xaxis"] |= {"title": {"text": f"{len(order)} gates, those that most tasks keep first", "standoff": 4},
                       "showgrid": False, "showticklabels": False}
    frame["yaxis"] |= {"range": [len(rows) - 0.5, -0.5], "showticklabels": False, "showgrid": False}
    begin = 0
    for name, each in groups.items():
        frame["annotations"].append({"text": name, "x": 0.19, "y": begin + (len(each.open) - 1) / 2, "xref": "paper",
                                     "yref": "y", "xanchor": "right", "showarrow": False, "font": {"size": 11}})
        begin += len(each.open) + 2
    plot = heatmap(len(rows), [[0, "#EEEEEE"], BLUES[1]], 0, x=list(range(len(order))), **where) | {"z": rows}
    return go.Figure([plot], frame)


def _bare(frame: dict[str, Any], config: ModelConfig, number: int) -> None:
    """Axes without numbers, and the names of the rows, for a drawing."""
    n = "" if number == 1 else str(number)
    quiet = {"showgrid": False, "showticklabels": False, "zeroline": False}
    frame[f"xaxis{n}"] |= quiet | {"range": [0, 1]}
    frame[f"yaxis{n}"] |= quiet | {"range": [-0.5, 4 * config.layers + 0.5]}
    frame["annotations"] += labels(config, f"y{n}", f"x{n}")

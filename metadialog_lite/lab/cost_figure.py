"""What an outer step costs, from stored measurements: which cases, drawn how, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metadialog_lite.challenges.costs import VARIED
from metadialog_lite.challenges.schema import Cost, Costs
from metadialog_lite.lab.figures import LOOKS, layout, line
from metadialog_lite.lab.live_plot import LivePlot, Picture

#: What is varied, and what is measured, as a reader calls them.
AXES = {"inner_steps": "inner steps", "tasks": "speakers in one step", "width": "width of the model"}
MEASURES = {"ms": "time, CPU ms", "peak_mb": "memory, MB", "ratio": "second order / first order"}
_DEFAULT = {"inner_steps": 2, "tasks": 8, "width": 32}
_LOOKS = {2: LOOKS[0], 1: LOOKS[1]}
ORDERS = {2: "second order", 1: "first order"}
ONE_PASS = "second order, all speakers in one graph"


def along(found: Costs, axis: str, order: int, one_pass: bool = False) -> list[Cost]:
    """The cases in which ``axis`` alone differs from the defaults, in its order."""
    fixed = [name for name in VARIED if name != axis]
    cases = [case for case in found.cases if case.order == order and case.one_pass == one_pass
             and all(getattr(case, name) == _DEFAULT[name] for name in fixed)]
    return sorted(cases, key=lambda case: int(getattr(case, axis)))


def values(cases: Sequence[Cost], measure: str) -> list[float | None]:
    """Milliseconds or MB."""
    return [getattr(case, measure) for case in cases]


def ratios(found: Costs, axis: str, measure: str = "ms") -> list[tuple[int, float]]:
    """(value of ``axis``, second order / first order) where both were measured and are not zero."""
    second, first = ({getattr(case, axis): getattr(case, measure) for case in along(found, axis, order)}
                     for order in (2, 1))
    return [(at, second[at] / first[at]) for at in second if first.get(at) and second[at] is not None]


def costs_text(found: Costs, axis: str, measure: str) -> str:
    """One sentence: from the least to the most of ``axis``."""
    said = []
    if measure == "ratio":
        for what in ("ms", "peak_mb"):
            pairs = ratios(found, axis, what)
            if pairs:
                said.append(f"{MEASURES[what].split(',')[0]} × {pairs[0][1]:.2f} at {pairs[0][0]} and × "
                            f"{pairs[-1][1]:.2f} at {pairs[-1][0]}")
        return f"Second order against first, {AXES[axis]}: {'; '.join(said)}." if said else "Nothing was measured."
    for order, name in ORDERS.items():
        cases = [case for case in along(found, axis, order) if getattr(case, measure) is not None]
        if cases:
            a, b = getattr(cases[0], measure), getattr(cases[-1], measure)
            times = f", × {b / a:.1f}" if a else ""
            said.append(f"{name} {a:.0f} → {b:.0f}{times}")
    if not said:
        return "Nothing was measured."
    ends = along(found, axis, 2)
    more = float(getattr(ends[-1], axis)) / float(getattr(ends[0], axis))
    return (f"{AXES[axis]} {getattr(ends[0], axis)} → {getattr(ends[-1], axis)} (× {more:.0f}), {MEASURES[measure]}: "
            f"{'; '.join(said)}.")


def traces() -> list[dict[str, Any]]:
    """Traces without numbers: both orders, one graph for all, and the ratios of time and of memory."""
    return [*(line(look, ORDERS[order]) for order, look in _LOOKS.items()), line(LOOKS[2], ONE_PASS),
            line(LOOKS[3], "ratio of times"), line(LOOKS[4], "ratio of memory")]


def numbers(found: Costs, axis: str, measure: str, logs: bool) -> Picture:
    """What :func:`traces` show, and the changes of the layout."""
    drawn: list[dict[str, Any]] = []
    for order, one_pass in ((2, False), (1, False), (2, True)):
        cases = along(found, axis, order, one_pass) if measure != "ratio" and (not one_pass or axis == "tasks") else []
        drawn.append({"x": [getattr(case, axis) for case in cases], "y": values(cases, measure)})
    for what in ("ms", "peak_mb"):
        pairs = ratios(found, axis, what) if measure == "ratio" else []
        drawn.append({"x": [at for at, _ in pairs], "y": [value for _, value in pairs]})
    for trace in drawn:
        trace["visible"] = bool(trace["x"])
    kind = "log" if logs else "linear"
    ticks = [int(value) for value in VARIED[axis]]
    return drawn, {"xaxis.title.text": AXES[axis], "yaxis.title.text": MEASURES[measure], "xaxis.type": kind,
                   "yaxis.type": kind, "xaxis.tickvals": ticks, "title.text": f"One outer step: {MEASURES[measure]}",
                   "yaxis.rangemode": "tozero", "xaxis.autorange": True, "yaxis.autorange": True}


def frame() -> dict[str, Any]:
    """The layout."""
    return layout(400, uirevision="keep", hovermode="closest", xaxis={"zeroline": False}, yaxis={"zeroline": False})


def live() -> LivePlot:
    """The figure for a panel."""
    return LivePlot(traces(), frame())


def still(found: Costs, axis: str, measure: str, logs: bool = False) -> tuple[Any, str]:
    """The same figure for paper and GitHub: (figure, text)."""
    import plotly.graph_objects as go

    changes, more = numbers(found, axis, measure, logs)
    figure = go.Figure(layout=frame())
    for trace, change in zip(traces(), changes, strict=True):
        if change["visible"]:
            figure.add_trace({**trace, **change})
    figure.update_layout({name.replace(".", "_"): value for name, value in more.items()})
    return figure, costs_text(found, axis, measure)

"""Figures of the bug museum: an exhibit's lines without and with its mistake, and the sentence that says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metadialog_lite.lab.figures import FLOOR, LOOKS, layout, line
from metadialog_lite.lab.museum import Curve, Exhibit

WITHOUT, WITH = "without the mistake", "with the mistake"
#: Most lines that an exhibit has, and the looks of each, without and with.
_LINES = ((LOOKS[0], LOOKS[1]), (LOOKS[2], LOOKS[3]))

Curves = Mapping[bool, Curve | None]


def traces(exhibit: Exhibit, curves: Curves, floor: float | None = None) -> list[dict[str, Any]]:
    """Five traces, always: for each of two lines without and with the mistake, and the floor; empty where unknown."""
    result = []
    for number, looks in enumerate(_LINES):
        for bug, look in zip((False, True), looks):
            curve = curves.get(bug)
            names = list(curve.lines) if curve else []
            known = curve is not None and number < len(names)
            name = f"{names[number]}, {WITH if bug else WITHOUT}" if known else ""
            y = curve.lines[names[number]] if known and curve else []
            result.append(line(look, name, _numbers(curve.x if known and curve else []), _numbers(y), visible=known))
    x = [value for curve in curves.values() if curve for value in curve.x]
    ends = [min(x), max(x)] if x and floor is not None else []
    result.append(line(FLOOR, "floor (best possible)", _numbers(ends), _numbers([floor or 0.0] * len(ends)),
                       mode="lines", visible=bool(ends)))
    return result


def frame(exhibit: Exhibit, height: int = 340) -> dict[str, Any]:
    """The layout: axes as the exhibit names them; the title does not tell the mistake."""
    ticks = {"type": "log", "tickmode": "array", "tickvals": list(exhibit.ticks)} if exhibit.ticks else {
        "type": "linear", "tickmode": "auto"}
    scale = {"type": "log" if exhibit.log_y else "linear", "rangemode": "tozero" if exhibit.zero else "normal"}
    return layout(height, title={"text": f"Exhibit {exhibit.number}", "font": {"size": 14}, "x": 0.01},
                  xaxis={"title": {"text": exhibit.x_name, "standoff": 4}, **ticks},
                  yaxis={"title": {"text": exhibit.y_name}, "dtick": 1 if exhibit.log_y else None, **scale})


def text(exhibit: Exhibit, curves: Curves, floor: float | None = None) -> str:
    """The text twin: where each line begins and ends."""
    parts = []
    for bug in (False, True):
        curve = curves.get(bug)
        for name, values in (curve.lines if curve else {}).items():
            if exhibit.signed:
                says = f"between {min(values):+.2g} and {max(values):+.2g}"
            else:
                says = f"from {values[0]:.3g} to {values[-1]:.3g}"
            parts.append(f"{name}, {WITH if bug else WITHOUT}: {says}")
    if not parts:
        return "Nothing has run yet."
    bottom = f" Floor: {floor:.3g}." if floor is not None else ""
    return f"Exhibit {exhibit.number}. {'; '.join(parts)}.{bottom}"


def figure(exhibit: Exhibit, curves: Curves, floor: float | None = None) -> tuple[dict[str, Any], str]:
    """(figure, text) for :func:`~metadialog_lite.lab.figures.show`."""
    shown = [trace for trace in traces(exhibit, curves, floor) if trace["visible"]]
    return {"data": shown, "layout": frame(exhibit)}, text(exhibit, curves, floor)


def _numbers(values: list[float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.asarray(values, np.float32)

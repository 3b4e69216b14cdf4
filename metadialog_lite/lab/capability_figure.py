"""Three small plots side by side, one for each capability: what the learners reach after k support turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from metadialog_lite.lab.capability_claims import ORDER, TITLES
from metadialog_lite.lab.comparison_data import FAMILIES, FOUR, Comparison
from metadialog_lite.lab.comparison_figure import View, bare_traces, numbers
from metadialog_lite.lab.figures import layout
from metadialog_lite.lab.live_plot import LivePlot, Picture

_GAP = 0.06
_SHORT = {"act": "context (act)", "state": "state", "response": "response"}


def frame(height: int = 440) -> dict[str, Any]:
    """The layout of the three plots."""
    width = (1 - 2 * _GAP) / 3
    made = layout(height, margin={"l": 55, "r": 10, "t": 34, "b": 45}, uirevision="keep", hovermode="closest",
                  annotations=[])
    for i, part in enumerate(ORDER):
        axis, left = "" if i == 0 else str(i + 1), i * (width + _GAP)
        made[f"xaxis{axis}"] = {"domain": [left, left + width], "anchor": f"y{axis}", "zeroline": False,
                                "title": {"text": "support turns" if i == 1 else None, "standoff": 4}}
        made[f"yaxis{axis}"] = {"anchor": f"x{axis}", "zeroline": False, "title": {"standoff": 4}}
        made["annotations"].append({"text": f"<b>{_SHORT[part]}</b>", "x": left, "y": 1.02, "xref": "paper",
                                    "yref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False,
                                    "font": {"size": 12}})
    return made


def traces(learners: Sequence[str]) -> list[dict[str, Any]]:
    """All traces without numbers: those of the comparison's figure three times over, the legend once."""
    found = []
    for i in range(len(ORDER)):
        axis = "" if i == 0 else str(i + 1)
        for trace in bare_traces(learners):
            legend = trace.get("showlegend", True) and i == 0
            found.append({**trace, "xaxis": f"x{axis}", "yaxis": f"y{axis}", "showlegend": legend,
                          "legendgroup": trace.get("name", "band")})
    return found


def drawn(found: Comparison, learners: Sequence[str], view: View) -> Picture:
    """The numbers of :func:`traces`, and the changes of the layout; ``view.part`` does not matter."""
    changes: list[Any] = []
    frame_changes: dict[str, Any] = {}
    for i, part in enumerate(ORDER):
        one, more = numbers(found, learners, dataclasses.replace(view, part=part))
        changes += one
        axis = "" if i == 0 else str(i + 1)
        for name, value in more.items():
            where, _, what = name.partition(".")
            keep = where in ("xaxis", "yaxis") and not (what == "title.text" and (where == "xaxis" or i > 0))
            if keep:
                frame_changes[f"{where}{axis}.{what}"] = value
    return changes, frame_changes


def live(learners: Sequence[str]) -> LivePlot:
    """The figure for a panel."""
    return LivePlot(traces(learners), frame())


def still(found: Comparison, view: View, text: str) -> tuple[Any, str]:
    """The same figure for paper and GitHub: (figure, text)."""
    import plotly.graph_objects as go

    changes, more = drawn(found, view.learners, view)
    figure = go.Figure(layout=frame())
    for trace, change in zip(traces(view.learners), changes, strict=True):
        figure.add_trace({**trace, **change})
    figure.update_layout({name.replace(".", "_"): value for name, value in more.items()})
    return figure, text


def members(found: Comparison, who: str, shots: int) -> tuple[str, ...]:
    """Who is shown: "best" (each family's best and fine-tuning), "all", or a family."""
    if who in FAMILIES:
        return tuple(name for name in FAMILIES[who] if found.seeds(name))
    return tuple(found.shortlist(shots) if who == "best" else found.learners)


def says(found: Comparison, view: View, shots: int) -> str:
    """One sentence a capability: the leader, and how far the others are behind."""
    if not view.learners:
        return f"No run on {found.world} is stored for these."
    said = []
    for part in ORDER:
        ranked = sorted(((value, name) for name in view.learners if (
            value := _plain(found, dataclasses.replace(view, part=part), name, shots)) is not None),
            reverse=view.measure == "gap_closed")
        text = ", ".join(f"{name} {value:.3f}" for value, name in ranked) or "nothing is stored"
        said.append(f"{TITLES[part]}: {text}")
    return f"After {shots} support turns: " + "; ".join(said) + "."


def _plain(found: Comparison, view: View, learner: str, shots: int) -> float | None:
    from metadialog_lite.lab.comparison_figure import value_of

    return value_of(found, view, learner, shots).value


def choices(found: Comparison) -> list[tuple[str, str]]:
    """(text, value) of who can be shown."""
    own = [(f"{family} ({len(members(found, family, 16))} measured)", family) for family in (*FOUR, "Baselines")]
    return [("each family's best and fine-tuning", "best"), *own, ("everybody", "all")]

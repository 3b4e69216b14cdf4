"""Plots of runs on real dialogues, each as (figure, what it says)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from metadialog_lite.evaluation import Difference
from metadialog_lite.lab.comparison_data import RIVAL, Comparison
from metadialog_lite.lab.comparison_figure import look_of
from metadialog_lite.lab.figures import NATS, SHOTS, band, layout, line
from metadialog_lite.lab.live_plot import Picture
from metadialog_lite.lab.real_data import RealRuns, halves, winner

#: What can be drawn over the shots, and the words of its axis.
MEASURES = {
    "difference": "learner − fine-tuning, nats per turn",
    "gain": "gained by the support, nats per turn",
    "perplexity": "perplexity per response token",
}


def points(found: RealRuns, learner: str, measure: str) -> list[tuple[int, float, float | None, float | None]]:
    """(shots, value, low, high) of a learner, means over its training seeds; intervals are those of the first seed."""
    result = []
    for k in found.shots:
        values: list[Difference] = []
        for seed in found.seeds(learner):
            if measure == "perplexity":
                run = found.runs[learner, seed]
                if run.perplexity and str(k) in run.perplexity:
                    values.append(Difference(run.perplexity[str(k)], math.nan, math.nan))
            elif measure == "gain":
                values += [one for one in (found.gains(learner, seed, k),) if one]
            else:
                values += [one for one in (found.against(learner, k).get(seed),) if one]
        if values:
            mean = float(np.mean([d.mean for d in values]))
            wide = math.isfinite(values[0].low)
            low, high = (mean + values[0].low - values[0].mean, mean + values[0].high - values[0].mean)
            result.append((k, mean, low if wide else None, high if wide else None))
    return result


def frame(found: RealRuns, measure: str, height: int = 400) -> dict[str, Any]:
    """Layout of the figure over the shots."""
    ticks = list(range(len(found.shots)))
    return layout(height, margin={"l": 60, "r": 10, "t": 36, "b": 55}, uirevision="keep", hovermode="closest",
                  title={"text": f"<b>{found.title}</b>", "x": 0.01, "xanchor": "left", "font": {"size": 14}},
                  xaxis={"title": {"text": SHOTS}, "tickvals": ticks, "ticktext": [str(k) for k in found.shots]},
                  yaxis={"title": {"text": MEASURES[measure]}, "zeroline": measure != "perplexity"},
                  legend={"x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top", "font": {"size": 11}})


def traces(found: RealRuns, learners: Sequence[str], measure: str) -> list[dict[str, Any]]:
    """A band and a line for each learner, the numbers in them."""
    place = {k: i for i, k in enumerate(found.shots)}
    bands, lines = [], []
    for name in learners:
        known = points(found, name, measure)
        wide = [(place[k], low, high) for k, _, low, high in known if low is not None and high is not None]
        bands.append(band(look_of(name), [x for x, _, _ in wide], [low for _, low, _ in wide],
                          [high for _, _, high in wide]))
        lines.append(line(look_of(name), name, [place[k] for k, *_ in known], [value for _, value, *_ in known],
                          text=[str(k) for k, *_ in known], hovertemplate="%{y:.3f} after %{text} turns"))
    return [*bands, *lines]


def over_shots(found: RealRuns, learners: Sequence[str], measure: str = "difference") -> tuple[Any, str]:
    """Adaptation against shots: difference to fine-tuning, gain, or perplexity."""
    import plotly.graph_objects as go

    return (go.Figure(traces(found, learners, measure), frame(found, measure)),
            says_shots(found, learners, measure, max(found.shots, default=0)))


def says_shots(found: RealRuns, learners: Sequence[str], measure: str, shots: int) -> str:
    """The figure in words, after ``shots`` turns, the lowest number first."""
    said = []
    for name in learners:
        for k, value, low, high in points(found, name, measure):
            if k == shots:
                width = "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"
                text = f"{value:.1f}" if measure == "perplexity" else f"{value:+.2f}{width}"
                said.append((value, f"{name} {text}"))
    if not said:
        return f"Nothing is stored for {found.title} after {shots} turns."
    each = "; ".join(text for _, text in sorted(said))
    return f"{found.title}, after {shots} support turns, {MEASURES[measure]}: {each}."


def picture(found: RealRuns, learners: Sequence[str], measure: str) -> Picture:
    """The same for a panel's live figure."""
    changes = [{"x": one["x"], "y": one["y"], "visible": bool(one["x"])} for one in traces(found, learners, measure)]
    return changes, {"title.text": f"<b>{found.title}</b>", "yaxis.title.text": MEASURES[measure],
                     "xaxis.tickvals": list(range(len(found.shots))), "xaxis.ticktext": [str(k) for k in found.shots],
                     "yaxis.autorange": True, "xaxis.autorange": True}


def similarity(found: RealRuns, learner: str, shots: int, by: Sequence[float], seed: int = 0) -> tuple[Any, str]:
    """Each held-out task: how unusual its words are, and the learner's difference to fine-tuning."""
    import plotly.graph_objects as go

    mine, theirs = (found.per_task(who, seed, shots) for who in (learner, RIVAL))
    figure = go.Figure(layout=layout(360, hovermode="closest", showlegend=False))
    figure.update_xaxes(title="how unusual the person's words are, nats per token above training people")
    figure.update_yaxes(title=MEASURES["difference"], zeroline=True)
    if mine is None or theirs is None or len(mine) != len(by):
        return figure, "The losses of single tasks are not stored: nothing can be split by similarity."
    look = look_of(learner)
    figure.add_trace({"type": "scatter", "mode": "markers", "x": list(by), "y": (mine - theirs).tolist(),
                      "marker": {"color": look.colour, "symbol": look.marker, "size": 8, "opacity": 0.7},
                      "hovertemplate": "unusual %{x:.2f}: %{y:+.2f} nats<extra></extra>"})
    rank = np.corrcoef(np.argsort(np.argsort(by)), np.argsort(np.argsort(mine - theirs)))[0, 1]
    text = "; ".join(f"{name} half {d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]" for name, d in
                     halves(found, learner, seed, shots, by).items())
    return figure, f"{learner} − {RIVAL} after {shots} turns: {text} nats per turn; rank correlation {rank:+.2f}."


def toy_and_real(toy: Comparison, real: RealRuns, learners: Sequence[str]) -> tuple[Any, str]:
    """The same plot twice: each learner's difference to fine-tuning over the shots, toy world left, real right."""
    import plotly.graph_objects as go

    sides = (("", toy.world, RealRuns(toy.world, "toy", toy.runs)), ("2", real.label, real))
    figure = go.Figure(layout=layout(400, margin={"l": 60, "r": 10, "t": 50, "b": 45}, hovermode="closest"))
    said, named = [], set[str]()  # in the legend already
    for axis, name, runs in sides:
        drawn = [who for who in learners if who != RIVAL]
        place = {k: i for i, k in enumerate(runs.shots)}
        for one in traces(runs, drawn, "difference"):
            who = one.get("name", "")
            fresh = one["mode"] != "lines" and bool(len(one["x"])) and who not in named
            named |= {who} if fresh else set()
            figure.add_trace({**one, "xaxis": f"x{axis}", "yaxis": f"y{axis}", "showlegend": fresh})
        left = 0.0 if not axis else 0.56
        figure.update_layout({f"xaxis{axis}": {"domain": [left, left + 0.44], "anchor": f"y{axis}",
                                               "title": {"text": SHOTS}, "tickvals": list(place.values()),
                                               "ticktext": [str(k) for k in place]},
                              f"yaxis{axis}": {"anchor": f"x{axis}", "zeroline": True,
                                               "title": {"text": MEASURES["difference"] if not axis else NATS}}})
        figure.add_annotation(text=f"<b>{name}</b>", x=left, y=1.03, xref="paper", yref="paper", xanchor="left",
                              yanchor="bottom", showarrow=False)
        most = 16 if 16 in runs.shots else max(runs.shots, default=0)
        each = [f"{who}: {winner(runs.against(who, most), who)}" for who in drawn if runs.against(who, most)]
        said.append(f"{name} after {most} turns, against {RIVAL}: " + ("; ".join(each) or "nothing stored"))
    return figure, ". ".join(said) + "."

"""The report's tables and figures; every figure comes with the sentence that says what it shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from metadialog_lite.lab.figures import FLOOR, LOOKS, NATS, SHOTS, band, layout, line
from metadialog_lite.runs.report import RunRow, Setting, failures

NAMES = {"gap_closed": "gap closed", "loss": "loss, nats per turn"}


def settings_table(settings: Sequence[Setting], metric: str, most: int = 25) -> Any:
    """The best settings: mean over seeds with the lowest and the highest, seconds of training, failed runs."""
    from IPython.display import Markdown

    head = (f"| | setting | {NAMES[metric]}: mean | lowest … highest | seeds | failed | training, CPU s |\n"
            "|---|---|---|---|---|---|---|\n")
    lines = []
    for place, each in enumerate(settings[:most], 1):
        spent = [row.train_seconds for row in each.rows if row.train_seconds is not None]
        scores = (f"{each.mean:.3f} | {min(each.scores):.3f} … {max(each.scores):.3f}" if each.mean is not None
                  else "– | –")
        seconds = f"{sum(spent) / len(spent):.0f}" if spent else "–"
        lines.append(f"| {place} | {_cell(each.name)} | {scores} | {len(each.scores)} | {each.failed} | {seconds} |")
    more = f"\n\n… and {len(settings) - most} more settings (all of them in results.csv)." \
        if len(settings) > most else ""
    return Markdown(head + "\n".join(lines) + more)


def failures_table(rows: Sequence[RunRow], most: int = 20) -> Any:
    """What failed, by reason, with one run to look at."""
    from IPython.display import Markdown

    found = failures(rows)
    if not found:
        return Markdown("No run failed.")
    lines = [f"| {len(each)} | {_cell(reason[:200])} | `{each[0].id}` |" for reason, each in found[:most]]
    return Markdown("| runs | reason | for example |\n|---|---|---|\n" + "\n".join(lines))


def verdict(settings: Sequence[Setting], metric: str) -> str:
    """The best setting and whether the second one can be told from it."""
    scored = [each for each in settings if each.mean is not None]
    if not scored:
        return "No run has a result yet."
    first = scored[0]
    text = f"Best: {first.name} with a {NAMES[metric]} of {first.mean:.3f} (mean over {_seeds(first)})."
    if len(scored) == 1:
        return text
    second = scored[1]
    worst, best = (max, min) if metric == "loss" else (min, max)
    apart = worst(first.scores) < best(second.scores) if metric == "loss" else (
        min(first.scores) > max(second.scores))
    text += f" Second: {second.name}, {second.mean:.3f}."
    if len(first.scores) < 2 or len(second.scores) < 2:
        return text + " With one seed each nobody knows how much of this is luck."
    return text + (" Every seed of the best is better than every seed of the second." if apart else
                   " Their seeds overlap: the two cannot be told apart here.")


def best_curves(settings: Sequence[Setting]) -> tuple[Any, str]:
    """Loss after k support turns, the best setting of each learner: means over seeds of loss and 95 % interval."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(360, title={"text": "The best setting of each learner"}))
    shots = sorted({point.shots for each in settings for row in each.rows for point in row.curve})
    place = {k: i for i, k in enumerate(shots)}
    said: list[str] = []
    floor: dict[int, float] = {}
    for each, look in zip(_best_of_each(settings), LOOKS, strict=False):
        points = _mean_curve(each)
        x = [place[k] for k in points]
        ranges = {k: v for k, v in points.items() if v[1] is not None and v[2] is not None}
        figure.add_trace(band(look, [place[k] for k in ranges], [float(v[1] or 0) for v in ranges.values()],
                              [float(v[2] or 0) for v in ranges.values()]))
        figure.add_trace(line(look, each.name, x, [v[0] for v in points.values()]))
        last = max(points)
        said.append(f"{each.name}: {points[last][0]:.2f} nats/turn after {last} support turns")
        floor |= {p.shots: p.bayes for row in each.rows for p in row.curve if p.bayes is not None}
    if floor:
        ks = sorted(floor)
        figure.add_trace(line(FLOOR, "Bayes floor (best possible)", [place[k] for k in ks], [floor[k] for k in ks])
                         | {"mode": "lines"})
        said.append(f"the Bayes floor is {floor[ks[-1]]:.2f}")
    figure.update_xaxes(title=SHOTS, tickvals=list(place.values()), ticktext=[str(k) for k in shots])
    figure.update_yaxes(title=NATS, rangemode="tozero")
    return figure, "; ".join(said) + "." if said else "No run has a curve yet."


def by_parameter(settings: Sequence[Setting], name: str, metric: str) -> tuple[Any, str]:
    """Score against one number, a line for each learner: the best over other parameters, with the range over seeds."""
    import plotly.graph_objects as go

    figure = go.Figure(layout=layout(320, title={"text": f"{NAMES[metric]} by {name}"}))
    lines: dict[str, dict[float, Setting]] = defaultdict(dict)
    for each in settings:  # the best first, so the first one met is the best
        value = each.parameters.get(name)
        if each.mean is not None and isinstance(value, (int, float)):
            lines[str(each.parameters.get("learner", "all runs"))].setdefault(float(value), each)
    said = []
    for look, (learner, found) in zip(LOOKS, lines.items(), strict=False):
        values = sorted(found)
        mean = [float(found[v].mean or 0.0) for v in values]
        figure.add_trace(line(look, learner, values, mean, error_y={
            "type": "data", "symmetric": False, "thickness": 1, "width": 3,
            "array": [max(found[v].scores) - m for v, m in zip(values, mean, strict=True)],
            "arrayminus": [m - min(found[v].scores) for v, m in zip(values, mean, strict=True)]}))
        pick = (min if metric == "loss" else max)(zip(mean, values, strict=True))
        said.append(f"{learner} is best at {pick[1]:g} ({pick[0]:.3f})")
    every = sorted({v for found in lines.values() for v in found})
    wide = bool(every) and every[0] > 0 and every[-1] / every[0] >= 10
    figure.update_xaxes(title=name, **({"type": "log"} if wide else {}), tickvals=every[:12],
                        ticktext=[f"{v:g}" for v in every[:12]])
    figure.update_yaxes(title=NAMES[metric])
    return figure, "; ".join(said) + "." if said else f"{name} is no number here."


def numeric(settings: Sequence[Setting]) -> list[str]:
    """The varied parameters that are numbers."""
    names = settings[0].parameters if settings else {}
    return [name for name in names if all(isinstance(each.parameters.get(name), (int, float)) and
                                          not isinstance(each.parameters.get(name), bool) for each in settings)]


def _best_of_each(settings: Sequence[Setting]) -> list[Setting]:
    """The first (best) setting of every learner that has a curve."""
    found: dict[str, Setting] = {}
    for each in settings:
        if any(row.curve for row in each.rows):
            found.setdefault(str(each.parameters.get("learner", "")), each)
    return list(found.values())


def _mean_curve(setting: Setting) -> dict[int, tuple[float, float | None, float | None]]:
    """Shots -> mean over seeds of (loss, low, high)."""
    columns: dict[int, list[tuple[float, float | None, float | None]]] = defaultdict(list)
    for row in setting.rows:
        for point in row.curve:
            if point.loss is not None:
                columns[point.shots].append((point.loss, point.low, point.high))
    result = {}
    for shots, values in sorted(columns.items()):
        known = [[v for v in column if v is not None] for column in zip(*values, strict=True)]
        loss, low, high = (sum(column) / len(column) if len(column) == len(values) else None for column in known)
        result[shots] = (float(loss or 0.0), low, high)
    return result


def _seeds(setting: Setting) -> str:
    return "one seed" if len(setting.scores) == 1 else f"{len(setting.scores)} seeds"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

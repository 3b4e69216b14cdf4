"""The comparison's other plots, each as (figure, what it says): pairs, seeds, capabilities, costs, shifts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from metadialog_lite.comparison import paired
from metadialog_lite.evaluation import Difference, interval
from metadialog_lite.lab.comparison_data import FOUR, RIVAL, Comparison, Value, family_of
from metadialog_lite.lab.comparison_figure import FAR_BELOW, colour_of, look_of
from metadialog_lite.lab.comparison_text import turns, with_interval
from metadialog_lite.lab.curve import NAMES
from metadialog_lite.lab.figures import NATS, layout
from metadialog_lite.turns import CAPABILITIES

_NOTHING = "Nothing is stored yet that could be drawn here."


def per_task(found: Comparison, learner: str, seed: int, shots: int) -> Any:
    """Total loss of every held-out speaker, nats per query turn: an array [tasks], or None where it is not stored."""
    run = found.runs.get((learner, seed))
    kept = run.options.get("per_task", {}).get(str(shots)) if run else None
    return None if kept is None else np.array(kept, float)


def differences(found: Comparison, learners: Sequence[str], shots: int,
                rival: str = RIVAL) -> dict[tuple[str, int], Difference]:
    """(learner, training seed) -> paired difference to the rival with the same training seed, where both have one."""
    result = {}
    for name, seed in itertools.product(learners, found.seeds(rival)):
        mine, theirs = (per_task(found, who, seed, shots) for who in (name, rival))
        if name != rival and mine is not None and theirs is not None:
            result[name, seed] = paired(found.runs[name, seed], found.runs[rival, seed], shots)
    return result


def forest(found: Comparison, learners: Sequence[str], shots: int) -> tuple[Any, str]:
    """Paired differences to fine-tuning with their 95 % intervals, one line for each learner and training seed."""
    pairs = differences(found, learners, shots)
    figure = empty_figure(120 + 26 * max(3, len(pairs)), f"learner − {RIVAL} after {turns(shots)}, the same speakers")
    for place, ((name, _), d) in enumerate(pairs.items()):
        figure.add_trace(mark(name, d.mean, place, error_x=error_bars([Value(d.mean, d.low, d.high)])))
    labels = [f"{name}, seed {seed}" for name, seed in pairs]
    figure.update_yaxes(tickvals=list(range(len(pairs))), ticktext=labels, autorange="reversed")
    figure.update_xaxes(title="nats per turn; left of 0: better than fine-tuning", rangemode="tozero")
    figure.add_vline(x=0, line={"color": "#444444", "dash": "dash"})
    figure.update_layout(margin={"l": 190})
    names = list(dict.fromkeys(name for name, _ in pairs))
    wins = [name for name in names if all(d.wins for (who, _), d in pairs.items() if who == name)]
    text = (f"Below zero with the whole interval in every training seed that both have: {', '.join(wins) or 'nobody'}; "
            f"not so: {', '.join(name for name in names if name not in wins) or 'nobody'}.")
    return figure, text if pairs else _NOTHING


def pair_plot(found: Comparison, a: str, b: str, shots: int, seed: int) -> tuple[Any, str]:
    """Loss of a against loss of b, a point for each speaker: how much of the spread do the two share?"""
    x, y = per_task(found, b, seed, shots), per_task(found, a, seed, shots)
    figure = empty_figure(380, f"{a} and {b} after {turns(shots)}, one point for each held-out speaker")
    if x is None or y is None:
        return figure, _NOTHING
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    look = look_of(a)
    figure.add_trace({"type": "scatter", "mode": "markers", "x": x, "y": y, "showlegend": False,
                      "marker": {"color": look.colour, "symbol": look.marker, "size": 6, "opacity": 0.6}})
    figure.add_trace({"type": "scatter", "mode": "lines", "x": ends, "y": ends, "showlegend": False,
                      "line": {"color": "#444444", "dash": "dash", "width": 1}})
    figure.update_xaxes(title=f"{b}, {NATS}")
    figure.update_yaxes(title=f"{a}, {NATS}")
    share = np.corrcoef(x, y)[0, 1] if len(x) > 1 else float("nan")
    return figure, (f"{a} is below the diagonal for {int((y < x).sum())} of {len(x)} speakers; the losses of the two "
                    f"have correlation {share:.2f}.")


def two_intervals(a: Any, b: Any) -> tuple[Difference, Difference]:
    """The mean of a − b with the paired interval, and with one that draws the speakers of a and b separately."""
    random = np.random.default_rng(0)
    draws = [each[random.integers(len(each), size=(2000, len(each)))].mean(1) for each in (a, b)]
    low, high = np.percentile(draws[0] - draws[1], [2.5, 97.5])
    mean = float((a - b).mean())
    return Difference(mean, *interval(a - b)), Difference(mean, float(low), float(high))


def seeds_plot(found: Comparison, shots: int, part: str = "total") -> tuple[Any, str]:
    """Gap closed of each training seed with its interval over speakers, for everybody who was trained repeatedly."""
    names = [name for name in found.learners if len(found.seeds(name)) > 1]
    figure = empty_figure(340, f"Gap closed after {turns(shots)}, {NAMES[part]}: one point a training seed")
    said: list[str] = []
    place, ticks = 0, dict[float, str]()
    for name in names:
        values = [found.value(name, seed, shots, part, "gap_closed") for seed in found.seeds(name)]
        known = [value for value in values if value.value is not None]
        for value in known:
            figure.add_trace(mark(name, place, value.value or 0.0, error_y=error_bars([value])))
            place += 1
        if len(known) < 2:
            continue
        ticks[place - (len(known) + 1) / 2] = name
        place += 1
        numbers = [value.value or 0.0 for value in known]
        widths = [value.high - value.low for value in known if value.low is not None and value.high is not None]
        spread = max(numbers) - min(numbers)
        said.append(f"{name} {min(numbers):.3f} to {max(numbers):.3f}" + (
            f" (seeds apart by {spread:.3f}, intervals {sum(widths) / len(widths):.3f} wide)" if widths else ""))
    figure.update_xaxes(tickvals=list(ticks), ticktext=list(ticks.values()))
    figure.update_yaxes(title="share of the gap")
    return figure, "; ".join(said) + "." if said else "Nobody has been trained with several seeds yet."


def seed_luck(found: Comparison, shots: int) -> dict[str, float]:
    """Learner -> distance of its best and worst training seed, in widths of the interval over speakers."""
    luck = {}
    for name in found.learners:
        values = [found.value(name, seed, shots, "total", "gap_closed") for seed in found.seeds(name)]
        gaps = [v.value for v in values if v.value is not None]
        widths = [v.high - v.low for v in values if v.high is not None and v.low is not None]
        if len(gaps) > 1 and sum(widths) > 0:
            luck[name] = (max(gaps) - min(gaps)) / (sum(widths) / len(widths))
    return luck


def capabilities_plot(found: Comparison, learners: Sequence[str], shots: int, seed: int) -> tuple[Any, str]:
    """Gap closed of each learner in each capability, with intervals, side by side."""
    figure = empty_figure(360, f"Gap closed after {turns(shots)} by capability, training seed {seed}")
    for i, name in enumerate(learners):
        values = [found.value(name, seed, shots, part, "gap_closed") for part in CAPABILITIES]
        x = [at + (i - (len(learners) - 1) / 2) * 0.8 / max(4, len(learners)) for at in range(3)]
        known = [(at, value) for at, value in zip(x, values, strict=True) if value.value is not None]
        figure.add_trace(mark(name, [at for at, _ in known], [v.value for _, v in known], showlegend=True, name=name,
                                error_y=error_bars([v for _, v in known])))
    figure.add_hline(y=1, line={"color": "#444444", "dash": "dash"})
    figure.update_xaxes(tickvals=[0, 1, 2], ticktext=[NAMES[part] for part in CAPABILITIES], range=[-0.5, 2.5])
    figure.update_yaxes(title="share of the gap")
    return figure, "\n".join(capability_text(found, learners, shots, seed, part) for part in CAPABILITIES)


def capability_text(found: Comparison, learners: Sequence[str], shots: int, seed: int, part: str) -> str:
    """Who is ahead in one capability, and whose interval overlaps with theirs."""
    known = [(value, name) for name in learners
             if (value := found.value(name, seed, shots, part, "gap_closed")).value is not None]
    if not known:
        return f"{NAMES[part]}: nothing is stored."
    known.sort(key=lambda pair: -(pair[0].value or 0.0))
    (first, leader), rest = known[0], known[1:]
    lowest = first.value if first.low is None else first.low
    near = [name for value, name in rest if (value.high or value.value or 0.0) >= (lowest or 0.0)]
    text = f"{NAMES[part]}: {leader} closes most of the gap, {with_interval(first)}"
    if near:
        return f"{text}, but the intervals of {', '.join(near)} reach into its own: the order is open."
    return f"{text}; no other interval reaches it." if rest else f"{text}; nobody else to compare with."


def costs_plot(found: Comparison, what: str, shots: int, seed: int) -> tuple[Any, str]:
    """What each learner costs against what it brings; ``what`` is "adapt" (CPU seconds) or "parameters"."""
    cost: Callable[[str], float | None] = {
        "adapt": lambda name: found.runs[name, seed].seconds.adapt,
        "parameters": lambda name: found.runs[name, seed].parameters}[what]
    label = {"adapt": "CPU milliseconds of adapting to one speaker", "parameters": "meta-learned numbers (parameters)"}
    times = 1000 if what == "adapt" else 1
    figure = empty_figure(430, f"Gap closed after {turns(shots)} against {label[what]}")
    points, outside = [], []
    for name in found.learners:
        gap = found.value(name, seed, shots, "total", "gap_closed")
        spent = cost(name) if (name, seed) in found.runs else None
        if gap.value is not None and gap.value < FAR_BELOW:
            outside.append(f"{name} ({gap.value:.1f})")
        elif gap.value is not None and spent:
            points.append((times * spent, gap.value, name))
            figure.add_trace(mark(name, times * spent, gap.value, error_y=error_bars([gap]), mode="markers", name=name,
                                    showlegend=True))
    round_ones = [digit * 10.0**power for power in range(-3, 8) for digit in (1, 2, 5)]
    figure.update_xaxes(title=label[what], type="log", tickvals=round_ones, ticktext=[f"{x:,g}" for x in round_ones])
    figure.update_yaxes(title="share of the gap")
    figure.update_layout(legend={"orientation": "v", "x": 1.02, "y": 1, "yanchor": "top"})
    if not points:
        return figure, _NOTHING
    front = [(c, g, n) for c, g, n in sorted(points) if not any(c2 < c and g2 >= g for c2, g2, _ in points)]
    each = "; ".join(f"{name} {c:,.{1 if what == 'adapt' else 0}f} for {g:.3f}" for c, g, name in front)
    text = f"Nobody is both cheaper and better than these ({label[what]} for share of the gap): {each}."
    return figure, text + (f" Too far below to be drawn: {', '.join(outside)}." if outside else "")


def family_gaps(found: Comparison, shots: int, seed: int, part: str = "total") -> list[tuple[str, str, Value]]:
    """(family, its best member, its gap closed), the best first, for the four families and fine-tuning."""
    best = [(family, found.best(family, shots)) for family in FOUR] + [("fine-tuning", RIVAL)]
    rows = [(family, name, found.value(name, seed, shots, part, "gap_closed")) for family, name in best if name]
    return sorted((row for row in rows if row[2].value is not None), key=lambda row: -(row[2].value or 0.0))


def empty_figure(height: int, title: str) -> Any:
    """A figure with nothing in it but its title."""
    import plotly.graph_objects as go

    return go.Figure(layout=layout(height, title={"text": title, "x": 0.01, "font": {"size": 14}}, hovermode="closest"))


def mark(learner: str, x: Any, y: Any, **more: Any) -> dict[str, Any]:
    """One mark, or some, in the look of a learner."""
    many = [x, y] if isinstance(x, list) else [[x], [y]]
    return {"type": "scatter", "mode": "markers", "x": many[0], "y": many[1], "showlegend": False,
            "hovertemplate": f"{learner} ({family_of(learner)})<extra></extra>",
            "marker": {"color": colour_of(family_of(learner)), "symbol": look_of(learner).marker, "size": 10}, **more}


def error_bars(values: Sequence[Value]) -> dict[str, Any]:
    """Error bars up to the ends of the intervals; none where an interval is not stored."""
    up = [0.0 if v.high is None or v.value is None else v.high - v.value for v in values]
    down = [0.0 if v.low is None or v.value is None else v.value - v.low for v in values]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.5, "width": 4}

"""Learners on worlds that they were not trained on, as far as such results are stored (``data/results/shift``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metadialog_lite.lab.comparison_data import FAMILIES, find_row, measured, name_of, read_file
from metadialog_lite.lab.comparison_plots import empty_figure, error_bars, mark
from metadialog_lite.lab.comparison_text import number, turns, with_interval
from metadialog_lite.paths import data_dir
from metadialog_lite.results import Result

#: A share of the gap below this is said and not drawn: it would press all others together.
FAR_BELOW = -5.0
_HEAD = ("shift", "learner", "training seed", "loss", "informed optimum", "Bayes with the training prior",
         "distance to the informed optimum", "share of its gap")
_ORDER = [name for members in FAMILIES.values() for name in members]


def read_shifts(world: str, folder: str | Path | None = None) -> tuple[list[Result], list[str]]:
    """Results of learners trained on ``world`` and judged on a shift of it, and a sentence for each damaged file."""
    faults: list[str] = []
    found = []
    for path in sorted((Path(folder) if folder else data_dir() / "results" / "shift").glob("*.json")):
        result = read_file(path, Result, faults)
        if result is None or not _shift(result, world):
            continue
        recipe, _, seed = path.name.removeprefix(f"{result.world}.").removesuffix(".json").rpartition(".seed")
        if recipe in _ORDER and seed.isdigit():  # an evaluation alone does not know how its learner was trained
            result.options = {"recipe": recipe, "training_seed": int(seed), **result.options}
        if name_of(result) in _ORDER:
            found.append(result)
    return sorted(found, key=lambda r: (str(r.world), _ORDER.index(name_of(r)), _seed(r))), faults


def _shift(result: Result, world: str) -> str:
    """The shift's name such as "lexicon" or "style=1.0"; empty for what is no shift of ``world``."""
    name = result.world or ""
    if name.startswith(f"{world}+"):
        return name.removeprefix(f"{world}+")
    if name != world and getattr(result, "shift_of", None) == world:
        return f"domain={name}"
    return ""


def _seed(result: Result) -> str:
    return str(result.options.get("training_seed", "–"))


def shifts_markdown(found: Sequence[Result], world: str, shots: int) -> Any:
    """One row for each shift, learner and training seed after ``shots`` support turns."""
    from IPython.display import Markdown

    lines = []
    for result in found:
        row = find_row(result, shots)
        if row is not None:
            second = getattr(row, "bayes_training_prior", None)
            lines.append(f"| {_shift(result, world)} | {name_of(result)} | {_seed(result)} | {number(row.loss)} "
                         f"| {number(row.bayes)} | {number(second) if second is not None else 'undefined'} "
                         f"| {number(row.regret)} | {with_interval(measured(row, 'gap_closed'))} |")
    if not lines:
        return Markdown(f"*No results under a shift of {world} after {turns(shots)} are stored yet.*")
    head = f"| {' | '.join(_HEAD)} |\n|---|---|---|{'---:|' * (len(_HEAD) - 3)}\n"
    return Markdown(f"Total, nats per turn after {turns(shots)}:\n\n{head}" + "\n".join(lines))


def shifts_plot(found: Sequence[Result], world: str, shots: int) -> tuple[Any, str]:
    """Share of the gap to the informed optimum under each shift: (figure, text)."""
    shifts = list(dict.fromkeys(_shift(result, world) for result in found))
    learners = sorted({name_of(result) for result in found}, key=_ORDER.index)
    figure = empty_figure(360, f"Under a shift: share of the gap to the informed optimum after {turns(shots)}")
    best: dict[str, tuple[float, str]] = {}
    outside: list[str] = []
    for i, name in enumerate(learners):
        x, values = [], []
        for result in found:
            row = find_row(result, shots)
            if name_of(result) != name or row is None or row.gap_closed is None:
                continue
            best[_shift(result, world)] = max(best.get(_shift(result, world), (row.gap_closed, name)),
                                              (row.gap_closed, name))
            if row.gap_closed < FAR_BELOW:
                outside.append(f"{_shift(result, world)} {name} ({row.gap_closed:.0f})")
                continue
            x.append(shifts.index(_shift(result, world)) + (i - (len(learners) - 1) / 2) * 0.8 / max(4, len(learners)))
            values.append(measured(row, "gap_closed"))
        figure.add_trace(mark(name, x, [v.value for v in values], showlegend=True, name=name,
                              error_y=error_bars(values)))
    figure.update_xaxes(tickvals=list(range(len(shifts))), ticktext=shifts)
    figure.update_yaxes(title="share of the gap")
    if not best:
        return figure, f"No gap closed under a shift of {world} is stored yet."
    return figure, "Most of the gap closed, by shift: " + "; ".join(
        f"{shift}: {name} {value:.2f}" for shift, (value, name) in best.items()) + "." + (
        f" Too far below to be drawn: {', '.join(outside)}." if outside else "")

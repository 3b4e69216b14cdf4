"""What the comparison says in words and in tables; whoever wins, wins by the numbers that are stored."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from metadialog_lite import comparison as compare
from metadialog_lite.lab.comparison_data import FLOOR_RUN, RIVAL, Comparison, Value, family_of, find_row
from metadialog_lite.lab.comparison_figure import MEAN, View, seed_words, value_of
from metadialog_lite.lab.curve import NAMES
from metadialog_lite.results import Result

_HEAD = ("learner", "family", "seeds", "loss", "gap closed", "JGA gold", "JGA carried", "act acc.", "BLEU",
         "distinct-1 / 2", "train s", "adapt ms", "parameters", "peak MB")
#: Columns of the narrower table in a panel.
_SHORT = [i for i, name in enumerate(_HEAD) if name not in ("family", "seeds")]
_UNIT = {"loss": "nats/turn", "regret": "nats/turn above the floor", "gap_closed": "share of the gap closed"}


def number(value: float | None, digits: int = 3) -> str:
    """A number as text, a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def with_interval(value: Value, digits: int = 3) -> str:
    """``0.953 [0.941, 0.962]``, or without the brackets where no interval is stored."""
    if value.value is None or value.low is None or value.high is None:
        return number(value.value, digits)
    return f"{number(value.value, digits)} [{number(value.low, digits)}, {number(value.high, digits)}]"


def says(found: Comparison, view: View, shots: int) -> str:
    """What the figure shows after ``shots`` support turns, best first, with floor and prior."""
    if not found.runs:
        return f"No run on {found.world} is stored yet."
    if not view.learners:
        return "No learner is chosen."
    values = [(value_of(found, view, name, shots), name) for name in view.learners]
    known = [(value, name) for value, name in values if value.value is not None]
    known.sort(key=lambda pair: pair[0].value or 0.0, reverse=view.measure == "gap_closed")
    ranked = "; ".join(f"{name} {with_interval(value)}" for value, name in known) or "no number is stored"
    text = f"After {turns(shots)}, {NAMES[view.part]}, {seed_words(view)}, {_UNIT[view.measure]}: {ranked}"
    if any(value.low is not None for value, _ in known):
        text += f" (in brackets: {'lowest and highest seed' if view.seed == MEAN else '95 % interval over speakers'})"
    if nothing := [name for value, name in values if value.value is None and known]:
        text += f"; no number for {', '.join(nothing)}"
    return f"{text}. {floor_text(found, shots, view.part)}".strip()


def floor_text(found: Comparison, shots: int, part: str = "total") -> str:
    """The Bayes floor after ``shots`` turns and the prior, one sentence; empty where they are not stored."""
    some = found.any_run()
    row = some and find_row(some, shots, part)
    if not row or row.bayes is None or row.prior is None:
        return ""
    return (f"The Bayes floor is {row.bayes:.3f} nats/turn, the optimum without any support {row.prior:.3f}; the gap "
            f"between the two is {row.prior - row.bayes:.3f}.")


def turns(shots: int) -> str:
    """``1 support turn``, ``16 support turns``."""
    return f"{shots} support turn{'s' * (shots != 1)}"


def table(found: Comparison, view: View, shots: int) -> list[tuple[str, ...]]:
    """The table's rows, best first, the Bayes row on top; with MEAN numbers are means over the training seeds."""
    rows = []
    for name in view.learners:
        runs = [found.runs[name, seed] for seed in found.seeds(name) if view.seed in (MEAN, seed)]
        if not runs:
            continue
        loss, gap = (value_of(found, View((name,), view.part, measure, view.seed), name, shots)
                     for measure in ("loss", "gap_closed"))
        order = (loss.value is None, loss.value)
        rows.append((order, (name, family_of(name), ", ".join(str(s) for s in found.seeds(name)
                                                                if view.seed in (MEAN, s)),
                             number(loss.value), with_interval(gap).replace(" ", "\u00a0"), *_spoken(runs))))
    return [*_floor_row(found, view.part, shots), *(cells for _, cells in sorted(rows))]


def _spoken(runs: Sequence[Result]) -> tuple[str, ...]:
    def mean(values: Sequence[float | None], digits: int, times: float = 1) -> str:
        known = [value for value in values if value is not None]
        return number(times * sum(known) / len(known), digits) if known else "–"

    each = [getattr(run, "distinct", None) or {} for run in runs]
    distinct = [mean([one.get(n) for one in each], 3) for n in ("1", "2")]
    return (mean([run.jga.gold_previous_state if run.jga else None for run in runs], 3),
            mean([run.jga.carried if run.jga else None for run in runs], 3),
            mean([run.act_accuracy for run in runs], 3), mean([run.bleu for run in runs], 1),
            "–" if distinct == ["–", "–"] else " / ".join(distinct),
            mean([run.seconds.train for run in runs], 0), mean([run.seconds.adapt for run in runs], 1, 1000),
            mean([run.parameters for run in runs], 0), mean([run.peak_mb for run in runs], 0))


def _floor_row(found: Comparison, part: str, shots: int) -> list[tuple[str, ...]]:
    """The exact optimum: its loss stands in every run, what it says in the run of ``bayes`` or in any ``reference``."""
    some = next((run for run in found.runs.values() if run.reference), found.any_run())
    row = some and find_row(some, shots, part)
    if not some or not row or row.bayes is None:
        return []
    said, gap = some.reference or {}, "1.000" if row.prior and row.prior - row.bayes > 1e-9 else "–"
    distinct = [number(said.get(f"distinct_{n}")) for n in (1, 2)]
    return [("**Bayes floor**", "exact optimum", "", number(row.bayes), gap, number(said.get("jga")),
             number(said.get("jga_carried")), number(said.get("act_accuracy")), number(said.get("bleu"), 1),
             "–" if distinct == ["–", "–"] else " / ".join(distinct), *_optimum_costs(found))]


def _optimum_costs(found: Comparison) -> tuple[str, ...]:
    run = found.first(FLOOR_RUN)
    return ("–", "–" if run is None else number(1000 * (run.seconds.adapt or 0), 1), "–", "–")


def table_markdown(found: Comparison, view: View, shots: int) -> Any:
    """The table as Markdown for a notebook, in two halves that fit a page."""
    from IPython.display import Markdown

    rows = table(found, view, shots)
    if not rows:
        return Markdown(f"*{says(found, view, shots)}*")
    halves = []
    for columns in (range(8), [0, *range(8, len(_HEAD))]):
        lines = ["| " + " | ".join(cells[i] for i in columns) + " |" for cells in [_HEAD, *rows]]
        rule = "|" + "".join("---|" if _HEAD[i] in ("learner", "family", "seeds") else "---:|" for i in columns)
        halves.append("\n".join([lines[0], rule, *lines[1:]]))
    return Markdown("\n\n".join([caption(view, shots), *halves]))


def table_html(found: Comparison, view: View, shots: int) -> str:
    """The table as HTML for a panel."""
    rows = table(found, view, shots)
    if not rows:
        return ""
    head = "".join(f"<th scope='col' style='white-space:normal'>{html.escape(_HEAD[i])}</th>" for i in _SHORT)
    cells = ["".join(f"<td>{html.escape(row[i].strip('*'))}</td>" for i in _SHORT) for row in rows]
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return (f"<small>{html.escape(caption(view, shots))}</small>"
            f"<table class='md-table' style='font-size:0.83em'><tr>{head}</tr>{body}</table>")


def caption(view: View, shots: int) -> str:
    """What the columns of the table are."""
    brackets = "lowest and highest seed" if view.seed == MEAN else "95 % interval over speakers"
    return (f"Loss in nats per turn and gap closed: {NAMES[view.part]} after {turns(shots)}, {seed_words(view)} (in "
            f"brackets: {brackets}). JGA, act accuracy, BLEU and distinct-n: what was said after the most support "
            "turns. CPU seconds of training; CPU milliseconds of adapting to one speaker at the most support turns.")


def verdicts(found: Comparison, learners: Sequence[str], shots: int, rival: str = RIVAL) -> list[str]:
    """One line for each learner against the rival in every training seed that both have."""
    lines = []
    for name in learners:
        if name == rival:
            continue
        try:
            lines.append(compare.verdict(found.runs, name, shots, rival))
        except ValueError as error:  # it names the learner
            lines.append(str(error))
    return lines or [f"Nobody to compare with {rival} yet."]


def trials_markdown(found: Comparison) -> Any:
    """What was tried for each learner, on validation tasks."""
    from IPython.display import Markdown

    if not found.trials:
        return Markdown(f"*No trials on {found.world} are stored yet.*")
    lines = []
    for name, tried in found.trials.items():
        best = None if all(loss is None for loss in tried.losses) else tried.best
        each = ", ".join(f"{'**' * (value == best)}{value:g}: {'diverged' if loss is None else f'{loss:.3f}'}"
                         f"{'**' * (value == best)}" for value, loss in zip(tried.values, tried.losses, strict=True))
        lines.append(f"| {name} | {tried.setting} | {len(tried.values)} | {each} |")
    return Markdown("Validation loss (nats per turn after 16 support turns) of each trial; bold: chosen.\n\n"
                    "| learner | what is tried | trials | value: loss |\n|---|---|---|---|\n" + "\n".join(lines))


def trials_text(found: Comparison) -> str:
    """Whose chosen value lies at the end of what was tried (more might have been better there), and what diverged."""
    ends = [name for name, tried in found.trials.items()
            if any(loss is not None for loss in tried.losses)
            and tried.best in (min(tried.values) or None, max(tried.values))]  # below a dropout of 0 there is nothing
    lost = [name for name, tried in found.trials.items() if None in tried.losses]
    if not found.trials:
        return "No trials are stored yet."
    return (f"The chosen value lies at the end of the range for {', '.join(ends) or 'nobody'}: there a fourth trial "
            f"might have found a better one. A trial diverged for {', '.join(lost) or 'nobody'}.")


def budget_text(found: Comparison) -> str:
    """From how many to how many CPU seconds were trained, and who spent another budget than most."""
    spent = {key: run.seconds.train for key, run in found.runs.items() if run.seconds.train}
    if not spent:
        return "No training seconds are stored yet."
    usual = sorted(spent.values())[len(spent) // 2]
    other = [f"{name} (seed {seed}): {seconds:.0f}" for (name, seed), seconds in spent.items()
             if abs(seconds / usual - 1) > 0.05]
    text = f"Training took {min(spent.values()):.0f} to {max(spent.values()):.0f} CPU seconds"
    return f"{text}; another budget than most: {', '.join(other)}." if other else f"{text}, the same for everybody."

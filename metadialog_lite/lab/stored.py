"""Stored results of the shipped checkpoints, as a table for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metadialog_lite.evaluation import Difference
from metadialog_lite.paths import data_dir
from metadialog_lite.results import Result


def stored_results(source: str, folder: Path | None = None) -> list[Result]:
    """All stored results (``data/results/*.json``) on a world or corpus; files that are no results are passed over."""
    found = []
    for path in sorted((folder or data_dir() / "results").glob("*.json")):
        try:
            result = Result.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if source in (result.world, result.corpus):
            found.append(result)
    return found


def stored_table(source: str, shots: int, folder: Path | None = None) -> Any:
    """The stored results on ``source`` after ``shots`` support turns as a Markdown table, lowest loss first."""
    from IPython.display import Markdown

    rows, lines, results = [], [], stored_results(source, folder)
    plain = {(result.learner, result.seed) for result in results if "against" not in result.options}
    for result in results:
        try:
            row = result.row(shots)
        except KeyError:
            continue
        if "against" in result.options:  # a paired comparison is a sentence, and a row when there is no other one
            lines.append(against(result, shots))
            if (result.learner, result.seed) in plain:
                continue
        loss = float("inf") if row.loss is None else row.loss
        speakers, spoken = result.options.get("speakers", result.tasks), (result.perplexity or {}).get(str(shots))
        rows.append((loss, f"| {result.learner} | {result.seed} | {speakers} | {_number(row.loss)} "
                           f"| {_number(row.bayes)} | {_with(row.gap_closed, row.gap_low, row.gap_high)} "
                           f"| {_number(spoken, 2)} "
                           f"| {_number(result.seconds.train, 0)} | {_number(result.seconds.adapt, 2)} |"))
    if not rows:
        return Markdown(f"*No results are stored for {source} after {shots} support turns.*")
    head = (f"Stored results on held-out speakers of **{source}** after {shots} support turns "
            "(nats per turn; CPU seconds; 95 % interval in brackets):\n\n"
            "| learner | seed | speakers | loss | Bayes floor | gap closed | perplexity | training | adapting, each |\n"
            "|---|---|---|---|---|---|---|---|---|\n")
    return Markdown("\n\n".join([head + "\n".join(text for _, text in sorted(rows)), *lines]))


def against(result: Result, shots: int) -> str:
    """One sentence on a stored paired comparison: who was compared at which budget, the difference, and who wins."""
    other = result.options["against"]
    difference = other["difference"].get(str(shots))
    if difference is None:
        return f"*The comparison of {result.learner} with {other['learner']} has no row for {shots} support turns.*"
    trials = other.get("chosen", {}).get(str(shots), {}).get("trials")
    how = f", the best of {trials} settings on validation speakers" if trials else ""
    ours, theirs = (_number(seconds, 0) for seconds in (result.seconds.train, other["seconds"]["train"]))
    return (f"At equal budget ({ours} and {theirs} CPU seconds of training{how}): "
            f"{compared(result.learner, other['learner'], Difference(**difference))}.")


def summary(result: Result, shots: int) -> str:
    """One line: total loss after ``shots`` support turns, and the gap closed where there is a Bayes floor."""
    row = result.row(shots)
    closed = "no Bayes floor here" if row.gap_closed is None else "gap closed " + _with(
        row.gap_closed, row.gap_low, row.gap_high)
    return (f"{result.learner:9} {_with(row.loss, row.low, row.high)} nats/turn after {shots} support turns, {closed}")


def compared(a: str, b: str, d: Difference) -> str:
    """One line: learner a against learner b, speaker by speaker, and who wins (if anybody)."""
    verdict = f"{a} wins" if d.wins else f"{b} wins" if d.low > 0 else "no clear winner"
    return (f"{a} − {b}, speaker by speaker: {d.mean:+.3f} nats/turn, 95 % interval [{d.low:+.3f}, {d.high:+.3f}]: "
            f"{verdict}")


def perplexities(results: Sequence[Result], shots: int) -> str:
    """One line: response perplexity per token of each learner, with the vocabulary it refers to."""
    each = [f"{r.learner} {r.perplexity[str(shots)]:.1f}" for r in results if r.perplexity]
    return f"Perplexity per response token after {shots} turns: {', '.join(each)} (vocabulary {results[0].vocabulary})"


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _with(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "–"
    return _number(value) + ("" if low is None or high is None else f" [{low:.3f}, {high:.3f}]")

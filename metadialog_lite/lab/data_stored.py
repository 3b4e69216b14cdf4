"""Stored results capability by capability: how far above the Bayes floor each learner is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metadialog_lite.lab.stored import stored_results
from metadialog_lite.paths import data_dir
from metadialog_lite.results import Result
from metadialog_lite.turns import CAPABILITIES


def stored_parts(source: str, learners: Sequence[str], shots: int) -> Any:
    """A Markdown table of ``learners`` on ``source``: nats per turn above the floor for each capability.

    Taken from the shipped evaluations and from the comparison at equal budget, which says so.
    """
    from IPython.display import Markdown

    rows = []
    for kind, folder in (("shipped", data_dir() / "results"), ("equal budget", data_dir() / "results" / "compare")):
        rows += [row for result in stored_results(source, folder) if result.learner in learners
                 and "against" not in result.options and (row := _row(result, kind, shots)) is not None]
    if not rows:
        return Markdown(f"*No results of {', '.join(learners)} are stored for {source} after {shots} support turns.*")
    head = (f"Nats per turn above the Bayes floor on held-out speakers of **{source}** after {shots} support turns "
            "(total: 95 % interval of the gap closed in brackets):\n\n"
            "| learner | training | seed | state | act | response | total | gap closed |\n"
            "|---|---|---|---|---|---|---|---|\n")
    return Markdown(head + "\n".join(text for _, text in sorted(rows)))


def _row(result: Result, kind: str, shots: int) -> tuple[float, str] | None:
    """(total regret, the row); None where something of it was not measured."""
    found = {row.capability: row for row in result.rows if row.shots == shots}
    regret = [found[part].regret if part in found else None for part in (*CAPABILITIES, "total")]
    if any(value is None for value in regret):
        return None
    cells = " | ".join(f"{value:.3f}" for value in regret)
    total = found["total"]
    closed = "–" if total.gap_closed is None else f"{total.gap_closed:.3f}"
    if total.gap_low is not None and total.gap_high is not None:
        closed += f" [{total.gap_low:.3f}, {total.gap_high:.3f}]"
    seed = result.options.get("training_seed", "–")
    return float(regret[-1] or 0.0), f"| {result.learner} | {kind} | {seed} | {cells} | {closed} |"

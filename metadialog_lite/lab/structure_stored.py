"""Stored results of the structure family: on against off at equal parameter count, and what each learner does best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metadialog_lite.comparison import finished, paired
from metadialog_lite.evaluation import Difference
from metadialog_lite.lab.stored import compared, stored_results
from metadialog_lite.paths import data_dir
from metadialog_lite.results import Result
from metadialog_lite.turns import CAPABILITIES

#: This family, and a gradient learner to hold it against.
SHOWN = ("structure_parameters", "parameters", "structure", "meta_sgd")
NAMES = ("structure on", "structure off")


def switched(world: str, folder: Path | None = None) -> list[tuple[int, Result, Result]]:
    """(training seed, structure on, structure off) of each pair ``WORLD.on.seedN.json``, ``WORLD.off.seedN.json``.

    They are results of ``metadialog-lite evaluate --per-task``; in ``data/results/structure`` by default.
    """
    kept, found = folder or data_dir() / "results" / "structure", []
    for path in sorted(kept.glob(f"{world}.on.seed*.json")):
        other = path.with_name(path.name.replace(".on.seed", ".off.seed"))
        if other.exists():
            on, off = (Result.model_validate_json(file.read_text(encoding="utf-8")) for file in (path, other))
            found.append((int(path.stem.rsplit("seed", 1)[1]), on, off))
    return found


def differences(pairs: Sequence[tuple[int, Result, Result]], shots: int) -> list[tuple[int, Difference]]:
    """Total loss of on − off, task by task, for each training seed; below 0: the structure helps."""
    return [(seed, paired(on, off, shots)) for seed, on, off in pairs]


def switched_text(pairs: Sequence[tuple[int, Result, Result]], shots: int) -> str:
    """What the stored pairs say, one line a training seed; or that there is none."""
    if not pairs:
        return ("No full training of structure on against off is stored here (data/results/structure): nothing is "
                "claimed. The short run above is all there is.")
    lines = []
    for (seed, difference), (_, on, off) in zip(differences(pairs, shots), pairs, strict=True):
        seconds = " and ".join("?" if r.seconds.train is None else f"{r.seconds.train:.0f}" for r in (on, off))
        lines.append(f"training seed {seed}, {on.tasks} held-out tasks, {on.parameters:,} and {off.parameters:,} "
                     f"parameters, {seconds} CPU seconds of training:\n  {compared(*NAMES, difference)}")
    return "\n".join(lines)


def capability_table(world: str, shots: int, folder: Path | None = None) -> Any:
    """Nats above the Bayes floor for state, act and response, of every stored learner of the family: Markdown."""
    from IPython.display import Markdown

    base = folder or data_dir() / "results"
    results = [("shipped", each) for each in stored_results(world, base)]
    compared_ones = finished(base / "compare", world)
    results += [(f"compare, training seed {seed}", each) for (_, seed), each in compared_ones.items()]
    results += [(f"{name}, training seed {seed}", each) for seed, on, off in switched(world, base / "structure")
                for name, each in zip(NAMES, (on, off), strict=True)]
    rows = []
    for kind, result in results:
        if result.learner not in SHOWN or "against" in result.options:
            continue
        try:
            parts = [result.row(shots, part) for part in (*CAPABILITIES, "total")]
        except KeyError:
            continue
        if any(row.regret is None for row in parts):
            continue
        closed = "–" if parts[-1].gap_closed is None else f"{parts[-1].gap_closed:.3f}"
        cells = " | ".join([kind, str(result.seed), *(f"{row.regret:.3f}" for row in parts), closed])
        rows.append((SHOWN.index(result.learner), f"| {result.learner} | {cells} |"))
    if not rows:
        return Markdown(f"*No results of this family are stored for {world} after {shots} support turns.*")
    head = (f"Nats per turn **above the Bayes floor** of {world} after {shots} support turns, stored results:\n\n"
            "| learner | training | evaluation seed | state | act | response | total | gap closed |\n"
            "|---|---|---|---|---|---|---|---|\n")
    return Markdown(head + "\n".join(text for _, text in sorted(rows)))

"""Stored results of the structure family: on against off at equal parameter count, and what each learner does best."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from metadialog_lite.comparison import finished, paired
from metadialog_lite.evaluation import Difference
from metadialog_lite.lab.figures import WIDTH
from metadialog_lite.lab.stored import compared, stored_results
from metadialog_lite.paths import data_dir
from metadialog_lite.results import Result
from metadialog_lite.turns import CAPABILITIES

ON, OFF = "structure_parameters", "structure_off"  # recipes of ``metadialog-lite compare``
NAMES = ("structure on", "structure off")
#: This family, and a gradient learner to hold it against.
SHOWN = (ON, OFF, "parameters", "structure", "meta_sgd")


class Pair(NamedTuple):
    """The same training seed with the structure on and off."""

    seed: int
    on: Result
    off: Result

    def difference(self, shots: int) -> Difference:
        """Total loss of on − off, task by task; below 0: the structure helps."""
        return paired(self.on, self.off, shots)


def switched(world: str, folder: Path | None = None) -> list[Pair]:
    """Finished runs of the comparison with the structure on and off; in ``data/results/compare`` by default."""
    runs = finished(folder or data_dir() / "results" / "compare", world)
    return [Pair(seed, runs[ON, seed], runs[OFF, seed])
            for name, seed in sorted(runs) if name == ON and (OFF, seed) in runs]


def switched_text(pairs: list[Pair], shots: int) -> str:
    """What the stored pairs say, training seed by training seed; or that there is none."""
    if not pairs:
        return ("No full training with the structure on and off is stored here: nothing is claimed.\n"
                f"(metadialog-lite compare --learners {ON},{OFF} --run makes one.)")
    lines = []
    for pair in pairs:
        seconds, numbers = zip(*((f"{each.seconds.train or float('nan'):.0f}", f"{each.parameters or 0:,}")
                                 for each in pair[1:]), strict=True)
        lines.append(f"training seed {pair.seed}, {pair.on.tasks} held-out tasks, {' and '.join(numbers)} parameters, "
                     f"{' and '.join(seconds)} CPU seconds:")
        lines.append(fill(compared(*NAMES, pair.difference(shots)), WIDTH, initial_indent="  ", subsequent_indent="  "))
    return "\n".join(lines)


def capability_table(world: str, shots: int, folder: Path | None = None) -> Any:
    """Nats above the Bayes floor for state, act and response, of every stored learner of the family: Markdown."""
    from IPython.display import Markdown

    base = folder or data_dir() / "results"
    results = [(each.learner, "shipped", each) for each in stored_results(world, base)]
    results += [(name, f"comparison, seed {seed}", each)
                for (name, seed), each in finished(base / "compare", world).items()]
    rows = []
    for name, training, result in results:
        if name not in SHOWN or "against" in result.options:
            continue
        try:
            parts = [result.row(shots, part) for part in (*CAPABILITIES, "total")]
        except KeyError:
            continue
        above = [f"{row.regret:.3f}" for row in parts if row.regret is not None]
        if len(above) == len(parts):
            closed = "–" if parts[-1].gap_closed is None else f"{parts[-1].gap_closed:.3f}"
            seconds = "–" if result.seconds.train is None else f"{result.seconds.train:.0f}"
            cells = " | ".join([training, seconds, str(result.seed), *above, closed])
            rows.append((SHOWN.index(name), f"| {name} | {cells} |"))
    if not rows:
        return Markdown(f"*No results of this family are stored for {world} after {shots} support turns.*")
    head = (f"Nats per turn **above the Bayes floor** of {world} after {shots} support turns, stored results:\n\n"
            "| learner | training | CPU seconds | evaluation seed | state | act | response | total | gap closed |\n"
            "|---|---|---|---|---|---|---|---|---|\n")
    return Markdown(head + "\n".join(text for _, text in sorted(rows)))

"""The comparison on real dialogues in small, for samples of corpora: 90 CPU seconds of training, 24 held-out tasks.

    python scripts/real_samples.py sgd:FOLDER crosswoz:FOLDER multiwoz:FOLDER

The full one is ``metadialog-lite compare --corpus NAME:FOLDER --run``. Results go to ``data/results/real``; what is
there already is not made again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from metadialog_lite.corpora import label
from metadialog_lite.paths import data_dir
from metadialog_lite.real_comparison import RealPlan, plans
from metadialog_lite.recipes import Schedule

SCHEDULE = Schedule(joint=60.0, meta=30.0, trial=8.0, shots=(4, 8, 16), judged=(0, 4, 16), validation=6)
TASKS = 24


def main(
    corpora: Annotated[list[str], typer.Argument(help="NAME:FOLDER of each corpus")],
    learners: Annotated[str, typer.Option(help="who learns, with commas between them")] = "prior,finetune,anil",
    seeds: Annotated[str, typer.Option(help="training seeds, with commas between them")] = "0",
    folder: Annotated[Path, typer.Option(help="where checkpoints go")] = Path("runs/real_samples"),
) -> None:
    """Make what is missing, and print each command."""
    torch.set_num_threads(1)
    names, numbers = learners.split(","), [int(seed) for seed in seeds.split(",")]
    for corpus in corpora:
        first = RealPlan(corpus, label(corpus), names[0], 0, folder.resolve(), data_dir() / "results" / "real",
                         schedule=SCHEDULE, tasks=TASKS)
        for plan in plans(names, numbers, first):
            for command in plan.run():
                typer.echo(command)


if __name__ == "__main__":
    typer.run(main)

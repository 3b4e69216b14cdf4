"""Make one of the experiments and write its file: see ``metadialog_lite/challenges/__init__.py``."""

from __future__ import annotations

import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import torch
import typer

from metadialog_lite.challenges import costs, trainings
from metadialog_lite.challenges.schema import Costs, Trainings, folder
from metadialog_lite.results import commit, versions, write_text
from metadialog_lite.world import load_world


class Experiment(str, Enum):
    """Which one."""

    tasks = "tasks"
    orders = "orders"
    costs = "costs"


def main(
    experiment: Annotated[Experiment, typer.Argument(help="tasks, orders or costs")],
    world: Annotated[str, typer.Option(help="toy world; a joint checkpoint of it must be shipped")] = "restaurants.en",
    steps: Annotated[int, typer.Option(min=1, help="outer steps of each training")] = 900,
    seed: Annotated[int, typer.Option(min=0, help="of initialisation and training speakers")] = 1,
    out: Annotated[Path | None, typer.Option(help="folder; by default data/results/challenges")] = None,
) -> None:
    """Make one experiment (minutes of CPU time) and write its file."""
    torch.set_num_threads(1)
    started = time.process_time()
    command = f"python -m metadialog_lite.challenges {experiment.value} --world {world} --steps {steps} --seed {seed}"
    common = {"world": world, "versions": versions(), "commit": commit()}
    found: Costs | Trainings
    try:
        if experiment is Experiment.costs:
            cases = costs.measure([costs.Case(**{**vars(case), "world": world}) for case in costs.cases()])
            found = Costs(command=command.split(" --steps")[0], **common, cpu_seconds=time.process_time() - started,
                          support=costs.SUPPORT, query=costs.QUERY, rounds=costs.ROUNDS, machine=costs.machine(),
                          cases=cases)
        else:
            make = trainings.limited_tasks if experiment is Experiment.tasks else trainings.orders
            runs = make(load_world(world), steps=steps, seed=seed)
            found = Trainings(kind=experiment.value, command=command, **common, shots=trainings.SHOTS, runs=runs,
                              cpu_seconds=time.process_time() - started)
        path = write_text((out or folder()) / f"{world}.{experiment.value}.json", found.to_json())
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    except RuntimeError as error:  # training diverged, or a process of its own failed
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{path}: {found.cpu_seconds:.0f} CPU seconds")


if __name__ == "__main__":
    typer.run(main)

"""One outer step, and one adaptation, of every learner of the four families, in one run.

    python -m benchmarks.families_step [--json] [--quick] [--rounds 5]

Each learner with its options of the comparison (``metadialog_lite.recipes``), untrained, on the same tasks of
``restaurants.en`` with the model the course uses. Process CPU time on one thread; the learners take turns, and the
minimum of the rounds counts. What matters are the ratios to MAML's, which takes one inner step here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from time import process_time
from typing import Any

import torch

from benchmarks.meta_step import WORLD, machine
from metadialog_lite.episodes import Vocabulary, draw_episodes, stack_tasks
from metadialog_lite.families import make_learner
from metadialog_lite.model import ModelConfig
from metadialog_lite.recipes import RECIPES
from metadialog_lite.world import load_world

SUPPORT, QUERY, TASKS = 16, 8, 16
BESIDE = "maml"  # ratios are to this one


def milliseconds(call: Callable[[], object]) -> float:
    """Process CPU time of a call."""
    begin = process_time()
    call()
    return 1000 * (process_time() - begin)


def measure(rounds: int, tasks: int = TASKS, names: Sequence[str] = tuple(RECIPES)) -> dict[str, dict[str, float]]:
    """Learner → CPU ms of an outer step over ``tasks`` tasks and of adapting to one, ratios, and numbers in phi."""
    world = load_world(WORLD)
    vocabulary = Vocabulary.of(world)
    episodes = draw_episodes(world, "train", 0, 0, tasks, SUPPORT, QUERY)
    support = stack_tasks([e.support for e in episodes], vocabulary)
    query = stack_tasks([e.query for e in episodes], vocabulary)
    one = episodes[0].support
    learners = {name: make_learner(RECIPES[name].learner or name, ModelConfig(len(vocabulary)), vocabulary,
                                **RECIPES[name].options)
                for name in names}
    found = {name: {"outer_ms": float("inf"), "adapt_ms": float("inf")} for name in names}
    for turn in range(rounds):
        at = turn % len(names)
        for name in [*names[at:], *names[:at]]:
            learner, row = learners[name], found[name]
            row["outer_ms"] = min(row["outer_ms"], milliseconds(partial(learner.outer_gradient, support, query)))
            row["adapt_ms"] = min(row["adapt_ms"], milliseconds(partial(learner.adapt, one)))
    beside = found[BESIDE]
    for name, row in found.items():
        row |= {"outer_ratio": row["outer_ms"] / beside["outer_ms"],
                "adapt_ratio": row["adapt_ms"] / beside["adapt_ms"],
                "numbers": sum(value.numel() for value in learners[name].phi().values())}
    return found


def show(found: dict[str, Any]) -> None:
    """The findings as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{found['tasks']} tasks × ({SUPPORT} support + {QUERY} query turns); adapting to one task")
    table.add_column("learner")
    for heading in ("outer step, CPU ms", f"× {BESIDE}", "adapting, CPU ms", f"× {BESIDE}", "numbers in φ"):
        table.add_column(heading, justify="right")
    for name, row in found["learners"].items():
        table.add_row(name, f"{row['outer_ms']:.0f}", f"{row['outer_ratio']:.2f}", f"{row['adapt_ms']:.1f}",
                      f"{row['adapt_ratio']:.2f}", f"{row['numbers']:,}")
    out = Console()
    out.print(table)
    out.print(" · ".join(f"{name} {value}" for name, value in found["machine"].items()))


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One outer step and one adaptation of every learner.")
    parser.add_argument("--json", action="store_true", help="JSON alone, for machines")
    parser.add_argument("--quick", action="store_true", help="does it run? The times mean nothing")
    parser.add_argument("--rounds", type=int, default=5, help="the minimum of so many counts")
    arguments = parser.parse_args(words)
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    torch.set_num_threads(1)
    tasks, rounds = (2, 1) if arguments.quick else (TASKS, arguments.rounds)
    found = {"benchmark": "families_step", "world": WORLD, "tasks": tasks, "rounds": rounds,
             "learners": measure(rounds, tasks), "machine": machine()}
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()

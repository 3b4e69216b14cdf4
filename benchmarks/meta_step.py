"""One outer step of MAML: ours beside a plain loop, higher, TorchOpt and torch.func, in one run.

    python -m benchmarks.meta_step [--json] [--quick] [--runs 5] [--rounds 5] [--no-memory]

16 tasks of ``restaurants.en``, 3 inner steps. Process CPU time on one thread. The ways take turns, so that whatever
else the machine does hits all alike; a run is the minimum of its rounds, a speed-up the median over the runs. Beside
each way stands how far its gradient is from the plain loop's, in float64. ``README.md`` tells how to read it.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import Tensor

from benchmarks import memory
from benchmarks.peers import NAIVE, OURS, PEERS, Step, ways
from metadialog_lite.episodes import TurnBatch, Vocabulary, draw_episodes, stack_tasks
from metadialog_lite.families import make_learner
from metadialog_lite.families.meta_optimization import MAML
from metadialog_lite.model import ModelConfig, Theta
from metadialog_lite.world import load_world

WORLD, INNER_STEPS, INNER_LR = "restaurants.en", 3, 0.003
#: Sizes of the model, by the number of all parameters, the embedding of the world's 173 tokens included.
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"width": 8, "attention": 8, "mlp": 8, "heads": 2},
    "18k": {"width": 32, "attention": 32, "mlp": 96},
    "120k": {"width": 96, "attention": 96, "mlp": 320},
}
TARGETS = {("18k", 2): 1.7, ("120k", 2): 1.0}  # times as fast as the fastest correct peer
CORRECT = 1e-9  # a way counts as correct up to this relative difference, in float64


@dataclass(frozen=True)
class Case:
    """What is measured: a size of the model, the order of the gradient, and the turns of each task."""

    size: str
    order: int
    support: int
    query: int
    tasks: int = 16
    runs: int = 1
    rounds: int = 5


def cases(runs: int, rounds: int) -> list[Case]:
    """All that is measured: few turns a task (the targets' case), more turns, and the larger model."""
    return [
        *(Case("18k", order, 4, 4, runs=runs, rounds=rounds) for order in (2, 1)),
        *(Case("18k", order, 16, 8, rounds=rounds) for order in (2, 1)),
        *(Case("120k", order, 4, 4, rounds=rounds) for order in (2, 1)),
    ]


def prepare(case: Case) -> tuple[MAML, TurnBatch, TurnBatch]:
    """The learner, and support and query of its tasks, stacked."""
    world = load_world(WORLD)
    vocabulary = Vocabulary.of(world)
    config = ModelConfig(vocabulary=len(vocabulary), **SIZES[case.size])
    name = "maml" if case.order == 2 else "fomaml"
    learner = make_learner(name, config, vocabulary, inner_lr=INNER_LR, inner_steps=INNER_STEPS)
    assert isinstance(learner, MAML)
    episodes = draw_episodes(world, "train", 0, 0, case.tasks, case.support, case.query)
    support = stack_tasks([episode.support for episode in episodes], vocabulary)
    return learner, support, stack_tasks([episode.query for episode in episodes], vocabulary)


def difference(gradient: Theta, expected: Theta) -> float:
    """Largest relative difference of any of the model's tensors, in the Euclidean norm."""

    def relative(value: Tensor, other: Tensor) -> float:
        return float((value - other).norm() / other.norm().clamp_min(1e-300))

    return max(relative(gradient[name], expected[name]) for name in expected)


def milliseconds(step: Step, support: TurnBatch, query: TurnBatch) -> float:
    """Process CPU time of one outer step; what earlier ones left behind is collected before."""
    gc.collect()
    begin = process_time()
    step(support, query)
    return 1000 * (process_time() - begin)


def measure(case: Case) -> dict[str, Any]:
    """Times and gradient differences of all ways in one case."""
    learner, support, query = prepare(case)
    steps = ways(learner)
    names = list(steps)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(case.runs):
        best = dict.fromkeys(names, float("inf"))
        for turn in range(case.rounds):
            for name in names[turn % len(names):] + names[: turn % len(names)]:
                best[name] = min(best[name], milliseconds(steps[name], support, query))
        for name in names:
            times[name].append(best[name])
    exact = ways(learner.double())
    expected = exact[NAIVE](support, query)
    results = {
        name: {
            "ms": round(min(times[name]), 2),
            "ms_runs": [round(value, 2) for value in times[name]],
            "difference": difference(exact[name](support, query), expected),
        }
        for name in names
    }
    return {
        **asdict(case), "parameters": sum(value.numel() for value in learner.model.theta().values()),
        "length": support.tokens.shape[-1], "results": results, **verdict(case, results),
    }


def verdict(case: Case, results: dict[str, Any]) -> dict[str, Any]:
    """How many times as fast as the fastest correct peer: in every run, and the median."""
    peers = [name for name in PEERS if name in results and results[name]["difference"] <= CORRECT]
    runs = [
        min(results[name]["ms_runs"][run] for name in peers) / results[OURS]["ms_runs"][run]
        for run in range(case.runs)
    ]
    target = TARGETS.get((case.size, case.order)) if (case.support, case.query) == (4, 4) else None
    speed_up = median(runs)
    return {
        "fastest_peer": min(peers, key=lambda name: results[name]["ms"]),
        "speed_up": round(speed_up, 2), "speed_up_runs": [round(value, 2) for value in runs], "target": target,
        "reached": None if target is None else speed_up >= target and results[OURS]["difference"] <= CORRECT,
    }


def measure_memory() -> dict[str, dict[str, float | None]]:
    """Peak growth in MB against the number of tasks: ours, and ours without its chunks."""
    return {
        OURS: {str(tasks): memory.growth(tasks, one_pass=False) for tasks in (16, 64, 256)},
        "ours, all tasks in one pass": {str(tasks): memory.growth(tasks, one_pass=True) for tasks in (16, 64)},
    }


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    load = [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {"cpu": cpu, "cores": os.cpu_count(), "load": load, "threads": torch.get_num_threads(),
            "python": platform.python_version(), "torch": torch.__version__}


def show(found: dict[str, Any]) -> None:
    """The findings as tables."""
    from rich.console import Console
    from rich.table import Table

    out = Console()
    for case in found["cases"]:
        table = Table(title=f"{case['parameters']:,} parameters, order {case['order']}: {case['tasks']} tasks × "
                            f"({case['support']} support + {case['query']} query turns), {INNER_STEPS} inner steps")
        table.add_column("way")
        for heading in ("CPU ms", "× ours", "gradient differs by"):
            table.add_column(heading, justify="right")
        for name, result in case["results"].items():
            ratio = result["ms"] / case["results"][OURS]["ms"]
            table.add_row(name, f"{result['ms']:.1f}", f"{ratio:.2f}", f"{result['difference']:.1e}")
        out.print(table)
        goal = "" if case["target"] is None else (
            f"; target {case['target']:g}: {'reached' if case['reached'] else 'NOT reached'}")
        out.print(f"{case['speed_up']:.2f} times as fast as {case['fastest_peer']} (median of {case['runs']}){goal}\n")
    if found["memory"]:
        table = Table("tasks", *(found["memory"]), title="Peak growth of memory in MB, 18k, order 2, 4 + 4 turns")
        for tasks in found["memory"][OURS]:
            row = [way.get(tasks) for way in found["memory"].values()]
            table.add_row(tasks, *("" if value is None else f"{value:.0f}" for value in row))
        out.print(table)
    out.print(" · ".join(f"{name} {value}" for name, value in found["machine"].items()))


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One outer step of MAML, ours beside its peers.")
    parser.add_argument("--json", action="store_true", help="JSON alone, for machines")
    parser.add_argument("--quick", action="store_true", help="a few seconds: does it run? The times mean nothing")
    parser.add_argument("--runs", type=int, default=5, help="runs of the case with a target at 18k parameters")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of a run, of which the minimum counts")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory (five more processes)")
    arguments = parser.parse_args(words)
    if arguments.runs < 1 or arguments.rounds < 1:
        parser.error("--runs and --rounds must be at least 1")
    torch.set_num_threads(1)
    found: dict[str, Any] = {"benchmark": "meta_step", "world": WORLD, "inner_steps": INNER_STEPS, "machine": machine()}
    quick = [Case("tiny", order, 2, 2, tasks=3, rounds=1) for order in (2, 1)]
    found["cases"] = [measure(case) for case in (quick if arguments.quick else cases(arguments.runs, arguments.rounds))]
    found["memory"] = None if arguments.quick or arguments.no_memory else measure_memory()
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()

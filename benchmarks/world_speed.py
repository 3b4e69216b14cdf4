"""CPU time to sample, encode and Bayes-score one meta-batch: 16 tasks × (16 support + 8 query turns).

    python -m benchmarks.world_speed [--json] [--world restaurants.en] [--noise 0.0] [--rounds 20]

Process CPU time on one thread, minimum over the rounds; every round draws fresh tasks. The target is 25 ms.
"""

from __future__ import annotations

import argparse
import json
import platform
from itertools import pairwise
from time import process_time
from typing import Any

TASKS, SUPPORT, QUERY, TARGET_MS = 16, 16, 8, 25.0
STAGES = ("sample", "encode", "bayes")


def measure(world_name: str, noise: float, rounds: int) -> dict[str, Any]:
    """Milliseconds of each stage and of all three (the minimum of the sum, not the sum of minima)."""
    import torch

    from metadialog_lite.episodes import Vocabulary, draw_episodes, stack_tasks
    from metadialog_lite.world import BayesReference, load_world

    torch.set_num_threads(1)
    world = load_world(world_name).with_knobs(word_noise=noise)
    vocabulary, bayes = Vocabulary.of(world), BayesReference(world)
    seconds: list[dict[str, float]] = []
    for number in range(rounds):
        marks = [process_time()]
        episodes = draw_episodes(world, "train", 0, number * TASKS, TASKS, SUPPORT, QUERY)
        marks.append(process_time())
        stack_tasks([episode.support for episode in episodes], vocabulary)
        stack_tasks([episode.query for episode in episodes], vocabulary)
        marks.append(process_time())
        for episode in episodes:
            posterior = bayes.posterior(episode.support)
            for turn in episode.query:
                posterior.nll(turn)
        marks.append(process_time())
        row = dict(zip(STAGES, (b - a for a, b in pairwise(marks)), strict=True))
        seconds.append({**row, "total": marks[-1] - marks[0]})
    best = {f"{stage}_ms": round(1000 * min(row[stage] for row in seconds), 3) for stage in seconds[0]}
    return {"benchmark": "world_speed", "world": world_name, "word_noise": noise, "tasks": TASKS, "support": SUPPORT,
            "query": QUERY, "rounds": rounds, **best, "target_ms": TARGET_MS, "reached": best["total_ms"] <= TARGET_MS,
            "versions": {"python": platform.python_version(), "torch": torch.__version__}}


def main() -> None:
    parser = argparse.ArgumentParser(description="Sampling, encoding and Bayes-scoring one meta-batch.")
    parser.add_argument("--world", default="restaurants.en")
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.world, arguments.noise, max(20, arguments.rounds))
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{found['world']}, word noise {found['word_noise']:g}: {TASKS} tasks × ({SUPPORT} support + {QUERY} query "
          f"turns), CPU time, minimum of {found['rounds']}")
    for stage in (*STAGES, "total"):
        print(f"  {stage:8}{found[f'{stage}_ms']:8.2f} ms")
    print(f"  target  {TARGET_MS:8.2f} ms: {'reached' if found['reached'] else 'NOT reached'}")


if __name__ == "__main__":
    main()

"""A folder of made-up comparison results, for tests of what shows them: plain numbers, nothing was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from metadialog_lite.comparison import Trials
from metadialog_lite.results import JointGoal, Result, Row, Seconds

SHOTS, TASKS = (0, 2, 4, 8, 16, 32), 40
PARTS = {"state": 2.0, "act": 0.5, "response": 1.5}  # nats that the support can teach
#: learner -> share of the gap that it closes after 32 turns, in every training seed.
LEVELS = {"hypernetwork": (0.9, 0.85), "parameters": (0.95,), "meta_sgd": (0.8, 0.84), "maml": (0.6,),
          "augmentation": (0.7,), "finetune": (0.3, 0.32), "prior": (0.0,)}


def made_up(learner: str, seed: int, level: float | None, world: str = "restaurants.en", **more: Any) -> Result:
    """One run; level None: a learner without a likelihood."""
    random = np.random.default_rng(seed)
    hard, own = np.random.default_rng(0).normal(0, 0.6, TASKS), random.normal(0, 0.1, TASKS)
    rows, per_task = [], {}
    for k in SHOTS:
        learned = k / 32
        cells = {}
        for part, nats in {**PARTS, "total": sum(PARTS.values())}.items():
            prior, bayes = 0.2 + nats, 0.2 + nats * (1 - learned)
            cells[part] = {"bayes": bayes, "prior": prior}
            if level is not None:
                loss = prior - level * (prior - bayes)
                cells[part] |= {"loss": loss, "low": loss - 0.1, "high": loss + 0.1, "regret": loss - bayes}
                if k:
                    cells[part] |= {"gap_closed": level, "gap_low": level - 0.02, "gap_high": level + 0.02}
        rows += [Row(shots=k, capability=part, **numbers) for part, numbers in cells.items()]
        if level is not None:
            losses = cells["total"]["loss"] + hard - hard.mean() + own - own.mean()
            per_task[str(k)] = losses.round(6).tolist()
    options: dict[str, Any] = {"training_seed": seed, "commands": [f"metadialog-lite train --learner {learner}"]}
    if level is not None:
        options["per_task"] = per_task
    return Result(**{"learner": learner, "world": world, "seed": 0, "split": "test", "tasks": TASKS, "query_turns": 8,
                     "rows": rows, "jga": JointGoal(gold_previous_state=0.9, carried=0.7), "act_accuracy": 0.95,
                     "bleu": 60.0, "seconds": Seconds(train=300.0, adapt=0.01 + 0.001 * len(learner)),
                     "parameters": 40_000 + 1_000 * len(learner), "peak_mb": 500.0,
                     "reference": {"jga": 0.96, "jga_carried": 0.86, "act_accuracy": 0.98, "bleu": 68.0},
                     "options": options, **more})


def write_comparison(folder: Path) -> Path:
    """The results and trials of everybody in LEVELS, and of retrieval, which has no likelihood."""
    for learner, levels in [*LEVELS.items(), ("retrieval", (None,))]:
        for seed, level in enumerate(levels, 1):
            made_up(learner, seed, level).write(folder / f"restaurants.en.{learner}.seed{seed}.json")
    (folder / "trials").mkdir(exist_ok=True)
    for learner, losses in {"maml": [2.0, 1.5, None], "meta_sgd": [2.0, 1.4, 1.6]}.items():
        tried = Trials(learner=learner, setting="outer rate", values=[0.002, 0.005, 0.0125], losses=losses, commands=[])
        (folder / "trials" / f"restaurants.en.{learner}.json").write_text(tried.model_dump_json(), encoding="utf-8")
    return folder


def write_shifts(folder: Path) -> Path:
    """Two learners under two shifts; one has no Bayes with the training prior."""
    folder.mkdir(parents=True, exist_ok=True)
    for learner in ("meta_sgd", "finetune"):
        for name in ("restaurants.en+lexicon", "restaurants.en+style=1.0"):
            result = made_up(learner, 1, 0.4, name)
            result.options = {}  # as metadialog-lite evaluate writes it
            result.write(folder / f"{name}.{learner}.seed1.json")
    return folder

"""A folder of made-up runs on a real corpus, for tests of what shows them: plain numbers, nothing was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from metadialog_lite.results import JointGoal, Result, Row, Seconds

SHOTS, TASKS = (0, 4, 16), 24
#: learner -> nats per turn gained after 16 turns, in every training seed; everybody begins at 50.
GAINS = {"hypernetwork": (2.0, 2.2), "anil": (1.0, 1.3), "finetune": (1.0, 1.0), "prior": (0.0,)}


def made_up(label: str, learner: str, seed: int, gain: float) -> Result:
    """One run: person i costs a number of nats of their own; two tasks for each of 12 people."""
    hard = np.random.default_rng(0).normal(0, 3, TASKS)
    own = np.random.default_rng(seed + 7 * len(learner)).normal(0, 0.3, TASKS)
    losses = {k: 50 + hard + own * (k > 0) * (gain > 0) - gain * k / 16 for k in SHOTS}
    rows = [Row(shots=k, capability=part, loss=float(loss.mean()), low=float(loss.mean()) - 1,
                high=float(loss.mean()) + 1) for k, loss in losses.items() for part in ("response", "total")]
    options: dict[str, Any] = {
        "training_seed": seed, "commands": [f"metadialog-lite train --learner {learner}"], "size": "tiny",
        "per_task": {str(k): loss.round(6).tolist() for k, loss in losses.items()},
        "people": [f"p{i % 12}" for i in range(TASKS)],
        "spoken": {"jga_fuzzy": 0.4, "slot_f1": 0.6, "slot_error": 0.2, "entity_f1": 0.5},
    }
    if learner == "finetune":
        setting = {"optimizer": "sgd", "head_only": True, "inner_lr": 0.01, "inner_steps": 5, "loss": 1.0, "trials": 36}
        options["chosen"] = {"4": {**setting, "optimizer": "adam", "inner_lr": 0.001}, "16": setting}
    return Result(learner=learner, corpus=label, seed=0, split="test", tasks=TASKS, query_turns=8, rows=rows,
                  jga=JointGoal(gold_previous_state=0.3), bleu=1.5, bleu_signature="nrefs:1|tok:13a", vocabulary=1006,
                  distinct={"1": 0.02, "2": 0.05}, perplexity={str(k): 60 - gain * k / 16 for k in SHOTS},
                  act_accuracy=0.5, seconds=Seconds(train=160.0, adapt=0.05), parameters=80_000, options=options)


def write_real(folder: Path, label: str = "chitchat") -> Path:
    """The results of everybody in GAINS, and a file that is none."""
    for learner, gains in GAINS.items():
        for seed, gain in enumerate(gains):
            made_up(label, learner, seed, gain).write(folder / f"{label}.tiny.{learner}.seed{seed}.json")
    (folder / f"{label}.tiny.maml.seed0.json").write_text("{", encoding="utf-8")
    return folder

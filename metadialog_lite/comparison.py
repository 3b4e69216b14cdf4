"""One fair comparison of all learners: the same model, the same tasks, the same training budget.

Every learner gets the same process CPU seconds of training, its warm start included, and is evaluated on the same
held-out tasks. Each finished run is one result file (schema of ``results.py``) with the commands that made it, and is
never made twice; what was not run has no row.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metadialog_lite.evaluation import Difference, interval
from metadialog_lite.results import Result

#: CPU seconds of training for everybody (8 minutes), and what of it the joint warm start takes.
BUDGET, WARM = 480.0, 25.0
SHOTS = "0,2,4,8,16,32"


@dataclass(frozen=True)
class Stage:
    """A part of meta-training: its share of the budget, and how it trains."""

    share: float
    rate: float  # times the recipe's outer rate
    shots: str
    word_dropout: float


#: First many-shot tasks with words hidden, to learn what there is to adapt; then all numbers of shots, every word seen.
STAGES = (Stage(0.57, 1.0, "8,16", 0.25), Stage(0.43, 0.5, "0,1,2,4,8,16,16,32", 0.0))


@dataclass(frozen=True)
class Recipe:
    """A learner's outer rate β and options.

    They were set by hand, from training curves and a few trial runs, with very unequal effort: most of it went into the
    hypernetwork, and some trials were judged on test tasks. They are starting points, *not* yet chosen on validation
    tasks with the same number of trials for everybody.

    after  CPU seconds of Meta-SGD that come first (part of the budget), so that theta_0 already uses the user's words
    """

    outer_lr: float
    options: dict[str, Any] = field(default_factory=dict)
    after: float = 0.0


_STEP = {"inner_lr": 0.001, "inner_steps": 1, "pace": 4.0}
RECIPES: dict[str, Recipe] = {
    "hypernetwork": Recipe(0.004, after=120.0),
    "fast_weights": Recipe(0.004),
    "in_context": Recipe(0.004, after=120.0),
    "structure": Recipe(0.01, _STEP),
    "parameters": Recipe(0.004, {**_STEP, "inner_lr": 0.00625, "pace": 10.0}, after=120.0),
    "structure_parameters": Recipe(0.004, {**_STEP, "inner_lr": 0.00625, "pace": 10.0}, after=120.0),
    "maml": Recipe(0.01, {**_STEP, "learned_rates": True}),
    "fomaml": Recipe(0.003, {"inner_lr": 0.0005, "inner_steps": 3}),
    "reptile": Recipe(0.003, {"inner_lr": 0.0005, "inner_steps": 3}),
    "anil": Recipe(0.01, {**_STEP, "learned_rates": True}),
    "meta_sgd": Recipe(0.01, _STEP),
    "learned_optimizer": Recipe(0.005, {"inner_lr": 0.001, "inner_steps": 2}),
    "distillation": Recipe(0.01, _STEP),
    "augmentation": Recipe(0.01, _STEP),
    "example_weights": Recipe(0.01, _STEP),
}
#: Baselines that start from a joint model trained for the whole budget, or from nothing.
BASELINES = ("prior", "finetune", "scratch", "bayes")


@dataclass(frozen=True)
class Plan:
    """One run of the comparison.

    folder  where checkpoints go; results go to ``results``
    """

    learner: str
    world: str
    seed: int
    folder: Path
    results: Path
    tasks: int = 200
    budget: float = BUDGET
    start: str | None = None  # a joint checkpoint; by default ``WORLD.joint``

    @property
    def result(self) -> Path:
        """The file that says that this run is done."""
        return self.results / f"{self.world}.{self.learner}.seed{self.seed}.json"

    def checkpoint(self, stage: int | str) -> Path:
        """The checkpoint after a stage."""
        return self.folder / f"{self.world}.{self.learner}.seed{self.seed}.{stage}.safetensors"

    def commands(self) -> list[list[str]]:
        """What ``metadialog-lite`` is called with, in order."""
        base = ["--world", self.world]
        if self.learner in BASELINES:
            joint = str(self.folder / f"{self.world}.prior.seed{self.seed}.joint.safetensors")
            train = ["train", "--learner", "prior", *base, "--seconds", f"{self.budget:g}", "--seed", str(self.seed),
                     "--word-dropout", "0", "--out", joint]
            made = [] if Path(joint).exists() else [train]
            return [*made, self._evaluate(joint, ["--learner", self.learner])]
        recipe = RECIPES[self.learner]
        made, before = [], self.start or f"{self.world}.joint"
        if recipe.after:
            first = RECIPES["meta_sgd"]
            made.append(self._train("meta_sgd", before, recipe.after, Stage(1, 1, "16", 0.25), first, "first"))
            before = made[-1][-1]
        for number, stage in enumerate(STAGES):
            seconds = (self.budget - WARM - recipe.after) * stage.share
            made.append(self._train(self.learner, before, seconds, stage, recipe, number))
            before = made[-1][-1]
        return [*made, self._evaluate(before, [])]

    def _train(
        self, learner: str, start: str, seconds: float, stage: Stage, recipe: Recipe, number: int | str
    ) -> list[str]:
        options = (f"{name}={value}" for name, value in recipe.options.items())
        return ["train", "--learner", learner, "--world", self.world, "--start", start, "--seconds", f"{seconds:g}",
                "--seed", str(self.seed + 100 * (number if isinstance(number, int) else 2)),
                "--outer-lr", f"{recipe.outer_lr * stage.rate:g}", "--shots", stage.shots,
                "--word-dropout", f"{stage.word_dropout:g}",
                *(part for option in options for part in ("--option", option)),
                "--out", str(self.checkpoint(number))]

    def _evaluate(self, checkpoint: str, extra: list[str]) -> list[str]:
        return ["evaluate", "--checkpoint", checkpoint, *extra, "--world", self.world, "--shots", SHOTS,
                "--tasks", str(self.tasks), "--seed", "0", "--per-task", "--json"]

    def run(self) -> Iterator[str]:
        """Run what is missing, yield each command before it runs, and write the result file at the end.

        Raises RuntimeError with the command and its last words when one fails.
        """
        if self.result.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        output, told = "", []
        for command in self.commands():
            named = (Path(part).name if Path(part).is_absolute() else part for part in command)
            told.append(shlex.join(["metadialog-lite", *named]))
            yield told[-1]
            done = subprocess.run([sys.executable, "-m", "metadialog_lite.cli", *command], capture_output=True,
                                  text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{told[-1]}\nended with {done.returncode}: {done.stderr.strip()[-500:]}")
            output = done.stdout
        result = Result.model_validate_json(output)
        result.options |= {"commands": told, "training_seed": self.seed}
        result.write(self.result)


def finished(folder: Path, world: str) -> dict[tuple[str, int], Result]:
    """(learner, training seed) → result, for every run of the comparison that is there."""
    found = {}
    for path in sorted(folder.glob(f"{world}.*.seed*.json")):
        result = Result.model_validate_json(path.read_text(encoding="utf-8"))
        found[result.learner, int(result.options["training_seed"])] = result
    return found


def paired(a: Result, b: Result, shots: int) -> Difference:
    """Total loss of a − b, task by task, after ``shots`` support turns, nats per query turn; below 0: a is better.

    Raises ValueError when the two were not evaluated on the same tasks.
    """
    mine, theirs = (_per_task(result, shots) for result in (a, b))
    if (a.seed, a.tasks, a.world, a.split) != (b.seed, b.tasks, b.world, b.split):
        raise ValueError(f"{a.learner} and {b.learner} were evaluated on different tasks: they can't be paired")
    return Difference(float((mine - theirs).mean()), *interval(mine - theirs))


def _per_task(result: Result, shots: int) -> Any:
    kept = result.options.get("per_task", {})
    if str(shots) not in kept:
        raise ValueError(f"{result.learner}: no losses per task after {shots} shots; evaluate with --per-task")
    return np.array(kept[str(shots)])


def verdict(runs: Mapping[tuple[str, int], Result], learner: str, shots: int = 16, rival: str = "finetune") -> str:
    """Whether ``learner`` wins against ``rival`` in every training seed that both have (DESIGN: paired intervals)."""
    seeds: Sequence[int] = sorted({seed for name, seed in runs if name == learner})
    others = {seed for name, seed in runs if name == rival}
    pairs = [(seed, paired(runs[learner, seed], runs[rival, seed], shots)) for seed in seeds if seed in others]
    if not pairs:
        return f"{learner}: no run of {rival} with the same training seed to compare with"
    text = ", ".join(f"{d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]" for _, d in pairs)
    wins = all(d.wins for _, d in pairs)
    return (f"{learner} − {rival} after {shots} turns: {text} nats/turn in {len(pairs)} training "
            f"seed{'s' * (len(pairs) > 1)}: {learner + ' wins' if wins else 'no clear win'}")


def plans(
    learners: Iterable[str], world: str, seeds: Iterable[int], folder: Path, results: Path, **more: Any
) -> list[Plan]:
    """All runs that are asked for. Raises ValueError for a learner that is not part of the comparison."""
    known = {*RECIPES, *BASELINES}
    names = list(learners)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"learner '{unknown[0]}' is not in the comparison; there are: {', '.join(sorted(known))}")
    return [Plan(name, world, seed, folder, results, **more) for seed in seeds for name in names]

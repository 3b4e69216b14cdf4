"""One fair comparison of all learners: the same model, the same tasks, the same training budget.

Every learner gets the same process CPU seconds of training, its warm start included, and is evaluated on the same
held-out tasks. Each finished run is one result file (schema of ``results.py``) with the commands that made it, and is
never made twice; what was not run has no row.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from metadialog_lite.commands import DIVERGED, call, made_already, words
from metadialog_lite.evaluation import Difference, interval
from metadialog_lite.recipes import (
    BASELINES,
    BUDGET,
    FIRST,
    FIRST_SECONDS,
    JOINT_DROPOUT,
    RATES,
    RECIPES,
    SHOTS,
    STAGES,
    TRIAL,
    TRIAL_TASKS,
    WARM,
    Stage,
)
from metadialog_lite.results import Result, replacing


class Trials(BaseModel):
    """What was tried for a learner, in the same number of trials for everybody, and how it did on validation tasks."""

    learner: str
    setting: str  # "outer rate", or "word dropout" of the joint model of fine-tuning
    values: list[float]
    losses: list[float | None]  # nats per query turn after 16 support turns; None: diverged
    commands: list[str]

    @property
    def best(self) -> float:
        """The value with the lowest loss. Raises ValueError when every trial diverged."""
        fine = [(loss, value) for loss, value in zip(self.losses, self.values, strict=True) if loss is not None]
        if not fine:
            raise ValueError(f"{self.learner}: training diverged with each {self.setting} of {self.values}")
        return min(fine)[1]


@dataclass(frozen=True)
class Plan:
    """One run of the comparison.

    folder  where checkpoints go; results go to ``results``, trials to its folder ``trials``
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

    @property
    def tried(self) -> Path:
        """The file with this learner's trials; they serve all training seeds."""
        return self.results / "trials" / f"{self.world}.{self.learner}.json"

    def seconds(self, share: float) -> float:
        """A share of the budget that comes after the joint warm start, CPU seconds."""
        return (self.budget - WARM) * share

    def checkpoint(self, stage: int | str) -> Path:
        """The checkpoint after a stage."""
        return self.folder / f"{self.world}.{self.learner}.seed{self.seed}.{stage}.safetensors"

    def joint(self, dropout: float) -> Path:
        """The joint model of the baselines."""
        return self.folder / f"{self.world}.prior.seed{self.seed}.dropout{dropout:g}.safetensors"

    def choice(self) -> Trials | None:
        """What was tried; None when nothing was yet."""
        return Trials.model_validate_json(self.tried.read_text(encoding="utf-8")) if self.tried.exists() else None

    def chosen(self) -> float:
        """The outer rate (for fine-tuning: the joint model's word dropout) that the trials chose, or the default."""
        found = self.choice()
        return found.best if found else (JOINT_DROPOUT[0] if self.learner in BASELINES else RATES[1])

    def first(self) -> list[str]:
        """The command of the first seconds of training: the learner's own, or Meta-SGD's (``Recipe.after``)."""
        who = replace(self, learner="meta_sgd") if RECIPES[self.learner].after else self
        joint = self.start or f"{self.world}.joint"
        return who.train(joint, self.seconds(FIRST_SECONDS / (BUDGET - WARM)), FIRST, who.chosen(), "first", 200)

    def commands(self) -> list[list[str]]:
        """What ``metadialog-lite`` is called with, in order. A checkpoint that is there already is not made again."""
        if self.learner in BASELINES:
            dropout = self.chosen()
            return [self.train_joint(dropout, self.budget), self.evaluate(str(self.joint(dropout)), self.learner)]
        made = [self.first()]
        rest = self.seconds(1 - FIRST_SECONDS / (BUDGET - WARM))
        for number, stage in enumerate(STAGES):
            made.append(self.train(made[-1][-1], rest * stage.share, stage, self.chosen(), number, 100 * number))
        return [*made, self.evaluate(made[-1][-1])]

    def trial_commands(self, value: float) -> list[list[str]]:
        """One trial: a short training of the kind that the learner begins with, judged on validation tasks."""
        if self.learner in BASELINES:
            short = replace(self, seed=900)
            joint = short.train_joint(value, self.budget / 3)
            return [joint, short.evaluate(joint[-1], "finetune", trial=True)]
        after, seconds, name = RECIPES[self.learner].after, self.seconds(TRIAL / (BUDGET - WARM)), f"trial{value:g}"
        before = self.first() if after else [self.start or f"{self.world}.joint"]
        train = self.train(before[-1], seconds, STAGES[0] if after else FIRST, value, name, 900)
        return [*([before] if after else []), train, self.evaluate(train[-1], trial=True)]

    def train_joint(self, dropout: float, seconds: float) -> list[str]:
        """Train the joint model of the baselines."""
        return ["train", "--learner", "prior", "--world", self.world, "--seconds", f"{seconds:g}", "--seed",
                str(self.seed), "--word-dropout", f"{dropout:g}", "--out", str(self.joint(dropout))]

    def train(self, start: str, seconds: float, stage: Stage, rate: float, name: int | str, seed: int) -> list[str]:
        """One stage of training; ``seed`` is added to the training seed, so that no stage sees the tasks of another."""
        recipe = RECIPES[self.learner]
        rates = ["--start-rates"] if recipe.rates and name != 1 else []  # from stage 1 on it is the same learner
        options = {**recipe.options, **(recipe.late if name == len(STAGES) - 1 else {})}
        return ["train", "--learner", recipe.learner or self.learner, "--world", self.world, "--start", start, *rates,
                "--seconds", f"{seconds:.4g}", "--seed", str(self.seed + seed),
                "--outer-lr", f"{rate * stage.rate:g}", "--shots", stage.shots,
                "--word-dropout", f"{stage.word_dropout:g}",
                *(part for key, value in options.items() for part in ("--option", f"{key}={json.dumps(value)}")),
                "--out", str(self.checkpoint(name))]

    def evaluate(self, checkpoint: str, learner: str | None = None, trial: bool = False) -> list[str]:
        """Evaluate on test tasks, or for a trial on validation tasks."""
        what = ["--shots", SHOTS, "--tasks", str(self.tasks), "--per-task"]
        if trial:
            tasks = str(min(TRIAL_TASKS, self.tasks))
            what = ["--shots", "16", "--tasks", tasks, "--split", "valid", "--no-decode"]
        return ["evaluate", "--checkpoint", checkpoint, *(["--learner", learner] if learner else []),
                "--world", self.world, *what, "--seed", "0", "--json"]

    def run(self) -> Iterator[str]:
        """Run what is missing, yield each command before it runs, and write the result file at the end.

        When the full training diverges with the value that the trials chose, the next best one is taken.
        Raises RuntimeError with the command and its last words when one fails.
        """
        if self.result.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.learner in RECIPES and RECIPES[self.learner].after:
            yield from replace(self, learner="meta_sgd").choose()
        if self.learner in RECIPES or self.learner == "finetune":
            yield from self.choose()
        try:
            output, told = yield from self._train_and_evaluate()
        except RuntimeError as error:
            if DIVERGED not in str(error) or self.learner not in RECIPES:
                raise
            yield f"# {error}"
            self._give_up_value()
            yield from self.run()  # with the next best value of the trials
            return
        result = Result.model_validate_json(output)
        found = self.choice()
        result.options |= {"commands": told, "training_seed": self.seed, "recipe": self.learner,
                           "chosen_value": found.best if found else None}
        result.write(self.result)

    def _train_and_evaluate(self) -> Generator[str, None, tuple[str, list[str]]]:
        """Make what is missing; returns what the last command printed, and all commands."""
        output, told = "", []
        for command in self.commands():
            told.append(words(command))
            if not made_already(command):
                yield told[-1]
                output = call(command)
        return output, told

    def _give_up_value(self) -> None:
        """The full training diverged with the chosen value: it counts as one that diverged in its trial."""
        found = self.choice()
        assert found is not None
        value = found.best
        losses = [None if one == value else loss for one, loss in zip(found.values, found.losses, strict=True)]
        kept = found.model_copy(update={
            "losses": losses, "commands": [*found.commands, f"# {value:g}: the full training diverged"]})
        kept.best  # noqa: B018 (raises ValueError when every value has diverged)
        with replacing(self.tried) as temporary:
            Path(temporary).write_text(kept.model_dump_json(indent=1), encoding="utf-8")
        for stage in (*(() if RECIPES[self.learner].after else ("first",)), *range(len(STAGES))):
            for made in (self.checkpoint(stage), Path(f"{self.checkpoint(stage)}.part")):
                made.unlink(missing_ok=True)

    def choose(self) -> Iterator[str]:
        """Make the trials that are missing; a trial whose training diverges counts as the worst."""
        if self.tried.exists():
            return
        one = replace(self, seed=1)
        dropouts = self.learner in BASELINES
        values, losses, told = JOINT_DROPOUT if dropouts else RATES, [], []
        for value in values:
            loss = None
            try:
                for command in one.trial_commands(value):
                    if not made_already(command):
                        told.append(words(command))
                        yield told[-1]
                        output = call(command)
                loss = Result.model_validate_json(output).row(16).loss
            except RuntimeError as error:
                if DIVERGED not in str(error):  # a full disk or a fault of ours says nothing about the value
                    raise
                told.append(f"# {error}")
            losses.append(loss)
        found = Trials(learner=self.learner, setting="word dropout" if dropouts else "outer rate", values=list(values),
                       losses=losses, commands=told)
        self.tried.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.tried) as temporary:
            Path(temporary).write_text(found.model_dump_json(indent=1), encoding="utf-8")


def finished(folder: Path, world: str) -> dict[tuple[str, int], Result]:
    """(recipe, training seed) → result, for every run of the comparison that is there."""
    found = {}
    for path in sorted(folder.glob(f"{world}.*.seed*.json")):
        result = Result.model_validate_json(path.read_text(encoding="utf-8"))
        found[result.options["recipe"], int(result.options["training_seed"])] = result
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

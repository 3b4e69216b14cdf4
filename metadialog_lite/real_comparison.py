"""The comparison on real dialogues: pretrain jointly, then meta-train; everybody for the same CPU seconds.

    joint model, JOINT seconds ──► learner, META seconds ──► judged on held-out people (or services)
    joint model, JOINT + META seconds ─────────────────────► fine-tuned on the support, settings chosen on validation
                                                             (finetune_short: in at most three steps, as the learners)

Each training is an ordinary ``metadialog-lite train`` with the command kept in the result; a training or a result that
is there already is never made again. There is no exact optimum here, so a result has losses alone.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from metadialog_lite.checkpoints import Checkpoint, load_checkpoint
from metadialog_lite.episodes import Episode, draw_episodes
from metadialog_lite.evaluation import Judged, evaluate, task_losses
from metadialog_lite.families.baselines import FineTune, Trial
from metadialog_lite.recipes import REAL_RECIPES, Recipe, Schedule
from metadialog_lite.results import Result, replacing
from metadialog_lite.tuned import baseline
from metadialog_lite.turns import TaskSource
from metadialog_lite.workbench import load_source, prepare, training_seconds

#: Baselines: both start from a joint model that was trained as long as a learner and its start together.
BASELINES = ("prior", "finetune", "finetune_short")


class QuickFineTune(FineTune):
    """Fine-tuning with 36 settings in place of 130: where real text's best ones were found with all of them."""

    RATES: ClassVar[dict[str, tuple[float, ...]]] = {"sgd": (0.003, 0.01, 0.03), "adam": (0.0003, 0.001, 0.003)}
    STEPS: ClassVar[tuple[int, ...]] = (5, 10, 20)


class ShortFineTune(FineTune):
    """Fine-tuning with as many gradient steps as the learners have (one to three), and larger rates to choose from."""

    RATES: ClassVar[dict[str, tuple[float, ...]]] = {"sgd": (0.003, 0.01, 0.03, 0.1), "adam": (0.001, 0.003, 0.01)}
    STEPS: ClassVar[tuple[int, ...]] = (1, 2, 3)


#: learner -> how its settings are searched
FINE_TUNED: dict[str, type[FineTune]] = {"finetune": QuickFineTune, "finetune_short": ShortFineTune}


@dataclass(frozen=True)
class RealPlan:
    """One run: who learns, from which corpus, with which training seed.

    corpus   a name or a folder, as for ``--corpus``
    label    the source's name, the beginning of all file names
    size     of the model: tiny, small or full
    folder   where checkpoints go; results go to ``results``
    """

    corpus: str
    label: str
    learner: str
    seed: int
    folder: Path
    results: Path
    schedule: Schedule = field(default_factory=Schedule)
    size: str = "tiny"
    device: str = "cpu"
    tasks: int = 98
    split: str = "test"

    @property
    def result(self) -> Path:
        """The file that says that this run is done."""
        return self.results / f"{self.label}.{self.size}.{self.learner}.seed{self.seed}.json"

    @property
    def recipe(self) -> Recipe:
        """The learner's options. Raises ValueError for one that has no recipe."""
        if self.learner not in REAL_RECIPES:
            raise ValueError(f"learner '{self.learner}' is not in the comparison on real dialogues; there are: "
                             f"{', '.join((*BASELINES, *REAL_RECIPES))}")
        return REAL_RECIPES[self.learner]

    def file(self, name: str) -> Path:
        """A checkpoint of this run."""
        return self.folder / f"{self.label}.{self.size}.{name}.seed{self.seed}.safetensors"

    def joint(self, seconds: float) -> dict[str, Any]:
        """Settings of the joint model's training."""
        plan = self.schedule
        return {"learner": "prior", "out": self.file(f"joint{seconds:g}"), "seconds": seconds, "seed": self.seed,
                "outer_lr": plan.joint_rate, "tasks": plan.tasks, "query_turns": plan.query_turns,
                "shots": (plan.joint_shots,), "start": None, "options": {},
                "model": {} if self.size == "tiny" else {"size": self.size}}

    def meta(self, rate: float, seconds: float | None = None, name: str | None = None) -> dict[str, Any]:
        """Settings of the learner's own training, from the joint model."""
        plan = self.schedule
        return {"learner": self.recipe.learner or self.learner, "out": self.file(name or self.learner),
                "seconds": seconds or plan.meta, "seed": self.seed, "outer_lr": rate, "tasks": plan.tasks,
                "query_turns": plan.query_turns, "shots": plan.shots, "start": self.file(f"joint{plan.joint:g}"),
                "options": self.recipe.options, "model": {}}

    def run(self) -> Iterator[str]:
        """Train and evaluate what is missing, yield each command before it is run, write the result at the end."""
        if self.result.exists():
            return
        source, plan, told, chosen = load_source(corpus=self.corpus), self.schedule, [], None
        if self.learner in BASELINES:
            steps = [self.joint(plan.joint + plan.meta)]
        else:
            chosen = yield from self.choose(source)
            steps = [self.joint(plan.joint), self.meta(chosen["best"])]
        for settings in steps:
            told.append(command(settings, self.corpus, self.device))
            if not settings["out"].exists():
                yield told[-1]
                train(settings, self.corpus, self.device)
            if load_checkpoint(settings["out"]).info.get("diverged"):
                raise RuntimeError(f"{told[-1]}: training diverged, nothing is stored. The last good state is in "
                                   f"{settings['out']}; remove it to train again")
        yield f"# evaluating {self.learner} on {self.label}, training seed {self.seed}"
        checkpoint = load_checkpoint(steps[-1]["out"])
        result = self.judge(checkpoint, source)
        result.options |= {"commands": told, "training_seed": self.seed, "size": self.size, "chosen_value": chosen}
        result.write(self.result)

    def choose(self, source: TaskSource) -> Any:
        """The outer rate by short trials on validation tasks, made once with training seed 0 and kept in a file."""
        kept = self.results / "trials" / f"{self.label}.{self.size}.{self.learner}.json"
        if kept.exists():
            return json.loads(kept.read_text(encoding="utf-8"))
        plan, first = self.schedule, replace(self, seed=0)
        losses: dict[str, float | None] = {}
        start = first.joint(plan.joint)
        if not start["out"].exists():
            yield command(start, self.corpus, self.device)
            train(start, self.corpus, self.device)
        for rate in plan.rates:
            settings = first.meta(rate, plan.trial, f"{self.learner}.trial{rate:g}")
            yield command(settings, self.corpus, self.device)
            diverged = train(settings, self.corpus, self.device)
            learner = load_checkpoint(settings["out"]).learner.to(self.device)
            shots = [plan.tuned_at[-1]]
            found = task_losses(learner, source, shots, plan.validation, plan.query_turns, 0, "valid").loss
            losses[f"{rate:g}"] = None if diverged or found is None else float(found.sum(-1).mean())
        fine = {rate: loss for rate, loss in losses.items() if loss is not None}
        if not fine:
            raise RuntimeError(f"{self.learner} on {self.label}: training diverged with each rate of {plan.rates}")
        chosen = {"best": float(min(fine, key=lambda rate: fine[rate])), "losses": losses, "seconds": plan.trial}
        _keep(kept, chosen)
        return chosen

    def judge(self, checkpoint: Checkpoint, source: TaskSource) -> Result:
        """Losses on held-out tasks after every number of shots; what is said is judged for training seed 0 alone."""
        plan = self.schedule
        learner = checkpoint.learner.to(self.device)
        judged: Judged = learner
        more: dict[str, Any] = {}
        if self.learner in FINE_TUNED:
            judged, more = tuned_once(self, learner, source)
        losses = task_losses(judged, source, plan.judged, self.tasks, plan.query_turns, 0, self.split)
        result = evaluate(judged, source, plan.judged, self.tasks, plan.query_turns, 0, self.split,
                          self.seed == 0, losses)
        assert losses.loss is not None
        totals = losses.loss.sum(-1).round(6)
        result.seconds.train = training_seconds(checkpoint)
        result.options |= more | {"per_task": {str(k): totals[:, i].tolist() for i, k in enumerate(losses.shots)},
                                  "people": list(losses.speakers or [])}
        return result


def tuned_once(plan: RealPlan, start: Any, source: TaskSource) -> tuple[Judged, dict[str, Any]]:
    """Fine-tuning with settings chosen on validation tasks with training seed 0's joint model; and the settings."""
    schedule = plan.schedule
    kept = plan.results / "trials" / f"{plan.label}.{plan.size}.{plan.learner}.json"
    if kept.exists():
        chosen = json.loads(kept.read_text(encoding="utf-8"))
    else:
        found = draw_episodes(source, "valid", 0, 0, schedule.validation, max(schedule.tuned_at), schedule.query_turns)
        chosen = {}
        for k in schedule.tuned_at:
            learner = FINE_TUNED[plan.learner](start.model, start.vocabulary)
            trials = learner.choose([Episode(e.task, e.support[:k], e.query) for e in found])
            chosen[str(k)] = trials[0]._asdict() | {"trials": len(trials)}
        _keep(kept, chosen)
    judged = {}
    for k in schedule.judged:
        at = max([t for t in schedule.tuned_at if t <= k], default=schedule.tuned_at[0])
        setting = {name: chosen[str(at)][name] for name in Trial._fields if name != "loss"}
        judged[k] = baseline("finetune", start, source, **setting)
    return judged, {"chosen": chosen, "validation_tasks": schedule.validation}


def _keep(file: Path, chosen: dict[str, Any]) -> None:
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(chosen), encoding="utf-8")


def command(settings: dict[str, Any], corpus: str, device: str) -> str:
    """A training as one would type it, files without their folder."""
    words = ["metadialog-lite", "train", "--learner", settings["learner"], "--corpus", shown(corpus)]
    if settings["start"]:
        words += ["--start", settings["start"].name]
    words += ["--seconds", f"{settings['seconds']:g}", "--seed", str(settings["seed"]),
              "--outer-lr", f"{settings['outer_lr']:g}", "--tasks", str(settings["tasks"]),
              "--query-turns", str(settings["query_turns"]), "--shots", ",".join(map(str, settings["shots"]))]
    for flag in ("option", "model"):
        pairs = settings["options" if flag == "option" else "model"]
        words += [part for name, value in pairs.items() for part in (f"--{flag}", f"{name}={_json(value)}")]
    return shlex.join([*words, *(["--device", device] if device != "cpu" else []), "--out", settings["out"].name])


def shown(corpus: str) -> str:
    """A corpus as it stands in a stored command: the name, and FOLDER for wherever the user keeps it."""
    name, colon, folder = corpus.partition(":")
    few = "".join(re.findall(r"\+people=\w*$", folder or name))
    return f"{name}:FOLDER{few}" if colon else f"FOLDER{few}" if Path(name.removesuffix(few)).exists() else name


def _json(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def train(settings: dict[str, Any], corpus: str, device: str, watch: Callable[[Any], None] | None = None) -> bool:
    """What :func:`command` does, in this process. Returns whether it diverged (the last good state is kept)."""
    out, partial = settings["out"], settings["out"].with_suffix(".part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    keys, query = ("seconds", "seed", "outer_lr", "tasks", "shots"), settings["query_turns"]
    job = prepare(partial, settings["learner"], None, corpus, settings["start"] and str(settings["start"]), False,
                  {key: settings[key] for key in keys} | {"steps": None, "device": device, "query_turns": query,
                                                          "word_dropout": 0.25},
                  settings["options"], settings["model"], command(settings, corpus, device))
    for record in job.run():
        if watch:
            watch(record)
    partial.replace(out)
    return job.trainer.diverged


def finished(folder: Path, label: str, size: str = "tiny") -> dict[tuple[str, int], Result]:
    """(learner, training seed) → result, for every run that is there; files that are no results are passed over."""
    found = {}
    for path in sorted(folder.glob(f"{label}.{size}.*.seed*.json")):
        try:
            result = Result.model_validate_json(path.read_text(encoding="utf-8"))
            found[path.name.split(".")[-3], int(result.options["training_seed"])] = result
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def plans(learners: Sequence[str], seeds: Sequence[int], first: RealPlan) -> list[RealPlan]:
    """All runs that are asked for, in order. Raises ValueError for a learner that has no recipe."""
    made = [replace(first, learner=name, seed=seed) for seed in seeds for name in learners]
    for plan in made:
        if plan.learner not in BASELINES:
            plan.recipe  # noqa: B018 (raises)
    return made

"""What the command line and the notebooks share: find a source, build or load a learner, run a training job."""

from __future__ import annotations

import difflib
import inspect
import shutil
import time
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from metadialog_lite.checkpoints import (
    Checkpoint,
    CheckpointError,
    effective_options,
    initialise_from,
    load_checkpoint,
    save_checkpoint,
)
from metadialog_lite.episodes import Vocabulary, encode_turns
from metadialog_lite.evaluation import (
    Judged,
    TaskLosses,
    evaluate,
    learner_at,
    paired_difference,
    perplexity,
    shift_of,
    task_losses,
)
from metadialog_lite.families import LEARNERS, make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.families.baselines import FineTune
from metadialog_lite.model import ModelConfig
from metadialog_lite.recipes import with_size
from metadialog_lite.results import Result, versions
from metadialog_lite.training import Record, TrainConfig, Trainer
from metadialog_lite.tuned import baseline, tuned
from metadialog_lite.turns import TaskSource
from metadialog_lite.world import World, WorldError, load_world

#: A running training writes its checkpoint this often.
SAVE_EVERY_SECONDS = 60.0


def load_source(world: str | None = None, corpus: str | None = None) -> TaskSource:
    """A toy world or a real corpus. Raises ValueError unless exactly one is named."""
    if (world is None) == (corpus is None):
        raise ValueError("give either a world (--world restaurants.en) or a corpus (--corpus chitchat), "
                         f"not {'none' if world is None else 'both'}")
    if corpus is not None:
        from metadialog_lite.corpora import load_corpus

        return load_corpus(corpus)
    assert world is not None
    return load_world(world)


def check_learner(name: str, options: dict[str, Any]) -> None:
    """Raise ValueError for a learner or an option that does not exist, with the nearest names, or of a wrong type."""
    if name not in LEARNERS:
        raise ValueError(f"learner '{name}': {_nearest(name, LEARNERS)}")
    known = dict(list(inspect.signature(LEARNERS[name].__init__).parameters.items())[3:])
    for option, value in options.items():
        if option not in known:
            raise ValueError(f"option '{option}' of learner '{name}': {_nearest(option, known)}")
        default = known[option].default
        whole_as_number = isinstance(default, float) and type(value) is int
        if default is not inspect.Parameter.empty and type(value) is not type(default) and not whole_as_number:
            raise ValueError(f"option {option}={value!r} of learner '{name}': a value like {default!r} is needed")


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, cutoff=0.5)
    return (f"did you mean {' or '.join(close)}? " if close else "") + f"There are: {', '.join(names) or 'none'}"


def build_learner(
    name: str, source: TaskSource, seed: int = 0, options: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
) -> Learner:
    """A fresh learner with the vocabulary and a model size that suit ``source``."""
    check_learner(name, options or {})
    vocabulary = Vocabulary.of(source)
    size = {} if isinstance(source, World) else with_size({"size": "tiny"}) | {
        "max_length": getattr(source, "max_length", 64)}
    size |= with_size(model or {})
    try:
        config = ModelConfig(vocabulary=len(vocabulary), **size)
    except TypeError as error:
        known = "width, attention, mlp, layers, heads, max_length, size"
        raise ValueError(f"model size: {error}; known are {known}") from error
    learner = make_learner(name, config, vocabulary, seed=seed, **(options or {}))
    start_with_frequencies(learner, source)
    return learner


def start_with_frequencies(learner: Learner, source: TaskSource, tasks: int = 60, shots: int = 16) -> None:
    """Set the output bias to the log frequency of each target token in some training turns.

    Otherwise the first thing that a model learns is which words a system never says, by pushing the embeddings of
    all these words (they are tied) into one direction; the words of one slot then become hard to tell apart.
    """
    counts = torch.zeros(len(learner.vocabulary))
    for index in range(tasks):
        turns = encode_turns(source.task("train", 0, index).support(shots), learner.vocabulary)
        counts += torch.bincount(turns.tokens[turns.segment > 0], minlength=len(counts))
    frequency = (counts + 0.1).log()
    with torch.no_grad():
        learner.model.theta()["output_bias"].copy_(frequency - frequency.max())


def check_size(source: TaskSource, shots: Iterable[int], query_turns: int) -> None:
    """Raise ValueError when a corpus has not enough turns; toy worlds never end."""
    check = getattr(source, "check_size", None)
    if check is not None:
        check(max(shots, default=0), query_turns)


@dataclass
class Job:
    """A training run that writes its checkpoint on the way."""

    trainer: Trainer
    out: Path
    info: dict[str, Any]

    def run(self) -> Generator[Record, None, None]:
        """Yield the trainer's records; save every minute, at the end, and when it is interrupted between steps."""
        saved = time.monotonic()
        try:
            while not self.trainer.finished:
                yield self.trainer.step()
                if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                    self.save()
                    saved = time.monotonic()
        finally:
            if not self.trainer.stepping:  # half a step is no state; what was saved last stays
                self.save()

    def save(self) -> Path:
        """Write the checkpoint in one step."""
        trainer = self.trainer
        info = self.info | {"cpu_seconds": round(trainer.cpu_seconds, 1), "diverged": trainer.diverged}
        return save_checkpoint(self.out, trainer.learner, trainer.source.name, trainer.config, trainer.state(), info)


def prepare(
    out: Path, learner: str, world: str | None, corpus: str | None, start: str | None, resume: bool,
    settings: dict[str, Any], options: dict[str, Any], model: dict[str, Any], command: str, start_rates: bool = False,
) -> Job:
    """Check everything and build a training job; nothing is trained yet.

    Without ``resume`` a file that is there already is kept beside the new one, with ".old" behind its name.

    Raises:
        ValueError: naming the setting, its value and what would be right.
        OSError: when the folder of ``out`` can't be written.
    """
    if settings["device"] not in ("cpu", "cuda"):
        raise ValueError(f"device '{settings['device']}': cpu or cuda expected")
    if settings["device"] == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': no CUDA device is available here; use cpu")
    config, model = TrainConfig(learner=learner, options=options, **settings), with_size(model)
    check_learner(learner, options)
    if LEARNERS[learner].trained == "none":
        raise ValueError(f"learner '{learner}' is not trained; only evaluate it")
    if start_rates and start is None:
        raise ValueError("start rates: there is no start to take them from; give --start as well")
    source = load_source(world, corpus)
    check_size(source, config.shots, config.query_turns)
    state: dict[str, Any] | None = None
    info: dict[str, Any] = {"command": command, "versions": versions()}
    if (subwords := getattr(source, "subwords", None)) is not None:
        info["subwords"] = subwords.to_json()  # a corpus learns them; learned by other versions they may differ
    if resume and out.is_file():
        checkpoint = load_checkpoint(out, source.name)
        _same_run(checkpoint, config, model)
        built, state = checkpoint.learner, checkpoint.state
        info = {**checkpoint.info, "resumed": [*checkpoint.info.get("resumed", []), command]}
    else:
        size = dict(model)
        if start is not None:  # the start decides the model's size
            first = load_checkpoint(start, source.name)
            size = {k: v for k, v in asdict(first.learner.model.config).items() if k != "vocabulary"} | size
            info |= {"start": start, "start_cpu_seconds": training_seconds(first)}
        built = build_learner(learner, source, config.seed, options, size)
        if start is not None:
            initialise_from(built, first, start_rates)
    trainer = Trainer(built, source, replace(config, options=effective_options(built)))
    if state is not None:
        trainer.load_state(state)
    if out.is_file() and not resume:
        shutil.copy2(out, out.with_name(f"{out.name}.old"))
    job = Job(trainer, out, info)
    job.save()  # fails now, not after an hour, when the folder can't be written
    return job


def _same_run(checkpoint: Checkpoint, config: TrainConfig, model: dict[str, Any]) -> None:
    """Only the budget, the outer rate and the device may change on the way."""
    now, then = config.to_dict() | model | config.options, checkpoint.config.to_dict()
    then |= {**asdict(checkpoint.learner.model.config), **effective_options(checkpoint.learner)}
    then["learner"] = checkpoint.learner.name
    for name in ("learner", "seed", "tasks", "query_turns", "shots", "word_dropout", "pool", *model, *config.options):
        if now[name] != then.get(name):
            raise CheckpointError(f"{checkpoint.path}: was trained with {name} {then.get(name)}, not {now[name]}; "
                                  "resume it as it was, or begin anew in another file")


def training_seconds(checkpoint: Checkpoint) -> float | None:
    """CPU seconds of training, those of its start included; None for a file that does not say."""
    own = checkpoint.info.get("cpu_seconds")
    return None if own is None else float(own) + float(checkpoint.info.get("start_cpu_seconds") or 0.0)


def evaluate_checkpoint(
    name: str, learner: str | None, world: str | None, corpus: str | None, shots: list[int], tasks: int,
    query_turns: int, seed: int, split: str, decode: bool, against: str | None = None,
    against_checkpoint: str | None = None, per_task: bool = False,
) -> Result:
    """Evaluate a checkpoint, or a baseline that starts from its θ₀, on its own or another world of the same words.

    Args:
        against: a baseline to compare with, on the same tasks; ``options["against"]`` then holds the paired
            difference for each number of shots.
        against_checkpoint: where that baseline starts from (such as a joint model trained just as long); by
            default from the same checkpoint.
        per_task: keep the total loss of every task in ``options["per_task"]`` (shots → nats per query turn), so that
            results can be compared task by task later.
    """
    if split not in ("train", "valid", "test"):
        raise ValueError(f"split '{split}': test, valid or train expected")
    if not shots or min(shots) < 0 or tasks < 1 or query_turns < 1:
        raise ValueError(f"shots {shots}, tasks {tasks}, query turns {query_turns}: shots of at least 0, at least 1 "
                         "task and at least 1 query turn are needed")
    checkpoint = load_checkpoint(name)
    if world is None and corpus is None:
        source = _own_source(checkpoint)
    else:
        source = load_source(world, corpus)
    check_size(source, shots, query_turns)
    judged, options = _judged(checkpoint, learner, source, shots, query_turns, seed)
    losses = task_losses(judged, source, shots, tasks, query_turns, seed, split)
    result = evaluate(judged, source, shots, tasks, query_turns, seed, split, decode, losses)
    result.options |= options
    result.shift_of = shift_of(source, checkpoint.source)
    trained = learner_at(judged, losses.shots[-1]).trained != "none"
    result.seconds.train = training_seconds(checkpoint) if trained else 0.0
    if per_task and losses.loss is not None:
        totals = losses.loss.sum(-1).round(6)
        result.options["per_task"] = {str(k): totals[:, i].tolist() for i, k in enumerate(losses.shots)}
    if against is not None or against_checkpoint is not None:
        other = checkpoint if against_checkpoint is None else load_checkpoint(against_checkpoint)
        rival, chosen = _judged(other, against, source, shots, query_turns, seed)
        rival_losses = task_losses(rival, source, shots, tasks, query_turns, seed, split)
        result.options["against"] = {
            "learner": learner_at(rival, losses.shots[-1]).name, "checkpoint": other.path.name,
            "seconds": {"train": training_seconds(other), "adapt": rival_losses.adapt_seconds},
            "difference": compare(losses, rival_losses), "perplexity": perplexity(rival_losses), **chosen,
        }
    return result


def compare(ours: TaskLosses, theirs: TaskLosses) -> dict[str, dict[str, float]]:
    """Shots → mean of (ours − theirs), nats per query turn, with its paired 95 % interval; below 0: ours is better."""
    return {str(k): asdict(paired_difference(ours, theirs, k)) for k in ours.shots}


def _judged(
    checkpoint: Checkpoint, name: str | None, source: TaskSource, shots: list[int], query_turns: int, seed: int,
) -> tuple[Judged, dict[str, Any]]:
    """Who is judged: the checkpoint's learner or a baseline from its θ₀; and the settings it has chosen."""
    if missing := checkpoint.learner.vocabulary.unknown(Vocabulary.of(source).tokens):
        raise CheckpointError(f"{checkpoint.path}: {len(missing)} words of '{source.name}' are unknown to its "
                              f"vocabulary, such as {', '.join(missing[:5])}; train on this source first")
    if name is None or name == checkpoint.learner.name:
        return checkpoint.learner, {}
    check_learner(name, {})
    if issubclass(LEARNERS[name], FineTune):
        return tuned(name, checkpoint.learner, source, shots, query_turns, seed)
    return baseline(name, checkpoint.learner, source), {}


def _own_source(checkpoint: Checkpoint) -> TaskSource:
    """The world or corpus that a checkpoint was trained on."""
    from metadialog_lite.corpora import CORPORA

    if checkpoint.source in CORPORA:
        return load_source(corpus=checkpoint.source)
    try:
        return load_source(world=checkpoint.source)
    except WorldError as error:
        raise ValueError(f"{checkpoint.path}: was trained on '{checkpoint.source}', which is no shipped world; "
                         "give its file with --world") from error

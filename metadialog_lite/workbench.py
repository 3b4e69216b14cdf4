"""What the command line and the notebooks share: find a source, build or load a learner, run a training job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from metadialog_lite.checkpoints import CheckpointError, initialise_from, load_checkpoint, save_checkpoint
from metadialog_lite.episodes import Vocabulary
from metadialog_lite.evaluation import evaluate
from metadialog_lite.families import LEARNERS, make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.model import ModelConfig
from metadialog_lite.results import Result, versions
from metadialog_lite.training import Record, TrainConfig, Trainer
from metadialog_lite.turns import TaskSource
from metadialog_lite.world import load_world

#: Model sizes that suit a source; toy worlds get ModelConfig's own defaults.
CORPUS_MODEL: dict[str, Any] = {"width": 96, "attention": 64, "mlp": 192, "layers": 2, "heads": 4, "max_length": 96}
#: A running training writes its checkpoint this often.
SAVE_EVERY_SECONDS = 60.0


def load_source(world: str | None = None, corpus: str | None = None) -> TaskSource:
    """A toy world or a real corpus. Raises ValueError unless exactly one is named."""
    if (world is None) == (corpus is None):
        raise ValueError("give either a world (--world restaurants.en) or a corpus (--corpus chitchat), not both")
    if corpus is not None:
        from metadialog_lite.corpora import load_corpus

        return load_corpus(corpus)
    assert world is not None
    return load_world(world)


def build_learner(
    name: str, source: TaskSource, seed: int = 0, options: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
) -> Learner:
    """A fresh learner with the vocabulary and a model size that suit ``source``."""
    if name not in LEARNERS:
        raise ValueError(f"learner '{name}': known are {', '.join(LEARNERS)}")
    vocabulary = Vocabulary.of(source)
    size = ({} if "state" in source.capabilities else CORPUS_MODEL) | (model or {})
    try:
        config = ModelConfig(vocabulary=len(vocabulary), **size)
    except TypeError as error:
        raise ValueError(f"model size: {error}; known are width, attention, mlp, layers, heads, max_length") from error
    return make_learner(name, config, vocabulary, seed=seed, **(options or {}))


@dataclass
class Job:
    """A training run that writes its checkpoint on the way."""

    trainer: Trainer
    out: Path
    info: dict[str, Any]

    def run(self) -> Iterator[Record]:
        """Yield the trainer's records; save every minute, at the end, and when it is interrupted."""
        saved = time.monotonic()
        try:
            while not self.trainer.finished:
                yield self.trainer.step()
                if time.monotonic() - saved > SAVE_EVERY_SECONDS:
                    self.save()
                    saved = time.monotonic()
        finally:
            self.save()

    def save(self) -> Path:
        """Write the checkpoint in one step."""
        trainer = self.trainer
        info = self.info | {"cpu_seconds": round(trainer.cpu_seconds, 1), "diverged": trainer.diverged}
        return save_checkpoint(self.out, trainer.learner, trainer.source.name, trainer.config, trainer.state(), info)


def prepare(
    out: Path, learner: str, world: str | None, corpus: str | None, start: str | None, resume: bool,
    settings: dict[str, Any], options: dict[str, Any], model: dict[str, Any], command: str,
) -> Job:
    """Check everything and build a training job; nothing is trained yet.

    Raises:
        ValueError: naming the setting, its value and what would be right.
    """
    source = load_source(world, corpus)
    if settings["device"] == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda': no CUDA device is available here; use cpu")
    if settings["device"] not in ("cpu", "cuda"):
        raise ValueError(f"device '{settings['device']}': cpu or cuda expected")
    config = TrainConfig(learner=learner, options=options, **settings)
    state, info = None, {"command": command, "versions": versions()}
    if resume and out.is_file():
        checkpoint = load_checkpoint(out, source.name)
        if checkpoint.learner.name != learner:
            raise CheckpointError(f"{out}: holds learner '{checkpoint.learner.name}', not '{learner}'")
        built, state = checkpoint.learner, checkpoint.state
        if checkpoint.config.seed != config.seed:
            raise CheckpointError(f"{out}: was trained with seed {checkpoint.config.seed}, not {config.seed}")
    else:
        size = dict(model)
        if start is not None:  # the start decides the model's size
            from dataclasses import asdict

            first = load_checkpoint(start, source.name)
            size = {k: v for k, v in asdict(first.learner.model.config).items() if k != "vocabulary"} | size
        built = build_learner(learner, source, config.seed, options, size)
        if start is not None:
            initialise_from(built, first)
    if not list(built.phi()):
        raise ValueError(f"learner '{learner}' has nothing to train")
    trainer = Trainer(built, source, config)
    if state is not None:
        trainer.load_state(state)
    job = Job(trainer, out, info)
    job.save()  # fails now, not after an hour, when the folder can't be written
    return job


def evaluate_checkpoint(
    name: str, learner: str | None, world: str | None, corpus: str | None, shots: list[int], tasks: int,
    query_turns: int, seed: int, split: str, decode: bool,
) -> Result:
    """Evaluate a checkpoint, or a baseline that starts from its θ₀, on its own or another world of the same words."""
    checkpoint = load_checkpoint(name)
    if world is None and corpus is None:
        source = load_source(**_origin(checkpoint.source))
    else:
        source = load_source(world, corpus)
    wanted = Vocabulary.of(source)
    if missing := checkpoint.learner.vocabulary.unknown(wanted.tokens):
        raise CheckpointError(f"{checkpoint.path}: {len(missing)} words of '{source.name}' are unknown to its "
                              f"vocabulary, such as {', '.join(missing[:5])}; train on this source first")
    judged = checkpoint.learner
    if learner is not None and learner != judged.name:
        judged = baseline(learner, checkpoint.learner, source)
    result = evaluate(judged, source, shots, tasks, query_turns, seed, split, decode)
    if result.seconds is not None:
        result.seconds.train = checkpoint.info.get("cpu_seconds")
    return result


def baseline(name: str, start: Learner, source: TaskSource, **options: Any) -> Learner:
    """Another learner with the same model and θ₀ as ``start`` (for fine-tuning and the like)."""
    made = make_learner(name, start.model.config, start.vocabulary, **options)
    if name != "scratch":
        made.model.load_state_dict(start.model.state_dict())
    return made


def _origin(source: str) -> dict[str, str | None]:
    """Name of a checkpoint's source -> the argument of ``load_source``."""
    from metadialog_lite.corpora import CORPORA

    return {"world": None, "corpus": source} if source in CORPORA else {"world": source, "corpus": None}


def spoken_lines(result: Result) -> list[str]:
    """JGA, act accuracy, BLEU, perplexity and seconds as lines of text, with the reference's beside them."""
    best = result.reference or {}
    lines = []
    if result.jga is not None:
        lines.append(_line("joint goal accuracy, gold previous state", result.jga.gold_previous_state, best.get("jga")))
        lines.append(_line("joint goal accuracy, own state carried", result.jga.carried, best.get("jga_carried")))
    if result.act_accuracy is not None:
        lines.append(_line("act accuracy", result.act_accuracy, best.get("act_accuracy")))
    if result.bleu is not None:
        lines.append(f"{_line('BLEU', result.bleu, best.get('bleu'))}  ({result.bleu_signature})")
    if result.perplexity:
        values = ", ".join(f"{value:.2f} at {shots}" for shots, value in result.perplexity.items())
        lines.append(f"response perplexity per token (vocabulary {result.vocabulary}): {values} shots")
    seconds = result.seconds
    lines.append(f"CPU seconds: training {_plain(seconds.train)}, adaptation {_plain(seconds.adapt)} a task; "
                 f"parameters {result.parameters}")
    return lines


def _line(what: str, value: float | None, best: float | None) -> str:
    return f"{what}: {_plain(value)}" + ("" if best is None else f" (exact reference {_plain(best)})")


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

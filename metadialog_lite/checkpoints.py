"""Checkpoints: one safetensors file with the tensors, the configuration, the vocabulary and the training state."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.families.meta_optimization import MAML
from metadialog_lite.model import ModelConfig
from metadialog_lite.paths import data_dir
from metadialog_lite.results import replacing
from metadialog_lite.training import TrainConfig

FORMAT = "metadialog_lite checkpoint 1"
#: What a header must have.
HEADER = ("learner", "options", "model", "vocabulary", "source", "config", "info")


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, foreign or does not fit; the message names the file and the reason."""


@dataclass
class Checkpoint:
    """What a checkpoint file holds."""

    learner: Learner
    source: str  # name of the world or corpus it was trained on
    config: TrainConfig
    state: dict[str, Any] | None  # for Trainer.load_state
    info: dict[str, Any]  # the command that made it, versions, tokenizer text and the like
    path: Path


def save_checkpoint(
    path: str | Path,
    learner: Learner,
    source: str,
    config: TrainConfig,
    state: dict[str, Any] | None = None,
    info: dict[str, Any] | None = None,
) -> Path:
    """Write a checkpoint in one step: a full disk or a crash never leaves half a file in the old one's place.

    Raises:
        CheckpointError: when the folder can't be written, or when a tensor holds NaN or infinity.
    """
    target = Path(path)
    tensors = {f"learner.{name}": value for name, value in learner.state_dict().items()}
    header: dict[str, Any] = {
        "learner": learner.name,
        "options": effective_options(learner),
        "model": asdict(learner.model.config),
        "vocabulary": list(learner.vocabulary.tokens),
        "source": source,
        "config": config.to_dict(),
        "info": info or {},
    }
    if state is not None:
        tensors |= {f"optimizer.{name}": value for name, value in state["optimizer"].items()}
        header["state"] = {name: value for name, value in state.items() if name != "optimizer"}
    try:
        _all_finite(tensors)
        tensors = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
        with replacing(target) as temporary:
            save_file(tensors, temporary, metadata={"format": FORMAT, "header": json.dumps(header)})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{target}: cannot be written ({error}); choose a folder with space that you may "
                              "write to") from error
    except ValueError as error:
        raise CheckpointError(f"{target}: not written: {error}") from error
    return target


def effective_options(learner: Learner) -> dict[str, Any]:
    """All options of a learner as they are now: given ones, defaults, and what a baseline has chosen itself.

    A checkpoint stores them all, so that it means the same after a default has changed.
    """
    names = list(inspect.signature(type(learner).__init__).parameters)[3:]  # after self, model, vocabulary
    now = {name: getattr(learner, name) for name in names if hasattr(learner, name)}
    return {k: v for k, v in {**learner.options, **now}.items() if isinstance(v, (bool, int, float, str))}


def load_checkpoint(name_or_path: str | Path, source: str | None = None) -> Checkpoint:
    """Read a checkpoint: a path, or the name of a shipped one such as ``restaurants.en.joint``.

    Args:
        source: when given, the world or corpus that the checkpoint must have been made for.

    Raises:
        CheckpointError: naming the file and what is wrong with it.
    """
    path = _find(name_or_path)
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            for key in file.keys():  # noqa: SIM118 (not a mapping)
                tensors[key] = file.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: is damaged or not a safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: is a safetensors file of another program (format "
                              f"{metadata.get('format')!r}, expected {FORMAT!r})")
    try:
        header = json.loads(metadata["header"])
        missing = [name for name in HEADER if name not in header]
        if missing:
            raise ValueError(f"its header lacks {', '.join(missing)}")
        _all_finite(tensors)
        learner = _rebuild(header, _under("learner.", tensors))
        config = TrainConfig.from_dict(header["config"])
        state = header.get("state")
        if state is not None:
            state = {**state, "optimizer": _under("optimizer.", tensors)}
            if not isinstance(state["step"], int) or not isinstance(state["cpu_seconds"], (int, float)):
                raise ValueError(f"its training state has step {state['step']!r}, cpu_seconds {state['cpu_seconds']!r}")
    except KeyError as error:
        raise CheckpointError(f"{path}: is damaged: its header lacks {error}") from error
    except (TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: is damaged or of another version: {error}") from error
    if source is not None and header["source"] != source:
        raise CheckpointError(f"{path}: was trained on '{header['source']}', not on '{source}'")
    return Checkpoint(learner, header["source"], config, state, header["info"], path)


def initialise_from(learner: Learner, checkpoint: Checkpoint, rates: bool = False) -> None:
    """Warm start: copy θ₀ from a checkpoint into ``learner``, and all of φ when both are the same learner.

    Args:
        rates: between different learners, also take over the learned inner rates α (``inner_lr`` is then their unit).

    Raises:
        CheckpointError: when the two models have different sizes or vocabularies.
    """
    ours, theirs = learner.vocabulary.tokens, checkpoint.learner.vocabulary.tokens
    if ours != theirs:
        different = sorted(set(ours) ^ set(theirs))
        raise CheckpointError(f"{checkpoint.path}: its vocabulary differs in {len(different)} words "
                              f"({', '.join(different[:5]) or 'their order'}); train a joint model first")
    if learner.model.config != checkpoint.learner.model.config:
        raise CheckpointError(f"{checkpoint.path}: its model is {checkpoint.learner.model.config}, "
                              f"this one is {learner.model.config}; use the same sizes")
    if checkpoint.learner.name == learner.name and checkpoint.learner.phi().keys() == learner.phi().keys():
        learner.load_state_dict(checkpoint.learner.state_dict())
    else:
        learner.model.load_state_dict(checkpoint.learner.model.state_dict())
        if rates:
            _take_rates(learner, checkpoint)


def _take_rates(learner: Learner, checkpoint: Checkpoint) -> None:
    """Copy every learned α from one learner to another, whatever units and pace they learn it in."""
    theirs = checkpoint.learner
    if not (isinstance(learner, MAML) and len(learner.rates)):
        raise CheckpointError(f"learner '{learner.name}' has no learned inner rates to take over; leave out the rates")
    if not (isinstance(theirs, MAML) and len(theirs.rates)):
        raise CheckpointError(f"{checkpoint.path}: its learner '{theirs.name}' has no learned inner rates")
    with torch.no_grad():
        for name, ours in learner.rates.items():
            source = theirs.rates[name if name in theirs.rates else "embedding"]  # an untied head began as that
            if ours.shape != source.shape and source.shape != ():
                raise CheckpointError(f"{checkpoint.path}: its inner rates of '{name}' have shape "
                                      f"{tuple(source.shape)}, learner '{learner.name}' has {tuple(ours.shape)}")
            log_alpha = math.log(theirs.inner_lr) + theirs.pace * source
            ours.copy_((log_alpha - math.log(learner.inner_lr)) / learner.pace)


def _rebuild(header: dict[str, Any], values: dict[str, Tensor]) -> Learner:
    vocabulary, model = Vocabulary(header["vocabulary"]), ModelConfig(**header["model"])
    if model.vocabulary != len(vocabulary):
        raise ValueError(f"its vocabulary has {len(vocabulary)} words, its model {model.vocabulary}")
    # Compared before anything is built: a damaged size could ask for more memory than there is.
    found = {name: tuple(value.shape) for name, value in values.items()}
    for name, shape in model.shapes().items():
        if found.get(f"model.{name}") != shape:
            raise ValueError(f"tensor 'learner.model.{name}' has shape {found.get(f'model.{name}')}, "
                             f"its configuration says {shape}")
    learner = make_learner(header["learner"], model, vocabulary, **header["options"])
    learner.load_state_dict(values)
    return learner


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _all_finite(tensors: dict[str, Tensor]) -> None:
    if broken := [name for name, value in tensors.items() if not torch.isfinite(value).all()]:
        raise ValueError(f"tensor '{broken[0]}' holds NaN or infinity")


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = data_dir() / "checkpoints"
    if (shipped / f"{name_or_path}.safetensors").is_file():
        return shipped / f"{name_or_path}.safetensors"
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder; give a .safetensors file in it")
    known = ", ".join(sorted(p.name.removesuffix(".safetensors") for p in shipped.glob("*.safetensors")))
    raise CheckpointError(f"{name_or_path}: no such checkpoint file; shipped ones are: {known or 'none'}")

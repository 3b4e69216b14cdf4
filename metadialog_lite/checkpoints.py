"""Checkpoints: one safetensors file with the tensors, the configuration, the vocabulary and the training state."""

from __future__ import annotations

import json
import os
import tempfile
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
from metadialog_lite.model import ModelConfig
from metadialog_lite.paths import data_dir
from metadialog_lite.training import TrainConfig

FORMAT = "metadialog_lite checkpoint 1"


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
        CheckpointError: when the folder can't be written.
    """
    target = Path(path)
    tensors = {f"learner.{name}": value.detach().contiguous().cpu() for name, value in learner.state_dict().items()}
    header: dict[str, Any] = {
        "learner": learner.name,
        "options": learner.options,
        "model": asdict(learner.model.config),
        "vocabulary": list(learner.vocabulary.tokens),
        "source": source,
        "config": config.to_dict(),
        "info": info or {},
    }
    if state is not None:
        tensors |= {f"optimizer.{name}": value.contiguous().cpu() for name, value in state["optimizer"].items()}
        header["state"] = {name: value for name, value in state.items() if name != "optimizer"}
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        save_file(tensors, temporary, metadata={"format": FORMAT, "header": json.dumps(header)})
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except (OSError, SafetensorError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise CheckpointError(f"{target}: cannot be written ({error}); choose a folder with space that you may "
                              "write to") from error
    return target


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
        learner = _rebuild(header, tensors)
        config = TrainConfig.from_dict(header["config"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{path}: its configuration does not fit its tensors: {error}") from error
    if source is not None and header["source"] != source:
        raise CheckpointError(f"{path}: was trained on '{header['source']}', not on '{source}'")
    state = header.get("state")
    if state is not None:
        prefix = "optimizer."
        state = state | {"optimizer": {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}}
    return Checkpoint(learner, header["source"], config, state, header["info"], path)


def initialise_from(learner: Learner, checkpoint: Checkpoint) -> None:
    """Warm start: copy θ₀ from a checkpoint into ``learner``, and all of φ when both are the same learner.

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


def _rebuild(header: dict[str, Any], tensors: dict[str, Tensor]) -> Learner:
    vocabulary = Vocabulary(tuple(header["vocabulary"]))
    learner = make_learner(header["learner"], ModelConfig(**header["model"]), vocabulary, **header["options"])
    prefix = "learner."
    values = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    if broken := [name for name, value in values.items() if not torch.isfinite(value).all()]:
        raise ValueError(f"tensor '{broken[0]}' holds NaN or infinity")
    learner.load_state_dict(values)
    return learner


def _find(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = data_dir() / "checkpoints"
    if (shipped / f"{name_or_path}.safetensors").is_file():
        return shipped / f"{name_or_path}.safetensors"
    known = ", ".join(sorted(p.name.removesuffix(".safetensors") for p in shipped.glob("*.safetensors")))
    raise CheckpointError(f"{name_or_path}: no such checkpoint file; shipped ones are: {known or 'none'}")

"""Where a tutorial starts from: the shipped joint model, or a short joint training where none is shipped."""

from __future__ import annotations

import ast
import inspect
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from metadialog_lite.checkpoints import (
    Checkpoint,
    CheckpointError,
    initialise_from,
    load_checkpoint,
    save_checkpoint,
)
from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.lab.parameters import Parameters
from metadialog_lite.paths import data_dir
from metadialog_lite.training import TrainConfig, meta_train
from metadialog_lite.workbench import build_learner

#: Outer steps of the joint training that stands in for a missing checkpoint: enough to see something, not to be good.
STAND_IN_STEPS = 150


def joint_start(p: Parameters, say: Callable[[str], None] = print, steps: int = STAND_IN_STEPS) -> Checkpoint:
    """The joint model of ``p.source``: ``p.start``, or the shipped one, or one trained here in a minute.

    Raises:
        CheckpointError: ``p.start`` names a checkpoint that is missing, damaged or made for something else.
    """
    name = p.source.name
    if p.start != "auto":
        return _fitting(load_checkpoint(p.start, name), p)
    try:
        found = _fitting(load_checkpoint(f"{name}.joint", name), p)
    except CheckpointError:
        say(f"No joint model of '{name}' is shipped: training a stand-in for {steps} steps; expect little of it.")
        return _stand_in(p, steps)
    say(f"Starting from the shipped joint model {found.path.name}.")
    return found


def meta_trained(p: Parameters, learners: Sequence[str] = ()) -> Checkpoint | None:
    """The shipped meta-trained checkpoint of ``p.source``, if there is one (the first in alphabetical order).

    Only checkpoints of ``learners`` count; when none are named, of those that the notebook is about (``p.offered``).
    """
    for path in sorted((data_dir() / "checkpoints").glob(f"{p.source.name}.*.safetensors")):
        try:
            found = _fitting(load_checkpoint(path, p.source.name), p)
        except CheckpointError:
            continue
        if found.learner.trained == "meta" and found.learner.name in (learners or p.offered):
            return found
    return None


def new_learner(p: Parameters, start: Checkpoint, name: str | None = None, **options: Any) -> Learner:
    """A learner with θ₀ from ``start``; ``name`` and ``options`` default to what ``p`` says."""
    name = name or p.learner
    if name in p.offered:  # what ``p`` says is meant for the notebook's own learners
        options = {**p.options, **options}
    learner = make_learner(name, start.learner.model.config, start.learner.vocabulary, p.seed, **options)
    initialise_from(learner, start)
    return learner.to(p.device)


def shipped_or_new(
    p: Parameters, start: Checkpoint, name: str | None = None, say: Callable[[str], None] = print
) -> tuple[Learner, bool]:
    """(the shipped meta-trained learner called ``name``, True), or (one that nobody has trained yet, False)."""
    name = name or p.learner
    found = meta_trained(p, [name])
    if found is not None:
        say(f"{name}: the shipped {found.path.name}")
        return found.learner.to(p.device), True
    say(f"{name}: none is shipped for {p.source.name}; it begins at the joint model and knows nothing yet")
    return new_learner(p, start, name), False


def code_of(function: Any) -> Any:
    """The source of a function or class of the package, without its docstring, as Markdown to be displayed."""
    from IPython.display import Markdown

    lines = textwrap.dedent(inspect.getsource(function)).splitlines()
    definition = ast.parse("\n".join(lines)).body[0]
    first = getattr(definition, "body", [definition])[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):  # the docstring
        del lines[first.lineno - 1 : first.end_lineno]
    lines = [line for line in lines if line.strip()]
    place = f"{function.__module__.replace('.', '/')}.py"
    return Markdown(f"`{place}`\n```python\n" + "\n".join(lines) + "\n```")


def _fitting(found: Checkpoint, p: Parameters) -> Checkpoint:
    """A world file may have been edited since: the words must be the same."""
    ours = Vocabulary.of(p.source).tokens
    theirs = found.learner.vocabulary.tokens
    if ours != theirs:
        different = sorted(set(ours) ^ set(theirs))
        raise CheckpointError(f"{found.path}: its words differ from those of '{p.source.name}' in {len(different)} "
                              f"places ({', '.join(different[:5]) or 'their order'})")
    return found


def _stand_in(p: Parameters, steps: int) -> Checkpoint:
    learner = build_learner("prior", p.source, p.seed)
    config = TrainConfig(learner="prior", steps=steps, seed=p.seed, shots=p.train_shots, floor=False, device=p.device)
    for record in meta_train(learner, p.source, config):
        if record.warning:
            raise RuntimeError(record.warning)
    # Panels begin from a file, so the stand-in becomes one; the system's temporary folder keeps it for the session.
    folder = Path(tempfile.mkdtemp(prefix="metadialog_"))
    path = save_checkpoint(folder / f"{p.source.name}.joint.safetensors", learner, p.source.name, config)
    return load_checkpoint(path, p.source.name)

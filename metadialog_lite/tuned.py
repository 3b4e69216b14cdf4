"""Baselines at their strongest: what a learner is compared with (DESIGN.md: equal budget)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metadialog_lite.episodes import Episode, draw_episodes
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.families.baselines import FineTune
from metadialog_lite.turns import TaskSource
from metadialog_lite.world import BayesReference, World

#: Settings are chosen on so many validation tasks.
VALIDATION_TASKS = 32


def tuned(
    name: str, start: Learner, source: TaskSource, shots: Iterable[int], query_turns: int = 8, seed: int = 0,
    tasks: int | None = None,
) -> tuple[dict[int, Learner], dict[str, Any]]:
    """``finetune`` or ``scratch`` at its strongest: settings chosen on validation tasks for each number of shots.

    A corpus with fewer validation speakers than ``VALIDATION_TASKS`` is asked for each of them once.

    Returns the learner for each number of shots, and the settings that were chosen.
    """
    people = getattr(source, "speakers", None)
    tasks = tasks or (VALIDATION_TASKS if people is None else min(VALIDATION_TASKS, len(people("valid"))))
    judged: dict[int, Learner] = {}
    chosen: dict[str, Any] = {}
    counts = sorted(set(shots))
    episodes = draw_episodes(source, "valid", seed, 0, tasks, max(counts), query_turns)
    for k in counts:
        made = baseline(name, start, source)
        if k > 0 and isinstance(made, FineTune):
            trials = made.choose([Episode(e.task, e.support[:k], e.query) for e in episodes])
            chosen[str(k)] = trials[0]._asdict() | {"trials": len(trials)}
        judged[k] = made
    return judged, {"chosen": chosen, "validation_tasks": tasks}


def baseline(name: str, start: Learner, source: TaskSource, **options: Any) -> Learner:
    """Another learner with the same model and θ₀ as ``start`` (for fine-tuning and the like)."""
    if name == "bayes":
        if not isinstance(source, World):
            raise ValueError(f"learner 'bayes': the exact reference needs a toy world, not '{source.name}'")
        return make_learner(name, start.model.config, start.vocabulary, reference=BayesReference(source))
    made = make_learner(name, start.model.config, start.vocabulary, **options)
    if name not in ("scratch", "retrieval"):  # the latter has no model
        made.model.load_state_dict(start.model.state_dict())
    return made.to(start.device)

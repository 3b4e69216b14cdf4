"""Parameters of notebook 02, the dialogue world: which world, with which knobs, and how many speakers are asked."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from pydantic import Field

from metadialog_lite.lab.parameters import Parameters
from metadialog_lite.lab.world_game import check_world
from metadialog_lite.turns import TaskSource

KNOBS = ("volunteer", "word_noise", "correct", "style")


class WorldParameters(Parameters):
    """What notebook 02 can be told. It trains nothing. A knob below 0 means: as the world's file says."""

    without: ClassVar[tuple[str, ...]] = ("corpus", "learner", "inner_lr", "inner_steps", "meta_steps", "tasks",
                                          "outer_lr", "start", "device")

    shots: int = Field(16, ge=1, le=64)
    eval_tasks: int = Field(300, ge=2, le=100_000)
    query_turns: int = Field(4, ge=1, le=64)
    volunteer: float = Field(-1.0, le=0.95, allow_inf_nan=False)
    word_noise: float = Field(-1.0, le=0.5, allow_inf_nan=False)
    correct: float = Field(-1.0, le=1, allow_inf_nan=False)
    style: float = Field(-1.0, le=100, allow_inf_nan=False)

    @cached_property
    def source(self) -> TaskSource:
        """The toy world with the knobs that were given. Raises ValueError for several worlds or a noisy support."""
        from metadialog_lite.world import load_world

        world = check_world(load_world(self.world))
        knobs = {name: getattr(self, name) for name in KNOBS if getattr(self, name) >= 0}
        return world.with_knobs(**knobs) if knobs else world

    @property
    def eval_shots(self) -> tuple[int, ...]:
        """Support turns at which the optimum is measured."""
        return tuple(sorted({k for k in (0, 1, 2, 4, 8, 16, 32) if k < self.shots} | {self.shots}))

    def __str__(self) -> str:
        given = [f"{name} {getattr(self, name):g}" for name in KNOBS if getattr(self, name) >= 0]
        return (f"world {self.world} ({', '.join(given) or 'its own knobs'}): {self.shots} support turns, "
                f"{self.eval_tasks} speakers with {self.query_turns} query turns, seed {self.seed}")

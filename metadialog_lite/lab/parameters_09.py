"""Parameters of notebook 09, the three challenges: a small live training, and where stored experiments are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from metadialog_lite.lab.parameters import Parameters

#: Learners with an inner gradient, so that there is a first and a second order.
GRADIENT = ("meta_sgd", "maml", "anil")


class ChallengeParameters(Parameters):
    """What notebook 09 can be told."""

    offered: ClassVar[tuple[str, ...]] = GRADIENT
    without: ClassVar[tuple[str, ...]] = ("corpus", "inner_lr", "inner_steps", "query_turns", "start")

    learner: str = "meta_sgd"
    shots: int = Field(16, ge=1, le=32)
    pool: int = Field(4, ge=1, le=10_000)
    meta_steps: int = Field(24, ge=1, le=1_000_000)
    tasks: int = Field(4, ge=1, le=256)
    outer_lr: float = Field(0.003, gt=0, le=0.1, allow_inf_nan=False)
    eval_tasks: int = Field(16, ge=2, le=100_000)
    results: str = "auto"

    @field_validator("results")
    @classmethod
    def _results(cls, value: str) -> str:
        if value != "auto" and not Path(value).is_dir():
            raise ValueError("there is no such folder; auto means data/results")
        return value

    def folder(self, name: str) -> Path | None:
        """Where the stored results called "challenges" or "shift" are; None: where they are shipped."""
        return None if self.results == "auto" else Path(self.results) / name

    @property
    def options(self) -> dict[str, Any]:
        """None: a shipped checkpoint brings its own."""
        return {}

    def __str__(self) -> str:
        return (f"{self.learner} on world {self.world}: {self.meta_steps} more steps on {self.pool} speakers, "
                f"{self.shots} shots, {self.eval_tasks} speakers judge, seed {self.seed}, {self.device}")

"""Parameters of notebook 01: number tasks instead of a dialogue world."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from metadialog_lite.lab.parameters import Parameters


class FirstParameters(Parameters):
    """What notebook 01 can be told. Its tasks are numbers, so it has no world, no corpus and no checkpoint."""

    without: ClassVar[tuple[str, ...]] = ("world", "corpus", "learner", "query_turns", "start", "device")

    inner_lr: float = Field(1.0, gt=0, le=2, allow_inf_nan=False)
    inner_steps: int = Field(3, ge=1, le=10)
    shots: int = Field(20, ge=1, le=200)
    meta_steps: int = Field(600, ge=1, le=100_000)
    tasks: int = Field(16, ge=1, le=256)
    outer_lr: float = Field(0.003, gt=0, le=0.1, allow_inf_nan=False)
    eval_tasks: int = Field(200, ge=2, le=100_000)

    @property
    def options(self) -> dict[str, Any]:
        """How a network is trained and adapted, as :func:`~metadialog_lite.lab.toys.train` names it."""
        return {"alpha": self.inner_lr, "shots": self.shots, "tasks": self.tasks, "beta": self.outer_lr}

    def __str__(self) -> str:
        return (f"number tasks: inner rate {self.inner_lr:g}, {self.inner_steps} inner steps, {self.shots} shots, "
                f"{self.meta_steps} meta-steps, seed {self.seed}")

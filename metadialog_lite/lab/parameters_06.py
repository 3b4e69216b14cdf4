"""Parameters of notebook 06, Meta-Data Generation: a generator learns from few-turn tasks, and some need noise."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from metadialog_lite.lab.parameters import Parameters

DATA = ("augmentation", "distillation", "example_weights")


class DataParameters(Parameters):
    """What notebook 06 can be told; its D' is made of states and private words, so it has no ``corpus``."""

    offered: ClassVar[tuple[str, ...]] = DATA
    without: ClassVar[tuple[str, ...]] = ("corpus", "inner_steps")

    learner: str = "augmentation"
    inner_lr: float = Field(0.0003, gt=0, le=0.01, allow_inf_nan=False)
    shots: int = Field(16, ge=4, le=32)
    meta_steps: int = Field(40, ge=0, le=1_000_000)
    outer_lr: float = Field(0.2, gt=0, le=0.5, allow_inf_nan=False)
    noise: float = Field(0.2, ge=0, le=0.9, allow_inf_nan=False)

    @property
    def options(self) -> dict[str, Any]:
        """One inner step, with this rate where none has been learned."""
        return {"inner_lr": self.inner_lr, "inner_steps": 1}

    @property
    def few(self) -> int:
        """Support turns where there are so few that generated ones could help: a quarter."""
        return self.shots // 4

    def __str__(self) -> str:
        return (f"{self.learner} on world {self.world}: inner rate {self.inner_lr:g}, {self.shots} shots, "
                f"{self.meta_steps} meta-steps, seed {self.seed}, {self.device}")

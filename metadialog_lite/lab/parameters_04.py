"""Parameters of notebook 04, Meta-Neural Networks: one more number than a gradient learner, the price of open gates."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from metadialog_lite.lab.parameters import Parameters

STRUCTURES = ("structure_parameters", "structure")


class StructureSettings(Parameters):
    """What notebook 04 can be told; masks are compared between toy worlds, so it has no ``corpus``."""

    offered: ClassVar[tuple[str, ...]] = STRUCTURES
    without: ClassVar[tuple[str, ...]] = ("corpus",)

    learner: str = "structure_parameters"
    inner_lr: float = Field(0.001, gt=0, le=1, allow_inf_nan=False)
    inner_steps: int = Field(1, ge=1, le=20)
    sparsity: float = Field(0.3, ge=0, le=10, allow_inf_nan=False)
    shots: int = Field(16, ge=2, le=32)
    outer_lr: float = Field(0.0003, gt=0, le=0.1, allow_inf_nan=False)
    eval_tasks: int = Field(40, ge=4, le=100_000)

    @property
    def options(self) -> dict[str, Any]:
        """Rates are learned steadily (``pace`` 4), as in the recipe of the shipped checkpoint."""
        return {"inner_lr": self.inner_lr, "inner_steps": self.inner_steps, "pace": 4.0, "sparsity": self.sparsity}

    def __str__(self) -> str:
        return (f"{self.learner} on {self.world}: {self.shots} shots, {self.meta_steps} meta-steps, "
                f"sparsity {self.sparsity:g}, seed {self.seed}, {self.device}")

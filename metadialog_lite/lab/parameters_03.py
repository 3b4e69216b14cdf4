"""Parameters of notebook 03, Meta-Networks: a one-pass learner has no inner rate and no inner steps."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from metadialog_lite.lab.parameters import Parameters

NETWORKS = ("hypernetwork", "fast_weights", "in_context")


class NetworkParameters(Parameters):
    """What notebook 03 can be told; its lexicons exist in toy worlds only, so it has no ``corpus``."""

    offered: ClassVar[tuple[str, ...]] = NETWORKS
    without: ClassVar[tuple[str, ...]] = ("corpus", "inner_lr", "inner_steps")

    learner: str = "hypernetwork"
    shots: int = Field(16, ge=2, le=32)
    outer_lr: float = Field(0.005, gt=0, le=0.1, allow_inf_nan=False)

    @property
    def options(self) -> dict[str, Any]:
        """None: a pass has no rate and no steps."""
        return {}

    def __str__(self) -> str:
        return (f"{self.learner} on world {self.world}: {self.shots} shots, {self.meta_steps} meta-steps, "
                f"seed {self.seed}, {self.device}")

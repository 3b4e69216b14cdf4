"""Parameters of notebook 10, the bug museum."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from metadialog_lite.lab.parameters import Parameters, _nearest

#: The exhibits' keys, in the order of their numbers (a test compares them with the exhibits themselves).
KEYS = ("first_order", "query_inside", "same_points", "restored", "batch_statistics", "shared_tasks", "budget",
        "layernorm_vmap", "perplexity")


class MuseumParameters(Parameters):
    """What notebook 10 can be told: which exhibit its panel shows first, and how long the experiments train."""

    without: ClassVar[tuple[str, ...]] = (
        "world", "corpus", "learner", "inner_lr", "inner_steps", "shots", "meta_steps", "tasks", "outer_lr",
        "eval_tasks", "query_turns", "start", "device")

    exhibit: str = "first_order"
    steps: int = Field(150, ge=20, le=1000)

    @field_validator("exhibit")
    @classmethod
    def _exhibit(cls, value: str) -> str:
        if value not in KEYS:
            raise ValueError(f"unknown exhibit{_nearest(value, KEYS)}")
        return value

    def __str__(self) -> str:
        return f"bug museum: {self.steps} outer steps an experiment, seed {self.seed}; first exhibit: {self.exhibit}"

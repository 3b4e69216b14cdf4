"""Parameters of notebook 12, which measures nothing: which stored numbers it reads, and what its panel shows first."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from metadialog_lite.lab.parameters import Parameters, _nearest
from metadialog_lite.recipes import SHOTS

_STORED = tuple(int(k) for k in SHOTS.split(","))
NAMES = ("cheaper adaptation", "deeper context", "better state", "better responses")


class QuestionParameters(Parameters):
    """What notebook 12 can be told."""

    without: ClassVar[tuple[str, ...]] = (
        "corpus", "learner", "inner_lr", "inner_steps", "meta_steps", "tasks", "outer_lr", "eval_tasks", "query_turns",
        "start", "device", "seed")

    shots: int = Field(16, ge=0, le=32)
    direction: str = "cheaper adaptation"

    @field_validator("shots")
    @classmethod
    def _shots(cls, value: int) -> int:
        if value not in _STORED:
            raise ValueError(f"the stored numbers are for {', '.join(map(str, _STORED))} support turns")
        return value

    @field_validator("direction")
    @classmethod
    def _direction(cls, value: str) -> str:
        if value not in NAMES:
            raise ValueError(f"unknown direction{_nearest(value, NAMES)}")
        return value

    def __str__(self) -> str:
        return f"stored numbers of {self.world} after {self.shots} support turns; first direction: {self.direction}"

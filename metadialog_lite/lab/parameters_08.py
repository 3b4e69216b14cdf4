"""Parameters of notebook 08, the three capabilities: which stored runs are read, and who is measured here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from metadialog_lite.lab.comparison_data import FAMILIES, FOUR
from metadialog_lite.lab.parameters import Parameters
from metadialog_lite.recipes import SHOTS

_STORED = tuple(int(k) for k in SHOTS.split(","))
#: Who can be measured here: learners of the four families that end in a theta of their own.
MEASURABLE = tuple(name for family in FOUR for name in FAMILIES[family] if name not in ("structure_off", "literal"))


class CapabilityParameters(Parameters):
    """What notebook 08 can be told. It trains nothing (but a stand-in, where a world has no joint model)."""

    offered: ClassVar[tuple[str, ...]] = MEASURABLE
    without: ClassVar[tuple[str, ...]] = ("corpus", "inner_lr", "inner_steps", "meta_steps", "tasks", "outer_lr",
                                          "start", "query_turns")

    learner: str = "meta_sgd"
    shots: int = Field(16, ge=2, le=32)
    who: str = "best"
    measure: Literal["loss", "regret", "gap_closed"] = "gap_closed"
    training_seed: int = Field(1, ge=0, le=1000)
    eval_tasks: int = Field(40, ge=4, le=100_000)
    seed: int = Field(7, ge=0, le=2**31 - 1)
    results: str = "auto"

    @field_validator("shots")
    @classmethod
    def _shots(cls, value: int) -> int:
        if value not in _STORED:
            raise ValueError(f"the comparison was made after {', '.join(str(k) for k in _STORED if k)} support turns")
        return value

    @field_validator("who")
    @classmethod
    def _who(cls, value: str) -> str:
        if value not in ("best", "all", *FAMILIES):
            raise ValueError(f"best, all or a family is needed: {', '.join(FAMILIES)}")
        return value

    @field_validator("results")
    @classmethod
    def _results(cls, value: str) -> str:
        if value != "auto" and not Path(value).is_dir():
            raise ValueError("there is no such folder; auto means data/results/compare")
        return value

    @property
    def folder(self) -> Path | None:
        """Where the stored runs are; None: where they are shipped."""
        return None if self.results == "auto" else Path(self.results)

    @property
    def options(self) -> dict[str, Any]:
        """None: a shipped checkpoint brings its own."""
        return {}

    def __str__(self) -> str:
        return (f"{self.who} on world {self.world}: {self.measure} after {self.shots} shots; measured here: "
                f"{self.learner}, {self.eval_tasks} speakers, seed {self.seed}")

"""Parameters of notebook 07, the comparison: what is looked at first, and what is measured anew."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from metadialog_lite.lab.comparison_data import FAMILIES
from metadialog_lite.lab.parameters import Parameters, _nearest
from metadialog_lite.recipes import SHOTS

_STORED = tuple(int(k) for k in SHOTS.split(","))
_KNOWN = tuple(name for members in FAMILIES.values() for name in members)


class ComparisonParameters(Parameters):
    """What notebook 07 can be told. It trains nothing, so it has no rates and no steps."""

    offered: ClassVar[tuple[str, ...]] = _KNOWN
    without: ClassVar[tuple[str, ...]] = ("corpus", "learner", "inner_lr", "inner_steps", "meta_steps", "tasks",
                                          "outer_lr", "start", "query_turns")

    learners: str = "best"
    capability: Literal["total", "state", "act", "response"] = "total"
    measure: Literal["loss", "regret", "gap_closed"] = "gap_closed"
    shots: int = Field(16, ge=0, le=32)
    training_seed: int = Field(1, ge=0, le=1000)
    live: str = "meta_sgd,hypernetwork"
    eval_tasks: int = Field(100, ge=2, le=100_000)
    seed: int = Field(7, ge=0, le=2**31 - 1)
    results: str = "auto"

    @field_validator("shots")
    @classmethod
    def _shots(cls, value: int) -> int:
        if value not in _STORED:
            raise ValueError(f"the comparison was made after {', '.join(map(str, _STORED))} support turns")
        return value

    @field_validator("learners")
    @classmethod
    def _learners(cls, value: str) -> str:
        if value not in ("best", "all"):
            _names(value, " (or best, or all)")
        return value

    @field_validator("live")
    @classmethod
    def _live(cls, value: str) -> str:
        if value and len(set(_names(value))) != 2:
            raise ValueError("two different learners with a comma between them are needed, or nothing")
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
    def pair(self) -> tuple[str, ...]:
        """The two learners of the live part; none when it is left out."""
        return tuple(name.strip() for name in self.live.split(",")) if self.live else ()

    def __str__(self) -> str:
        return (f"learners {self.learners} on world {self.world}: {self.measure} of {self.capability} after "
                f"{self.shots} shots; measured here: {self.live or 'nothing'}, {self.eval_tasks} speakers, "
                f"seed {self.seed}")


def _names(value: str, more: str = "") -> list[str]:
    names = [name.strip() for name in value.split(",")]
    for name in names:
        if name not in _KNOWN:
            raise ValueError(f"'{name}' is no learner{_nearest(name, _KNOWN)}{more}")
    return names

"""Parameters of the two notebooks for researchers: ``experiment`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from metadialog_lite.lab.parameters import Parameters

#: Learners that the experiment can train: every one that is meta-learned, and the joint model (``prior``).
TRAINED = ("maml", "fomaml", "reptile", "anil", "meta_sgd", "learned_optimizer", "hypernetwork", "fast_weights",
           "in_context", "structure", "parameters", "structure_parameters", "augmentation", "distillation",
           "example_weights", "prior")
METRICS = ("gap_closed", "loss")


class ExperimentParameters(Parameters):
    """What one experiment can be told."""

    offered: ClassVar[tuple[str, ...]] = TRAINED

    learner: str = "meta_sgd"
    inner_lr: float = Field(0.001, gt=0, le=1, allow_inf_nan=False)
    inner_steps: int = Field(1, ge=1, le=20)
    meta_steps: int = Field(0, ge=0, le=1_000_000)
    train_seconds: float = Field(5.0, ge=0, le=1_000_000, allow_inf_nan=False)
    outer_lr: float = Field(0.003, gt=0, le=0.1, allow_inf_nan=False)
    eval_tasks: int = Field(50, ge=2, le=100_000)

    @property
    def options(self) -> dict[str, Any]:
        """The inner step, for the learners that have one; the others choose their own way."""
        import inspect

        from metadialog_lite.families import LEARNERS

        known = inspect.signature(LEARNERS[self.learner].__init__).parameters
        return {name: value for name, value in super().options.items() if name in known}

    @property
    def budget(self) -> dict[str, Any]:
        """How long to train: ``meta_steps`` if there are any, else CPU seconds; empty for no training at all."""
        if self.meta_steps:
            return {"steps": self.meta_steps}
        return {"seconds": self.train_seconds} if self.train_seconds else {}

    def __str__(self) -> str:
        where = f"corpus {self.corpus}" if self.corpus else f"world {self.world}"
        long = f"{self.meta_steps} meta-steps" if self.meta_steps else f"{self.train_seconds:g} CPU seconds"
        inner = ", ".join(f"{name} {value:g}" for name, value in self.options.items()) or "no inner step"
        return f"{self.learner} on {where}: {inner}, {self.shots} shots, {long}, seed {self.seed}, {self.device}"


class ReportParameters(Parameters):
    """What the report can be told: a folder of runs, and by which number to judge."""

    without: ClassVar[tuple[str, ...]] = tuple(name for name in Parameters.model_fields if name != "shots")

    folder: str = "shipped"
    metric: str = "gap_closed"
    shots: int = Field(0, ge=0, le=100_000)

    @field_validator("metric")
    @classmethod
    def _metric(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"a metric is {' or '.join(METRICS)}")
        return value

    @field_validator("folder")
    @classmethod
    def _folder(cls, value: str) -> str:
        if value != "shipped" and not Path(value).is_dir():
            raise ValueError("there is no such folder; give one that 'metadialog-lite sweep' has made, or 'shipped'")
        return value

    @property
    def path(self) -> Path:
        """The folder to read."""
        from metadialog_lite.paths import data_dir

        return data_dir() / "results" / "sweep" if self.folder == "shipped" else Path(self.folder)

    def __str__(self) -> str:
        return f"report over {self.folder}, judged by {self.metric}"

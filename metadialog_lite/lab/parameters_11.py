"""Parameters of notebook 11, real dialogues: which corpus, from which folder, and how much is trained here."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from metadialog_lite.lab.comparison_data import FAMILIES
from metadialog_lite.lab.parameters import Parameters
from metadialog_lite.turns import TaskSource

_LEARNERS = tuple(name for family, members in FAMILIES.items() if family != "Baselines" for name in members)


class RealParameters(Parameters):
    """What notebook 11 can be told."""

    offered: ClassVar[tuple[str, ...]] = _LEARNERS
    without: ClassVar[tuple[str, ...]] = ("world", "inner_lr", "inner_steps", "tasks", "query_turns")

    corpus: str = "chitchat"
    folder: str = ""
    learner: str = "anil"
    size: str = "tiny"
    shots: int = Field(16, ge=1, le=128)
    meta_steps: int = Field(0, ge=0, le=1_000_000)
    joint_steps: int = Field(60, ge=1, le=1_000_000)
    tasks: int = Field(4, ge=1, le=256)
    outer_lr: float = Field(0.0003, gt=0, le=0.1, allow_inf_nan=False)
    eval_tasks: int = Field(16, ge=2, le=100_000)
    results: str = "auto"

    @field_validator("folder")
    @classmethod
    def _folder(cls, value: str) -> str:
        if value and not Path(value).expanduser().exists():
            raise ValueError("there is no such folder or .zip; it is where the corpus lies in its official layout")
        return value

    @field_validator("size")
    @classmethod
    def _size(cls, value: str) -> str:
        from metadialog_lite.recipes import with_size

        with_size({"size": value})
        return value

    @field_validator("results")
    @classmethod
    def _results(cls, value: str) -> str:
        if value != "auto" and not Path(value).is_dir():
            raise ValueError("there is no such folder; auto means data/results/real")
        return value

    @model_validator(mode="after")
    def _one_corpus(self) -> RealParameters:
        if not self.corpus:
            raise ValueError("corpus is empty: give chitchat, or the name of another corpus and its folder")
        if self.folder and self.corpus == "chitchat":
            raise ValueError("folder belongs to another corpus than chitchat; set corpus to its name, or to auto")
        return self

    @property
    def where(self) -> str:
        """The corpus as ``--corpus`` takes it: a name, ``NAME:FOLDER``, or a folder whose layout tells the name."""
        if not self.folder:
            return self.corpus
        return self.folder if self.corpus == "auto" else f"{self.corpus}:{self.folder}"

    @cached_property
    def source(self) -> TaskSource:
        """The corpus."""
        from metadialog_lite.corpora import load_corpus

        corpus: Any = load_corpus(self.where)
        return corpus

    @property
    def options(self) -> dict[str, Any]:
        """The learner's own settings, as in the recorded runs."""
        from metadialog_lite.recipes import REAL_RECIPES

        recipe = REAL_RECIPES.get(self.learner)
        return dict(recipe.options) if recipe else {}

    @property
    def stored(self) -> Path | None:
        """Where the stored runs are; None: where they are shipped."""
        return None if self.results == "auto" else Path(self.results)

    def __str__(self) -> str:
        where = self.where if not self.folder else f"{self.corpus} in {self.folder}"
        return (f"{self.learner} on corpus {where} ({self.size} model): {self.shots} shots, {self.meta_steps} "
                f"meta-steps here, {self.eval_tasks} held-out tasks, seed {self.seed}, {self.device}")

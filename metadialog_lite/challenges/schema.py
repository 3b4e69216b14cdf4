"""What an experiment of the challenges stores (version 1). Losses are nats per query turn; undefined is null."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metadialog_lite.paths import data_dir
from metadialog_lite.results import Row


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Judged(_Model):
    """A learner on one group of speakers: mean total loss, and the exact optimum with and without their support."""

    loss: float
    bayes: float
    prior: float
    tasks: int = Field(ge=1)

    @property
    def gap_closed(self) -> float | None:
        """EQ-GAP-1; None where the support teaches nothing."""
        return (self.prior - self.loss) / (self.prior - self.bayes) if self.prior - self.bayes > 1e-9 else None


class Point(_Model):
    """A training after so many outer steps, judged on groups of speakers: "seen", "known" and "new" turns or people."""

    step: int = Field(ge=0)
    cpu_seconds: float = Field(ge=0)  # of training alone
    groups: dict[str, Judged]


class Training(_Model):
    """One training run and how it went."""

    learner: str
    options: dict[str, Any]
    pool: int | None  # different training speakers; null: new ones in every step
    seed: int
    steps: int
    tasks: int  # speakers in one outer step
    points: list[Point]
    rows: list[Row]  # new speakers at the end, by shots and capability
    shifts: dict[str, Judged] = Field(default_factory=dict)  # at the end, speakers from a shifted world


class _File(_Model):
    schema_: Literal[1] = Field(1, alias="schema")
    command: str
    world: str
    cpu_seconds: float  # of the whole experiment
    versions: dict[str, str]
    commit: str | None = None

    def to_json(self) -> str:
        """JSON text."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


class Trainings(_File):
    """An experiment made of training runs."""

    kind: Literal["tasks", "orders"]
    shots: int  # support turns of the points and shifts
    runs: list[Training]


class Cost(_Model):
    """What one outer step of MAML takes."""

    order: Literal[1, 2]
    inner_steps: int
    tasks: int
    width: int  # of the model
    parameters: int
    one_pass: bool = False  # all tasks in one graph, instead of chunks of 16
    ms: float  # process CPU milliseconds on one thread, the minimum of some rounds
    peak_mb: float | None  # by how much the process's memory grew at its peak; null where the system does not tell


class Costs(_File):
    """Time and memory of outer steps."""

    kind: Literal["costs"] = "costs"
    support: int
    query: int
    rounds: int
    machine: dict[str, Any]
    cases: list[Cost]


Kind = TypeVar("Kind", Trainings, Costs)


def folder() -> Path:
    """Where the shipped experiments are."""
    return data_dir() / "results" / "challenges"


def read(name: str, kind: type[Kind], place: str | Path | None = None) -> tuple[Kind | None, str]:
    """(an experiment such as "restaurants.en.tasks", "") or (None, why not, in one sentence)."""
    path = Path(place or folder()) / f"{name}.json"
    if not path.is_file():
        return None, f"{path.name} is not there: nobody has made this experiment yet."
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8")), ""
    except ValidationError as error:
        first = error.errors()[0]
        return None, (f"{path}: {'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}; delete it and make "
                      "it again with python -m metadialog_lite.challenges")
    except (OSError, ValueError) as error:
        return None, f"{path}: cannot be read ({error})"

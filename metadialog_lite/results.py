"""The one result schema: what ``evaluate``, notebooks and sweeps write, and reports read (version 1)."""

from __future__ import annotations

import math
import os
import platform
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

import metadialog_lite


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _no_nan(self) -> _Model:
        for name, value in self:
            for number in value.values() if isinstance(value, dict) else (value,):
                if isinstance(number, float) and not math.isfinite(number):
                    raise ValueError(f"{name} is {value}; write null where a number is undefined")
        return self


class Row(_Model):
    """One line of the table: a capability after a number of support turns. Nats per query turn."""

    shots: int
    capability: Literal["state", "act", "response", "total"]
    loss: float | None = None  # null for a learner without a likelihood
    bayes: float | None = None  # the exact optimum after the same shots; null for real corpora
    prior: float | None = None  # the exact optimum without support
    regret: float | None = None  # loss − bayes
    low: float | None = None  # 95 % bootstrap interval of the loss over speakers
    high: float | None = None
    gap_closed: float | None = None  # (prior − loss) / (prior − bayes)
    gap_low: float | None = None  # its 95 % bootstrap interval
    gap_high: float | None = None
    bayes_training_prior: float | None = None  # under a shift: Bayes with the training world's prior, where defined


class JointGoal(_Model):
    """Joint goal accuracy: the share of turns whose whole state is right."""

    gold_previous_state: float | None = None  # each turn starts from the true previous state
    carried: float | None = None  # each turn starts from the model's own previous state


class Seconds(_Model):
    """Process CPU seconds."""

    train: float | None = None
    adapt: float | None = None  # per task, at the largest number of shots


class Result(_Model):
    """One evaluation of one learner."""

    schema_: Literal[1] = Field(1, alias="schema")
    learner: str
    world: str | None = None
    corpus: str | None = None
    seed: int
    split: str
    tasks: int
    query_turns: int
    rows: list[Row]
    jga: JointGoal | None = None
    act_accuracy: float | None = None
    bleu: float | None = None
    bleu_signature: str | None = None
    distinct: dict[str, float | None] | None = None  # "1", "2" -> different n-grams / all n-grams of the responses
    perplexity: dict[str, float] | None = None  # shots -> response perplexity per token
    vocabulary: int | None = None
    reference_label: str | None = None  # what ``bayes`` is told and learners are not; null: a floor in the plain sense
    shift_of: str | None = None  # the world trained on, if another one: ``bayes`` is the informed optimum then
    reference: dict[str, float] | None = None  # what the Bayes reference itself decodes: jga, act_accuracy, bleu …
    seconds: Seconds = Field(default_factory=Seconds)
    parameters: int | None = None
    peak_mb: float | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    commit: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)  # for a corpus also "speakers": people behind the tasks

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    def row(self, shots: int, capability: str = "total") -> Row:
        """One row of the table. Raises KeyError naming the shots that exist."""
        for row in self.rows:
            if row.shots == shots and row.capability == capability:
                return row
        known = sorted({row.shots for row in self.rows})
        raise KeyError(f"no row for {shots} shots and '{capability}'; there are shots {known}")

    def to_json(self) -> str:
        """JSON text with null for undefined numbers, never NaN."""
        return self.model_dump_json(by_alias=True, indent=1)

    def write(self, path: str | Path) -> Path:
        """Write the JSON in one step, so that no half-written file is ever seen. Raises OSError naming the path."""
        return write_text(path, self.to_json() + "\n")


def write_text(path: str | Path, text: str) -> Path:
    """Write a file in one step. Raises OSError naming the path."""
    target = Path(path)
    try:
        with replacing(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OSError(f"{target}: cannot be written ({error.strerror or error}); choose a folder with space that you "
                      "may write to") from error
    return target


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary file in the folder of ``target`` that takes its place once all is written.

    A full disk, an error or a crash never leaves half a file, and never touches the old one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        temporary.touch(exist_ok=False)
        rights = temporary.stat().st_mode  # those of any new file; safetensors' own would be readable by nobody else
        yield temporary
        temporary.chmod(rights)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def versions() -> dict[str, str]:
    """Versions that decide numbers: this package, Python and torch."""
    return {"metadialog_lite": metadialog_lite.__version__, "python": platform.python_version(),
            "torch": metadata.version("torch")}


def commit() -> str | None:
    """The checkout's commit, or None for an installed package or without git."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"], capture_output=True,
                              text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def peak_mb() -> float | None:
    """Largest memory use of this process so far, in MB; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1024 if platform.system() != "Darwin" else used / 1024**2

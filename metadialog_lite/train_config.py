"""The settings of a training run, checked. No torch in here."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run. Exactly one of ``steps`` and ``seconds`` ends it.

    ``seconds`` are process CPU seconds (all threads), so that a busy machine does not change the result much.
    """

    learner: str = "maml"
    options: dict[str, Any] = field(default_factory=dict)  # the learner's own, such as inner_lr
    steps: int | None = None
    seconds: float | None = None
    seed: int = 0
    tasks: int = 8  # tasks per outer step
    query_turns: int = 8
    shots: tuple[int, ...] = (0, 1, 2, 4, 8, 16, 32)  # one of them is drawn per outer step
    outer_lr: float = 3e-3  # β, its highest value
    decay: bool = True  # β falls to 0 at the end; off for live panels without an end
    clip: float = 1.0  # largest norm of the outer gradient
    word_dropout: float = 0.25  # share of user words hidden in training at the start; falls to 0 like β
    pool: int | None = None  # so many training tasks, again and again, each with the same turns; None: always new ones
    floor: bool = True  # also compute the Bayes loss of the same queries
    device: str = "cpu"

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError(f"give either steps or seconds, not steps={self.steps} and seconds={self.seconds}")
        for name in ("steps", "seconds", "tasks", "query_turns", "outer_lr", "clip", "pool"):
            value = getattr(self, name)
            if value is None and name in ("steps", "seconds", "pool"):
                continue
            whole = name in ("steps", "tasks", "query_turns", "pool")
            if not _is_number(value, whole) or not 0 < value < math.inf:
                raise ValueError(f"{name}={value!r}: a {'whole' if whole else 'finite'} number above 0 is needed")
        if not _is_number(self.seed, whole=True):
            raise ValueError(f"seed={self.seed!r}: a whole number is needed")
        if not self.shots or not all(_is_number(k, whole=True) and k >= 0 for k in self.shots):
            raise ValueError(f"shots={self.shots!r}: one or more whole numbers of at least 0 are needed")

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, for a checkpoint's text."""
        return asdict(self) | {"shots": list(self.shots)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The inverse of ``to_dict``; unknown names raise ValueError."""
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown training settings: {', '.join(sorted(unknown))}")
        return cls(**{**values, "shots": tuple(values.get("shots", cls.shots))})


def _is_number(value: Any, whole: bool) -> bool:
    return isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)

"""The settings of a live training, checked, and the trainer made from them."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from typing import Any

from metadialog_lite.turns import TaskSource

#: Learners the panel offers, and the order of the outer gradient of each (DESIGN.md: order belongs to the learner).
ORDER_OF = {"maml": 2, "fomaml": 1, "reptile": 1, "anil": 2, "meta_sgd": 2}
LEARNER_NAMES = tuple(ORDER_OF)
#: Instead of one number of shots: one of these, drawn anew for every outer step.
MIXED = (0, 1, 2, 4, 8, 16, 32)
SHOTS_MIXED = "0–32"
#: A live training has no end of its own.
ENDLESS = 10**9
#: β of a live training: lower than that of a planned one, because it does not decay towards an end.
LIVE_OUTER_LR = 1e-3
#: FOMAML does not see that θ moves to where inner steps overshoot: with a larger α it runs away (0.0015: in 18 steps).
HIGHEST_RATE = {"fomaml": 0.0005}
#: Learned inner rates change slowly in a live curve: with the usual pace of 10 single steps overshoot now and then.
LIVE_PACE = {"meta_sgd": 4.0}
#: β of a live training with an end, where it differs from TrainConfig's: one inner step bears large outer steps.
PLANNED_OUTER_LR = {"meta_sgd": 1e-2}


@dataclass(frozen=True)
class Settings:
    """What the training panel's controls say. A wrong one raises ValueError naming it."""

    learner: str = "maml"
    inner_lr: float = 0.0003
    inner_steps: int = 3
    shots: int | None = None  # None = a mixture
    seed: int = 0
    start: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.learner not in ORDER_OF:
            raise ValueError(f"learner: got {self.learner!r}; choose one of {', '.join(LEARNER_NAMES)}")
        if not _number(self.inner_lr) or not 0 < self.inner_lr <= 10:
            raise ValueError(f"inner_lr: got {self.inner_lr!r}; above 0 and at most 10 is needed, such as 0.0005")
        if not _whole(self.inner_steps) or not 0 <= self.inner_steps <= 20:
            raise ValueError(f"inner_steps: got {self.inner_steps!r}; a whole number from 0 to 20 is needed")
        if self.shots is not None and (not _whole(self.shots) or not 0 <= self.shots <= 32):
            raise ValueError(f"shots: got {self.shots!r}; 0 to 32, or None for a mixture, is needed")
        if not _whole(self.seed):
            raise ValueError(f"seed: got {self.seed!r}; a whole number is needed")
        if self.seconds is not None and (not _number(self.seconds) or not 0 < self.seconds < float("inf")):
            raise ValueError(f"seconds: got {self.seconds!r}; a number above 0, or None for no limit, is needed")

    def with_order(self, order: int | None) -> Settings:
        """The same settings with the learner that has this order: maml and fomaml are one algorithm in two orders."""
        if order is None or order == ORDER_OF[self.learner]:
            return self
        if order == 1 and self.learner == "maml":
            return replace(self, learner="fomaml")
        if order not in (1, 2):
            raise ValueError(f"order: got {order!r}; 2 (through the inner steps) or 1 (first order) is needed")
        if self.learner == "fomaml":
            return replace(self, learner="maml")
        return self  # the other learners have one order, and the panel shows it

    def text(self) -> str:
        """In words."""
        shots = f"{SHOTS_MIXED} shots" if self.shots is None else f"{self.shots} shot{'s' * (self.shots != 1)}"
        steps = f"{self.inner_steps} inner step{'s' * (self.inner_steps != 1)}"
        return f"{self.learner} with inner rate {self.inner_lr:.3g}, {steps} and {shots}"


def offered_rate(learner: str, first: Settings) -> float:
    """The inner rate that a panel which began with ``first`` offers for ``learner``."""
    if learner == first.learner:
        return first.inner_lr
    return min(first.inner_lr, HIGHEST_RATE.get(learner, first.inner_lr))


def build_trainer(source: TaskSource, settings: Settings, model: Any = None) -> Any:
    """A ``Trainer`` for these settings: model, learner, and a start from a checkpoint where one is named.

    Raises:
        CheckpointError: the checkpoint is missing, damaged or does not fit ``source``.
    """
    from metadialog_lite.checkpoints import initialise_from, load_checkpoint
    from metadialog_lite.training import TrainConfig, Trainer
    from metadialog_lite.workbench import build_learner

    options = {"inner_lr": settings.inner_lr, "inner_steps": settings.inner_steps}
    if settings.learner in LIVE_PACE:
        options["pace"] = LIVE_PACE[settings.learner]
    checkpoint = load_checkpoint(settings.start, source.name) if settings.start else None
    if model is None and checkpoint:
        model = checkpoint.learner.model.config
    sizes = {} if model is None else {k: v for k, v in asdict(model).items() if k != "vocabulary"}
    learner = build_learner(settings.learner, source, settings.seed, options, sizes)
    if checkpoint:
        initialise_from(learner, checkpoint)
    config = TrainConfig(
        learner=settings.learner, options=options, seed=settings.seed,
        shots=MIXED if settings.shots is None else (settings.shots,),
        steps=None if settings.seconds else ENDLESS, seconds=settings.seconds, decay=settings.seconds is not None,
        outer_lr=PLANNED_OUTER_LR.get(settings.learner, TrainConfig.outer_lr) if settings.seconds else LIVE_OUTER_LR,
    )
    return Trainer(learner, source, config)


def copy_learner(learner: Any) -> Any:
    """A learner with the same numbers that further training does not touch."""
    twin = copy.deepcopy(learner)
    for parameter in twin.parameters():
        parameter.grad = None
    return twin


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

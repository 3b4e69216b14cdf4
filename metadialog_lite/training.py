"""Meta-training: one loop for every learner, as a generator of small records.

Three drivers consume the same records: a plain ``for`` loop, a panel's worker thread and a parameterised run.

    for record in meta_train(learner, world, TrainConfig(learner="maml", steps=200)):
        print(record.line())

Outer step (EQ-TRAIN-1): draw tasks and a number of shots, average the learner's outer gradient over the
tasks, clip it to norm 1, one Adam step with rate β that decays to zero along a half cosine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from random import Random
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.episodes import draw_episodes, stack_tasks
from metadialog_lite.families.base import Learner
from metadialog_lite.turns import CAPABILITIES, TaskSource
from metadialog_lite.world import BayesReference, World


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
    floor: bool = True  # also compute the Bayes loss of the same queries
    device: str = "cpu"

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError(f"give either steps or seconds, not steps={self.steps} and seconds={self.seconds}")
        for name in ("steps", "seconds", "tasks", "query_turns", "outer_lr", "clip"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name}={value}: a finite number above 0 is needed")
        if not self.shots or any(shots < 0 for shots in self.shots):
            raise ValueError(f"shots={self.shots}: one or more whole numbers of at least 0 are needed")

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


@dataclass(frozen=True)
class Record:
    """What one outer step reports. Losses are nats per turn, means over the step's tasks and query turns."""

    step: int  # 1 after the first outer step
    shots: int
    loss: dict[str, float]  # state, act, response, total
    bayes: dict[str, float] | None  # the same for the exact optimum; None for real corpora
    cpu_seconds: float  # process CPU time spent so far
    grad_norm: float
    warning: str | None = None  # set on the last record of a run that diverged

    @property
    def regret(self) -> float | None:
        """Loss above the Bayes floor, nats per turn."""
        return None if self.bayes is None else self.loss["total"] - self.bayes["total"]

    def line(self) -> str:
        """One line of text."""
        floor = "" if self.bayes is None else f"  bayes {self.bayes['total']:.3f}  regret {self.regret:.3f}"
        return f"step {self.step:5d}  {self.shots:2d} shots  loss {self.loss['total']:.3f}{floor}"


#: A step has exploded when its loss is this many times the highest of the first losses …
EXPLODED = 3.0
#: … and training has diverged after so many exploded steps in a row (one bad batch is skipped and forgiven).
PATIENCE = 5
#: How often a good state is kept, in steps.
KEEP_EVERY = 10


class Trainer:
    """Holds a learner and its optimiser and takes one outer step at a time.

    Args:
        learner: what is trained, in place.
        source: the world or corpus; its ``train`` split is used.
        config: the settings.
    """

    def __init__(self, learner: Learner, source: TaskSource, config: TrainConfig):
        self.learner, self.source, self.config = learner.to(config.device), source, config
        self.optimizer = torch.optim.Adam(list(learner.phi().values()), lr=config.outer_lr)
        self.reference = BayesReference(source) if isinstance(source, World) and config.floor else None
        self.done_steps = 0
        self.cpu_seconds = 0.0
        self.diverged = False
        self._highest = 0.0  # of the first losses; what an exploded loss is compared with
        self._bad_steps = 0  # exploded steps in a row
        self._good: dict[str, Tensor] = self.learner_state()

    def learner_state(self) -> dict[str, Tensor]:
        """A copy of the meta-parameters."""
        return {name: value.detach().clone() for name, value in self.learner.state_dict().items()}

    @property
    def progress(self) -> float:
        """0 at the start, 1 when the budget is used up."""
        if self.config.steps is not None:
            return self.done_steps / self.config.steps
        assert self.config.seconds is not None
        return min(1.0, self.cpu_seconds / self.config.seconds)

    @property
    def finished(self) -> bool:
        """Whether the budget is used up or training has diverged."""
        return self.diverged or self.progress >= 1

    def step(self) -> Record:
        """One outer step (EQ-TRAIN-1)."""
        started = time.process_time()
        config, step = self.config, self.done_steps
        # What a step sees depends on (source, seed, step) alone, so a resumed run sees the same.
        shots = Random(f"{self.source.name}/shots/{config.seed}/{step}").choice(config.shots)
        episodes = draw_episodes(
            self.source, "train", config.seed, step * config.tasks, config.tasks, shots, config.query_turns
        )
        vocabulary = self.learner.vocabulary
        support = stack_tasks([e.support for e in episodes], vocabulary).to(config.device)
        query = stack_tasks([e.query for e in episodes], vocabulary).to(config.device)
        gradients, losses = self.learner.outer_gradient(support, query)
        loss = _named(losses.detach().mean(0).tolist())
        norm = _norm(gradients)
        exploded = self._exploded(loss["total"], norm)
        if not exploded:
            self._update(gradients, norm)
        bayes = None
        if self.reference is not None:
            floors = [self.reference.posterior(e.support).nll(turn) for e in episodes for turn in e.query]
            bayes = _named([sum(column) / len(floors) for column in zip(*floors, strict=True)])
        self.done_steps += 1
        warning = self._watch(exploded, loss["total"], norm)
        self.cpu_seconds += time.process_time() - started
        return Record(self.done_steps, shots, loss, bayes, self.cpu_seconds, norm, warning)

    def _update(self, gradients: dict[str, Tensor], norm: float) -> None:
        """Clip to norm ``clip``, then one Adam step."""
        scale = min(1.0, self.config.clip / (norm + 1e-12))
        for name, parameter in self.learner.phi().items():
            parameter.grad = gradients[name].detach() * scale
        rate = 0.5 * (1 + math.cos(math.pi * self.progress)) if self.config.decay else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.outer_lr * rate
        self.optimizer.step()

    def _exploded(self, loss: float, norm: float) -> bool:
        if self.done_steps < 5 and math.isfinite(loss):
            self._highest = max(self._highest, loss)
        return not (math.isfinite(loss) and math.isfinite(norm)) or loss > EXPLODED * self._highest

    def _watch(self, exploded: bool, loss: float, norm: float) -> str | None:
        """Keep the last good state; on divergence go back to it and say what to change."""
        self._bad_steps = self._bad_steps + 1 if exploded else 0
        if not exploded and self.done_steps % KEEP_EVERY == 0:
            self._good = self.learner_state()
        if self._bad_steps < PATIENCE:
            return None
        self.diverged = True
        self.learner.load_state_dict(self._good)
        rate = getattr(self.learner, "inner_lr", None)
        inner = "" if rate is None else f", inner rate {rate:g}"
        return (
            f"diverged at step {self.done_steps}: loss {loss:.4g}, gradient norm {norm:.4g}"
            f" (outer rate {self.config.outer_lr:g}{inner}). The last good state is kept."
            f" Try a third of the inner rate, fewer inner steps, or a smaller outer rate."
        )

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on exactly: step, CPU seconds and the optimiser's tensors."""
        moments = {f"{i}.{key}": value for i, row in self.optimizer.state_dict()["state"].items()
                   for key, value in row.items()}
        return {"step": self.done_steps, "cpu_seconds": self.cpu_seconds, "highest": self._highest,
                "optimizer": {name: torch.as_tensor(value).detach().clone() for name, value in moments.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from ``state()``; the learner's own tensors are loaded separately."""
        self.done_steps, self.cpu_seconds = state["step"], state["cpu_seconds"]
        self._highest = state.get("highest", 0.0)
        rows: dict[int, dict[str, Tensor]] = {}
        for name, value in state["optimizer"].items():
            number, key = name.split(".", 1)
            rows.setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": rows})
        self._good = self.learner_state()


def meta_train(
    learner: Learner, source: TaskSource, config: TrainConfig, state: dict[str, Any] | None = None
) -> Iterator[Record]:
    """Train ``learner`` in place and yield one record an outer step.

    The last record has a ``warning`` when training diverged; the learner then holds the last good state.
    """
    trainer = Trainer(learner, source, config)
    if state is not None:
        trainer.load_state(state)
    while not trainer.finished:
        yield trainer.step()


def _norm(gradients: dict[str, Tensor]) -> float:
    return float(torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients.values()])))


def _named(values: list[float]) -> dict[str, float]:
    return {**dict(zip(CAPABILITIES, values, strict=True)), "total": sum(values)}

"""Meta-training: one loop for every learner, as a generator of small records.

Three drivers consume the same records: a plain ``for`` loop, a panel's worker thread and a parameterised run.

    for record in meta_train(learner, world, TrainConfig(learner="maml", steps=200)):
        print(record.line())

Outer step (EQ-TRAIN-1): draw tasks and a number of shots, average the learner's outer gradient over the
tasks, clip it to norm 1, one Adam step with rate β that rises for 20 steps and decays to zero along a half cosine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor

from metadialog_lite.episodes import TurnBatch, draw_episodes, hide_words, stack_tasks
from metadialog_lite.families.base import Learner
from metadialog_lite.train_config import TrainConfig
from metadialog_lite.turns import CAPABILITIES, TaskSource
from metadialog_lite.world import BayesReference, World

__all__ = ["Record", "TrainConfig", "Trainer", "meta_train"]


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
    skipped: bool = False  # loss or gradient was not finite, so this step was not taken
    hidden: float = 0.0  # share of the user's words hidden from the learner in this step; the floor sees all of them

    @property
    def regret(self) -> float | None:
        """Loss above the Bayes floor, nats per turn; too high while words are hidden, because the floor sees them."""
        return None if self.bayes is None else self.loss["total"] - self.bayes["total"]

    def line(self) -> str:
        """One line of text."""
        floor = "" if self.bayes is None else f"  bayes {self.bayes['total']:.3f}  regret {self.regret:.3f}"
        notes = f"  {100 * self.hidden:.0f} % of words hidden" if self.hidden >= 0.005 else ""
        notes += "  skipped" if self.skipped else ""
        return f"step {self.step:5d}  {self.shots:2d} shots  loss {self.loss['total']:.3f}{floor}{notes}"


#: A step has exploded when its loss is this many times the reference: the highest of the first losses and of the loss
#: before adapting (few shots cost more than many), but no more than guessing every token blindly would cost …
EXPLODED, FIRST = 3.0, 5
#: … or this many times the highest of the last ``RECENT`` losses. An exploded step is taken, clipped like every other
#: one: where inner steps have become too long, it is its gradient that makes them shorter …
LEAP, RECENT = 10.0, 50
#: … but training has diverged after so many of them within so many steps.
PATIENCE, WITHIN = 8, 32
#: β rises to its full value over so many steps: Adam's first steps are long, because it knows no gradient yet.
WARM_UP = 20
#: Where β does not decay, no words are hidden any more after so many steps.
HIDE_STEPS = 500
#: How often the state is kept, in steps. A state counts as good once so many more steps went well.
KEEP_EVERY = 10


class Trainer:
    """Holds a learner and its optimiser and takes one outer step at a time.

    Args:
        learner: what is trained, in place.
        source: the world or corpus; its ``train`` split is used.
        config: the settings.

    Raises:
        ValueError: for a learner that has nothing to train.
    """

    def __init__(self, learner: Learner, source: TaskSource, config: TrainConfig):
        if not learner.phi() or learner.trained == "none":
            raise ValueError(f"learner '{learner.name}' is not trained: it has nothing to meta-learn")
        self.learner, self.source, self.config = learner.to(config.device), source, config
        self.optimizer = torch.optim.Adam(list(learner.phi().values()), lr=config.outer_lr)
        self.reference = BayesReference(source) if isinstance(source, World) and config.floor else None
        self.done_steps = 0
        self.cpu_seconds = 0.0
        self.diverged = False
        self.stepping = False  # while a step is being taken, the state is no state to be saved
        self._highest = 0.0  # what an exploded loss is compared with
        self._recent: list[float] = []
        self._bad_steps: list[int] = []  # exploded ones of the last steps
        self._good = self._candidate = self._snapshot()

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
        """One outer step. EQ-TRAIN-1: phi <- phi - beta * Adam(clip(mean over tasks of dL_Q / dphi)).

        A step that would spoil the learner is not taken: see ``Record.warning``.
        """
        started, self.stepping = time.process_time(), True
        config, step = self.config, self.done_steps
        # What a step sees depends on (source, seed, step) alone, so a resumed run sees the same.
        shots = Random(f"{self.source.name}/shots/{config.seed}/{step}").choice(config.shots)
        episodes = draw_episodes(
            self.source, "train", config.seed, step * config.tasks, config.tasks, shots, config.query_turns, config.pool
        )
        vocabulary = self.learner.vocabulary
        support = stack_tasks([e.support for e in episodes], vocabulary).to(config.device)
        query = stack_tasks([e.query for e in episodes], vocabulary).to(config.device)
        hide = 0.0
        if config.word_dropout > 0:
            spent = self.progress if config.decay else self.done_steps / HIDE_STEPS  # a training without an end
            # A joint model goes on hiding to its end: it is to look at every word, and to lose nothing by it.
            hide = config.word_dropout * (1.0 if self.learner.trained == "joint" else 1 - min(1.0, spent))
            random = torch.Generator().manual_seed(Random(f"{config.seed}/{step}/words").getrandbits(63))
            support, query = hide_words(support, hide, random), hide_words(query, hide, random)
        gradients, losses = self.learner.outer_gradient(support, query)
        norm = float(torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients.values()])))
        loss = _named(losses.detach().mean(0).tolist())
        bayes = None
        if self.reference is not None:
            floors = [self.reference.posterior(e.support).nll(turn) for e in episodes for turn in e.query]
            bayes = _named([sum(column) / len(floors) for column in zip(*floors, strict=True)])
        exploded = self._exploded(loss["total"], norm, query)
        self._bad_steps = [bad for bad in (*self._bad_steps, *[step] * exploded) if bad > step - WITHIN]
        warning = None
        finite = math.isfinite(loss["total"]) and math.isfinite(norm)
        if len(self._bad_steps) == PATIENCE or (finite and not self._update(gradients, norm)):
            warning = self._give_up(loss["total"], norm, query)
        else:
            self.done_steps += 1
        self.cpu_seconds += time.process_time() - started
        self.stepping = False
        return Record(step + 1, shots, loss, bayes, self.cpu_seconds, norm, warning, not finite, hide)

    def _update(self, gradients: dict[str, Tensor], norm: float) -> bool:
        """Clip, then Adam. False when a parameter is no longer finite."""
        if self.done_steps % KEEP_EVERY == 0 and not self._bad_steps:
            self._good, self._candidate = self._candidate, self._snapshot()
        scale = min(1.0, self.config.clip / (norm + 1e-12))
        for name, parameter in self.learner.phi().items():
            parameter.grad = gradients[name].detach() * scale
        rate = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress))) if self.config.decay else 1.0
        rate *= min(1.0, (self.done_steps + 1) / WARM_UP)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.outer_lr * rate
        self.optimizer.step()
        return all(bool(value.isfinite().all()) for value in self.learner.phi().values())

    def _exploded(self, loss: float, norm: float, query: TurnBatch) -> bool:
        """Whether a loss is out of all proportion; else it is remembered."""
        blind = float((query.segment > 0).sum()) / query.tokens[..., 0].numel() * math.log(len(self.learner.vocabulary))
        if self.done_steps == 0:
            self._highest = min(blind, self._unadapted(query))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            return True
        if self.done_steps < FIRST:
            self._highest = min(blind, max(self._highest, loss))
        limit = EXPLODED * self._highest
        if len(self._recent) == RECENT:
            limit = min(limit, LEAP * max(self._recent))
        if loss > limit:
            return True
        self._recent = [*self._recent, loss][-RECENT:]
        return False

    @torch.no_grad()
    def _unadapted(self, query: TurnBatch) -> float:
        """The query loss of θ₀ itself, nats per turn."""
        theta = self.learner.theta_0(self.learner.phi(), query)
        return float(self.learner.query_losses(theta, query).sum(-1).mean())

    def _give_up(self, loss: float, norm: float, query: TurnBatch) -> str:
        """Go back to the last good state and say what happened and what to change."""
        step, outer, inner = self.done_steps + 1, self.config.outer_lr, getattr(self.learner, "inner_lr", None)
        without = self._unadapted(query)
        self.diverged = True
        self.learner.load_state_dict(self._good["learner"])
        self._load_moments(self._good["optimizer"])
        self.done_steps, self._recent, self._bad_steps = self._good["step"], self._good["recent"], []
        rates = f"outer rate {outer:g}" + ("" if inner is None else f", inner rate {inner:g}")
        text = (f"diverged at step {step}: loss {loss:.4g}, gradient norm {norm:.4g} ({rates}). "
                f"The last good state, that of step {self.done_steps}, is kept. ")
        if inner is not None and without <= EXPLODED * self._highest:
            return (f"{text}Before adapting the loss is only {without:.3g}: the inner steps are too large. Try "
                    f"inner_lr={inner / 3:.2g} or fewer inner steps; where rates are learned, also a smaller outer_lr.")
        return f"{text}The loss before adapting has exploded as well ({without:.3g}): try outer_lr={outer / 3:.2g}."

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on exactly: step, CPU seconds and the optimiser's tensors.

        After a divergence this is the last good state, as in the learner.
        """
        moments = {f"{i}.{key}": value for i, row in self.optimizer.state_dict()["state"].items()
                   for key, value in row.items()}
        return {"step": self.done_steps, "cpu_seconds": self.cpu_seconds, "highest": self._highest,
                "recent": list(self._recent), "bad_steps": list(self._bad_steps),
                "optimizer": {name: torch.as_tensor(value).detach().clone() for name, value in moments.items()}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from ``state()``; the learner's own tensors are loaded separately.

        Raises:
            ValueError: when the optimiser's tensors belong to another model.
        """
        self._load_moments(state["optimizer"])
        self.done_steps, self.cpu_seconds = state["step"], state["cpu_seconds"]
        self._highest, self._recent = state.get("highest", math.inf), list(state.get("recent", []))
        bad = state.get("bad_steps", [])
        self._bad_steps = list(bad) if isinstance(bad, list) else []  # for a while it was a number
        self._good = self._candidate = self._snapshot()

    def _load_moments(self, moments: dict[str, Tensor]) -> None:
        shapes = [value.shape for value in self.learner.phi().values()]
        rows: dict[int, dict[str, Tensor]] = {}
        for name, value in moments.items():
            number, _, key = name.partition(".")
            if not number.isdigit() or int(number) >= len(shapes) or value.shape not in (shapes[int(number)], ()):
                raise ValueError(f"the optimiser's tensor '{name}' of shape {tuple(value.shape)} fits none of the "
                                 "learner's parameters: it belongs to another model")
            rows.setdefault(int(number), {})[key] = value.clone()
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": rows})

    def _snapshot(self) -> dict[str, Any]:
        learner = {name: value.detach().clone() for name, value in self.learner.state_dict().items()}
        return {"learner": learner, **self.state()}


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


def _named(values: list[float]) -> dict[str, float]:
    return {**dict(zip(CAPABILITIES, values, strict=True)), "total": sum(values)}

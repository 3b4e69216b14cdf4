"""Where each generator of notebook 06 begins: its world, its frozen theta_0, its outer rate; and how it is judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from metadialog_lite.checkpoints import Checkpoint, CheckpointError, initialise_from, load_checkpoint
from metadialog_lite.episodes import TurnBatch, draw_episodes
from metadialog_lite.evaluation import TaskLosses, paired_difference, task_losses
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.lab.data_text import Line, probe_of, watched
from metadialog_lite.lab.parameters_06 import DataParameters
from metadialog_lite.lab.settings import ENDLESS
from metadialog_lite.lab.start import meta_trained
from metadialog_lite.training import Record, TrainConfig, Trainer
from metadialog_lite.turns import CAPABILITIES
from metadialog_lite.workbench import build_learner
from metadialog_lite.world import World, WorldError, load_world


class WatchedTrainer(Trainer):
    """A trainer that notes after each step what g_phi has learned (:func:`~metadialog_lite.lab.data_text.watched`).

    A high loss is no sign of divergence here: with frozen long steps the identity, where g begins, is that bad.
    """

    def __init__(self, learner: Learner, source: World, config: TrainConfig) -> None:
        super().__init__(learner, source, config)
        some = draw_episodes(source, "valid", config.seed, 0, 8, max(config.shots), 1)
        self.probe = probe_of([each.support for each in some], learner.vocabulary, config.device)
        self.history = [(0, watched(learner, self.probe))]

    def step(self) -> Record:
        """One outer step."""
        record = super().step()
        self.history.append((record.step, watched(self.learner, self.probe)))
        return record

    def _exploded(self, loss: float, norm: float, query: TurnBatch) -> bool:
        return not (math.isfinite(loss) and math.isfinite(norm))


@dataclass(frozen=True)
class Plan:
    """One generator: where it is trained and judged, and from what.

    make      a new learner of which g alone is learned: make(identity=True) is the control
    origin    what is frozen, in words
    teacher   one that was trained for long, where there is one
    """

    name: str
    source: World
    make: Callable[..., Learner]
    outer_lr: float
    shots: tuple[int, ...]
    origin: str
    teacher: Learner | None = None

    @property
    def live_lr(self) -> float:
        """The outer rate of a training without an end: it does not decay, so it is half as high."""
        return self.outer_lr / 2

    def trainer(self, seed: int = 0, steps: int | None = None, outer_lr: float | None = None, **more: Any
                ) -> WatchedTrainer:
        """A trainer of g alone; without ``steps`` it has no end."""
        endless = steps is None
        rate, most = (self.live_lr, ENDLESS) if steps is None else (self.outer_lr, max(1, steps))
        config = TrainConfig(learner=self.name, steps=most, decay=not endless, seed=seed, shots=self.shots,
                             outer_lr=outer_lr or rate, word_dropout=0.0, **more)
        return WatchedTrainer(self.make(), self.source, config)


def with_theta(start: Checkpoint, name: str, seed: int = 0, **options: Any) -> Learner:
    """A learner with theta_0 from ``start``, and with its learned rates as well when it has some (Meta-SGD)."""
    theirs = start.learner
    rated = len(getattr(theirs, "rates", ())) > 0
    if rated:  # inner_lr is but the unit of learned rates
        options |= {each: getattr(theirs, each) for each in ("inner_lr", "pace")}
    learner = make_learner(name, theirs.model.config, theirs.vocabulary, seed, **options)
    initialise_from(learner, start, rates=rated)
    return learner


def plans(p: DataParameters, joint: Checkpoint, say: Callable[[str], None] = print) -> dict[str, Plan]:
    """The three generators, each where it can show what it does.

    Augmentation: the joint model, frozen, and few turns. Distillation: a model that nobody has trained; synthetic turns
    are the same for everybody, so they teach only what everybody shares, and a trained theta_0 has that already.
    Example weights: a world with noise, and the long learned steps of Meta-SGD, which noise throws off.
    """
    source = p.source
    assert isinstance(source, World)
    noisy, sgd = _noisy(p, source, say), meta_trained(p, ["meta_sgd"])
    size = {k: v for k, v in asdict(joint.learner.model.config).items() if k != "vocabulary"}
    base = {"inner_steps": 1, "inner_lr": p.inner_lr, "frozen": True}

    def augmentation(**more: Any) -> Learner:
        return with_theta(joint, "augmentation", p.seed, **{**base, **more}).to(p.device)

    def distillation(**more: Any) -> Learner:
        options = {**base, "inner_steps": 3, "begin": 1.0, **more}
        return build_learner("distillation", source, p.seed, options, size).to(p.device)

    def example_weights(**more: Any) -> Learner:
        return with_theta(sgd or joint, "example_weights", p.seed, **{**base, **more}).to(p.device)

    few = tuple(sorted({p.few, 2 * p.few}))
    made = {
        "augmentation": Plan("augmentation", source, augmentation, p.outer_lr, few, "the joint model"),
        "distillation": Plan("distillation", source, distillation, 0.3, (p.few,), "a model that nobody has trained"),
        "example_weights": Plan("example_weights", noisy, example_weights, 0.01, (p.shots,),
                                f"{'Meta-SGD' if sgd else 'the joint model'}, in the world {noisy.name}"),
    }
    found = {name: _teacher(p, plan.source, name, say) for name, plan in made.items()}
    return {name: replace(plan, teacher=found[name]) for name, plan in made.items()}


def _noisy(p: DataParameters, source: World, say: Callable[[str], None]) -> World:
    if p.noise == 0:
        return source
    try:
        return load_world(f"{p.world}+noise={p.noise:g}")
    except WorldError as error:
        say(f"{p.world} has no noisy version ({error}); example weights see no noise")
        return source


def _teacher(p: DataParameters, source: World, name: str, say: Callable[[str], None]) -> Learner | None:
    """The shipped learner of this name, best of all one that was trained on ``source`` itself."""
    found: Checkpoint | None
    try:
        found = load_checkpoint(f"{source.name}.{name}", source.name)
    except CheckpointError:
        found = meta_trained(p, [name])
    say(f"{name}: " + (f"the shipped {found.path.name}" if found else "none is shipped; train one in the panel"))
    return found.learner.to(p.device) if found else None


# How good is D'? ---------------------------------------------------------------------------------------------------


def judged(learner: Learner, plan: Plan, p: DataParameters, shots: int, counts_as: int | None = None) -> TaskLosses:
    """Losses on held-out speakers of the plan after ``shots`` support turns.

    ``counts_as``: is compared with learners that were given so many (real data of the size of somebody's D').
    """
    found = task_losses(learner, plan.source, (shots,), p.eval_tasks, p.query_turns, p.seed)
    return replace(found, shots=(counts_as or shots,))


def parts(losses: TaskLosses) -> list[float]:
    """Mean nats per turn of each capability."""
    if losses.loss is None:
        raise ValueError("this learner has no likelihood, so it has no loss")
    return [float(value) for value in losses.loss[:, 0].mean(0)]


def floor(losses: TaskLosses) -> list[float]:
    """The Bayes floor of the same turns after the same support."""
    bayes = losses.bayes
    if bayes is None:
        raise ValueError("there is no Bayes floor for real dialogues")
    return [float(value) for value in bayes[:, 0].mean(0)]


def contrast(mine: TaskLosses, control: TaskLosses) -> str:
    """Mine - control, speaker by speaker, with its 95 % interval and a word."""
    d = paired_difference(mine, control, mine.shots[0])
    verdict = "better" if d.wins else "worse" if d.low > 0 else "no clear difference"
    return f"{d.mean:+.3f} nats/turn [{d.low:+.3f}, {d.high:+.3f}]: {verdict}"


def auc(right: Sequence[float], wrong: Sequence[float]) -> float | None:
    """How often a right segment weighs more than a wrong one (0.5 = blind, 1 = always); None without either.

    The area under the ROC curve, which is the rank statistic of Mann & Whitney (1947); ties count half.
    """
    if not len(right) or not len(wrong):
        return None
    a, b = np.asarray(right)[:, None], np.asarray(wrong)[None]
    return float((a > b).mean() + 0.5 * (a == b).mean())


def ranks(lines: Iterable[Line]) -> dict[str, float | None]:
    """:func:`auc` of the weights for each capability: this speaker's segments against the strangers'."""
    every = list(lines)
    return {part: auc([one.weight[i] for one in every if part not in one.replaced],
                      [one.weight[i] for one in every if part in one.replaced]) for i, part in enumerate(CAPABILITIES)}



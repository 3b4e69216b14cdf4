"""Two experiments made of trainings: how many speakers does meta-training need, and when is first order enough?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from metadialog_lite.challenges.schema import Judged, Point, Training
from metadialog_lite.checkpoints import initialise_from, load_checkpoint
from metadialog_lite.episodes import Episode, TurnBatch, draw_episodes, stack_tasks
from metadialog_lite.evaluation import rows, task_losses
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.training import TrainConfig, Trainer
from metadialog_lite.turns import CAPABILITIES
from metadialog_lite.world import BayesReference, World
from metadialog_lite.world.shift import shifted

#: Support turns of the points, query turns, and how many speakers judge a point.
SHOTS, QUERY, JUDGES = 16, 8, 40
#: Numbers of support turns that trainings draw from, and of the table at the end; speakers behind that table.
TRAIN_SHOTS, TABLE_SHOTS, TABLE_TASKS = (2, 4, 8, 16, 32), (0, 2, 4, 8, 16, 32), 100
SHIFTS = ("style=1.0", "lexicon")
POOLS = (8, 32, 128, 512, None)
_STEP = {"inner_lr": 0.001, "inner_steps": 1, "pace": 4.0, "boost": 100.0}
#: What is trained in the experiment on orders: the same options for both orders. Without the boost of the embedding's
#: rates, and at a smaller outer rate: with those of the other experiments first order diverged after 16 steps.
_SHORT = {"inner_lr": 0.0005, "inner_steps": 1, "pace": 4.0, "learned_rates": True}
ORDERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("maml", _SHORT),
    ("fomaml", _SHORT),
    ("maml", {**_SHORT, "inner_steps": 3}),
    ("fomaml", {**_SHORT, "inner_steps": 3}),
)
ORDERS_RATE = 0.004


@dataclass(frozen=True)
class Group:
    """Speakers who judge a learner: their turns as tensors, and what the exact optimum pays for them."""

    support: TurnBatch
    query: TurnBatch
    bayes: float
    prior: float

    @classmethod
    def of(cls, learner: Learner, world: World, episodes: Sequence[Episode]) -> Group:
        """The group of these episodes."""
        reference = BayesReference(world)
        known, blank = [reference.posterior(e.support) for e in episodes], reference.posterior([])
        bayes = [sum(post.nll(turn)) for post, e in zip(known, episodes, strict=True) for turn in e.query]
        prior = [sum(blank.nll(turn)) for e in episodes for turn in e.query]
        return cls(stack_tasks([e.support for e in episodes], learner.vocabulary),
                   stack_tasks([e.query for e in episodes], learner.vocabulary),
                   sum(bayes) / len(bayes), sum(prior) / len(prior))

    def judge(self, learner: Learner) -> Judged:
        """The learner's mean total loss after this support."""
        loss = learner.adapt(self.support).nll(self.query).double().sum(-1).mean()
        return Judged(loss=float(loss), bayes=self.bayes, prior=self.prior, tasks=self.support.tokens.shape[0])


def groups(learner: Learner, world: World, pool: int | None, seed: int, judges: int = JUDGES) -> dict[str, Group]:
    """Three groups that tell learning from remembering.

    seen    training speakers and the very query turns of training
    known   the same speakers with the same support, but other query turns
    new     held-out speakers
    """
    count = min(pool or judges, judges)
    seen = draw_episodes(world, "train", seed, 0, count, SHOTS, QUERY)
    known = [Episode(e.task, e.support, e.task.query(2 * QUERY)[QUERY:]) for e in seen]
    new = draw_episodes(world, "test", 0, 0, judges, SHOTS, QUERY)
    return {name: Group.of(learner, world, episodes)
            for name, episodes in {"seen": seen, "known": known, "new": new}.items()}


def training(
    world: World, name: str, options: dict[str, Any], pool: int | None, steps: int, seed: int, points: int,
    say: Callable[[str], None] = print, tasks: int = 8, outer_lr: float = 0.0125, judges: int = JUDGES,
    table: int = TABLE_TASKS, shifts: Sequence[str] = (),
) -> Training:
    """Train from the shipped joint model for ``steps`` steps and judge ``points`` times on the way.

    Args:
        table: held-out speakers of the table at the end.
        judges: speakers of each group at each point.
        shifts: worlds to judge in at the end, besides.

    Raises:
        CheckpointError: no joint model of the world is shipped.
        RuntimeError: training diverged.
    """
    start = load_checkpoint(f"{world.name}.joint", world.name)
    learner = make_learner(name, start.learner.model.config, start.learner.vocabulary, seed, **options)
    initialise_from(learner, start)
    config = TrainConfig(learner=name, options=options, steps=steps, seed=seed, tasks=tasks, shots=TRAIN_SHOTS,
                         outer_lr=outer_lr, pool=pool, floor=False)
    trainer, judging = Trainer(learner, world, config), groups(learner, world, pool, seed, judges)
    found = list(watched(trainer, judging, points, say))
    losses = task_losses(learner, world, TABLE_SHOTS, table)
    elsewhere = {}
    for kind in shifts:
        other = shifted(world, kind)
        episodes = draw_episodes(other, "test", 0, 0, judges, SHOTS, QUERY)
        elsewhere[kind] = Group.of(learner, other, episodes).judge(learner)
    return Training(learner=name, options=options, pool=pool, seed=seed, steps=steps, tasks=tasks, points=found,
                    rows=rows(losses, CAPABILITIES), shifts=elsewhere)


def watched(
    trainer: Trainer, judging: dict[str, Group], points: int, say: Callable[[str], None] = print
) -> Iterator[Point]:
    """Train to the end; a point before the first step, and after every ``1 / points`` of the steps.

    Raises RuntimeError when training diverged.
    """
    steps = trainer.config.steps or 0
    due = {round(steps * i / points) for i in range(points + 1)}
    while True:
        if trainer.done_steps in due:
            judged = {name: group.judge(trainer.learner) for name, group in judging.items()}
            say(f"{trainer.learner.name} pool {trainer.config.pool} step {trainer.done_steps}: "
                + ", ".join(f"{name} {one.gap_closed or 0:.3f}" for name, one in judged.items()))
            yield Point(step=trainer.done_steps, cpu_seconds=round(trainer.cpu_seconds, 2), groups=judged)
        if trainer.finished:
            return
        record = trainer.step()
        if record.warning:
            raise RuntimeError(record.warning)


def limited_tasks(
    world: World, steps: int = 900, pools: Sequence[int | None] = POOLS, seed: int = 1, points: int = 6,
    say: Callable[[str], None] = print, **more: Any,
) -> list[Training]:
    """Meta-SGD with as many steps on few speakers, on many, and on ever new ones."""
    return [training(world, "meta_sgd", dict(_STEP), pool, steps, seed, points, say,
                     **{"shifts": SHIFTS, **more}) for pool in pools]


def orders(
    world: World, steps: int = 600, seed: int = 1, points: int = 6, say: Callable[[str], None] = print, **more: Any,
) -> list[Training]:
    """MAML and first-order MAML with the same options and as many steps."""
    return [training(world, name, dict(options), None, steps, seed, points, say,
                     **{"table": 20, "outer_lr": ORDERS_RATE, **more})
            for name, options in ORDERS]


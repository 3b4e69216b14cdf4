"""How good is a learner after k support turns? Losses, regret and gap closed, with intervals over speakers.

In a toy world every task is a speaker of its own. A real corpus has few held-out speakers, so that many tasks belong to
the same person and resemble each other: intervals are then bootstrapped over persons, not over tasks.

EQ-GAP-1:  gap closed(k) = (Bayes(0) − loss(k)) / (Bayes(0) − Bayes(k))
is 0 for one who learns nothing from the support and 1 for the exact optimum.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from metadialog_lite.checkpoints import effective_options
from metadialog_lite.decoded import Decoded, decode_bayes, decode_learner
from metadialog_lite.episodes import Episode, draw_episodes, stack_tasks
from metadialog_lite.families.base import Learner
from metadialog_lite.results import JointGoal, Result, Row, Seconds, commit, peak_mb, versions
from metadialog_lite.turns import CAPABILITIES, TaskSource, Turn
from metadialog_lite.world import BayesReference, World, training_reference
from metadialog_lite.world.mixture import WORDS_ONLY

Floats = NDArray[np.float64]
#: Tasks in one pass; bounds the memory.
CHUNK = 20
RESAMPLES = 2000


@dataclass(frozen=True)
class TaskLosses:
    """Mean nats per query turn of every task: arrays [tasks, shots, 3] in the order of CAPABILITIES."""

    shots: tuple[int, ...]
    loss: Floats | None  # None for a learner without a likelihood
    bayes: Floats | None  # None for real corpora
    prior: Floats | None  # Bayes(0), [tasks, 1, 3]
    tokens: Floats  # response tokens (with the end marker) per query turn, [tasks]
    adapt_seconds: float  # process CPU seconds a task, at the largest number of shots
    speakers: tuple[str, ...] | None = None  # who is behind each task; None: every task is a speaker of its own
    believed: Floats | None = None  # Bayes with the training world's prior; None where there is none


#: One learner for all numbers of shots, or one for each (a baseline that is tuned for each).
Judged = Learner | Mapping[int, Learner]


def learner_at(judged: Judged, shots: int) -> Learner:
    """The learner that is judged after ``shots`` support turns."""
    return judged if isinstance(judged, Learner) else judged[shots]


def task_losses(
    learner: Judged, source: TaskSource, shots: Sequence[int], tasks: int, query_turns: int = 8, seed: int = 0,
    split: str = "test",
) -> TaskLosses:
    """Losses of ``tasks`` held-out tasks at every number of shots, on the same query turns.

    The tasks are a pure function of (source, split, seed), so two learners meet the same ones (paired).

    Raises:
        ValueError: when ``shots`` is empty or negative, ``tasks`` < 1 or ``query_turns`` < 1.
        FloatingPointError: when a loss is NaN or infinite.
    """
    shots = tuple(sorted(set(shots)))
    if not shots or shots[0] < 0 or tasks < 1 or query_turns < 1:
        raise ValueError(f"shots={shots}, tasks={tasks}, query_turns={query_turns}: give shots of at least 0, "
                         "at least 1 task and at least 1 query turn")
    loss, seconds, episodes = [], 0.0, []
    for first in range(0, tasks, CHUNK):
        part = draw_episodes(source, split, seed, first, min(CHUNK, tasks - first), max(shots), query_turns)
        rows = []
        for k in shots:
            now, spent = _losses(learner_at(learner, k), part, k)
            if now is not None and not np.isfinite(now).all():
                raise FloatingPointError(f"the loss of '{learner_at(learner, k).name}' is NaN or infinite after {k} "
                                         "support turns: its inner rate is too large, or its training diverged")
            rows.append(now)
            seconds += spent * (k == shots[-1])
        known = [row for row in rows if row is not None]
        if len(known) == len(shots):
            loss.append(np.stack(known, axis=1))
        episodes += part
    tokens = np.array([np.mean([len(turn.response) + 1 for turn in e.query]) for e in episodes])
    bayes = prior = believed = None
    if isinstance(source, World):
        reference = BayesReference(source)
        bayes = np.array([[_floor(reference, e.support[:k], e.query) for k in shots] for e in episodes])
        prior = np.array([[_floor(reference, [], e.query)] for e in episodes])
        if source.training is not None and (trained := training_reference(source)) is not None:
            believed = np.array([[_floor(trained, e.support[:k], e.query) for k in shots] for e in episodes])
    people = [getattr(e.task, "speaker", None) for e in episodes]
    speakers = None if None in people else tuple(map(str, people))
    return TaskLosses(shots, np.concatenate(loss) if loss else None, bayes, prior, tokens, seconds / tasks, speakers,
                      believed)


def _losses(learner: Learner, episodes: Sequence[Episode], shots: int) -> tuple[Floats | None, float]:
    """[tasks, 3] mean nats per query turn after ``shots`` support turns, and the CPU seconds of adapting alone.

    None in the place of the losses for a learner without a likelihood.
    """
    if not learner.stacked:  # one task at a time, from the turns themselves
        started = time.process_time()
        adapted = [learner.adapt(e.support[:shots]) for e in episodes]
        spent = time.process_time() - started
        if not learner.likelihood:
            return None, spent
        nll = [a.nll(e.query).double().mean(0) for a, e in zip(adapted, episodes, strict=True)]
        return np.array([row.cpu().numpy() for row in nll]), spent
    support = stack_tasks([e.support[:shots] for e in episodes], learner.vocabulary).to(learner.device)
    query = stack_tasks([e.query for e in episodes], learner.vocabulary).to(learner.device)
    started = time.process_time()
    together = learner.adapt(support)
    spent = time.process_time() - started
    result: Floats = together.nll(query).double().mean(-2).cpu().numpy()
    return result, spent


def _floor(reference: BayesReference, support: Sequence[Turn], query: Sequence[Turn]) -> list[float]:
    posterior = reference.posterior(support)
    rows: list[float] = np.mean([posterior.nll(turn) for turn in query], axis=0).tolist()
    return rows


def evaluate(
    learner: Judged, source: TaskSource, shots: Sequence[int] = (0, 2, 4, 8, 16, 32), tasks: int = 200,
    query_turns: int = 8, seed: int = 0, split: str = "test", decode: bool = True, losses: TaskLosses | None = None,
) -> Result:
    """The whole table of one learner on held-out tasks (the schema of ``results.Result``).

    Args:
        learner: one learner, or one for each number of shots.
        shots: numbers of support turns; nested, with the same query turns at each.
        tasks: held-out tasks.
        decode: also let the learner speak (greedily, after the most shots): joint goal accuracy with the gold
            previous state and carried through whole dialogues, act accuracy, BLEU. Takes longer than the losses.
        losses: what ``task_losses`` gave for the same arguments, if it is there already.

    Raises:
        ValueError, FloatingPointError: as ``task_losses``.
    """
    losses = losses or task_losses(learner, source, shots, tasks, query_turns, seed, split)
    most = losses.shots[-1]
    speaker = learner_at(learner, most)
    world = source if isinstance(source, World) else None
    spoken = decode_learner(speaker, source, most, tasks, query_turns, seed, split) if decode else Decoded()
    reference = decode_bayes(source, most, tasks, query_turns, seed, split) if decode and world else None
    return Result(
        learner=speaker.name,
        world=world.name if world else None,
        corpus=None if world else source.name,
        seed=seed, split=split, tasks=tasks, query_turns=query_turns,
        rows=rows(losses, source.capabilities),
        jga=JointGoal(gold_previous_state=spoken.jga, carried=spoken.jga_carried) if spoken.jga is not None else None,
        act_accuracy=spoken.act_accuracy, bleu=spoken.bleu, bleu_signature=spoken.bleu_signature,
        distinct={"1": spoken.distinct_1, "2": spoken.distinct_2} if decode else None,
        perplexity=perplexity(losses),
        vocabulary=len(speaker.vocabulary),
        reference_label=world.told if world else None,
        shift_of=world.training.name if world and world.training else None,
        reference=reference.numbers() if reference else None,
        seconds=Seconds(adapt=losses.adapt_seconds),
        parameters=sum(p.numel() for p in speaker.parameters()),
        peak_mb=peak_mb(), versions=versions(), commit=commit(),
        options=effective_options(speaker) | ({"speakers": len(set(losses.speakers))} if losses.speakers else {})
        | ({"spoken": spoken.real()} if spoken.real() else {}),
    )


def shift_of(source: TaskSource, trained: str) -> str | None:
    """What ``source`` is a shift of, for a learner trained on ``trained`` (a name, or several); None: it is none.

    For another domain that is ``trained`` itself (without worlds that gave it words alone). Noise in the support is no
    shift.
    """
    if not isinstance(source, World):
        return None
    names = [name for name in trained.split(",") if not name.startswith(WORDS_ONLY)]
    known = {name.split("+noise=")[0] for name in names}
    if {world.clean_name for world in source.members} <= known:
        return None
    same = {(world.training or world).clean_name for world in source.members} <= known
    return source.training.name if same and source.training else ",".join(names)


def rows(losses: TaskLosses, capabilities: Sequence[str]) -> list[Row]:
    """One row for each number of shots and capability, with 95 % bootstrap intervals over speakers."""
    table = []
    for i, k in enumerate(losses.shots):
        for name in (*capabilities, "total"):
            pick = list(range(3)) if name == "total" else [CAPABILITIES.index(name)]
            loss, bayes, prior, believed = (None if part is None else part[:, at, pick].sum(-1) for part, at in (
                (losses.loss, i), (losses.bayes, i), (losses.prior, 0), (losses.believed, i)))
            cells: dict[str, float | None] = {}
            if loss is not None:
                low, high = interval(loss, speakers=losses.speakers)
                cells |= {"loss": float(loss.mean()), "low": low, "high": high}
            if bayes is not None and prior is not None:
                cells |= {"bayes": float(bayes.mean()), "prior": float(prior.mean())}
                if believed is not None:
                    cells["bayes_training_prior"] = float(believed.mean())
                if loss is not None:
                    cells |= _against_bayes(loss, bayes, prior, losses.speakers)
            table.append(Row.model_validate({"shots": k, "capability": name, **cells}))
    return table


def _against_bayes(loss: Floats, bayes: Floats, prior: Floats, speakers: Sequence[str] | None) -> dict[str, float]:
    """Regret, and EQ-GAP-1 with its interval where it is defined; one number for each task goes in."""
    cells = {"regret": float((loss - bayes).mean())}
    if (prior - bayes).mean() > 1e-9:  # undefined where the support teaches nothing
        cells["gap_closed"] = float((prior - loss).mean() / (prior - bayes).mean())
        gap = interval(prior - loss, prior - bayes, speakers)
        if gap is not None:
            cells |= {"gap_low": gap[0], "gap_high": gap[1]}
    return cells


def _resampled(speakers: int) -> NDArray[np.intp]:
    """Bootstrap draws [RESAMPLES, speakers]; always the same ones, so that comparisons are paired."""
    return np.random.default_rng(0).integers(speakers, size=(RESAMPLES, speakers))


@overload
def interval(values: Floats, per: None = None, speakers: Sequence[str] | None = None) -> tuple[float, float]: ...
@overload
def interval(values: Floats, per: Floats, speakers: Sequence[str] | None = None) -> tuple[float, float] | None: ...
def interval(
    values: Floats, per: Floats | None = None, speakers: Sequence[str] | None = None
) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the mean over tasks, or of a ratio of two means (Efron 1979).

    Args:
        values, per: one number for each task.
        speakers: who is behind each task. A speaker is drawn with all their tasks (cluster bootstrap): tasks of one
            person are not independent, and drawing them one by one would give an interval that is too narrow.

    None when the ratio's denominator is not above 0 in every resample: with few tasks it may be anything.
    """
    groups = np.arange(len(values)) if speakers is None else np.unique(speakers, return_inverse=True)[1]
    draws = _resampled(groups.max() + 1)
    sums, tasks = np.bincount(groups, values)[draws].sum(1), np.bincount(groups)[draws].sum(1)
    means = sums / tasks
    if per is not None:
        below = np.bincount(groups, per)[draws].sum(1) / tasks
        if below.min() <= 1e-9:
            return None
        means = means / below
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """Mean of (a − b) in nats per query turn with its paired 95 % interval; below 0 means that a is better."""

    mean: float
    low: float
    high: float

    @property
    def wins(self) -> bool:
        """Whether a is better and the interval excludes zero."""
        return self.high < 0


def paired_difference(a: TaskLosses, b: TaskLosses, shots: int) -> Difference:
    """Total loss of a minus that of b, task by task, after ``shots`` support turns (both saw the same tasks).

    The interval is over speakers. Raises ValueError when the two can't be paired.
    """
    if a.speakers != b.speakers:
        raise ValueError("cannot be paired: the two were not evaluated on the same speakers in the same order")
    if a.loss is None or b.loss is None:
        raise ValueError("cannot be paired: a learner without a likelihood has no loss")
    if shots not in a.shots or shots not in b.shots or len(a.loss) != len(b.loss):
        raise ValueError(f"cannot be paired after {shots} shots: {len(a.loss)} tasks with shots {a.shots} against "
                         f"{len(b.loss)} tasks with shots {b.shots}")
    difference = a.loss[:, a.shots.index(shots)].sum(-1) - b.loss[:, b.shots.index(shots)].sum(-1)
    return Difference(float(difference.mean()), *interval(difference, speakers=a.speakers))


def perplexity(losses: TaskLosses) -> dict[str, float] | None:
    """Shots → exp(nats per response token), over all tokens of all query turns (not averaged per batch or turn)."""
    if losses.loss is None:
        return None
    nats = losses.loss[:, :, CAPABILITIES.index("response")].mean(0)
    mean = nats / losses.tokens.mean()
    return {str(k): float(np.exp(n)) for k, n in zip(losses.shots, mean, strict=True) if n < 700}  # exp(710) overflows

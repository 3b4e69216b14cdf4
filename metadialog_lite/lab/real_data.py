"""Stored runs on real corpora as a notebook sees them: who was run, and paired differences over people and seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metadialog_lite.evaluation import Difference, interval
from metadialog_lite.lab.comparison_data import FAMILIES, FOUR, RIVAL
from metadialog_lite.paths import data_dir
from metadialog_lite.real_comparison import finished
from metadialog_lite.results import Result
from metadialog_lite.tuned import baseline
from metadialog_lite.turns import TaskSource


@dataclass(frozen=True)
class RealRuns:
    """All stored runs on one corpus with one model size."""

    label: str
    size: str = "tiny"
    runs: dict[tuple[str, int], Result] = field(default_factory=dict)  # (learner, training seed) -> result

    @property
    def title(self) -> str:
        """Corpus and model size in words."""
        return f"{self.label} ({self.size} model)"

    @property
    def learners(self) -> list[str]:
        """Everybody with a run, family by family."""
        return [name for members in FAMILIES.values() for name in members if self.seeds(name)]

    @property
    def shots(self) -> list[int]:
        """Numbers of support turns that the runs were judged after."""
        return sorted({row.shots for result in self.runs.values() for row in result.rows})

    def seeds(self, learner: str) -> list[int]:
        """Training seeds of a learner."""
        return sorted(seed for name, seed in self.runs if name == learner)

    def per_task(self, learner: str, seed: int, shots: int) -> Any:
        """Total loss of every held-out task, nats per query turn: [tasks], or None where it is not stored."""
        run = self.runs.get((learner, seed))
        kept = run.options.get("per_task", {}).get(str(shots)) if run else None
        return None if kept is None else np.array(kept, float)

    def people(self, learner: str, seed: int) -> list[str] | None:
        """Who is behind each task (bootstrap draws people, not tasks); None: every task is a person."""
        run = self.runs.get((learner, seed))
        return (run.options.get("people") or None) if run else None

    def best(self, shots: int) -> list[str]:
        """Of each family the member with the lowest mean loss over its seeds after ``shots`` turns, then the rival."""
        found = []
        for family in FOUR:
            losses = {name: self.mean(name, shots) for name in FAMILIES[family] if self.seeds(name)}
            known = {name: loss for name, loss in losses.items() if loss is not None}
            found += [min(known, key=lambda name: known[name])] if known else []
        return [*found, *([RIVAL] if self.seeds(RIVAL) else [])]

    def mean(self, learner: str, shots: int) -> float | None:
        """Mean loss over tasks and training seeds."""
        found = [self.per_task(learner, seed, shots) for seed in self.seeds(learner)]
        return float(np.mean([part.mean() for part in found])) if found and all(p is not None for p in found) else None

    def against(self, learner: str, shots: int, rival: str = RIVAL) -> dict[int, Difference]:
        """Training seed -> mean of (learner - rival), task by task, with its 95 % interval over people.

        Both started from a joint model of the same training seed; below 0 the learner is better.
        """
        found = {}
        for seed in self.seeds(learner):
            mine, theirs = (self.per_task(who, seed, shots) for who in (learner, rival))
            if mine is not None and theirs is not None and len(mine) == len(theirs):
                gap = mine - theirs
                found[seed] = Difference(float(gap.mean()), *interval(gap, speakers=self.people(learner, seed)))
        return found

    def gains(self, learner: str, seed: int, shots: int) -> Difference | None:
        """How much the support has helped: loss without it - loss after ``shots`` turns, over people."""
        before, after = self.per_task(learner, seed, 0), self.per_task(learner, seed, shots)
        if before is None or after is None:
            return None
        gain = before - after
        return Difference(float(gain.mean()), *interval(gain, speakers=self.people(learner, seed)))


def read_real(label: str, folder: Path | None = None, size: str = "tiny") -> RealRuns:
    """The stored runs on a corpus; an empty collection where there are none."""
    where = folder or data_dir() / "results" / "real"
    return RealRuns(label, size, finished(where, label, size) if where.is_dir() else {})


def stored_corpora(folder: Path | None = None) -> list[tuple[str, str]]:
    """(corpus, model size) of everything that is stored, chitchat first."""
    where = folder or data_dir() / "results" / "real"
    names = {tuple(path.name.split(".")[:2]) for path in where.glob("*.seed*.json")} if where.is_dir() else set()
    return sorted(((name[0], name[1]) for name in names), key=lambda one: (one[0] != "chitchat", one[1] != "tiny", one))


def verdict(found: RealRuns, learner: str, shots: int, rival: str = RIVAL) -> str:
    """Who wins, in words: somebody wins when every training seed's interval excludes zero on the same side."""
    pairs = found.against(learner, shots, rival)
    if not pairs:
        return f"{learner}: nothing to pair with {rival} after {shots} turns"
    text = ", ".join(f"{d.mean:+.2f} [{d.low:+.2f}, {d.high:+.2f}]" for d in pairs.values())
    return f"{learner} - {rival} after {shots} turns: {text} nats/turn ({len(pairs)} seed{'s' * (len(pairs) > 1)}): " \
           f"{winner(pairs, learner, rival)}"


def winner(pairs: dict[int, Difference], learner: str, rival: str = RIVAL) -> str:
    """The last word of a verdict."""
    if pairs and all(d.high < 0 for d in pairs.values()):
        return f"{learner} wins"
    if pairs and all(d.low > 0 for d in pairs.values()):
        return f"{rival} wins"
    return "no difference shown"


def unusual(source: TaskSource, tasks: int, shots: int, split: str = "test", seed: int = 0) -> Any:
    """How unlike the training tasks each held-out task speaks: an array [tasks], nats per token.

    Cross-entropy of the support's response tokens under the frequencies of 200 training tasks' response tokens, minus
    that of an average training task: how rare are the words that this person uses?
    """
    train: Counter[str] = Counter()
    for index in range(200):
        train.update(word for turn in source.task("train", seed, index).support(shots) for word in turn.response)
    total, size = sum(train.values()), len(source.tokens)

    def cost(where: str, index: int) -> float:
        words = [word for turn in source.task(where, seed, index).support(shots) for word in turn.response]
        return float(np.mean([-math.log((train[word] + 1) / (total + size)) for word in words]))

    usual = np.mean([cost("train", index) for index in range(40)])
    return np.array([cost(split, index) - usual for index in range(tasks)])


def halves(found: RealRuns, learner: str, seed: int, shots: int, by: Sequence[float]) -> dict[str, Difference]:
    """Paired difference to the rival in the half of the tasks with the lower and with the higher value of ``by``."""
    mine, theirs = (found.per_task(who, seed, shots) for who in (learner, RIVAL))
    if mine is None or theirs is None:
        return {}
    order, people = np.argsort(np.array(by)), found.people(learner, seed)
    result = {}
    for name, part in (("usual", order[: len(order) // 2]), ("unusual", order[len(order) // 2 :])):
        gap = (mine - theirs)[part]
        who = [people[i] for i in part] if people else None
        result[name] = Difference(float(gap.mean()), *interval(gap, speakers=who))
    return result


def fine_tuned(found: RealRuns, start: Any, source: TaskSource, shots: Sequence[int]) -> dict[int, Any]:
    """Fine-tuning of ``start`` for each number of shots, with the settings that the stored runs chose on validation.

    Where nothing is stored: the settings that were best on chitchat after 4 turns.
    """
    run = next((found.runs[RIVAL, seed] for seed in found.seeds(RIVAL)), None)
    chosen = run.options.get("chosen", {}) if run else {}
    usual = {"optimizer": "adam", "head_only": True, "inner_lr": 0.001, "inner_steps": 20}
    judged = {}
    for k in shots:
        at = max((int(t) for t in chosen if int(t) <= k), default=min((int(t) for t in chosen), default=0))
        setting = {name: chosen[str(at)][name] for name in usual} if chosen else usual
        judged[k] = baseline(RIVAL, start, source, **setting)
    return judged

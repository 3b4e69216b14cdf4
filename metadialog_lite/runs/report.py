"""What a folder of runs says: one line a run, settings summed up over seeds, and what failed."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metadialog_lite.results import Result, Row
from metadialog_lite.runs.store import StoreError, read_result, read_status

#: Parameters that are no setting: runs that differ in these alone are repetitions of one.
REPETITION = ("seed",)


@dataclass(frozen=True)
class Point:
    """The total after some support turns, nats per turn, with 95 % intervals over speakers."""

    shots: int
    loss: float | None
    low: float | None
    high: float | None
    bayes: float | None
    gap_closed: float | None


@dataclass(frozen=True)
class RunRow:
    """One run, as small as a report over ten thousand of them needs it."""

    id: str
    parameters: dict[str, Any]
    error: str | None  # None: done
    seconds: float  # wall
    curve: tuple[Point, ...] = ()  # by shots
    capabilities: dict[str, float | None] = field(default_factory=dict)  # gap closed (or loss) after most shots
    train_seconds: float | None = None  # process CPU seconds
    adapt_seconds: float | None = None

    @property
    def done(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    def at(self, shots: int = 0) -> Point | None:
        """The curve's point after ``shots`` turns; 0: after the most."""
        fitting = [point for point in self.curve if not shots or point.shots == shots]
        return fitting[-1] if fitting else None

    def score(self, metric: str = "gap_closed", shots: int = 0) -> float | None:
        """``gap_closed`` (more is better) or ``loss`` (less is better); None where it is undefined."""
        point = self.at(shots)
        return None if point is None else getattr(point, metric)


def row_of(status: Any, result: Result | None) -> RunRow:
    """A run's line from its ``status.json`` and its result."""
    if result is None:
        return RunRow(status.id, status.parameters, status.error or "no result", status.seconds)
    totals = sorted((row for row in result.rows if row.capability == "total"), key=lambda row: row.shots)
    most = totals[-1].shots if totals else 0
    last = {row.capability: row for row in result.rows if row.shots == most}
    return RunRow(
        status.id, status.parameters, None, status.seconds, tuple(_point(row) for row in totals),
        {name: row.gap_closed if row.gap_closed is not None else row.loss for name, row in last.items()},
        result.seconds.train, result.seconds.adapt,
    )


def _point(row: Row) -> Point:
    return Point(row.shots, row.loss, row.low, row.high, row.bayes, row.gap_closed)


def read_runs(folder: Path) -> list[RunRow]:
    """Every run in a folder, sorted by id; one that is damaged is a failed one, so that nobody overlooks it.

    Raises:
        StoreError: when there is no such folder.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder}: there is no such folder")
    rows = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not (path / "status.json").is_file():
            continue
        try:
            status = read_status(path / "status.json")
            result = None if status.state == "failed" else read_result((path / "result.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            rows.append(RunRow(path.name, {}, f"damaged: {str(error).splitlines()[0]}", 0.0))
            continue
        rows.append(row_of(status, result))
    return rows


def varied(rows: Sequence[RunRow]) -> list[str]:
    """Names of the parameters that are not the same in all runs, in the order of the notebook's cell."""
    names = dict.fromkeys(name for row in rows for name in row.parameters)
    return [name for name in names if len({_key(row.parameters.get(name)) for row in rows if row.parameters}) > 1]


@dataclass(frozen=True)
class Setting:
    """Runs that differ in the seed alone."""

    parameters: dict[str, Any]  # those that vary
    rows: tuple[RunRow, ...]  # that are done
    failed: int
    scores: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """Mean score over the seeds; None where there is none."""
        return sum(self.scores) / len(self.scores) if self.scores else None

    @property
    def name(self) -> str:
        """``maml, inner_lr 0.001``."""
        return settings_name(self.parameters)


def settings_of(rows: Sequence[RunRow], metric: str = "gap_closed", shots: int = 0) -> list[Setting]:
    """Every setting with the scores of its seeds, the best mean first."""
    names = [name for name in varied(rows) if name not in REPETITION]
    groups: dict[str, list[RunRow]] = defaultdict(list)
    for row in rows:
        groups[_key([row.parameters.get(name) for name in names])].append(row)
    found = []
    for group in groups.values():
        done = tuple(row for row in group if row.done)
        scores = [score for row in done if (score := row.score(metric, shots)) is not None]
        chosen = {name: group[0].parameters.get(name) for name in names}
        found.append(Setting(chosen, done, len(group) - len(done), tuple(scores)))
    worst = float("inf")
    return sorted(found, key=lambda s: worst if s.mean is None else (s.mean if metric == "loss" else -s.mean))


def best_row(rows: Iterable[RunRow], metric: str = "gap_closed") -> RunRow | None:
    """The best run so far."""
    scored = [(score, row) for row in rows if (score := row.score(metric)) is not None]
    if not scored:
        return None
    return (min if metric == "loss" else max)(scored, key=lambda pair: pair[0])[1]


def usable_metric(rows: Iterable[RunRow], metric: str = "gap_closed") -> str:
    """``metric``, or ``loss`` where no run has it (real corpora have no Bayes floor and so no gap)."""
    return metric if any(row.score(metric) is not None for row in rows) else "loss"


def failures(rows: Iterable[RunRow]) -> list[tuple[str, list[RunRow]]]:
    """Runs that failed by their error's first line, the commonest first."""
    lines = {row.id: (row.error or "").splitlines()[0] for row in rows if not row.done}
    groups = Counter(lines.values())
    by_id = {row.id: row for row in rows if not row.done}
    return [(line, [by_id[i] for i, each in lines.items() if each == line]) for line, _ in groups.most_common()]


COLUMNS = ("loss", "low", "high", "bayes", "gap_closed")


def csv_text(rows: Sequence[RunRow]) -> str:
    """All runs as one table: id, state, every parameter, the total after the most shots, seconds, error."""
    names = list(dict.fromkeys(name for row in rows for name in row.parameters if name != "result_path"))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "state", *names, "after_shots", *COLUMNS, "train_cpu_seconds", "adapt_cpu_seconds",
                     "wall_seconds", "error"])
    for row in rows:
        point = row.at()
        numbers = [None] * (len(COLUMNS) + 1) if point is None else [
            point.shots, *(getattr(point, name) for name in COLUMNS)]
        writer.writerow([row.id, "done" if row.done else "failed", *(row.parameters.get(name) for name in names),
                         *numbers, row.train_seconds, row.adapt_seconds, round(row.seconds, 3), row.error])
    return text.getvalue()


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def settings_name(parameters: Mapping[str, Any]) -> str:
    """``maml, inner_lr 0.001``: a learner needs no word for what it is."""
    words = [str(v) if n == "learner" else f"{n} {_short(v)}" for n, v in parameters.items()]
    return ", ".join(words) or "all runs"


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text.replace("\n", "⏎")
    return text if len(text) <= 30 else f"{text[:29]}…"


def same_everywhere(rows: Sequence[RunRow]) -> Mapping[str, Any]:
    """The parameters that all runs share."""
    different = set(varied(rows))
    first = next((row.parameters for row in rows if row.parameters), {})
    return {name: value for name, value in first.items() if name not in different and name != "result_path"}

"""The numbers behind a training curve: moving averages, decimation, and the sentence that says what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from metadialog_lite.turns import CAPABILITIES

Floats = NDArray[np.float32]

#: What the curves are drawn of, in the order of the panels: the sum first.
PARTS = ("total", *CAPABILITIES)
#: How a reader calls them.
NAMES = {"total": "total", "state": "state tracking", "act": "choice of act", "response": "response"}


def parts_of(capabilities: Sequence[str]) -> tuple[str, ...]:
    """What to draw of a source: all parts, or the response alone, which then is the total as well."""
    return PARTS if set(CAPABILITIES) <= set(capabilities) else ("response",)


class _Record(Protocol):
    @property
    def step(self) -> int: ...
    @property
    def loss(self) -> dict[str, float]: ...
    @property
    def bayes(self) -> dict[str, float] | None: ...


@dataclass(frozen=True)
class Drawn:
    """One curve, ready to be drawn: float32 arrays of the same length, nats per turn."""

    step: Floats
    raw: Floats  # the loss of single steps
    mean: Floats  # its moving average
    floor: Floats  # the moving average of the Bayes floor of the same episodes; NaN where there is none


class Curve:
    """Collects records column by column, so that a redraw costs little after thousands of steps."""

    def __init__(self, records: Iterable[_Record] = ()) -> None:
        self.steps: list[int] = []
        self.loss: dict[str, list[float]] = {part: [] for part in PARTS}
        self.floor: dict[str, list[float]] = {part: [] for part in PARTS}
        self.hidden: list[float] = []  # share of the user's words that the learner did not see
        for record in records:
            self.add(record)

    def __len__(self) -> int:
        return len(self.steps)

    def add(self, record: _Record) -> None:
        """Append one step. A value that is not finite (divergence) leaves a hole in the curve."""
        for part in PARTS:
            self.loss[part].append(record.loss[part] if np.isfinite(record.loss[part]) else np.nan)
            self.floor[part].append(np.nan if record.bayes is None else record.bayes[part])
        self.hidden.append(float(getattr(record, "hidden", 0.0)))
        self.steps.append(record.step)  # last: a reader in another thread counts these

    def drawn(self, part: str, window: int, most: int = 300) -> Drawn:
        """At most ``most`` points of one part, averaged over the last ``window`` steps before each."""
        n = len(self.steps)
        pick = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)) if n else np.zeros(0, int)
        raw = np.asarray(self.loss[part][:n], float)
        floor = np.asarray(self.floor[part][:n], float)
        return Drawn(np.asarray(self.steps[:n], np.float32)[pick], raw[pick].astype(np.float32),
                     moving_average(raw, window)[pick].astype(np.float32),
                     moving_average(floor, window)[pick].astype(np.float32))

    def top(self, part: str, window: int) -> float:
        """Where the vertical axis should end: most of the curve from its second quarter on fits in."""
        n = len(self.steps)
        if n == 0:
            return 1.0
        mean = moving_average(np.asarray(self.loss[part][:n], float), window)[n // 4:]
        raw = np.asarray(self.loss[part][n // 4:n], float)
        raw = raw[np.isfinite(raw)]
        mean = mean[np.isfinite(mean)]
        highest = max((float(np.quantile(values, 0.93)) for values in (mean, raw) if len(values)), default=0.0)
        floors = np.asarray(self.floor[part][:n], float)
        floor = max(floors[np.isfinite(floors)], default=0.0)
        return float(max(1.15 * highest, 1.3 * floor, 1e-3))


def moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Mean of the last ``window`` values at each place (of fewer at the start); holes are left out."""
    known = np.isfinite(values)
    sums = np.cumsum(np.where(known, values, 0.0))
    counts = np.cumsum(known)
    if len(values) > window:
        sums[window:] = sums[window:] - sums[:-window]
        counts[window:] = counts[window:] - counts[:-window]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: NDArray[np.float64] = sums / np.where(counts > 0, counts, np.nan)
    return mean


def trend(values: NDArray[np.float64]) -> str:
    """"falling", "rising" or "level": the newer half against the older, and no more than the noise allows to say."""
    values = values[np.isfinite(values)]
    half = len(values) // 2
    if half < 3:
        return "too short to say"
    older, newer = values[:half], values[half:]
    noise = float(np.sqrt(older.var(ddof=1) / len(older) + newer.var(ddof=1) / len(newer)))
    change = float(newer.mean() - older.mean())
    if abs(change) <= 2 * noise:
        return "level"
    return "rising" if change > 0 else "falling"


def curve_text(curve: Curve, window: int = 20) -> str:
    """What a training curve says, in words: where it is, how far above the Bayes floor, and where it is heading."""
    n = len(curve)
    if n == 0:
        return "No step has been taken yet."
    recent = slice(max(0, n - window), n)

    def mean(values: list[float]) -> float:
        part = np.asarray(values[recent], float)
        return float(np.nanmean(part)) if np.isfinite(part).any() else float("nan")

    loss, floor = mean(curve.loss["total"]), mean(curve.floor["total"])
    text = f"After {n} step{'s' * (n != 1)} the loss is {loss:.2f} nats/turn"
    if not np.isfinite(loss):
        return f"After {n} step{'s' * (n != 1)} the loss is no longer a number."
    third = slice(max(0, n - max(2 * window, n // 3)), n)
    above = np.asarray(curve.loss["total"][third], float)
    if np.isfinite(floor):
        text += f", {_above(loss - floor)}"
        above = above - np.asarray(curve.floor["total"][third], float)
    heading = {"falling": "still falling", "rising": "rising", "level": "level within its noise"}.get(trend(above))
    text += f"; {heading}." if heading else "; too short to see where it is heading."
    if np.isfinite(floor):
        regret = {part: mean(curve.loss[part]) - mean(curve.floor[part]) for part in CAPABILITIES}
        worst = max(regret, key=lambda part: regret[part])
        text += f" Most is left to learn in {NAMES[worst]}: {_above(regret[worst])}."
        hidden = mean(curve.hidden)
        if hidden >= 0.005:  # word dropout: the loss pays for what the floor does not
            text += (f" Training now hides {100 * hidden:.0f} % of the user's words from the model and none from the "
                     "floor: part of the distance comes from that.")
    return text


def _above(regret: float) -> str:
    if regret < 0:
        return f"{-regret:.2f} below the Bayes floor by the luck of the draw"
    return f"{regret:.2f} above the Bayes floor"

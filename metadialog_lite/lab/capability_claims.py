"""Which family helps which capability? The source text's claims, and what the stored comparison says about each.

A learner *helps* with a capability when the whole 95 % interval of its share of the gap lies above 0 in every training
seed: with the support it is better than the ideal reader who ignores the support. It is *ahead of fine-tuning* when
that interval lies above fine-tuning's in every training seed that both have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from metadialog_lite.lab.comparison_data import CONTROLS, FAMILIES, FOUR, RIVAL, Comparison, Value
from metadialog_lite.lab.comparison_text import number, turns
from metadialog_lite.lab.curve import NAMES

#: Context understanding is read off the choice of act. The order is the source text's.
ORDER = ("act", "state", "response")
TITLES = {"act": "context understanding (act)", "state": "state tracking", "response": "generation (response)"}
CLAIMS: dict[str, tuple[str, ...]] = {
    "Meta-Networks": ("act", "state"),
    "Meta-Neural Networks": ORDER,
    "Meta-Optimization": ORDER,
    "Meta-Data Generation": ORDER,
}
SUPPORTED, PARTLY, REFUTED, OPEN = "supported", "partly", "not supported", "not measured"


def helps(values: Sequence[Value]) -> bool | None:
    """Whether every training seed's interval lies above 0; None without an interval."""
    lows = [value.low for value in values if value.low is not None]
    return min(lows) > 0 if lows and len(lows) == len(values) else None


def ahead(mine: Sequence[Value], theirs: Sequence[Value]) -> bool | None:
    """Whether my interval lies above theirs in every pair of seeds; None when there is no pair with intervals."""
    pairs = [(a.low, b.high) for a, b in zip(mine, theirs, strict=True) if a.low is not None and b.high is not None]
    return all(low > high for low, high in pairs) if pairs else None


@dataclass(frozen=True)
class Claim:
    """One cell of the table: a family and a capability, and what its measured members say."""

    family: str
    part: str
    shots: int
    claimed: bool
    helping: tuple[str, ...]  # members whose interval is above 0 in every training seed
    others: tuple[str, ...]  # members that were measured and of whom this is not so
    missing: tuple[str, ...]  # members without a run
    ahead: tuple[str, ...]  # members ahead of fine-tuning
    best: tuple[str, float] | None  # the member with the largest share (mean over its training seeds)

    @property
    def verdict(self) -> str:
        """What the measurements say of "this family helps this capability"."""
        if not self.helping and not self.others:
            return OPEN
        return SUPPORTED if not self.others else PARTLY if self.helping else REFUTED

    def cell(self) -> str:
        """The table's cell."""
        if self.best is None:
            return f"*{self.verdict}*"
        measured = len(self.helping) + len(self.others)
        claimed = "" if self.claimed else " (not claimed)"
        return (f"**{self.verdict}**{claimed}: {len(self.helping)} of {measured} help, {len(self.ahead)} ahead of "
                f"{RIVAL}; best {self.best[0]} {number(self.best[1], 2)}")


def claim(found: Comparison, family: str, part: str, shots: int) -> Claim:
    """What the stored runs say about one family and one capability."""
    members = [name for name in FAMILIES[family]
               if name not in CONTROLS and (found.seeds(name) or name in found.missing)]
    helping: list[str] = []
    others: list[str] = []
    front: list[str] = []
    best: tuple[str, float] | None = None
    for name in members:
        values = [found.value(name, seed, shots, part, "gap_closed") for seed in found.seeds(name)]
        if (yes := helps(values)) is None:
            continue
        (helping if yes else others).append(name)
        both = [seed for seed in found.seeds(name) if seed in found.seeds(RIVAL)]
        mine, theirs = ([found.value(who, seed, shots, part, "gap_closed") for seed in both] for who in (name, RIVAL))
        if ahead(mine, theirs):
            front.append(name)
        mean = found.spread(name, shots, part, "gap_closed").value
        if mean is not None and (best is None or mean > best[1]):
            best = name, mean
    missing = tuple(name for name in members if name not in (*helping, *others))
    return Claim(family, part, shots, part in CLAIMS[family], tuple(helping), tuple(others), missing, tuple(front),
                 best)


def claims(found: Comparison, shots: int) -> list[Claim]:
    """All cells, family by family."""
    return [claim(found, family, part, shots) for family in FOUR for part in ORDER]


def claims_markdown(cells: Sequence[Claim]) -> Any:
    """The table "supported?", one row for each family."""
    from IPython.display import Markdown

    lines = [f"| family | {' | '.join(TITLES[part] for part in ORDER)} |", "|---|---|---|---|"]
    for family in FOUR:
        mine = [cell.cell() for cell in cells if cell.family == family]
        lines.append(f"| {family} | {' | '.join(mine)} |")
    return Markdown(f"Does the family help? By the share of the gap closed after {turns(cells[0].shots)}:\n\n"
                    + "\n".join(lines))


def claims_text(cells: Sequence[Claim]) -> str:
    """Sentences: which claims are supported, which are not, what nobody claimed and yet is so, and who is missing."""
    def names(which: Sequence[Claim]) -> str:
        return "; ".join(f"{cell.family}: {NAMES[cell.part]}" for cell in which) or "none"

    told = [cell for cell in cells if cell.claimed]
    groups = {verdict: [cell for cell in told if cell.verdict == verdict]
              for verdict in (SUPPORTED, PARTLY, REFUTED, OPEN)}
    said = [f"{len(group)} of {len(told)} claims: {verdict}" + (
        f" ({names(group)})" if verdict in (PARTLY, REFUTED) else "") for verdict, group in groups.items() if group]
    more = [cell for cell in cells if not cell.claimed and cell.verdict == SUPPORTED]
    missing = sorted({name for cell in cells for name in cell.missing})
    text = ". ".join(said) + f". Not claimed, and measured all the same: {names(more)}."
    return text + (f" Without a run, so not counted: {', '.join(missing)}." if missing else "")

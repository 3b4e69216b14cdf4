"""The map of the course, read from the notebooks themselves, so that it cannot say what they don't."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from metadialog_lite.paths import notebooks_dir

#: The recommended order: notebook, title, what one learns. Gradient steps come before the other families.
COURSE = (
    ("00", "Start here", "the map, a first chat, notation, glossary"),
    ("01", "Learning to learn", "meta-learning against ordinary learning, with numbers alone"),
    ("02", "The dialogue world", "hidden habits, the three capabilities, the exact optimum"),
    ("05", "Meta-Optimization", "θ′ = θ − α∇L: MAML, FOMAML, Reptile, ANIL, Meta-SGD"),
    ("03", "Meta-Networks", "y = f_θ(x), θ = φ(D): networks that emit networks"),
    ("04", "Meta-Neural Networks", "θ = φ(D), φ(θ) = argmin L: structure for each task"),
    ("06", "Meta-Data Generation", "D′ = g_φ(D): learning what to learn from"),
    ("07", "Comparing the families", "one fair table over the floor"),
    ("08", "Three capabilities", "what adaptation buys for state, act and response; metrics and their traps"),
    ("09", "Three challenges", "little data, computing cost, generalisation"),
    ("10", "The bug museum", "the famous mistakes, one switch each"),
    ("11", "Real dialogues", "the same methods on real corpora"),
    ("12", "Open questions", "where the field goes, and what to read"),
)


class Stop(NamedTuple):
    """One line of the map."""

    number: str
    title: str
    about: str
    file: str  # "" while the notebook is not here
    minutes: int | None


def course_map(folder: Path | None = None) -> list[Stop]:
    """The notebooks in the order in which to read them, each with the minutes that its first cell gives."""
    stops = []
    for number, title, about in COURSE:
        path = next(iter(sorted((folder or notebooks_dir()).glob(f"{number}_*.ipynb"))), None)
        found = None if path is None else re.search(r"\*\*Minutes:\*\*\s*(\d+)", _first_cell(path))
        stops.append(Stop(number, title, about, path.name if path else "", int(found[1]) if found else None))
    return stops


def _first_cell(path: Path) -> str:
    try:
        return "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    except (ValueError, LookupError, TypeError):  # a student's copy may be anything
        return ""


def map_table(folder: Path | None = None) -> Any:
    """The map as a Markdown table, to be displayed."""
    from IPython.display import Markdown

    lines = ["| read | notebook | what you learn | minutes |", "|---|---|---|---|"]
    stops = course_map(folder)
    for place, stop in enumerate(stops, 1):
        name = f"{stop.number} {stop.title}"
        name = f"[{name}]({stop.file})" if stop.file else f"{name} (not here yet)"
        lines.append(f"| {place} | {name} | {stop.about} | {stop.minutes or '–'} |")
    total = sum(stop.minutes or 0 for stop in stops)
    lines.append(f"| | **all together** | | **{total}** ({total / 60:.0f} hours) |")
    return Markdown("\n".join(lines))

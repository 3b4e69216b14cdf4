"""The lesson plans name notebooks, sections and assignments that exist."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
PLANS = sorted((ROOT / "docs").glob("lesson_*.md"))


def headings() -> dict[str, set[str]]:
    """Number of a notebook → the titles of its sections."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        found[path.name[:2]] = set(re.findall(r"^#{2,} (.+?)\s*$", text, flags=re.MULTILINE))
    return found


def named_sections(text: str) -> list[tuple[str, str]]:
    """Every ``05 § "title"``; further ``§ "title"`` in the same table cell belong to the same notebook."""
    found, number = [], ""
    for part in re.finditer(r'(?:\b(\d\d) )?§ "((?:\\"|[^"])+)"', text):
        number = part.group(1) or number
        found.append((number, part.group(2).replace('\\"', '"')))
    return found


def test_there_are_two_plans():
    assert [path.stem for path in PLANS] == ["lesson_90_minutes", "lesson_one_week"]
    assert len(PLANS[0].read_text(encoding="utf-8").split()) < 600, "one page"


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_section_a_plan_names_exists(path):
    titles, named = headings(), named_sections(path.read_text(encoding="utf-8"))
    assert len(named) >= 8
    for number, title in named:
        assert title in titles[number], f"{path.name}: notebook {number} has no section '{title}'"


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_assignment_and_exercise_a_plan_names_exists(path):
    from metadialog_lite.lab.check import exercises

    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"`(a\d_\w+)`", text):
        assert (ROOT / "notebooks" / "exercises" / f"{name}.ipynb").exists(), name
    for identifier in re.findall(r"\b(\d\d\.\d)\b", text):
        assert identifier in exercises(identifier[:2])

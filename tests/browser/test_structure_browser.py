"""The panel of notebook 04 in a real JupyterLab: the network of a task, its gates, other tasks and worlds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from labpage import Lab, Visit, open_notebook, run_all, wait_done

pytestmark = pytest.mark.browser
PLOT = "document.querySelector('.md-panel .js-live-plot [role=img]')"
GATES = f"{PLOT}.data.find(trace => trace.hovertemplate)"  # the only trace that has words for each point


@pytest.fixture(scope="module")
def structure(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The structure panel, shown and idle."""
    visit = open_notebook(browser, lab, "structure")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def colours(page: Any) -> list[float]:
    found: list[float] = page.evaluate(f"Array.from({GATES}.marker.color)")
    return found


def test_the_network_is_drawn_before_anything_is_read(structure: Visit) -> None:
    page = structure.page
    page.wait_for_function(f"{GATES}.marker.color.length === 102", timeout=10_000)  # 4 heads, 96 units, 2 blocks
    assert set(colours(page)) == {1}


def test_each_support_turn_moves_the_gates(structure: Visit) -> None:
    page = structure.page
    press(page, "Read the support")
    page.wait_for_selector("text=No support turn yet", timeout=60_000)
    slider = page.locator(".md-panel [role=slider][aria-label='Support turns']")
    slider.focus()
    seen = set()
    for turn in range(1, 5):
        slider.press("ArrowRight")
        page.wait_for_selector(f"text=After {turn} support turn", timeout=10_000)
        page.wait_for_function(f"{PLOT}.data.at(-1).x[0] === {turn}", timeout=10_000)
        seen.add(tuple(colours(page)))
    assert len(seen) == 4
    assert any(0 < value < 1 for value in colours(page))  # relaxed
    assert page.evaluate(f"{GATES}.text[0]").startswith("head 1: relaxed ")
    assert "Closed when made hard: " in page.locator(".md-panel").first.inner_text()


def test_hard_gates_are_open_or_closed(structure: Visit) -> None:
    page = structure.page
    press(page, "Make the gates hard")
    page.wait_for_function(f"Array.from({GATES}.marker.color).every(one => one === 0 || one === 1)", timeout=10_000)
    assert set(colours(page)) == {0, 1}
    crosses = page.evaluate(f"{PLOT}.data.find(trace => trace.marker && trace.marker.symbol === 'x-thin').x.length")
    assert crosses == colours(page).count(0)
    press(page, "Make the gates hard")
    page.wait_for_function(f"Array.from({GATES}.marker.color).some(one => one > 0 && one < 1)", timeout=10_000)


def test_another_task_and_another_world_have_other_gates(structure: Visit) -> None:
    page = structure.page
    first = colours(page)
    press(page, "Next task")
    page.wait_for_selector("text=Task 1. After 4 support turns", timeout=60_000)
    page.wait_for_function(f"before => JSON.stringify({GATES}.marker.color) !== before", timeout=10_000,
                           arg=str(first).replace(" ", ""))
    page.get_by_label("World").select_option("restaurants.en+lexicon")
    page.wait_for_function(f"before => JSON.stringify({GATES}.marker.color) !== before", timeout=60_000,
                           arg=str(colours(page)).replace(" ", ""))


def test_every_control_has_a_name_and_nothing_left_the_machine(structure: Visit) -> None:
    page = structure.page
    controls = ".md-panel :is(button, input, select, [role=slider], [contenteditable=true]):not([disabled])"
    nameless = page.evaluate(
        f"[...document.querySelectorAll({controls!r})].filter(e => !(e.ariaLabel || e.textContent.trim() ||"
        " (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map(e => e.outerHTML.slice(0, 120))")
    assert nameless == []
    assert structure.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert structure.errors == []

"""The data panel of notebook 06 in a real JupyterLab: g learns, its numbers move, D stands beside D'."""

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
#: How far the response of "another turn's words" is trusted: the second line of the last subplot.
TRUST = f"{PLOT}.data[12].y"


@pytest.fixture(scope="module")
def data(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The data panel, shown and idle."""
    visit = open_notebook(browser, lab, "data")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def status(page: Any, word: str) -> None:
    page.wait_for_selector(f".md-live b:text-is('{word}')", timeout=60_000)


def test_a_step_moves_what_is_trusted(data: Visit) -> None:
    page = data.page
    press(page, "Step")
    page.wait_for_function(f"() => {TRUST}?.length === 2", timeout=60_000)
    page.wait_for_selector("text=step 1,", timeout=10_000)
    first, second = page.evaluate(f"Array.from({TRUST})")
    assert 0 < first < 0.01
    assert second != first
    assert "recombined ones with it" in page.locator(".md-says").inner_text()


def test_start_learns_and_pause_stops(data: Visit) -> None:
    page = data.page
    press(page, "Start")
    status(page, "running")
    page.wait_for_function(f"() => {TRUST}.length > 6", timeout=120_000)
    press(page, "Pause")
    status(page, "paused")
    page.wait_for_timeout(1000)
    before = page.evaluate(f"{TRUST}.length")
    page.wait_for_timeout(1500)
    assert page.evaluate(f"{TRUST}.length") == before


def test_d_stands_beside_d_prime(data: Visit) -> None:
    page = data.page
    page.get_by_label("of the g").select_option("being trained below")
    press(page, "Show D′")
    table = page.locator(".md-panel table.md-wide")
    table.wait_for(timeout=30_000)
    assert table.locator("tr").count() == 6  # a head, the turn, four ways
    assert "another turn's words" in table.inner_text()
    assert "outer steps here" in page.locator(".md-panel").inner_text()
    before = table.inner_text()
    page.locator(".md-panel [role=slider][aria-label='Support turn']").press("ArrowRight")
    page.wait_for_function("before => document.querySelector('.md-panel table.md-wide').innerText !== before",
                           arg=before, timeout=10_000)


def test_another_generator_begins_anew(data: Visit) -> None:
    page = data.page
    page.get_by_label("g", exact=True).select_option("example_weights")
    page.wait_for_selector("text=Your new settings take effect after Reset and Start", timeout=10_000)
    press(page, "Reset")
    status(page, "idle")
    page.wait_for_function(f"() => {PLOT}.data[0].x.length === 0", timeout=10_000)
    press(page, "Step")
    page.wait_for_selector("text=Weights lie between 0 and 2", timeout=60_000)
    page.wait_for_function(f"() => {PLOT}.data[3].name === \"this speaker's\"", timeout=10_000)
    page.get_by_label("of the g").select_option("being trained below")
    press(page, "Show D′")
    page.wait_for_selector("text=example_weights after 1 outer step", timeout=30_000)


def test_every_control_has_a_name_and_nothing_left_the_machine(data: Visit) -> None:
    page = data.page
    controls = ".md-panel :is(button, input, select, [role=slider], [contenteditable=true]):not([disabled])"
    nameless = page.evaluate(
        f"[...document.querySelectorAll({controls!r})].filter(e => !(e.ariaLabel || e.textContent.trim() ||"
        " (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map(e => e.outerHTML.slice(0, 120))")
    assert nameless == []
    assert page.locator(".md-panel .md-live[aria-live=polite]").count() >= 2
    assert data.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert data.errors == []

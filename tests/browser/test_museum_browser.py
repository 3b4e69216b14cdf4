"""The panel of notebook 10 in a real JupyterLab: run an exhibit, put the mistake in, diagnose, reset."""

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


@pytest.fixture(scope="module")
def museum(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The bug museum, shown and idle."""
    visit = open_notebook(browser, lab, "museum")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def drawn(page: Any) -> list[str]:
    found: list[str] = page.evaluate(f"{PLOT}.data.filter(t => t.visible && t.x.length > 1).map(t => t.name)")
    return found


def test_run_draws_one_curve_and_the_mistake_a_second(museum: Visit) -> None:
    page = museum.page
    assert drawn(page) == []
    press(page, "Run")
    page.wait_for_function(f"{PLOT}.data[0].x.length === 6", timeout=60_000)
    press(page, "Put the mistake in")
    page.wait_for_function(f"{PLOT}.data[1].x && {PLOT}.data[1].x.length === 6", timeout=60_000)
    assert drawn(page) == ["test loss, without the mistake", "test loss, with the mistake"]
    page.wait_for_selector("text=Exhibit 5. test loss", timeout=20_000)


def test_a_wrong_diagnosis_and_the_right_one(museum: Visit) -> None:
    page = museum.page
    page.get_by_label("Diagnosis").select_option("support = query")
    press(page, "Confirm with a number")
    page.wait_for_selector("text=Not this one.", timeout=20_000)
    page.get_by_label("Diagnosis").select_option("batch statistics leaking the query")
    press(page, "Confirm with a number")
    page.wait_for_selector("text=Right, and confirmed.", timeout=20_000)


def test_another_exhibit_and_reset(museum: Visit) -> None:
    page = museum.page
    page.get_by_label("Exhibit").select_option("Exhibit 9")
    page.wait_for_function(f"{PLOT}.layout.title.text === 'Exhibit 9'", timeout=20_000)
    assert drawn(page) == []
    press(page, "Reset")
    page.wait_for_function(f"{PLOT}.layout.title.text === 'Exhibit 5'", timeout=20_000)
    shown = page.get_by_label("Exhibit").evaluate("e => e.selectedOptions[0].textContent")
    assert shown.split() == ["Exhibit", "5"]  # the widget writes a hard space


def test_every_control_has_a_name_and_nothing_left_the_machine(museum: Visit) -> None:
    page = museum.page
    controls = ".md-panel :is(button, input, select, [role=slider], [contenteditable=true]):not([disabled])"
    nameless = page.evaluate(
        f"[...document.querySelectorAll({controls!r})].filter(e => !(e.ariaLabel || e.textContent.trim() ||"
        " (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map(e => e.outerHTML.slice(0, 120))")
    assert nameless == []
    assert museum.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert museum.errors == []

"""The panels of notebook 09 in a real JupyterLab, over the shipped experiments."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from labpage import Lab, Visit, open_notebook, run_all, wait_done

pytestmark = pytest.mark.browser
PLOTS = "[...document.querySelectorAll('.md-panel .js-live-plot [role=img]')]"


@pytest.fixture(scope="module")
def challenges(browser: Any, lab: Lab) -> Iterator[Visit]:
    """Both panels, shown and idle."""
    visit = open_notebook(browser, lab, "challenges")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_function(f"{PLOTS}.filter(p => p.querySelector('.main-svg')).length === 2", timeout=60_000)
    yield visit
    visit.page.context.close()


def test_from_few_speakers_to_ever_new_ones(challenges: Visit) -> None:
    page = challenges.page
    title = f"({PLOTS}[0].layout.title?.text ?? '')"
    page.wait_for_function(f"{title}.includes('8')", timeout=10_000)
    page.wait_for_selector("text=that is remembering, not learning", timeout=10_000)
    assert page.evaluate(f"Math.min(...{PLOTS}[0].data[0].y)") < 0  # below the floor
    slider = page.locator(".md-panel [role=slider]").first
    slider.focus()
    slider.press("End")
    page.wait_for_function(f"{title}.includes('always new')", timeout=10_000)
    page.get_by_role("button", name="Zoom to the floor", exact=True).click()
    page.wait_for_function(f"{PLOTS}[0].layout.yaxis.range[1] === 1", timeout=10_000)
    page.get_by_role("button", name="Reset", exact=True).first.click()
    page.wait_for_function(f"{title}.includes('8')", timeout=10_000)


def test_costs_against_everything(challenges: Visit) -> None:
    page = challenges.page
    axis = f"{PLOTS}[1].layout.xaxis.title?.text"
    page.wait_for_function(f"{axis} === 'inner steps'", timeout=10_000)
    page.get_by_label("Against").select_option("speakers in one step")
    page.get_by_label("Measure").select_option("memory, MB")
    page.wait_for_function(f"{axis} === 'speakers in one step' && "
                           f"{PLOTS}[1].data.filter(t => t.visible !== false).length === 3", timeout=10_000)
    page.get_by_label("Measure").select_option("second order / first order")
    page.wait_for_selector("text=Second order against first, speakers in one step: time", timeout=10_000)
    page.get_by_role("button", name="Reset", exact=True).nth(1).click()
    page.wait_for_function(f"{axis} === 'inner steps'", timeout=10_000)
    assert challenges.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert challenges.errors == []

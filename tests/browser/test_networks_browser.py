"""The panels of notebook 03 in a real JupyterLab: theta turn by turn, and two speakers who swap theirs."""

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
def networks(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The theta panel and the swap panel, shown and idle."""
    visit = open_notebook(browser, lab, "networks")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def test_each_support_turn_changes_the_picture_of_theta(networks: Visit) -> None:
    page = networks.page
    press(page, "Read the support")
    page.wait_for_selector("text=No support turn yet", timeout=60_000)
    slider = page.locator(".md-panel [role=slider][aria-label='Support turns']")
    slider.focus()
    seen = set()
    for turn in range(1, 5):
        slider.press("ArrowRight")
        page.wait_for_selector(f"text=After {turn} support turn", timeout=10_000)
        page.wait_for_function(f"{PLOT}.data.at(-1).x[0] === {turn}", timeout=10_000)
        seen.add(page.evaluate(f"JSON.stringify({PLOT}.data[0].z)"))
    assert len(seen) >= 2  # not every turn says something about the first slot
    assert "• " in page.evaluate(f"JSON.stringify({PLOT}.layout.yaxis.ticktext)")  # a word that was heard


def test_the_lexicon_is_framed_only_when_it_is_revealed(networks: Visit) -> None:
    page = networks.page
    assert page.evaluate(f"{PLOT}.data[4].x.length") == 0
    press(page, "Reveal the lexicon")
    page.wait_for_function(f"{PLOT}.data[4].x.length === 5", timeout=10_000)
    page.wait_for_selector("text=asks in this order", timeout=10_000)
    before = page.evaluate(f"JSON.stringify({PLOT}.data[0].z)")
    page.get_by_label("Meanings of").select_option("the optimum")
    page.wait_for_function(f"before => JSON.stringify({PLOT}.data[0].z) !== before", arg=before, timeout=10_000)


def test_after_the_swap_each_bot_speaks_the_language_of_the_other(networks: Visit) -> None:
    page = networks.page
    entry = page.get_by_label("Both say")
    entry.fill("we are looking for hearty dishes")  # both have been heard to say it
    entry.press("Enter")
    page.wait_for_selector("text=Each with its own θ", timeout=60_000)
    table = page.locator(".md-panel table.md-wide").last
    own = [cell.inner_text() for cell in table.locator("tr >> nth=2 >> td").all()]
    press(page, "Swap θ")
    page.wait_for_selector("text=Swapped: A's system, with the θ of B", timeout=10_000)
    swapped = [cell.inner_text() for cell in table.locator("tr >> nth=2 >> td").all()]
    assert len(own) == len(swapped) == 2
    for before, after in zip(own, swapped, strict=True):
        assert "✓" in before
        assert "✗" not in before
        assert "✗" in after


def test_every_control_has_a_name_and_nothing_left_the_machine(networks: Visit) -> None:
    page = networks.page
    controls = ".md-panel :is(button, input, select, [role=slider], [contenteditable=true]):not([disabled])"
    nameless = page.evaluate(
        f"[...document.querySelectorAll({controls!r})].filter(e => !(e.ariaLabel || e.textContent.trim() ||"
        " (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map(e => e.outerHTML.slice(0, 120))")
    assert nameless == []
    assert page.locator(".md-panel .md-live[aria-live=polite]").count() >= 2
    assert networks.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert networks.errors == []

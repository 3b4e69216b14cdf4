"""The comparison panel of notebook 07 in a real JupyterLab: every control draws, says and tabulates at once."""

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
#: Names of the lines that are drawn, without bands, floor and prior.
DRAWN = f"{PLOT}.data.filter(t => t.mode === 'lines+markers' && t.visible !== false && t.x.length).map(t => t.name)"
BEST = ["hypernetwork", "parameters", "meta_sgd", "augmentation", "finetune"]


@pytest.fixture(scope="module")
def comparison(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The panel over made-up results, shown and idle."""
    visit = open_notebook(browser, lab, "comparison")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def drawn(page: Any, names: list[str]) -> None:
    """Wait until exactly these lines are drawn."""
    page.wait_for_function(f"names => JSON.stringify({DRAWN}) === JSON.stringify(names)", arg=names, timeout=10_000)


def test_it_begins_with_the_best_of_each_family(comparison: Visit) -> None:
    page = comparison.page
    drawn(page, BEST)
    said = page.locator(".md-says").inner_text()
    assert "share of the gap closed: parameters 0.950 [0.930, 0.970]; hypernetwork" in said
    assert page.locator(".md-panel table tr").count() == 2 + len(BEST)
    assert page.get_by_label("fast_weights –").is_disabled()


def test_families_and_members_are_shown_and_hidden(comparison: Visit) -> None:
    page = comparison.page
    press(page, "Meta-Optimization")
    drawn(page, [*BEST[:2], "maml", *BEST[2:]])
    press(page, "Meta-Optimization")
    drawn(page, [*BEST[:2], *BEST[3:]])
    page.get_by_label("maml", exact=True).check()
    drawn(page, [*BEST[:2], "maml", *BEST[3:]])
    press(page, "All")
    page.wait_for_function(f"{DRAWN}.length === 7", timeout=10_000)  # retrieval has no loss
    press(page, "Each family's best")
    drawn(page, BEST)


def test_capability_measure_seed_and_bands_change_the_picture(comparison: Visit) -> None:
    page = comparison.page
    title = f"{PLOT}.layout.title.text"
    page.get_by_label("Capability").select_option("state tracking")
    page.wait_for_function(f"{title}.includes('state tracking')", timeout=10_000)
    page.get_by_label("Measure").select_option("regret")
    page.wait_for_function(f"{title}.includes('regret') && {PLOT}.layout.yaxis.range[1] < 3", timeout=10_000)
    page.get_by_label("Measure").select_option("loss")
    page.get_by_label("Training seed").select_option("mean and range")
    page.wait_for_function(f"{title}.includes('mean of the training seeds')", timeout=10_000)
    bands = f"{PLOT}.data.filter(t => t.fill === 'toself' && t.visible !== false && t.x.length).length"
    page.wait_for_function(f"{bands} === 3", timeout=10_000)  # of those with several seeds
    press(page, "Bands")
    page.wait_for_function(f"{bands} === 0", timeout=10_000)


def test_the_slider_moves_sentence_and_table(comparison: Visit) -> None:
    page = comparison.page
    slider = page.locator(".md-panel [role=slider]")
    slider.focus()
    slider.press("Home")
    page.wait_for_selector("text=After 0 support turns, state tracking", timeout=10_000)
    slider.press("End")
    page.wait_for_selector("text=After 32 support turns, state tracking", timeout=10_000)


def test_the_command_is_copied_and_reset_returns(comparison: Visit) -> None:
    page = comparison.page
    press(page, "Copy as papermill command")
    page.wait_for_selector("text=The command is on the clipboard", timeout=10_000)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("papermill notebooks/07_compare_families.ipynb out.ipynb -p world restaurants.en")
    assert "-p capability state -p measure loss -p shots 32 -p training_seed 0" in copied
    press(page, "Reset")
    drawn(page, BEST)
    page.wait_for_selector("text=After 16 support turns, total, training seed 1", timeout=10_000)


def test_every_control_has_a_name_and_nothing_left_the_machine(comparison: Visit) -> None:
    page = comparison.page
    controls = ".md-panel :is(button, input, select, [role=slider], [contenteditable=true]):not([disabled])"
    nameless = page.evaluate(
        f"[...document.querySelectorAll({controls!r})].filter(e => !(e.ariaLabel || e.textContent.trim() ||"
        " (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map(e => e.outerHTML.slice(0, 120))")
    assert nameless == []
    named = "[...document.querySelectorAll('.md-panel [aria-label]')].map(e => e.ariaLabel)"
    assert all(name.strip("\u200b ") for name in page.evaluate(named))  # a name of zero-width spaces is none
    assert page.locator(".md-panel .md-live[aria-live=polite]").count() >= 1
    assert comparison.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert comparison.errors == []

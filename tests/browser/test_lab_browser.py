"""The panels in a real JupyterLab in a real Chromium: they draw, they stop, they can be used by keyboard alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from labpage import Lab, Visit, open_notebook, run_all, wait_done

pytestmark = pytest.mark.browser
#: The moving average of the first subplot, as it is drawn.
CURVE = "document.querySelector('.md-panel .js-live-plot .scatterlayer .trace path.js-line')?.getAttribute('d') ?? ''"
#: Everything in a panel that a keyboard can reach.
CONTROLS = ".md-panel :is(button, input, select, textarea, [role=slider], [contenteditable=true]):not([disabled])"


@pytest.fixture(scope="module")
def training(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The training panel, shown and idle."""
    visit = open_notebook(browser, lab, "training")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


@pytest.fixture(scope="module")
def panels(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The adaptation panel, the microscope and the chat."""
    visit = open_notebook(browser, lab, "panels")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def status(page: Any, word: str, timeout: float = 30_000) -> None:
    """Wait until the panel says that it is running, paused …"""
    page.wait_for_selector(f".md-live b:text-is('{word}')", timeout=timeout)


def frames(page: Any, seconds: float, enough: int = 10**6) -> int:
    """How many different pictures of the curve the browser draws in so many seconds, or until there are enough."""
    return int(page.evaluate(
        "async ([curve, seconds, enough]) => { const seen = new Set(), end = performance.now() + 1000 * seconds;"
        " while (performance.now() < end && seen.size < enough) {"
        "  const d = eval(curve); if (d) seen.add(d);"
        "  await new Promise(next => requestAnimationFrame(next)); } return seen.size; }",
        [CURVE, seconds, enough]))


def cells(page: Any) -> int:
    return int(page.locator(".jp-Notebook .jp-Cell").count())


def test_tab_reaches_every_control_and_each_has_a_name(training: Visit) -> None:
    page = training.page
    page.wait_for_timeout(500)
    count = page.evaluate(f"document.querySelectorAll({CONTROLS!r}).length")
    assert count >= 14
    nameless = page.evaluate(
        f"[...document.querySelectorAll({CONTROLS!r})].filter(e => !(e.ariaLabel || e.textContent.trim() ||"
        " (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map(e => e.outerHTML.slice(0, 120))")
    assert nameless == []
    for name in ("Inner rate α", "Inner steps K", "Average over steps"):  # each its own name, not its neighbour's
        assert page.locator(f".md-panel [role=slider][aria-label='{name}']").count() == 1
    page.evaluate(f"[...document.querySelectorAll({CONTROLS!r})].forEach((e, i) => e.dataset.place = i)")
    page.get_by_role("button", name="Start", exact=True).focus()
    reached = set()
    for _ in range(2 * count):
        place = page.evaluate("document.activeElement?.dataset?.place ?? null")
        if place is None:
            break
        reached.add(int(place))
        page.keyboard.press("Tab")
    missed = [page.evaluate(f"document.querySelector('[data-place=\"{i}\"]').outerHTML.slice(0, 160)")
              for i in set(range(count)) - reached]
    assert missed == []


def test_live_text_is_announced(training: Visit) -> None:
    assert training.page.locator(".md-panel .md-live[aria-live=polite]").count() >= 1
    assert training.page.locator(".md-panel .js-live-plot [role=img]").count() == 1


@pytest.mark.parametrize("control", ["button:has-text('Pause')", "[role=slider] >> nth=0", "select >> nth=0"])
def test_typing_d_d_on_a_control_does_not_delete_the_cell(training: Visit, control: str) -> None:
    page = training.page
    before = cells(page)
    page.locator(f".md-panel >> {control}").focus()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.wait_for_timeout(500)
    assert cells(page) == before
    assert page.locator(".md-panel").count() == 1


def test_start_draws_and_pause_stops(training: Visit) -> None:
    page = training.page
    press(page, "Start")
    press(page, "Start")  # twice is the same as once
    assert frames(page, 60, enough=10) >= 10
    status(page, "running")
    press(page, "Pause")
    status(page, "paused")
    frames(page, 5, enough=2)  # the last drawing may still be on its way
    assert frames(page, 1.5) == 1
    assert "above the Bayes floor" in page.locator(".md-says").inner_text()


def test_a_slider_moves_the_plot(training: Visit) -> None:
    page = training.page
    before = page.evaluate(CURVE)
    page.locator(".md-panel [role=slider][aria-label='Average over steps']").focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"before => ({CURVE}) !== before", arg=before, timeout=10_000)


def test_step_takes_one_step(training: Visit) -> None:
    page = training.page
    press(page, "Reset")  # a long curve is thinned out, so that its points could not be counted
    page.wait_for_function("() => !/step \\d/.test(document.querySelector('.md-live').textContent)", timeout=60_000)
    press(page, "Step")
    page.wait_for_function("() => /step 1,/.test(document.querySelector('.md-live').textContent)", timeout=60_000)


def test_papermill_command_is_copied(training: Visit) -> None:
    page = training.page
    press(page, "Copy as papermill command")
    page.wait_for_selector("text=The command is on the clipboard", timeout=10_000)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("papermill notebooks/05_meta_optimization.ipynb out.ipynb -p world restaurants.en")
    assert page.get_by_label("Command", exact=True).input_value() == copied


def test_reset_while_training_gives_an_empty_plot(training: Visit) -> None:
    page = training.page
    press(page, "Start")
    status(page, "running")
    press(page, "Reset")
    status(page, "idle")
    empty = "document.querySelector('.md-panel .js-live-plot [role=img]').data[0].x.length === 0"
    page.wait_for_function(empty, timeout=10_000)


def test_d_d_elsewhere_still_deletes(training: Visit) -> None:
    """The guard is what prevents it: without it the same keys on a button delete the cell."""
    page = training.page
    before = cells(page)
    page.locator("button:has-text('unguarded')").focus()
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.wait_for_function(f"document.querySelectorAll('.jp-Notebook .jp-Cell').length === {before - 1}", timeout=5000)


def test_inner_steps_slider_moves_the_mark_and_the_words(panels: Visit) -> None:
    page = panels.page
    press(page, "Adapt")
    page.wait_for_selector(".md-panel .md-chip", timeout=60_000)
    mark = "JSON.stringify(document.querySelector('.md-panel .js-live-plot [role=img]').data[2].x[0])"
    slider = page.locator(".md-panel [role=slider][aria-label='Inner steps']")
    slider.focus()
    slider.press("Home")
    page.wait_for_function(f"({mark}) === '0'", timeout=10_000)
    words = page.locator(".md-panel .md-live").nth(1).inner_text()
    slider.press("ArrowRight")
    page.wait_for_function(f"({mark}) === '1'", timeout=10_000)
    page.wait_for_function("before => document.querySelectorAll('.md-panel .md-live')[1].innerText !== before",
                           arg=words, timeout=10_000)
    press(page, "Reveal the lexicon")
    page.wait_for_selector("text=asks in this order", timeout=10_000)


def test_microscope_and_chat_answer(panels: Visit) -> None:
    page = panels.page
    press(page, "Measure")
    page.wait_for_selector("text=Second order is the true gradient", timeout=60_000)
    numbers = "document.querySelectorAll('.md-panel .heatmaplayer text').length"
    page.wait_for_function(f"{numbers} === 16", timeout=10_000)
    entry = page.get_by_label("You say")
    entry.fill("something zesty xyzzy")
    entry.press("Enter")
    page.wait_for_selector("text=never seen: xyzzy", timeout=30_000)


def test_a_restarted_kernel_is_announced(panels: Visit) -> None:
    page = panels.page
    page.click("text=Kernel >> nth=0")
    page.click("text=Restart Kernel… >> nth=0")
    page.click(".jp-Dialog .jp-mod-accept")
    page.wait_for_selector(".md-dead", timeout=30_000)


@pytest.mark.parametrize("name", ["training", "panels"])
def test_nothing_left_the_machine_and_nothing_was_complained_about(name: str, request: pytest.FixtureRequest) -> None:
    visit: Visit = request.getfixturevalue(name)
    assert visit.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert visit.errors == []

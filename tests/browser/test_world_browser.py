"""The panels of notebooks 01 and 02 in a real JupyterLab: one step, a game against the optimum, the sampler."""

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
def world(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The guessing panel, the sampler and the step panel, shown and idle."""
    visit = open_notebook(browser, lab, "world")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def press(page: Any, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).first.click()


def test_a_game_is_played_and_drawn(world: Visit) -> None:
    page = world.page
    press(page, "Commit")
    page.wait_for_selector("text=Choose what", timeout=10_000)  # nothing was chosen
    for box in page.get_by_label("How sure?").all():
        box.select_option("just guessing")
    press(page, "Commit")
    page.wait_for_selector("text=After 1 turn with", timeout=10_000)
    page.wait_for_function(f"{PLOT}.data[0].y.length === 2", timeout=10_000)
    you, optimum, nobody = page.evaluate(f"{PLOT}.data.map(t => t.y.at(-1))")
    assert you == pytest.approx(optimum, abs=1e-4) == pytest.approx(nobody, abs=1e-4)  # at first nobody can know
    page.get_by_label("You say").select_option("a weight for each value")
    page.locator(".md-panel [role=slider]").first.focus()
    page.keyboard.press("End")
    press(page, "Commit")
    page.wait_for_selector("text=After 2 turns with", timeout=10_000)
    for _ in range(12):
        if page.locator("text=The support is over").count():
            break
        press(page, "Say what the optimum says")
        page.wait_for_timeout(300)
    page.wait_for_selector("text=The support is over", timeout=10_000)
    press(page, "Next speaker")
    page.wait_for_selector("text=Speaker 1, support turn", timeout=10_000)
    page.wait_for_function(f"{PLOT}.data[0].y.length === 1", timeout=10_000)


def test_the_sampler_draws_other_dialogues(world: Visit) -> None:
    page = world.page
    table = page.locator("table.md-even")
    before = table.inner_text()
    press(page, "Another dialogue")
    page.wait_for_function("b => document.querySelector('table.md-even').innerText !== b", arg=before, timeout=10_000)
    press(page, "Show what is hidden")
    page.wait_for_selector("text=says for request", timeout=10_000)
    press(page, "Copy as papermill command")
    page.wait_for_selector("text=The command is on the clipboard.", timeout=10_000)
    assert page.evaluate("navigator.clipboard.readText()").startswith("papermill notebooks/02_dialogue_world.ipynb")


def test_outer_steps_move_the_start(world: Visit) -> None:
    page = world.page
    plot = "[...document.querySelectorAll('.md-panel .js-live-plot [role=img]')].at(-1)"
    page.wait_for_function(f"{plot}.data[3].x.length === 2", timeout=30_000)
    page.wait_for_selector("text=θ = -2.00 becomes", timeout=10_000)
    before = page.evaluate(f"{plot}.data[3].x[0]")
    press(page, "Outer step")
    page.wait_for_function(f"before => {plot}.data[3].x[0] > before", arg=before, timeout=10_000)
    slider = page.locator(".md-panel [role=slider][aria-label='α']")
    slider.focus()
    slider.press("End")
    page.wait_for_selector("text=walks the wrong way", timeout=10_000)
    page.get_by_role("button", name="Reset", exact=True).last.click()
    page.wait_for_selector("text=θ = -2.00 becomes", timeout=10_000)


def test_every_control_has_a_name_and_nothing_left_the_machine(world: Visit) -> None:
    page = world.page
    controls = ".md-panel :is(button, input, select, [role=slider], [contenteditable=true]):not([disabled])"
    nameless = page.evaluate(
        f"[...document.querySelectorAll({controls!r})].filter(e => !(e.ariaLabel || e.textContent.trim() ||"
        " (e.labels && e.labels.length && e.labels[0].textContent.trim()))).map(e => e.outerHTML.slice(0, 120))")
    assert nameless == []
    assert page.locator(".md-panel .md-live[aria-live=polite]").count() >= 2
    assert world.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert world.errors == []

"""The capability panel of notebook 08 in a real JupyterLab: three plots that follow every control."""

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
DRAWN = f"{PLOT}.data.filter(t => t.mode === 'lines+markers' && t.visible !== false && t.x.length)"
BEST = ["hypernetwork", "parameters", "meta_sgd", "augmentation", "finetune"]


@pytest.fixture(scope="module")
def capabilities(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The panel over made-up results, shown and idle."""
    visit = open_notebook(browser, lab, "capabilities")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def drawn(page: Any, names: list[str]) -> None:
    """Wait until exactly these lines are drawn, in each of the three plots."""
    page.wait_for_function(f"names => JSON.stringify({DRAWN}.map(t => t.name)) === JSON.stringify(names)",
                           arg=3 * names, timeout=10_000)


def test_three_plots_follow_the_choice(capabilities: Visit) -> None:
    page = capabilities.page
    drawn(page, BEST)
    assert page.evaluate(f"[...new Set({DRAWN}.map(t => t.xaxis))].length") == 3
    page.get_by_label("Who").select_option("Meta-Optimization (2 measured)")
    drawn(page, ["maml", "meta_sgd"])
    page.get_by_label("Measure").select_option("loss")
    page.wait_for_function(f"{PLOT}.layout.yaxis.title.text === 'nats per turn'", timeout=10_000)
    assert page.evaluate(f"{PLOT}.layout.yaxis2.range[1] > {PLOT}.layout.yaxis.range[1]")  # state has more to learn
    slider = page.locator(".md-panel [role=slider]")
    slider.focus()
    slider.press("End")
    page.wait_for_selector("text=After 32 support turns: context understanding (act): ", timeout=10_000)
    assert page.locator(".md-panel table tr").count() == 3


def test_the_command_is_copied_and_reset_returns(capabilities: Visit) -> None:
    page = capabilities.page
    page.get_by_role("button", name="Copy as papermill command", exact=True).click()
    page.wait_for_selector("text=The command is on the clipboard", timeout=10_000)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("papermill notebooks/08_three_capabilities.ipynb out.ipynb -p world restaurants.en")
    assert "-p who Meta-Optimization -p measure loss -p shots 32" in copied
    page.get_by_role("button", name="Reset", exact=True).click()
    drawn(page, BEST)
    assert capabilities.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert capabilities.errors == []

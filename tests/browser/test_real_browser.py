"""The panel of notebook 11 in a real JupyterLab: corpus, measure, shots and learners draw and say at once."""

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
DRAWN = f"{PLOT}.data.filter(t => t.mode === 'lines+markers' && t.visible !== false && t.x.length).map(t => t.name)"
ALL = ["hypernetwork", "anil", "finetune", "prior"]


@pytest.fixture(scope="module")
def real(browser: Any, lab: Lab) -> Iterator[Visit]:
    """The panel over made-up runs, shown and idle."""
    visit = open_notebook(browser, lab, "real")
    run_all(visit.page)
    wait_done(visit.page)
    visit.page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=60_000)
    yield visit
    visit.page.context.close()


def drawn(page: Any, names: list[str]) -> None:
    """Wait until exactly these lines are drawn."""
    page.wait_for_function(f"names => JSON.stringify({DRAWN}) === JSON.stringify(names)", arg=names, timeout=20_000)


def test_learners_are_drawn_and_judged(real: Visit) -> None:
    page = real.page
    drawn(page, ALL)
    assert "hypernetwork wins" in page.locator(".md-says").inner_text()
    page.get_by_label("anil", exact=True).uncheck()
    drawn(page, [name for name in ALL if name != "anil"])
    page.get_by_label("anil", exact=True).check()
    drawn(page, ALL)


def test_measure_and_corpus_change_the_picture(real: Visit) -> None:
    page = real.page
    page.get_by_label("Measure").select_option(label="perplexity per response token")
    page.wait_for_function(f"{PLOT}.layout.yaxis.title.text === 'perplexity per response token'", timeout=20_000)
    page.get_by_label("Corpus").select_option(label="sgd (tiny model)")
    page.wait_for_function(f"{PLOT}.layout.title.text.includes('sgd (tiny model)')", timeout=20_000)
    assert "sgd (tiny model), after 16 support turns" in page.locator(".md-says").inner_text()


def test_reset_returns(real: Visit) -> None:
    page = real.page
    page.get_by_role("button", name="Reset", exact=True).first.click()
    page.wait_for_function(f"{PLOT}.layout.title.text.includes('chitchat (tiny model)')", timeout=20_000)
    drawn(page, ALL)


def test_nothing_left_the_machine(real: Visit) -> None:
    assert real.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert real.errors == []

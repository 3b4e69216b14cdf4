"""The panel of notebook 12 in a real JupyterLab: another direction, the command on the clipboard, reset."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from labpage import Lab, open_notebook, run_all, wait_done

pytestmark = pytest.mark.browser


def test_choose_copy_reset(browser: Any, lab: Lab) -> None:
    visit = open_notebook(browser, lab, "questions")
    page = visit.page
    run_all(page)
    wait_done(page)
    page.wait_for_selector("text=How little may adapting cost?", timeout=60_000)
    page.get_by_label("Direction").select_option("better state")
    page.wait_for_selector("text=Users correct themselves", timeout=20_000)
    page.get_by_role("button", name="Copy as papermill command", exact=True).click()
    page.wait_for_selector("text=The command is on the clipboard.", timeout=20_000)
    assert "-p world travel.en" in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_selector("text=How little may adapting cost?", timeout=20_000)
    assert visit.hosts <= {"127.0.0.1", "localhost", "blob", "data"}
    assert visit.errors == []
    page.context.close()

"""Make docs/training_panel.png: the training panel in a real JupyterLab after some CPU seconds of training.

Usage: python scripts/picture.py [SECONDS]
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "browser"))
labpage = importlib.import_module("labpage")  # lies with the browser tests

CELL = """from metadialog_lite.lab import TrainingPanel
from metadialog_lite.world import load_world
panel = TrainingPanel(load_world("restaurants.en"), learner="meta_sgd", inner_lr=0.001, inner_steps=1, shots=16,
                      seconds={seconds}, start="restaurants.en.joint")
panel"""


def main(seconds: float) -> None:
    """Train for so many CPU seconds and save the picture."""
    folder = Path(tempfile.mkdtemp())
    labpage.write_notebook(folder / "picture.ipynb", [CELL.format(seconds=seconds)])
    lab, server = labpage.start_lab(folder)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=labpage.QUIET)
            page = labpage.open_notebook(browser, lab, "picture").page
            labpage.run_all(page)
            labpage.wait_done(page)
            page.get_by_role("button", name="Start", exact=True).first.click()
            page.wait_for_selector(".md-live b:text-is('done')", timeout=20_000 + 10_000 * seconds)
            page.wait_for_timeout(1500)
            page.locator(".md-panel").first.screenshot(path=ROOT / "docs" / "training_panel.png")
    finally:
        labpage.stop_lab(server)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 100.0)

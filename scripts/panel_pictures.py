"""Make docs/panels/NAME.png: each panel in a real JupyterLab after a click or two; the static site shows them.

Usage: python scripts/panel_pictures.py [NAME …]      (the training panel's picture is made by scripts/picture.py)
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "panels"
sys.path.insert(0, str(ROOT / "tests" / "browser"))
labpage = importlib.import_module("labpage")  # lies with the browser tests

#: Instead of a button: the panel's first slider to its end.
END = "slider to its end"
#: panel → its notebook, the id of its cell, and the buttons that are pressed before (a number: a suggestion)
PANELS: dict[str, tuple[str, str, tuple[str | int, ...]]] = {
    "ChatPanel": ("05_meta_optimization", "chat", (1, 2)),
    "AdaptationPanel": ("05_meta_optimization", "adaptation-panel", ("Adapt",)),
    "GuessPanel": ("02_dialogue_world", "game", ("Say what the optimum says",) * 3),
    "SamplerPanel": ("02_dialogue_world", "sampler", ("Another dialogue",)),
    "ThetaPanel": ("03_meta_networks", "theta-panel", ("Read the support", END)),
    "SwapPanel": ("03_meta_networks", "swap-panel", (1, 2)),
    "StructurePanel": ("04_meta_neural_networks", "structure-panel", ("Read the support", END)),
    "DataPanel": ("06_meta_data_generation", "data-panel", ("Show D′",)),
    "StepPanel": ("01_learning_to_learn", "step-panel", ()),
    "GradientMicroscope": ("05_meta_optimization", "microscope", ("Measure",)),
    "ComparisonPanel": ("07_compare_families", "panel", ()),
    "CapabilityPanel": ("08_three_capabilities", "panel", ()),
    "PoolPanel": ("09_three_challenges", "pool-panel", ()),
    "CostPanel": ("09_three_challenges", "cost-panel", ()),
    "RealPanel": ("11_real_dialogues", "panel", ()),
    "QuestionsPanel": ("12_open_questions", "panel", ()),
}


def cells_for(notebook: str, identifier: str) -> list[str]:
    """The notebook's code up to its first panel, and the panel's own cell; the panel is the last one shown."""
    cells = [cell for cell in nbformat.read(ROOT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells
             if cell.cell_type == "code"]
    panels = {cell for _, cell, _ in PANELS.values()}
    first = next(number for number, cell in enumerate(cells) if cell.id in panels)  # it defines what others need
    return [cell.source for number, cell in enumerate(cells) if number <= first or cell.id == identifier]


def picture(browser: Any, folder: Path, lab: Any, name: str) -> None:
    """Open the panel, press its buttons and save the picture."""
    notebook, identifier, buttons = PANELS[name]
    labpage.write_notebook(folder / f"{name}.ipynb", cells_for(notebook, identifier))
    page = labpage.open_notebook(browser, lab, name).page
    page.set_viewport_size({"width": 1280, "height": 2000})  # a panel taller than the window would be cut off
    labpage.run_all(page)
    labpage.wait_done(page, 300_000)
    panel = page.locator(".md-panel").last
    for button in buttons:
        if button == END:
            panel.get_by_role("slider").first.press("End")
        elif isinstance(button, int):
            panel.get_by_role("button").nth(button).click()
        else:
            panel.get_by_role("button", name=button, exact=True).first.click()
        page.wait_for_timeout(8000)
    page.wait_for_timeout(15_000)  # figures are drawn late on a busy machine
    panel.screenshot(path=OUT / f"{name}.png")
    page.context.close()


def main(names: list[str]) -> None:
    """One after the other, in one Lab."""
    OUT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    lab, server = labpage.start_lab(folder)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=labpage.QUIET)
            for name in names:
                picture(browser, folder, lab, name)
                print(name, (OUT / f"{name}.png").stat().st_size // 1000, "kB")
    finally:
        labpage.stop_lab(server)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(PANELS))

"""How quickly the panels answer in a real JupyterLab and Chromium: ``python -m benchmarks.panel_latency --json``.

* slider to plot: a key on the inner-steps slider of the adaptation panel, until the mark is drawn elsewhere;
  idle, and while the training panel of the same kernel trains a model of the real size;
* curve draws a second: different pictures of the training curve that the browser shows in ten seconds; at most one a
  training step, and at most ten;
* open to first figure: from pressing Run All (a fresh kernel: importing torch is part of it), and from a cell that
  is run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "browser"))
import labpage  # type: ignore[import-not-found]

_MARK = "document.querySelectorAll('.md-panel .js-live-plot')[1].querySelector('[role=img]')"
_STEPS = "document.querySelector('.md-panel .js-live-plot [role=img]').data[0].x.length"
_SLIDE = """async ([plot, key, patience]) => {
  const gd = eval(plot), place = () => [...gd.querySelectorAll('.scatterlayer .trace:nth-child(3) path.point')]
    .map(e => e.getAttribute('transform')).join();
  const before = place(), begun = performance.now();
  document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
  while (place() === before) {
    if (performance.now() - begun > patience) return null;
    await new Promise(next => requestAnimationFrame(next));
  }
  return performance.now() - begun;
}"""
_FRAMES = """async ([plot, seconds]) => {
  const gd = document.querySelector(plot), seen = new Set(), end = performance.now() + 1000 * seconds;
  while (performance.now() < end) {
    const line = gd.querySelector('.scatterlayer .trace path.js-line');
    if (line) seen.add(line.getAttribute('d'));
    await new Promise(next => requestAnimationFrame(next));
  }
  return seen.size;
}"""


def slide(page: Any, times: int) -> dict[str, float]:
    """Milliseconds from a key on the slider to the moved mark."""
    slider = page.locator(".md-panel [role=slider][aria-label='Inner steps']")
    slider.focus()
    slider.press("Home")
    page.wait_for_timeout(1500)
    took = []
    for i in range(times):
        key = "ArrowRight" if i // 6 % 2 == 0 else "ArrowLeft"
        one = page.evaluate(_SLIDE, [_MARK, key, 10_000])
        if one is not None:
            took.append(one)
        page.wait_for_timeout(120)
    took.sort()
    return {"median_ms": round(statistics.median(took), 1), "p95_ms": round(took[int(0.95 * (len(took) - 1))], 1),
            "moves": len(took), "missed": times - len(took)}


def measure(chromium: str, times: int, seconds: float) -> dict[str, Any]:
    """All numbers, from one fresh server and one fresh browser."""
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp(prefix="metadialog_latency_"))
    labpage.write_notebooks(folder)
    begun_with = os.getloadavg()[0]
    lab, server = labpage.start_lab(folder)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=labpage.QUIET)
            page = labpage.open_notebook(browser, lab, "latency").page
            begun = time.perf_counter()
            labpage.run_all(page)
            page.wait_for_selector(".md-panel .js-live-plot .main-svg", timeout=120_000)
            first = time.perf_counter() - begun
            labpage.wait_done(page)
            begun = time.perf_counter()
            labpage.run_all(page)
            page.wait_for_function("document.querySelectorAll('.md-panel .js-live-plot .main-svg').length >= 2")
            again = time.perf_counter() - begun
            page.wait_for_timeout(2000)
            page.get_by_role("button", name="Adapt", exact=True).click()
            page.wait_for_selector(".md-panel .md-chip", timeout=120_000)
            page.wait_for_timeout(1000)
            idle = slide(page, times)
            page.get_by_role("button", name="Start", exact=True).click()
            page.wait_for_function(f"{_STEPS} >= 5", timeout=120_000)
            before = page.evaluate(_STEPS)
            draws = page.evaluate(_FRAMES, [".md-panel .js-live-plot", seconds]) / seconds
            steps = (page.evaluate(_STEPS) - before) / seconds
            training = slide(page, times)
            browser.close()
    finally:
        labpage.stop_lab(server)
        shutil.rmtree(folder, ignore_errors=True)
    return {"slider_to_plot": {"idle": idle, "while_training": training}, "curve_draws_per_second": round(draws, 1),
            "run_all_to_first_figure_s": round(first, 2), "run_again_to_figures_s": round(again, 2),
            "training_steps_per_second": round(steps, 1),
            "load": [round(begun_with, 1), round(os.getloadavg()[0], 1)]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="JSON alone on stdout")
    parser.add_argument("--times", type=int, default=40, help="slider moves for each number")
    parser.add_argument("--seconds", type=float, default=10, help="how long curve draws are counted")
    arguments = parser.parse_args()
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    chromium = next((path for path in map(shutil.which, names) if path), None)
    if chromium is None:
        print("no Chromium found: install it (on Debian: apt install chromium)", file=sys.stderr)
        return 1
    result = measure(chromium, arguments.times, arguments.seconds)
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        for name, part in result["slider_to_plot"].items():
            print(f"slider to plot, {name}: median {part['median_ms']} ms, p95 {part['p95_ms']} ms")
        print(f"curve draws: {result['curve_draws_per_second']} a second, "
              f"of {result['training_steps_per_second']} training steps a second")
        print(f"run all to first figure: {result['run_all_to_first_figure_s']} s; "
              f"run again: {result['run_again_to_figures_s']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The gradient microscope: "is this really second order?" answered with numbers, on the reader's own model."""

from __future__ import annotations

from typing import Any

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.outer_gradients import FD, FIRST, FULL, REPTILE, compare
from metadialog_lite.lab.speaker import resolve
from metadialog_lite.turns import TaskSource

_NAMES = (FD, FULL, FIRST, REPTILE)
_NOTE = ("Finite differences need no derivative at all: they measure the slope of the outer loss by two small moves "
         "along a direction. They are slow and cannot be wrong in the same way as a program that differentiates.")


class GradientMicroscope(ui.Panel):
    """Finite differences, full second order, first order and Reptile: cosines, errors, time and memory, in float64.

    Args:
        learner: a learner with inner gradient steps, a training panel, or a function that returns one of them.
        source: world or corpus; training tasks are used, as an outer step does.
        shots, query_turns, tasks: a small batch, so that a measurement takes seconds.
        seed: of the tasks and of the random directions.
    """

    def __init__(self, learner: Any, source: TaskSource, shots: int = 4, query_turns: int = 4, tasks: int = 2,
                 seed: int = 0) -> None:
        super().__init__("Gradient microscope")
        self.source, self.seed = source, seed
        self._batch = {"query_turns": query_turns, "tasks": tasks}
        self._get = resolve(learner)
        self.result: dict[str, Any] | None = None
        self._work = ui.Background(self.fail)
        self.button = ui.button("Measure", "Takes a few seconds", "search", "success")
        self.directions_slider = ui.whole("Random directions", 20, 1, 100, "Along which slopes are measured")
        self.shots_slider = ui.whole("Shots", shots, 1, 32, "Support turns of a task")
        self.reset_button = ui.reset_button((self.directions_slider, self.shots_slider), self._begin_again)
        self.says, self.table = ui.text_line("Press Measure.", "md-live"), ui.text_line()
        self.plot.layout.display = "none"
        self.button.on_click(lambda _: self.begin())
        self.children = (
            self.guard, self.title, ui.row(self.button, self.directions_slider, self.shots_slider,
                                           self.reset_button),
            ui.text_line(_NOTE, "md-quiet"), self.error, self.says, self.plot, self.table,
        )

    def begin(self) -> None:
        """Measure in the background and show the result."""
        self.clear_error()
        self.says.value = "Measuring …"
        self._work.run(lambda: self._show(self.measure(self.directions_slider.value, self.shots_slider.value)))

    def _begin_again(self) -> None:
        """Nothing measured."""
        self.clear_error()
        self.result, self.table.value, self.plot.layout.display = None, "", "none"
        self.says.value = "Press Measure."

    def measure(self, directions: int = 20, shots: int | None = None) -> dict[str, Any]:
        """The numbers alone, see ``outer_gradients.compare``; nothing is displayed."""
        return compare(self._get(), self.source, directions, shots or self.shots_slider.value, seed=self.seed,
                       **self._batch)

    def wait(self, seconds: float = 60) -> bool:
        """Wait for the background work (tests and scripts)."""
        return self._work.wait(seconds)

    def fail(self, error: BaseException | str) -> None:
        self.says.value = ""
        super().fail(error)

    def _show(self, result: dict[str, Any]) -> None:
        self.result = result
        self.plot.layout.display = ""
        self.redraw()
        self.says.value = microscope_text(result)
        head = ("<tr><th>gradient</th><th>cosine to finite differences</th><th>largest error of a slope</th>"
                "<th>norm</th><th>CPU seconds</th><th>memory</th></tr>")
        rows = [
            f"<tr><th>{name}</th><td>{result['cosine'][FD][name]:.6f}</td><td>"
            f"{'—' if name == FD else format(result['error'][name], '.1e')}</td><td>{result['norm'][name]:.3g}</td>"
            f"<td>{result['seconds'][name]:.2f}</td><td>{result['megabytes'][name]:.1f} MB</td></tr>" for name in _NAMES
        ]
        self.table.value = (
            f"<table class='md-table'>{head}{''.join(rows)}</table><small>{result['parameters']:,} parameters, "
            f"float64. Error: slope claimed − slope measured along {result['directions']} random unit directions, "
            "over the gradient's norm. Memory: most bytes of tensors alive at once.</small>"
        )

    def build_figure(self) -> LivePlot:
        return LivePlot(_heatmap(None), {
            "height": 240, "margin": {"l": 130, "r": 10, "t": 34, "b": 30}, "font": {"size": 12},
            "title": {"text": "Cosine between directions", "font": {"size": 13}, "x": 0.01},
            "yaxis": {"autorange": "reversed"}}, width="560px")

    def picture(self) -> Picture:
        trace = _heatmap(self.result)[0]
        return [{"z": trace["z"], "text": trace["text"]}], {}


def _heatmap(result: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Cosines as numbers and as shades of blue; the numbers alone are enough to read it."""
    z = [[result["cosine"][a][b] if result else 0.0 for b in _NAMES] for a in _NAMES]
    return [{"type": "heatmap", "x": list(_NAMES), "y": list(_NAMES), "z": z, "zmin": -1, "zmax": 1,
             "text": [[f"{value:.4f}" for value in one] for one in z], "texttemplate": "%{text}",
             "colorscale": [[0, "#D55E00"], [0.5, "#FFFFFF"], [1, "#56B4E9"]], "showscale": False, "xgap": 2, "ygap": 2,
             "hoverinfo": "skip"}]


def microscope_text(result: dict[str, Any]) -> str:
    """What a measurement says."""
    error, cosine, seconds = result["error"], result["cosine"][FD], result["seconds"]
    verdict = "is the true gradient" if error[FULL] < 1e-6 else "is NOT the true gradient"
    share = seconds[FIRST] / max(seconds[FULL], 1e-9)
    text = (f"Second order {verdict}: its slopes differ from the measured ones by {error[FULL]:.0e} of the gradient's "
            f"norm. First order has cosine {cosine[FIRST]:.3f} to it and takes {share:.2f} of its time; "
            f"Reptile has cosine {cosine[REPTILE]:.3f}.")
    if result["inner_steps"] == 0:
        text += " With 0 inner steps there is nothing to differentiate through: all but Reptile agree."
    return text

"""Two panels of notebook 09: trainings on few and on many speakers, and what an outer step costs."""

from __future__ import annotations

import html
from pathlib import Path

import ipywidgets as w

from metadialog_lite.challenges.schema import Costs, Trainings, read
from metadialog_lite.lab import challenge_figure, cost_figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.figures import NATS, layout
from metadialog_lite.lab.live_plot import LivePlot, Picture

_TOP = 40.0  # nats; more than any picture needs


class PoolPanel(ui.Panel):
    """A training on 8, 32, … speakers: remembered turns, known people, new people. Stored runs; nothing is trained.

    Args:
        world: whose experiment.
        folder: where it is stored; by default what is shipped.
    """

    def __init__(self, world: str = "restaurants.en", folder: str | Path | None = None) -> None:
        super().__init__(f"Meta-training on few speakers of {world}")
        self.found, self.why_not = read(f"{world}.tasks", Trainings, folder)
        runs = self.found.runs if self.found else []
        names = [(challenge_figure.pool_name(run.pool), i) for i, run in enumerate(runs)]
        self.pool_slider = w.SelectionSlider(
            description="Training speakers", options=names or [("none", 0)], value=0, tooltip="How many are there?",
            style={"description_width": "initial"}, layout=w.Layout(width="360px"))
        self.zoom_button = ui.toggle("Zoom to the floor", "Only up to one nat above the floor", "search")
        self.reset_button = ui.button("Reset", "The fewest speakers, the whole picture", "undo")
        self.says, self.table = ui.text_line(self.why_not, "md-live", "md-says"), ui.text_line()
        self.pool_slider.observe(lambda _: self._moved(), "value")
        self.zoom_button.observe(lambda _: self._moved(), "value")
        self.reset_button.on_click(lambda _: self.reset())
        self.children = (self.guard, self.title, ui.row(self.pool_slider, self.zoom_button, self.reset_button),
                         self.error, self.plot, self.says, self.table)
        self._moved()

    def reset(self) -> None:
        """The fewest speakers, the whole picture."""
        self.clear_error()
        self.pool_slider.value, self.zoom_button.value = 0, False
        self._moved()

    def _moved(self) -> None:
        if self.found is None:
            return
        try:
            run = self.found.runs[self.pool_slider.value]
            self.redraw()
            passes = "" if run.pool is None else f" Each speaker was met {run.steps * run.tasks / run.pool:.0f} times."
            self.says.value = html.escape(challenge_figure.points_text(run.points[1:]) + passes)
            cells = "".join(f"<td>{row.gap_closed:.2f}</td>" for row in run.rows
                            if row.capability == "total" and row.gap_closed is not None)
            heads = "".join(f"<th scope='col'>{row.shots}</th>" for row in run.rows
                            if row.capability == "total" and row.gap_closed is not None)
            self.table.value = ("<small>New speakers, share of the gap closed after so many support turns</small>"
                                f"<table class='md-table' style='font-size:0.83em'><tr>{heads}</tr><tr>{cells}</tr>"
                                "</table>")
        except Exception as error:  # a traceback in a widget callback is seen by nobody
            self.fail(error)

    def build_figure(self) -> LivePlot | None:
        if self.found is None:
            return None
        frame = layout(380, uirevision="keep", hovermode="closest", xaxis={"title": {"text": "outer steps"}},
                       yaxis={"title": {"text": f"{NATS}, above the floor"}})
        return LivePlot(challenge_figure.pool_traces(), frame)

    def picture(self) -> Picture:
        assert self.found is not None
        run = self.found.runs[self.pool_slider.value]
        drawn = challenge_figure.pool_numbers(run)
        heights = [y for trace in drawn for y in trace["y"]]
        top = 1.0 if self.zoom_button.value else min(_TOP, 1.05 * max(heights))
        low = min(heights) - 0.05 * top
        name = challenge_figure.pool_name(run.pool)
        return drawn, {"yaxis.range": [low, top], "title.text": f"<b>{name}</b> training speakers"}

    def summary(self) -> str:
        return self.why_not or "trainings on few and on many speakers; open in JupyterLab to explore them"


class CostPanel(ui.Panel):
    """Time and memory of one outer step against inner steps, speakers and the model's width. Stored measurements.

    Args:
        world: whose measurements.
        folder: where they are stored; by default what is shipped.
    """

    def __init__(self, world: str = "restaurants.en", folder: str | Path | None = None) -> None:
        super().__init__("What does one outer step of MAML cost?")
        self.found, self.why_not = read(f"{world}.costs", Costs, folder)
        self.axis_choice = ui.choice("Against", [(text, key) for key, text in cost_figure.AXES.items()], "inner_steps",
                                     "What is varied; everything else stays", "260px")
        self.measure_choice = ui.choice("Measure", [(text, key) for key, text in cost_figure.MEASURES.items()], "ms",
                                        "Process CPU time, growth of memory, or the ratio of the orders", "290px")
        self.log_button = ui.toggle("Logarithmic", "Both axes; a power law becomes a straight line", "line-chart")
        self.reset_button = ui.button("Reset", "Time against inner steps", "undo")
        self.says = ui.text_line(self.why_not, "md-live", "md-says")
        for control in (self.axis_choice, self.measure_choice, self.log_button):
            control.observe(lambda _: self._moved(), "value")
        self.reset_button.on_click(lambda _: self.reset())
        self.children = (self.guard, self.title, ui.row(self.axis_choice, self.measure_choice, self.log_button,
                                                        self.reset_button), self.error, self.plot, self.says)
        self._moved()

    def reset(self) -> None:
        """Time against inner steps."""
        self.clear_error()
        self.axis_choice.value, self.measure_choice.value, self.log_button.value = "inner_steps", "ms", False
        self._moved()

    def _moved(self) -> None:
        if self.found is None:
            return
        try:
            self.redraw()
            self.says.value = html.escape(
                cost_figure.costs_text(self.found, self.axis_choice.value, self.measure_choice.value))
        except Exception as error:  # a traceback in a widget callback is seen by nobody
            self.fail(error)

    def build_figure(self) -> LivePlot | None:
        return None if self.found is None else cost_figure.live()

    def picture(self) -> Picture:
        assert self.found is not None
        return cost_figure.numbers(self.found, self.axis_choice.value, self.measure_choice.value, self.log_button.value)

    def summary(self) -> str:
        return self.why_not or "what an outer step costs; open in JupyterLab to explore it"

"""The capability panel: the three capabilities side by side, for a family, its best, or everybody."""

from __future__ import annotations

import html
import shlex
from pathlib import Path

import ipywidgets as w

from metadialog_lite.lab import capability_figure as figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.capability_claims import ORDER, TITLES
from metadialog_lite.lab.comparison_data import MEASURES, Comparison, read_comparison
from metadialog_lite.lab.comparison_figure import MEAN, View, value_of
from metadialog_lite.lab.comparison_text import with_interval
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.parameters_08 import CapabilityParameters


class CapabilityPanel(ui.Panel):
    """Explore what the stored runs reach in each capability; nothing is trained or evaluated here.

    Args:
        found: what ``read_comparison`` gave.
        p: the notebook's parameters: what is shown at first, and after Reset.
        notebook: the notebook named by "Copy as papermill command".
    """

    def __init__(self, found: Comparison | None = None, p: CapabilityParameters | None = None,
                 notebook: str = "08_three_capabilities.ipynb") -> None:
        self.p = p or CapabilityParameters()
        self.found = found or read_comparison(self.p.source.name, self.p.folder)
        self.notebook = notebook
        super().__init__(f"Three capabilities on {self.found.world}: what adaptation buys for each")
        self.members = self.found.learners  # the order of the traces
        self._quiet = False
        self.who_choice = ui.choice("Who", figure.choices(self.found), "best", "A family, or the best of each", "330px")
        self.measure_choice = ui.choice("Measure", [(text, key) for key, text in MEASURES.items()], "gap_closed",
                                        "Nats per turn, above the floor, or share of the gap", "190px")
        seeds = [*((str(seed), seed) for seed in self.found.all_seeds), ("mean and range", MEAN)]
        self.seed_choice = ui.choice("Training seed", seeds, seeds[0][1], "Which training run of each", "230px")
        self.shots_slider = w.SelectionSlider(
            description="Support turns", options=self.found.shots or [0], style={"description_width": "initial"},
            tooltip="What the table and the words are about", layout=w.Layout(width="320px"))
        self.band_button = ui.toggle("Bands", "95 % interval over speakers, or the range of the training seeds", "bars")
        self.reset_button = ui.button("Reset", "Back to what the notebook's parameters say", "undo")
        self.copy_button = ui.button("Copy as papermill command", "The same without a browser", "copy")
        self.command_field = w.Text(description="Command", placeholder="press Copy as papermill command",
                                    style={"description_width": "initial"}, layout=w.Layout(flex="1 1 300px"))
        self.hint, self.says = ui.text_line("", "md-quiet"), ui.text_line("", "md-live", "md-says")
        self.table = ui.text_line()
        for control in (self.who_choice, self.measure_choice, self.seed_choice, self.shots_slider, self.band_button):
            control.observe(lambda _: self._moved(), "value")
        self.reset_button.on_click(lambda _: self.reset())
        self.copy_button.on_click(lambda _: self._copy())
        self.guard.on_copied = self._copied
        self.children = (
            self.guard, self.title, ui.row(self.who_choice, self.measure_choice, self.seed_choice),
            ui.row(self.shots_slider, self.band_button, self.reset_button), self.error, self.plot, self.says,
            self.table, self.hint, ui.row(self.copy_button, self.command_field),
        )
        self.reset()

    def view(self) -> View:
        """What is looked at now."""
        shown = figure.members(self.found, self.who_choice.value, self.shots_slider.value)
        return View(shown, "total", self.measure_choice.value, self.seed_choice.value, self.band_button.value)

    def command(self) -> str:
        """The papermill command that shows the same without a browser."""
        values = {"world": self.p.world, "who": self.who_choice.value, "measure": self.measure_choice.value,
                  "shots": self.shots_slider.value or self.p.shots, "training_seed": self.seed_choice.value}
        if self.p.results != "auto":  # the command may run in another folder
            values["results"] = str(Path(self.p.results).resolve())
        words = ["papermill", f"notebooks/{self.notebook}", "out.ipynb"]
        for name, value in values.items():
            words += ["-p", name, str(value)]
        return shlex.join(words)

    def reset(self) -> None:
        """Back to what the notebook's parameters say."""
        self.clear_error()
        self._quiet = True
        self.who_choice.value, self.measure_choice.value = self.p.who, self.p.measure
        self.shots_slider.value = min(self.shots_slider.options, key=lambda k: abs(k - self.p.shots))
        seeds = [value for _, value in self.seed_choice.options]
        self.seed_choice.value = self.p.training_seed if self.p.training_seed in seeds else seeds[0]
        self.band_button.value = True
        self._quiet = False
        self._moved()

    def _copy(self) -> None:
        self.command_field.value = self.command()
        self.guard.copy(self.command_field.value)

    def _copied(self, done: bool) -> None:
        self.hint.value = ("The command is on the clipboard." if done else
                           "Your browser does not let a page copy: mark the command in its field and press Ctrl+C.")

    def _moved(self) -> None:
        if self._quiet:
            return
        try:
            view, shots = self.view(), self.shots_slider.value
            self.redraw()
            self.says.value = html.escape(figure.says(self.found, view, shots))
            self.table.value = self._table(view, shots)
        except Exception as error:  # a traceback in a widget callback is seen by nobody
            self.fail(error)

    def _table(self, view: View, shots: int) -> str:
        """Share of the gap after ``shots`` turns with its interval, whatever measure is drawn."""
        if not view.learners or not shots:
            return ""
        head = "".join(f"<th scope='col' style='white-space:normal'>{TITLES[part]}</th>" for part in ORDER)
        rows = []
        for name in view.learners:
            values = [value_of(self.found, View((name,), part, "gap_closed", view.seed), name, shots) for part in ORDER]
            rows.append(f"<tr><td>{name}</td>{''.join(f'<td>{with_interval(value)}</td>' for value in values)}</tr>")
        return (f"<small>Share of the gap closed after {shots} support turns</small><table class='md-table' "
                f"style='font-size:0.83em'><tr><th scope='col'>learner</th>{head}</tr>{''.join(rows)}</table>")

    def build_figure(self) -> LivePlot:
        return figure.live(self.members)

    def picture(self) -> Picture:
        return figure.drawn(self.found, self.members, self.view())

    def summary(self) -> str:
        return f"{len(self.found.runs)} runs on {self.found.world}, three capabilities; open in JupyterLab to explore"

"""The panel of real runs: choose a corpus, a measure and a number of shots; who gains, and who beats fine-tuning."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import ipywidgets as w

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.comparison_data import FAMILIES
from metadialog_lite.lab.comparison_figure import look_of
from metadialog_lite.lab.figures import band, line
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.papermill_command import CommandPanel, papermill_command
from metadialog_lite.lab.real_data import RealRuns, read_real, stored_corpora, verdict
from metadialog_lite.lab.real_plots import MEASURES, frame, picture, says_shots

_ALL = tuple(name for members in FAMILIES.values() for name in members)


class RealPanel(CommandPanel):
    """Explore the stored runs on real corpora; nothing is trained here, so every control answers at once.

    Args:
        label: the corpus shown first.
        folder: where the stored runs are; by default where they are shipped.
        shots: support turns that the sentence is about, at first.
        notebook: the notebook named by "Copy as papermill command".
    """

    def __init__(self, label: str = "chitchat", folder: Path | None = None, shots: int = 16,
                 notebook: str = "11_real_dialogues.ipynb") -> None:
        super().__init__("Learners on real dialogues, judged on people and services that nobody trained on",
                         "Everything as at first")
        self.folder, self.notebook = folder, notebook
        names = stored_corpora(folder)
        self.found = {read_real(*_first(name, folder)).title: read_real(*_first(name, folder)) for name in names}
        if not self.found:
            self.found = {label: RealRuns(label)}
        titles = list(self.found)
        first = next((title for title in titles if self.found[title].label == label), titles[0])
        self.members = tuple(name for name in _ALL if any(runs.seeds(name) for runs in self.found.values()))
        self._quiet, self._start = False, (first, shots)
        self.corpus_choice = ui.choice("Corpus", titles, first, "Which stored runs", "260px")
        self.measure_choice = ui.choice("Measure", [(text, key) for key, text in MEASURES.items()], "difference",
                                        "What the curves show", "340px")
        self.shots_slider = w.SelectionSlider(
            description="Shots", options=self.runs.shots or [0], tooltip="Support turns that the words are about",
            style={"description_width": "initial"}, layout=w.Layout(width="280px"))
        self.boxes = {name: w.Checkbox(description=name, value=True, indent=False, layout=w.Layout(width="auto"))
                      for name in self.members}
        self.command_field.placeholder = ""
        self.says = ui.text_line("", "md-live", "md-says")
        for control in (self.corpus_choice, self.measure_choice, self.shots_slider, *self.boxes.values()):
            control.observe(self._moved, "value")
        self.children = (self.guard, self.title, ui.row(self.corpus_choice, self.measure_choice, self.shots_slider),
                         ui.row(*self.boxes.values()), self.error, self.plot, self.says, self.hint,
                         ui.row(self.reset_button, self.copy_button, self.command_field))
        self._to_shots(shots)

    @property
    def runs(self) -> RealRuns:
        """The runs that are looked at."""
        return self.found[self.corpus_choice.value]

    @property
    def shown(self) -> tuple[str, ...]:
        """The learners that are ticked and have a run here."""
        return tuple(name for name in self.members if self.boxes[name].value and self.runs.seeds(name))

    def command(self) -> str:
        """The papermill command that shows the same without a browser."""
        return papermill_command(self.notebook, {"shots": self.shots_slider.value}, self.folder)

    def reset(self) -> None:
        """Back to the first corpus, measure and shots, with everybody shown."""
        self.clear_error()
        self._quiet = True
        self.corpus_choice.value, self.measure_choice.value = self._start[0], "difference"
        for box in self.boxes.values():
            box.value = True
        self._quiet = False
        self._to_shots(self._start[1])

    def _to_shots(self, shots: int) -> None:
        """Offer the numbers of shots that this corpus has, nearest to ``shots`` first."""
        self._quiet = True
        self.shots_slider.options = self.runs.shots or [0]
        self.shots_slider.value = min(self.shots_slider.options, key=lambda k: abs(k - shots))
        self._quiet = False
        self._moved({})

    def _moved(self, change: dict[str, Any]) -> None:
        if self._quiet:
            return
        try:
            if change.get("owner") is self.corpus_choice:
                self._to_shots(self.shots_slider.value)
                return
            self.redraw()
            shots = self.shots_slider.value
            lines = [says_shots(self.runs, self.shown, self.measure_choice.value, shots)]
            lines += [verdict(self.runs, name, shots) for name in self.shown if name not in FAMILIES["Baselines"]]
            self.says.value = "<br>".join(html.escape(text) for text in lines)
        except Exception as error:  # a traceback in a widget callback is seen by nobody
            self.fail(error)

    def build_figure(self) -> LivePlot:
        bare = [band(look_of(name), [], [], []) for name in self.members]
        bare += [line(look_of(name), name, [], []) for name in self.members]
        return LivePlot(bare, frame(self.runs, self.measure_choice.value, 430))

    def picture(self) -> Picture:
        changes, layout = picture(self.runs, self.shown, self.measure_choice.value)
        count, empty = len(self.shown), {"x": [], "y": [], "visible": False}
        bands, lines = (dict(zip(self.shown, part, strict=True)) for part in (changes[:count], changes[count:]))
        return [part.get(name, empty) for part in (bands, lines) for name in self.members], layout

    def summary(self) -> str:
        runs = sum(len(one.runs) for one in self.found.values())
        return f"{runs} runs on {len(self.found)} corpora and sizes; open in JupyterLab to explore them"


def _first(name: tuple[str, str], folder: Path | None) -> tuple[str, Path | None, str]:
    return name[0], folder, name[1]

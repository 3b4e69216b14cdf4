"""What the two panels of the stored comparison share: measure, training seed, shots, bands, sentence and table."""

from __future__ import annotations

import html

import ipywidgets as w

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.comparison_data import MEASURES, Comparison
from metadialog_lite.lab.comparison_figure import MEAN, View
from metadialog_lite.lab.papermill_command import CommandPanel
from metadialog_lite.lab.parameters_07 import ComparisonParameters
from metadialog_lite.lab.parameters_08 import CapabilityParameters


class StoredRunsPanel(CommandPanel):
    """Explore stored runs; nothing is trained or evaluated here, so every control answers at once.

    A subclass adds controls, places all of them, says what is looked at (``view``) and what there is to say of it
    (``_sentence``, ``_table``), and brings its own controls back (``_reset_own``).

    Args:
        title: the panel's title.
        found: what ``read_comparison`` gave.
        p: the notebook's parameters: what is shown at first, and after Reset.
        notebook: the notebook named by "Copy as papermill command".
        shots: label, tip and width of the slider of shots.
    """

    p: ComparisonParameters | CapabilityParameters

    def __init__(self, title: str, found: Comparison, p: ComparisonParameters | CapabilityParameters, notebook: str,
                 shots: tuple[str, str, str]) -> None:
        super().__init__(title)
        self.found, self.p, self.notebook = found, p, notebook
        self.members = found.learners  # the order of the traces
        self._quiet = False  # while several controls change at once
        self.measure_choice = ui.choice("Measure", [(text, key) for key, text in MEASURES.items()], "gap_closed",
                                        "Nats per turn, above the floor, or share of the gap", "190px")
        seeds = [*((str(seed), seed) for seed in found.all_seeds), ("mean and range", MEAN)]
        self.seed_choice = ui.choice("Training seed", seeds, seeds[0][1], "Which training run of each", "230px")
        label, tip, width = shots
        self.shots_slider = w.SelectionSlider(
            description=label, options=found.shots or [0], style={"description_width": "initial"}, tooltip=tip,
            layout=w.Layout(width=width))
        self.band_button = ui.toggle("Bands", "95 % interval over speakers, or the range of the training seeds", "bars")
        self.says, self.table = ui.text_line("", "md-live", "md-says"), ui.text_line()
        for control in (self.measure_choice, self.seed_choice, self.shots_slider, self.band_button):
            control.observe(lambda _: self._moved(), "value")

    def view(self) -> View:
        """What is looked at now."""
        raise NotImplementedError

    def reset(self) -> None:
        """Back to what the notebook's parameters say."""
        self.clear_error()
        self._quiet = True
        self.measure_choice.value = self.p.measure
        self.shots_slider.value = min(self.shots_slider.options, key=lambda k: abs(k - self.p.shots))
        seeds = [value for _, value in self.seed_choice.options]
        self.seed_choice.value = self.p.training_seed if self.p.training_seed in seeds else seeds[0]
        self.band_button.value = True
        self._reset_own()
        self._quiet = False
        self._moved()

    def _reset_own(self) -> None:
        raise NotImplementedError

    def _moved(self) -> None:
        """A control was moved: draw and say it anew."""
        if self._quiet:
            return
        try:
            view, shots = self.view(), self.shots_slider.value
            self.redraw()
            self.says.value = html.escape(self._sentence(view, shots))
            self.table.value = self._table(view, shots)
        except Exception as error:  # a traceback in a widget callback is seen by nobody
            self.fail(error)

    def _sentence(self, view: View, shots: int) -> str:
        raise NotImplementedError

    def _table(self, view: View, shots: int) -> str:
        raise NotImplementedError

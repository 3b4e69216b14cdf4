"""The capability panel: the three capabilities side by side, for a family, its best, or everybody."""

from __future__ import annotations

from metadialog_lite.lab import capability_figure as figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.capability_claims import ORDER, TITLES
from metadialog_lite.lab.comparison_data import Comparison, read_comparison
from metadialog_lite.lab.comparison_figure import View, value_of
from metadialog_lite.lab.comparison_text import with_interval
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.papermill_command import papermill_command
from metadialog_lite.lab.parameters_08 import CapabilityParameters
from metadialog_lite.lab.stored_runs_panel import StoredRunsPanel


class CapabilityPanel(StoredRunsPanel):
    """Explore what the stored runs reach in each capability; nothing is trained or evaluated here.

    Args:
        found: what ``read_comparison`` gave.
        p: the notebook's parameters: what is shown at first, and after Reset.
        notebook: the notebook named by "Copy as papermill command".
    """

    p: CapabilityParameters

    def __init__(self, found: Comparison | None = None, p: CapabilityParameters | None = None,
                 notebook: str = "08_three_capabilities.ipynb") -> None:
        p = p or CapabilityParameters()
        found = found or read_comparison(p.source.name, p.folder)
        super().__init__(f"Three capabilities on {found.world}: what adaptation buys for each", found, p, notebook,
                         ("Support turns", "What the table and the words are about", "320px"))
        self.who_choice = ui.choice("Who", figure.choices(self.found), "best", "A family, or the best of each", "330px")
        self.who_choice.observe(lambda _: self._moved(), "value")
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
        return papermill_command(self.notebook, values, self.p.folder)

    def _reset_own(self) -> None:
        self.who_choice.value = self.p.who

    def _sentence(self, view: View, shots: int) -> str:
        return figure.says(self.found, view, shots)

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

"""The comparison panel: every learner over the Bayes floor, by family, capability, measure and number of shots."""

from __future__ import annotations

from collections.abc import Collection

import ipywidgets as w

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.comparison_data import FAMILIES, Comparison, read_comparison
from metadialog_lite.lab.comparison_figure import View, colour_of, live, numbers, shown_of
from metadialog_lite.lab.comparison_text import says, table_html
from metadialog_lite.lab.curve import NAMES, PARTS
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.papermill_command import papermill_command
from metadialog_lite.lab.parameters_07 import ComparisonParameters
from metadialog_lite.lab.stored_runs_panel import StoredRunsPanel

_KEY = "–: not run yet. ×2, ×3: so many training seeds; all others have one. A family's name shows or hides all of it."

#: Of the columns of families, by their longest member.
_WIDTHS = dict(zip(FAMILIES, ("18%", "24%", "21%", "21%", "16%"), strict=True))


class ComparisonPanel(StoredRunsPanel):
    """Explore the stored comparison; nothing is trained or evaluated here, so every control answers at once.

    Args:
        found: what ``read_comparison`` gave.
        p: the notebook's parameters: what is shown at first, and after Reset.
        notebook: the notebook named by "Copy as papermill command".
    """

    p: ComparisonParameters

    def __init__(self, found: Comparison | None = None, p: ComparisonParameters | None = None,
                 notebook: str = "07_compare_families.ipynb") -> None:
        p = p or ComparisonParameters()
        found = found or read_comparison(p.source.name, p.folder)
        super().__init__(f"All learners on {found.world}, judged on the same held-out speakers", found, p, notebook,
                         ("Shots of the table", "Support turns that the table and the words are about", "330px"))
        self._controls()
        self.reset()

    # What the controls say ---------------------------------------------------------------------------------------

    def view(self) -> View:
        """What is looked at now."""
        chosen = tuple(name for name in self.members if self.boxes[name].value)
        return View(chosen, self.part_choice.value, self.measure_choice.value, self.seed_choice.value,
                    self.band_button.value)

    def command(self) -> str:
        """The papermill command that shows the same without a browser."""
        view = self.view()
        values = {"world": self.p.world, "learners": ",".join(view.learners) or "best", "capability": view.part,
                  "measure": view.measure, "shots": self.shots_slider.value, "training_seed": view.seed}
        return papermill_command(self.notebook, values, self.p.folder)

    def _reset_own(self) -> None:
        self.part_choice.value = self.p.capability
        self._tick(shown_of(self.found, self.p.learners, self.p.shots))

    def choose(self, names: Collection[str]) -> None:
        """Show these learners and no others."""
        self._quiet = True
        self._tick(names)
        self._quiet = False
        self._moved()

    def _tick(self, names: Collection[str]) -> None:
        for name in self.members:
            self.boxes[name].value = name in names

    def toggle_family(self, family: str) -> None:
        """Show the whole family, or hide it when all of it is shown."""
        own = [name for name in FAMILIES[family] if name in self.members]
        shown = set(self.view().learners)
        self.choose([*(shown - set(own))] if shown.issuperset(own) else [*shown, *own])

    # Controls ----------------------------------------------------------------------------------------------------

    def _controls(self) -> None:
        self.boxes: dict[str, w.Checkbox] = {}
        self.family_buttons: dict[str, w.Button] = {}
        columns = [self._family(family) for family in FAMILIES]
        self.best_button = ui.button("Each family's best", "And fine-tuning: best after so many shots", "trophy")
        self.all_button = ui.button("All", "Every learner that has been run", "list")
        self.part_choice = ui.choice("Capability", [(NAMES[part], part) for part in PARTS], "total",
                                     "Which of the dialogue capabilities", "210px")
        self.best_button.on_click(lambda _: self.choose(self.found.shortlist(self.shots_slider.value)))
        self.all_button.on_click(lambda _: self.choose(self.members))
        self.part_choice.observe(lambda _: self._moved(), "value")
        grid = w.Box(columns, layout=w.Layout(width="100%", flex_flow="row wrap", align_items="flex-start"))
        self.children = (
            self.guard, self.title, grid, ui.text_line(_KEY, "md-quiet"),
            ui.row(self.best_button, self.all_button, self.reset_button, self.band_button),
            ui.row(self.part_choice, self.measure_choice, self.seed_choice, self.shots_slider),
            self.error, self.plot, self.says, self.table, self.hint, ui.row(self.copy_button, self.command_field),
        )

    def _family(self, family: str) -> w.VBox:
        """A column: the family's button in its colour, and a box for each member."""
        button = ui.button(family, f"Show or hide all of {family}")
        button.style.font_size = "0.88em"
        button.layout = w.Layout(width="96%", padding="0 2px", border_left=f"7px solid {colour_of(family)}")
        button.on_click(lambda _, family=family: self.toggle_family(family))
        self.family_buttons[family] = button
        boxes = []
        for name in FAMILIES[family]:
            seeds = self.found.seeds(name)
            if not seeds and name not in self.found.missing:
                continue  # no learner of the comparison
            text = name if len(seeds) == 1 else f"{name} ×{len(seeds)}" if seeds else f"{name} –"
            box = w.Checkbox(description=text, value=False, disabled=not seeds, indent=False,
                             layout=w.Layout(width="auto", margin="0 2px"))
            if seeds:
                self.boxes[name] = box
                box.observe(lambda _: self._moved(), "value")
            boxes.append(box)
        button.disabled = not any(name in self.boxes for name in FAMILIES[family])
        return w.VBox([button, *boxes], layout=w.Layout(width=_WIDTHS[family], min_width="130px"))

    def _sentence(self, view: View, shots: int) -> str:
        return says(self.found, view, shots)

    def _table(self, view: View, shots: int) -> str:
        return table_html(self.found, view, shots)

    # The picture -------------------------------------------------------------------------------------------------

    def build_figure(self) -> LivePlot:
        return live(self.members)

    def picture(self) -> Picture:
        return numbers(self.found, self.members, self.view())

    def summary(self) -> str:
        return f"{len(self.found.runs)} runs on {self.found.world}; open in JupyterLab to explore them"

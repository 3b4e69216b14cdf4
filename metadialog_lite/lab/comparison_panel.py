"""The comparison panel: every learner over the Bayes floor, by family, capability, measure and number of shots."""

from __future__ import annotations

import html
import shlex
from pathlib import Path

import ipywidgets as w

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.comparison_data import FAMILIES, MEASURES, Comparison, read_comparison
from metadialog_lite.lab.comparison_figure import MEAN, View, colour_of, live, numbers, shown_of
from metadialog_lite.lab.comparison_text import says, table_html
from metadialog_lite.lab.curve import NAMES, PARTS
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.parameters_07 import ComparisonParameters

_KEY = "–: not run yet. ×2, ×3: so many training seeds; all others have one. A family's name shows or hides all of it."

#: Of the columns of families, by their longest member.
_WIDTHS = dict(zip(FAMILIES, ("18%", "24%", "21%", "21%", "16%"), strict=True))


class ComparisonPanel(ui.Panel):
    """Explore the stored comparison; nothing is trained or evaluated here, so every control answers at once.

    Args:
        found: what ``read_comparison`` gave.
        p: the notebook's parameters: what is shown at first, and after Reset.
        notebook: the notebook named by "Copy as papermill command".
    """

    def __init__(self, found: Comparison | None = None, p: ComparisonParameters | None = None,
                 notebook: str = "07_compare_families.ipynb") -> None:
        self.p = p or ComparisonParameters()
        self.found = found or read_comparison(self.p.source.name, self.p.folder)
        self.notebook = notebook
        super().__init__(f"All learners on {self.found.world}, judged on the same held-out speakers")
        self.members = self.found.learners  # the order of the traces
        self._quiet = False  # while several controls change at once
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
        self.part_choice.value, self.measure_choice.value = self.p.capability, self.p.measure
        self.shots_slider.value = min(self.shots_slider.options, key=lambda k: abs(k - self.p.shots))
        seeds = [value for _, value in self.seed_choice.options]
        self.seed_choice.value = self.p.training_seed if self.p.training_seed in seeds else seeds[0]
        self.band_button.value = True
        self._quiet = False
        self.choose(shown_of(self.found, self.p.learners, self.p.shots))

    def choose(self, names: tuple[str, ...] | list[str]) -> None:
        """Show these learners and no others."""
        self._quiet = True
        for name in self.members:
            self.boxes[name].value = name in names
        self._quiet = False
        self._moved()

    def toggle_family(self, family: str) -> None:
        """Show the whole family, or hide it when all of it is shown."""
        own = [name for name in FAMILIES[family] if name in self.members]
        shown = set(self.view().learners)
        self.choose([*(shown - set(own))] if shown.issuperset(own) else [*shown, *own])

    # Controls ----------------------------------------------------------------------------------------------------

    def _controls(self) -> None:
        found = self.found
        self.boxes: dict[str, w.Checkbox] = {}
        self.family_buttons: dict[str, w.Button] = {}
        columns = [self._family(family) for family in FAMILIES]
        self.best_button = ui.button("Each family's best", "And fine-tuning: best after so many shots", "trophy")
        self.all_button = ui.button("All", "Every learner that has been run", "list")
        self.reset_button = ui.button("Reset", "Back to what the notebook's parameters say", "undo")
        self.band_button = ui.toggle("Bands", "95 % interval over speakers, or the range of the training seeds", "bars")
        self.part_choice = ui.choice("Capability", [(NAMES[part], part) for part in PARTS], "total",
                                     "Which of the dialogue capabilities", "210px")
        self.measure_choice = ui.choice("Measure", [(text, key) for key, text in MEASURES.items()], "gap_closed",
                                        "Nats per turn, above the floor, or share of the gap", "190px")
        seeds = [*((str(seed), seed) for seed in found.all_seeds), ("mean and range", MEAN)]
        self.seed_choice = ui.choice("Training seed", seeds, seeds[0][1], "Which training run of each", "230px")
        self.shots_slider = w.SelectionSlider(
            description="Shots of the table", options=found.shots or [0], style={"description_width": "initial"},
            tooltip="Support turns that the table and the words are about", layout=w.Layout(width="330px"))
        self.copy_button = ui.button("Copy as papermill command", "The same without a browser", "copy")
        self.command_field = w.Text(description="Command", placeholder="press Copy as papermill command",
                                    style={"description_width": "initial"}, layout=w.Layout(flex="1 1 300px"))
        self.hint, self.says = ui.text_line("", "md-quiet"), ui.text_line("", "md-live", "md-says")
        self.table = ui.text_line()
        for button, action in (
                (self.best_button, lambda: self.choose(found.shortlist(self.shots_slider.value))),
                (self.all_button, lambda: self.choose(self.members)),
                (self.reset_button, self.reset), (self.copy_button, self._copy)):
            button.on_click(lambda _, action=action: action())
        for control in (self.part_choice, self.measure_choice, self.seed_choice, self.shots_slider, self.band_button):
            control.observe(lambda _: self._moved(), "value")
        self.guard.on_copied = self._copied
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

    def _copy(self) -> None:
        self.command_field.value = self.command()
        self.guard.copy(self.command_field.value)

    def _copied(self, done: bool) -> None:
        self.hint.value = ("The command is on the clipboard." if done else
                           "Your browser does not let a page copy: mark the command in its field and press Ctrl+C.")

    def _moved(self) -> None:
        """A control was moved: draw and say it anew."""
        if self._quiet:
            return
        try:
            view, shots = self.view(), self.shots_slider.value
            self.redraw()
            self.says.value = html.escape(says(self.found, view, shots))
            self.table.value = table_html(self.found, view, shots)
        except Exception as error:  # a traceback in a widget callback is seen by nobody
            self.fail(error)

    # The picture -------------------------------------------------------------------------------------------------

    def build_figure(self) -> LivePlot:
        return live(self.members)

    def picture(self) -> Picture:
        return numbers(self.found, self.members, self.view())

    def summary(self) -> str:
        return f"{len(self.found.runs)} runs on {self.found.world}; open in JupyterLab to explore them"

"""The bug museum's panel: run an exhibit, diagnose its mistake from the curve, let a number confirm."""

from __future__ import annotations

import html
import re

from metadialog_lite.lab import museum_figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.museum import Curve, Exhibit, exhibits
from metadialog_lite.lab.papermill_command import CommandPanel, papermill_command

_START = "Press “Run”, then “Put the mistake in”; what differs?"


class BugMuseum(CommandPanel):
    """Nine exhibits, one toggle each. Nothing is computed before somebody presses Run.

    Args:
        exhibit: the key of the one that is shown first.
        steps: outer steps of an experiment, 20 to 1000.
        seed: decides every random draw.
        notebook: the notebook named by "Copy as papermill command".

    Raises:
        ValueError: an unknown exhibit, or steps out of range.
    """

    def __init__(self, exhibit: str = "first_order", steps: int = 150, seed: int = 0,
                 notebook: str = "10_bug_museum.ipynb") -> None:
        super().__init__("The bug museum: what is wrong here?")
        self.all = exhibits()
        if exhibit not in self.all:
            raise ValueError(f"exhibit: got {exhibit!r}; one of {', '.join(self.all)} is needed")
        if isinstance(steps, bool) or not isinstance(steps, int) or not 20 <= steps <= 1000:
            raise ValueError(f"steps: got {steps!r}; a whole number from 20 to 1000 is needed")
        self._first, self.notebook = (exhibit, steps, seed), notebook
        self.curves: dict[bool, Curve | None] = {}
        self._stop = False
        self._turn = 0  # what a running experiment belongs to: an older one is not drawn any more
        self._work = ui.Background(self.fail)
        self._controls()
        self._choose()

    @property
    def exhibit(self) -> Exhibit:
        """The exhibit that is shown."""
        return self.all[self.exhibit_choice.value]

    def run(self) -> None:
        """Run the exhibit without the mistake, and with it when the toggle is pressed."""
        self._begin(fresh=True)

    def stop(self) -> None:
        """End the running experiment after the block it is in; what was drawn stays."""
        self._stop = True

    def reset(self) -> None:
        """Back to what the notebook's parameters say, with nothing run."""
        self._stop = True
        self.exhibit_choice.value, self.steps_slider.value, self.seed_slider.value = self._first
        self.bug_button.value = False
        self._choose()

    def diagnose(self) -> None:
        """Compare the chosen diagnosis with the exhibit, and measure the number that confirms it."""
        self.clear_error()
        if not self.diagnosis_choice.value:
            self.verdict.value = "Choose a diagnosis first."
            return
        self.verdict.value = "Measuring …"
        self._work.run(self._confirm)

    def command(self) -> str:
        """The papermill command that shows the same exhibit without a browser."""
        return papermill_command(self.notebook, {"exhibit": self.exhibit_choice.value,
                                                 "steps": self.steps_slider.value, "seed": self.seed_slider.value})

    def wait(self, seconds: float = 60) -> bool:
        """Wait for the background work (tests and scripts)."""
        return self._work.wait(seconds)

    # Controls ----------------------------------------------------------------------------------------------------

    def _controls(self) -> None:
        exhibit, steps, seed = self._first
        names = [(f"Exhibit {one.number}", key) for key, one in self.all.items()]
        self.exhibit_choice = ui.choice("Exhibit", names, exhibit, "Nine mistakes", "190px")
        self.run_button = ui.button("Run", "Some seconds", "play", "success")
        self.stop_button = ui.button("Stop", "After the block of steps that is being taken", "stop")
        self.bug_button = ui.toggle("Put the mistake in", "The same experiment, with one thing wrong", "bug")
        self.steps_slider = ui.whole("Outer steps", steps, 20, 1000, "How long is trained, where something is trained")
        self.seed_slider = ui.whole("Seed", seed, 0, max(20, seed), "Other tasks, another network", "220px")
        mistakes = [("—", ""), *sorted((one.mistake, key) for key, one in self.all.items())]
        self.diagnosis_choice = ui.choice("Diagnosis", mistakes, "", "Which mistake fits the curve?", "min(400px, 98%)")
        self.check_button = ui.button("Confirm with a number", "Measure what the diagnosis says", "search")
        self.report, self.says = ui.text_line("", "md-said"), ui.text_line("", "md-live", "md-says")
        self.verdict = ui.text_line("", "md-live")
        for button, action in ((self.run_button, self.run), (self.stop_button, self.stop),
                               (self.check_button, self.diagnose)):
            button.on_click(lambda _, action=action: action())
        self.bug_button.observe(lambda _: self._toggled(), "value")
        for control in (self.exhibit_choice, self.steps_slider, self.seed_slider):
            control.observe(lambda _: self._choose(), "value")
        self.children = (
            self.guard, self.title, ui.row(self.exhibit_choice, self.run_button, self.stop_button, self.bug_button,
                                           self.reset_button),
            ui.row(self.steps_slider, self.seed_slider), self.report, self.error, self.plot, self.says,
            ui.row(self.diagnosis_choice, self.check_button), self.verdict,
            ui.row(self.copy_button, self.command_field), self.hint,
        )

    def _choose(self) -> None:
        """Another exhibit, seed or length: what was drawn belongs to something else."""
        self._turn += 1
        self.curves, self._stop = {}, True
        self.clear_error()
        self.report.value = f"<i>{html.escape(self.exhibit.report)}</i>"
        self.says.value, self.verdict.value, self.hint.value = _START, "", ""
        self.diagnosis_choice.value = ""
        self.redraw()

    def _toggled(self) -> None:
        if self.curves or self.bug_button.value:
            self._begin(fresh=False)

    def _begin(self, fresh: bool) -> None:
        self.clear_error()
        if fresh:
            self.curves = {}
        if not self.bug_button.value:
            self.curves.pop(True, None)
        self._stop = False
        turn, exhibit, seed, steps = self._turn, self.exhibit, self.seed_slider.value, self.steps_slider.value
        wanted = [bug for bug in (False, True)[: 1 + self.bug_button.value] if self.curves.get(bug) is None]
        self.says.value = "Running …" if wanted else self.says.value
        self._work.run(lambda: self._compute(turn, exhibit, seed, steps, wanted))

    # The work ----------------------------------------------------------------------------------------------------

    def _compute(self, turn: int, exhibit: Exhibit, seed: int, steps: int, wanted: list[bool]) -> None:
        for bug in wanted:
            for curve in exhibit.run(bug, seed, steps):
                if self._stop or turn != self._turn:
                    break
                self.curves[bug] = curve
                self.redraw()
        if turn == self._turn:
            self.redraw()
            self.says.value = html.escape(museum_figure.text(exhibit, self.curves, self._floor()))

    def _confirm(self) -> None:
        exhibit, said = self.exhibit, self.diagnosis_choice.value
        numbers = {bug: exhibit.probe(bug, self.seed_slider.value) for bug in (False, True)}
        if said != exhibit.key:
            self.verdict.value = (f"<b>Not this one.</b> {html.escape(self.all[said].mistake.capitalize())} would show "
                                  f"itself like this: {_code(self.all[said].notice)}")
            return
        confirmed = "confirmed" if not exhibit.sound(numbers[True]) else "not to be seen with this version of PyTorch"
        self.verdict.value = (
            f"<b>Right, and {confirmed}.</b> {html.escape(exhibit.measures.capitalize())}: without the mistake "
            f"{numbers[False]:.2g}, with it {numbers[True]:.2g}.<br><b>Cure:</b> {_code(exhibit.cure)}")

    def _floor(self) -> float | None:
        return self.exhibit.floor(self.seed_slider.value) if self.exhibit.floor and self.curves else None

    # The picture -------------------------------------------------------------------------------------------------

    def build_figure(self) -> LivePlot:
        return LivePlot(museum_figure.traces(self.exhibit, {}), museum_figure.frame(self.exhibit))

    def picture(self) -> Picture:
        keep = ("x", "y", "name", "visible")
        drawn = museum_figure.traces(self.exhibit, dict(self.curves), self._floor())
        frame = museum_figure.frame(self.exhibit)
        return [{name: trace[name] for name in keep} for trace in drawn], {
            "title.text": frame["title"]["text"], "xaxis.title.text": self.exhibit.x_name,
            "yaxis.title.text": self.exhibit.y_name, "xaxis.autorange": True, "yaxis.autorange": True,
            **{f"xaxis.{name}": frame["xaxis"].get(name) for name in ("type", "tickmode", "tickvals")},
            **{f"yaxis.{name}": frame["yaxis"][name] for name in ("type", "rangemode", "dtick")}}

    def summary(self) -> str:
        return f"{len(self.all)} exhibits; open in JupyterLab to run them"


def _code(text: str) -> str:
    """Backticks as code, links as their words, the rest escaped."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\*([^*]+)\*", r"<i>\1</i>", re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(plain)))

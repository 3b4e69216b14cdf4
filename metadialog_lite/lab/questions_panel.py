"""Notebook 12's panel: choose a way on, see what is known about it from stored numbers, take its command along."""

from __future__ import annotations

import html

import ipywidgets as w

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.comparison_data import Comparison
from metadialog_lite.lab.open_questions import DIRECTIONS, Direction
from metadialog_lite.lab.papermill_command import CommandPanel


class QuestionsPanel(CommandPanel):
    """Four directions, each with what is known and a command to begin with.

    Args:
        found: the stored comparison of a world (``read_comparison``).
        direction: the one shown first.
        shots: support turns of the numbers that are shown, one of those that were measured.

    Raises:
        ValueError: an unknown direction.
    """

    def __init__(self, found: Comparison, direction: str = "cheaper adaptation", shots: int = 16) -> None:
        super().__init__("Where would you go from here?", copy_tip="A run that starts on this question")
        if direction not in DIRECTIONS:
            raise ValueError(f"direction: got {direction!r}; one of {', '.join(DIRECTIONS)} is needed")
        self.found, self._first = found, (direction, shots)
        self.direction_choice = ui.choice("Direction", tuple(DIRECTIONS), direction, "Four ways on", "300px")
        self.shots_slider = w.SelectionSlider(
            description="Support turns", options=sorted({*found.shots, shots}), value=shots,
            style={"description_width": "initial"}, tooltip="Of the numbers below", layout=w.Layout(width="330px"))
        self.question, self.says = ui.text_line("", "md-said"), ui.text_line("", "md-live", "md-says")
        self.change = ui.text_line()
        self.command_field.placeholder = ""
        for control in (self.direction_choice, self.shots_slider):
            control.observe(lambda _: self._show(), "value")
        self.children = (
            self.guard, self.title, ui.row(self.direction_choice, self.shots_slider, self.reset_button), self.error,
            self.question, self.says, self.change, ui.row(self.copy_button, self.command_field), self.hint)
        self._show()

    @property
    def direction(self) -> Direction:
        """The direction that is shown."""
        return DIRECTIONS[self.direction_choice.value]

    def command(self) -> str:
        """The papermill command of the direction that is shown."""
        return self.direction.command

    def reset(self) -> None:
        """Back to what the notebook's parameters say."""
        self.direction_choice.value, self.shots_slider.value = self._first
        self._show()

    def summary(self) -> str:
        return f"{self.direction.name}: {self.direction.question}"

    def _show(self) -> None:
        self.clear_error()
        try:
            known = self.direction.known(self.found, self.shots_slider.value)
        except Exception as error:  # a traceback in a widget callback is seen by nobody
            self.fail(error)
            return
        self.question.value = f"<b>{html.escape(self.direction.question)}</b>"
        self.says.value = html.escape(known)
        self.change.value = f"<small>Then vary: {html.escape(self.direction.change)}.</small>"
        self.command_field.value, self.hint.value = self.command(), ""

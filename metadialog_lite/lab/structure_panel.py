"""The structure panel: the network of one task with its live gates, as support turns are added one by one."""

from __future__ import annotations

import html
from typing import Any

from metadialog_lite.families.base import Learner
from metadialog_lite.families.masks import parts, proposes_structure
from metadialog_lite.lab import structure_figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.structure_numbers import Watched, left_out, readable_worlds, watch
from metadialog_lite.lab.turn_by_turn import TurnByTurn
from metadialog_lite.turns import TaskSource


class StructurePanel(TurnByTurn):
    """Which heads, units and blocks a task keeps: relaxed and hard gates, turn by turn, and what it costs.

    Args:
        learner: a learner with gates, a training panel, or a function that returns one of them.
        source: a toy world; tasks come from its test split, and from the worlds that its words can tell of.
        seed: which series of tasks.
        shots: most support turns, 1 to 32.

    Raises:
        ValueError: not a toy world, or shots out of range.
    """

    heading = "(θ, s) = φ(D): the network of one task of {}, support turn by support turn"
    one = "task"
    why = "for its Bayes floor"
    result: Watched | None

    def __init__(self, learner: Any, source: TaskSource, seed: int = 0, shots: int = 16) -> None:
        super().__init__(learner, source, seed, shots)
        self.worlds = readable_worlds(self.source)
        self._config = learner.model.config if isinstance(learner, Learner) else None  # decides what is drawn
        self.hard_button = ui.toggle("Make the gates hard", "As the adapted model uses them: open or closed", "cut")
        self.world_choice = ui.choice("World", tuple(self.worlds), next(iter(self.worlds)), "Where tasks come from",
                                      "320px")
        self.closed_line = ui.text_line()
        self.hard_button.observe(lambda _: self._moved(), "value")
        self.world_choice.observe(lambda _: self.read(fresh=False), "value")
        self._arrange((self.hard_button, self.world_choice), (self.closed_line, self.turn_line, self.plot))

    def _take(self) -> Learner:
        return proposes_structure(self._get())

    def _reading(self, learner: Learner) -> Watched:
        world = self.worlds[self.world_choice.value]
        return watch(learner, world, self.seed, self.index, self.shots)

    def _show(self, result: Watched) -> None:
        if self.figure is None and self.guard.views:  # shown, and only now it is known what to draw
            self._seen()
        super()._show(result)
        closed = html.escape(left_out(result.gates.open[self.turns_slider.value], result.config))
        self.closed_line.value = f"<small>Closed when made hard: {closed}.</small>"

    # The picture -------------------------------------------------------------------------------------------------

    def build_figure(self) -> LivePlot | None:
        """Drawn at once when the learner is there already, else after the first reading."""
        if self.result is not None:
            self._config = self.result.config
        return None if self._config is None else structure_figure.build(self._config, self.shots)

    def picture(self) -> Picture:
        if self.result is None:
            return structure_figure.nothing_read(self._config) if self._config is not None else ([], {})
        names = parts(self.result.config)
        return structure_figure.numbers(self.result, self.turns_slider.value, names, self.hard_button.value)

    def summary(self) -> str:
        return f"the network of a task of {self.source.name}, turn by turn; open in JupyterLab to use it"

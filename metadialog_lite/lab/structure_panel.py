"""The structure panel: the network of one task with its live gates, as support turns are added one by one."""

from __future__ import annotations

import html
from typing import Any

from metadialog_lite.families.base import Learner
from metadialog_lite.families.masks import parts, proposes_structure
from metadialog_lite.lab import structure_figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.speaker import resolve, said_html
from metadialog_lite.lab.structure_numbers import Watched, left_out, readable_worlds, watch
from metadialog_lite.turns import TaskSource
from metadialog_lite.world import World


class StructurePanel(ui.Panel):
    """Which heads, units and blocks a task keeps: relaxed and hard gates, turn by turn, and what it costs.

    Nothing is computed before "Read the support" is pressed or a control is moved; then all counts of turns at once,
    so that sliding is quick.

    Args:
        learner: a learner with gates, a training panel, or a function that returns one of them.
        source: a toy world; tasks come from its test split, and from the worlds that its words can tell of.
        seed: which series of tasks.
        shots: most support turns, 1 to 32.
    """

    def __init__(self, learner: Any, source: TaskSource, seed: int = 0, shots: int = 16) -> None:
        if not isinstance(source, World):
            raise ValueError(f"source: got {source!r}; a toy world is needed, for its Bayes floor")
        if isinstance(shots, bool) or not isinstance(shots, int) or not 1 <= shots <= 32:
            raise ValueError(f"shots: got {shots!r}; a whole number from 1 to 32 is needed")
        super().__init__(f"(θ, s) = φ(D): the network of one task of {source.name}, support turn by support turn")
        self.source, self.seed, self.shots = source, seed, shots
        self.worlds = readable_worlds(source)
        self._get = resolve(learner)
        self._learner: Any = None
        self._config = learner.model.config if isinstance(learner, Learner) else None  # decides what is drawn
        self.index = 0
        self.result: Watched | None = None
        self._work = ui.Background(self.fail)
        self.read_button = ui.button("Read the support", "Take the learner as it is now", "book", "success")
        self.task_button = ui.button("Next task", "Another held-out task", "user")
        self.hard_button = ui.toggle("Make the gates hard", "As the adapted model uses them: open or closed", "cut")
        self.world_choice = ui.choice("World", tuple(self.worlds), next(iter(self.worlds)), "Where tasks come from",
                                      "320px")
        self.turns_slider = ui.whole("Support turns", 0, 0, shots, "How many turns phi has read", "420px")
        self.reset_button = ui.reset_button((self.turns_slider, self.hard_button, self.world_choice),
                                            self._begin_again)
        self.says = ui.text_line("Press “Read the support”.", "md-live")
        self.closed_line, self.turn_line = ui.text_line(), ui.text_line()
        self.read_button.on_click(lambda _: self.read())
        self.task_button.on_click(lambda _: self.next_task())
        self.hard_button.observe(lambda _: self._moved(), "value")
        self.world_choice.observe(lambda _: self.read(fresh=False), "value")
        self.turns_slider.observe(lambda _: self._moved(), "value")
        self.children = (
            self.guard, self.title, ui.row(self.read_button, self.task_button, self.hard_button, self.world_choice,
                                           self.reset_button),
            self.error, ui.row(self.turns_slider), self.says, self.closed_line, self.turn_line, self.plot,
        )

    # What the controls do ----------------------------------------------------------------------------------------

    def read(self, fresh: bool = True) -> None:
        """Compute the gates for every number of support turns in the background; ``fresh``: the learner as it is."""
        self.clear_error()
        if self.result is None:
            self.says.value = "Reading …"
        self._work.run(lambda: self._compute(fresh))

    def next_task(self) -> None:
        """The next held-out task of this world."""
        self.index += 1
        self.read(fresh=False)

    def _begin_again(self) -> None:
        """The first task, read anew if anything has been read."""
        self.index = 0
        if self.result is not None:
            self.read()

    def wait(self, seconds: float = 60) -> bool:
        """Wait for the background work (tests and scripts)."""
        return self._work.wait(seconds)

    def fail(self, error: BaseException | str) -> None:
        self.says.value = ""
        super().fail(error)

    def _moved(self) -> None:
        if self.result is None:
            self.read()
        else:
            self._show(self.result)

    def _compute(self, fresh: bool) -> None:
        if fresh or self._learner is None:
            self._learner = proposes_structure(self._get())
        world = self.worlds[self.world_choice.value]
        self.result = watch(self._learner, world, self.seed, self.index, self.shots)
        if self.figure is None and self.guard.views:  # shown, and only now it is known what to draw
            self._seen()
        self._show(self.result)

    def _show(self, result: Watched) -> None:
        k = self.turns_slider.value
        self.redraw()
        self.says.value = html.escape(f"Task {self.index}. {result.text(k)}")
        closed = html.escape(left_out(result.gates.open[k], result.config))
        self.closed_line.value = f"<small>Closed when made hard: {closed}.</small>"
        self.turn_line.value = self._turn(result, k)

    def _turn(self, result: Watched, k: int) -> str:
        if k == 0:
            return "<small>Move the slider: each step gives φ one more turn of this task.</small>"
        turn = result.support[k - 1]
        return (f"<small>Turn {k} of the support:</small> “{html.escape(self.source.text(turn.user))}” → "
                f"{said_html(self.source, 'state', turn.state)}")

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

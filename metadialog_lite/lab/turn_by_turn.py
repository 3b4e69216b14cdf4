"""What the theta and the structure panel share: read the support once, then slide through its turns."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, ClassVar

import ipywidgets as w

from metadialog_lite.families.base import Learner
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.speaker import resolve, said_html
from metadialog_lite.turns import TaskSource
from metadialog_lite.world import World


class TurnByTurn(ui.Panel):
    """One held-out task of a toy world, read support turn by support turn.

    Nothing is computed before "Read the support" is pressed or a control is moved; then all counts of turns at once,
    so that sliding is quick. A subclass says what a reading is (``_reading``), and hands its own controls and lines to
    ``_arrange``.

    Args:
        learner: a learner, a training panel, or a function that returns one of them.
        source: a toy world; tasks come from its test split.
        seed: which series of tasks.
        shots: most support turns, 1 to 32.

    Raises:
        ValueError: not a toy world, or shots out of range.
    """

    heading: ClassVar[str]  # with {} for the world's name
    one: ClassVar[str]  # what a task is called: task, speaker
    why: ClassVar[str]  # a toy world is needed

    def __init__(self, learner: Any, source: TaskSource, seed: int = 0, shots: int = 16) -> None:
        if not isinstance(source, World):
            raise ValueError(f"source: got {source!r}; a toy world is needed, {self.why}")
        if isinstance(shots, bool) or not isinstance(shots, int) or not 1 <= shots <= 32:
            raise ValueError(f"shots: got {shots!r}; a whole number from 1 to 32 is needed")
        super().__init__(self.heading.format(source.name))
        self.source, self.seed, self.shots = source, seed, shots
        self._get = resolve(learner)
        self._learner: Any = None
        self.index = 0
        self.result: Any = None  # of the last reading; it has ``support`` and ``text(k)``
        self._work = ui.Background(self.fail)
        self.read_button = ui.button("Read the support", "Take the learner as it is now", "book", "success")
        self.next_button = ui.button(f"Next {self.one}", f"Another held-out {self.one}", "user")
        self.turns_slider = ui.whole("Support turns", 0, 0, shots, "How many turns phi has read", "420px")
        self.says = ui.text_line("Press “Read the support”.", "md-live")
        self.turn_line = ui.text_line()
        self.read_button.on_click(lambda _: self.read())
        self.next_button.on_click(lambda _: self.next_task())
        self.turns_slider.observe(lambda _: self._moved(), "value")

    def _arrange(self, controls: Sequence[w.Widget], below: Sequence[w.Widget]) -> None:
        """Lay the panel out: ``controls`` among the buttons (Reset brings them back), ``below`` after what it says."""
        self.reset_button = ui.reset_button((self.turns_slider, *controls), self._begin_again)
        self.children = (
            self.guard, self.title, ui.row(self.read_button, self.next_button, *controls, self.reset_button),
            self.error, ui.row(self.turns_slider), self.says, *below,
        )

    # What the controls do ----------------------------------------------------------------------------------------

    def read(self, fresh: bool = True) -> None:
        """Read every number of support turns in the background; ``fresh``: with the learner as it is now."""
        self.clear_error()
        if self.result is None:
            self.says.value = "Reading …"
        self._work.run(lambda: self._compute(fresh))

    def next_task(self) -> None:
        """The next held-out task."""
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

    # The work ----------------------------------------------------------------------------------------------------

    def _take(self) -> Learner:
        """The learner as it is now."""
        return self._get()

    def _reading(self, learner: Learner) -> Any:
        """What the learner makes of this task after each number of support turns."""
        raise NotImplementedError

    def _compute(self, fresh: bool) -> None:
        if fresh or self._learner is None:
            self._learner = self._take()
        self.result = self._reading(self._learner)
        self._show(self.result)

    def _show(self, result: Any) -> None:
        k = self.turns_slider.value
        self.redraw()
        self.says.value = html.escape(f"{self.one.capitalize()} {self.index}. {result.text(k)}")
        self.turn_line.value = self._turn(result, k)

    def _turn(self, result: Any, k: int) -> str:
        if k == 0:
            return f"<small>Move the slider: each step gives φ one more turn of this {self.one}.</small>"
        turn = result.support[k - 1]
        return (f"<small>Turn {k} of the support:</small> “{html.escape(self.source.text(turn.user))}” → "
                f"{said_html(self.source, 'state', turn.state)}")

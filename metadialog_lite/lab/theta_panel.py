"""The theta panel: add support turns one by one and watch the parameters, and what they take words to mean."""

from __future__ import annotations

import html
from typing import Any

from metadialog_lite.lab import theta_figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.speaker import lexicon_html, resolve, said_html
from metadialog_lite.lab.understanding import Growth, grow
from metadialog_lite.turns import TaskSource
from metadialog_lite.world import World

_OURS, _OPTIMUM = "θ", "the optimum"


class ThetaPanel(ui.Panel):
    """theta = phi(D) as support turns are added: each word's meaning, the numbers that changed, and the loss.

    Nothing is computed before "Read the support" is pressed or the slider is moved; then all counts of turns at once,
    so that sliding is quick.

    Args:
        learner: a learner, a training panel, or a function that returns one of them.
        source: a toy world; speakers come from its test split.
        seed: which series of speakers.
        shots: most support turns, 1 to 32.
    """

    def __init__(self, learner: Any, source: TaskSource, seed: int = 0, shots: int = 16) -> None:
        if not isinstance(source, World):
            raise ValueError(f"source: got {source!r}; a toy world is needed, because only there meanings are known")
        if isinstance(shots, bool) or not isinstance(shots, int) or not 1 <= shots <= 32:
            raise ValueError(f"shots: got {shots!r}; a whole number from 1 to 32 is needed")
        super().__init__(f"θ = φ(D) for one speaker of {source.name}, support turn by support turn")
        self.source, self.seed, self.shots = source, seed, shots
        self._get = resolve(learner)
        self._learner: Any = None
        self.index = 0
        self.result: Growth | None = None
        self._work = ui.Background(self.fail)
        self.read_button = ui.button("Read the support", "Take the learner as it is now", "book", "success")
        self.speaker_button = ui.button("Next speaker", "Another held-out speaker", "user")
        self.lexicon_button = ui.toggle("Reveal the lexicon", "Frame what each word really means", "eye")
        self.whose_choice = ui.choice("Meanings of", (_OURS, _OPTIMUM), _OURS, "Whose beliefs are drawn", "200px")
        self.turns_slider = ui.whole("Support turns", 0, 0, shots, "How many turns phi has read", "420px")
        self.reset_button = ui.reset_button((self.turns_slider, self.lexicon_button, self.whose_choice),
                                            self._begin_again)
        self.says = ui.text_line("Press “Read the support”.", "md-live")
        self.turn_line, self.lexicon = ui.text_line(), ui.text_line()
        self.read_button.on_click(lambda _: self.read())
        self.speaker_button.on_click(lambda _: self.next_speaker())
        self.lexicon_button.observe(lambda _: self._moved(), "value")
        self.whose_choice.observe(lambda _: self._moved(), "value")
        self.turns_slider.observe(lambda _: self._moved(), "value")
        self.children = (
            self.guard, self.title,
            ui.row(self.read_button, self.speaker_button, self.lexicon_button, self.whose_choice,
                   self.reset_button),
            self.error, ui.row(self.turns_slider), self.says, self.turn_line, self.plot, self.lexicon,
        )

    # What the controls do ----------------------------------------------------------------------------------------

    def read(self, fresh: bool = True) -> None:
        """Compute theta for every number of support turns in the background; ``fresh``: the learner as it is now."""
        self.clear_error()
        if self.result is None:
            self.says.value = "Reading …"
        self._work.run(lambda: self._compute(fresh))

    def next_speaker(self) -> None:
        """The next held-out speaker."""
        self.index += 1
        self.read(fresh=False)

    def _begin_again(self) -> None:
        """The first speaker, read anew if anybody has been read."""
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
        assert isinstance(self.source, World)
        if fresh or self._learner is None:
            self._learner = self._get()
        self.result = grow(self._learner, self.source, self.seed, self.index, self.shots)
        self._show(self.result)

    def _show(self, result: Growth) -> None:
        k = self.turns_slider.value
        self.redraw()
        self.says.value = html.escape(f"Speaker {self.index}. {result.text(k)}")
        self.turn_line.value = self._turn(result, k)
        task = self.source.task("test", self.seed, self.index)
        self.lexicon.value = lexicon_html(task, result.support[:k]) if self.lexicon_button.value else ""

    def _turn(self, result: Growth, k: int) -> str:
        if k == 0:
            return "<small>Move the slider: each step gives φ one more turn of this speaker.</small>"
        turn = result.support[k - 1]
        return (f"<small>Turn {k} of the support:</small> “{html.escape(self.source.text(turn.user))}” → "
                f"{said_html(self.source, 'state', turn.state)}")

    # The picture -------------------------------------------------------------------------------------------------

    def build_figure(self) -> LivePlot:
        assert isinstance(self.source, World)
        return theta_figure.build(self.source, self.shots)

    def picture(self) -> Picture:
        assert isinstance(self.source, World)
        if self.result is None:
            return [{} for _ in range(theta_figure.traces_of(self.source))], {}
        optimum, reveal = self.whose_choice.value == _OPTIMUM, self.lexicon_button.value
        return theta_figure.numbers(self.result, self.turns_slider.value, optimum, reveal)

    def summary(self) -> str:
        return f"θ of a speaker of {self.source.name}, turn by turn; open in JupyterLab to use it"

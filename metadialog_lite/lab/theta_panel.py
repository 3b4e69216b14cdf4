"""The theta panel: add support turns one by one and watch the parameters, and what they take words to mean."""

from __future__ import annotations

from typing import Any

from metadialog_lite.families.base import Learner
from metadialog_lite.lab import theta_figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.speaker import lexicon_html
from metadialog_lite.lab.turn_by_turn import TurnByTurn
from metadialog_lite.lab.understanding import Growth, grow
from metadialog_lite.turns import TaskSource

_OURS, _OPTIMUM = "θ", "the optimum"


class ThetaPanel(TurnByTurn):
    """theta = phi(D) as support turns are added: each word's meaning, the numbers that changed, and the loss.

    Args:
        learner: a learner, a training panel, or a function that returns one of them.
        source: a toy world; speakers come from its test split.
        seed: which series of speakers.
        shots: most support turns, 1 to 32.

    Raises:
        ValueError: not a toy world, or shots out of range.
    """

    heading = "θ = φ(D) for one speaker of {}, support turn by support turn"
    one = "speaker"
    why = "because only there meanings are known"
    result: Growth | None

    def __init__(self, learner: Any, source: TaskSource, seed: int = 0, shots: int = 16) -> None:
        super().__init__(learner, source, seed, shots)
        self.lexicon_button = ui.toggle("Reveal the lexicon", "Frame what each word really means", "eye")
        self.whose_choice = ui.choice("Meanings of", (_OURS, _OPTIMUM), _OURS, "Whose beliefs are drawn", "200px")
        self.lexicon = ui.text_line()
        self.lexicon_button.observe(lambda _: self._moved(), "value")
        self.whose_choice.observe(lambda _: self._moved(), "value")
        self._arrange((self.lexicon_button, self.whose_choice), (self.turn_line, self.plot, self.lexicon))

    def next_speaker(self) -> None:
        """The next held-out speaker."""
        self.next_task()

    def _reading(self, learner: Learner) -> Growth:
        return grow(learner, self.source, self.seed, self.index, self.shots)

    def _show(self, result: Growth) -> None:
        super()._show(result)
        task = self.source.task("test", self.seed, self.index)
        heard = result.support[: self.turns_slider.value]
        self.lexicon.value = lexicon_html(task, heard) if self.lexicon_button.value else ""

    # The picture -------------------------------------------------------------------------------------------------

    def build_figure(self) -> LivePlot:
        return theta_figure.build(self.source, self.shots)

    def picture(self) -> Picture:
        if self.result is None:
            return [{} for _ in range(theta_figure.traces_of(self.source))], {}
        optimum, reveal = self.whose_choice.value == _OPTIMUM, self.lexicon_button.value
        return theta_figure.numbers(self.result, self.turns_slider.value, optimum, reveal)

    def summary(self) -> str:
        return f"θ of a speaker of {self.source.name}, turn by turn; open in JupyterLab to use it"

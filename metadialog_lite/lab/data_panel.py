"""The data panel: read D beside D', train g_phi live, and watch what it learns to trust."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping

from metadialog_lite.families.base import Learner
from metadialog_lite.families.meta_data_generation import Augmentation, Distillation, ExampleWeights
from metadialog_lite.lab import data_figure
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.curve import curve_text
from metadialog_lite.lab.data_start import Plan, WatchedTrainer
from metadialog_lite.lab.data_text import counts_text, lines_html, recombinations, synthetic, synthetic_html, weighted
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.session import Session, quiet_others
from metadialog_lite.lab.settings import copy_learner

_TRAINED, _LIVE = "shipped", "being trained below"
_SENTENCES_EVERY = 1.0  # seconds
_NEAR = 4  # support turns shown at a time where D' has the turns of D


class DataPanel(ui.Panel):
    """D beside D', and g_phi in training (theta_0 and alpha stay frozen). Nothing is built before a button is pressed.

    Args:
        plans: what each generator begins with, by name; see :func:`~metadialog_lite.lab.data_start.plans`.
        learner: which is shown first.
        seed: of speakers and training tasks.
        shots: support turns of the speaker that is shown, 2 to 32.
    """

    def __init__(
        self, plans: Mapping[str, Plan], learner: str = "augmentation", seed: int = 0, shots: int = 16,
    ) -> None:
        if learner not in plans:
            raise ValueError(f"learner: got {learner!r}; there are plans for {', '.join(plans) or 'none'}")
        if isinstance(shots, bool) or not isinstance(shots, int) or not 2 <= shots <= 32:
            raise ValueError(f"shots: got {shots!r}; a whole number from 2 to 32 is needed")
        super().__init__("D′ = g(D)")
        self.plans, self.seed, self.shots = dict(plans), seed, shots
        self.index, self._said = 0, 0.0
        self.session = Session(self._make, self._changed)
        self._work = ui.Background(self.fail)
        quiet_others()
        self._controls(learner)
        self._trained = self.asked()
        self._say()

    def _controls(self, learner: str) -> None:
        self.start_button = ui.button("Start", "Train until you press Pause", "play", "success")
        self.pause_button = ui.button("Pause", "Stop after the step being taken", "pause")
        self.step_button = ui.button("Step", "Take one outer step", "step-forward")
        self.reset_button = ui.button("Reset", "Forget what was learned here", "undo")
        self.learner_box = ui.choice("g", tuple(self.plans), learner, "Which kind of generator", "190px")
        self.rate_slider = ui.rate("Outer rate β", self.plans[learner].live_lr, "Size of an outer step")
        self._offered = self.rate_slider.value
        self.show_button = ui.button("Show D′", "What g makes of this speaker's turns now", "eye", "info")
        self.whose_box = ui.choice("of the g", (_TRAINED, _LIVE), _TRAINED if self.plans[learner].teacher else _LIVE,
                                   "Whose D′ is shown", "220px")
        self.speaker_button = ui.button("Next speaker", "Another held-out speaker", "user")
        self.turn_slider = ui.whole("Support turn", 1, 1, self.shots, "Which turn of D", "320px")
        self.status, self.hint = ui.text_line("", "md-live"), ui.text_line("", "md-quiet")
        self.says, self.dialogue = ui.text_line("", "md-says"), ui.text_line()
        self.dialogue_says = ui.text_line("Press “Show D′”.", "md-live")
        for button, action in ((self.start_button, self.start), (self.pause_button, self.session.pause),
                               (self.step_button, self.step), (self.reset_button, self.reset),
                               (self.show_button, self.show), (self.speaker_button, self.next_speaker)):
            button.on_click(lambda _, action=action: action())
        self.learner_box.observe(lambda _: self._chosen(), "value")
        self.rate_slider.observe(lambda _: self._say(), "value")
        for control in (self.learner_box, self.whose_box, self.turn_slider):
            control.observe(lambda _: self._again(), "value")
        self.children = (
            self.guard, self.title,
            ui.row(self.learner_box, self.show_button, self.whose_box, self.turn_slider, self.speaker_button),
            self.dialogue_says, self.dialogue,
            ui.row(self.start_button, self.pause_button, self.step_button, self.reset_button,
                   self.rate_slider, self.status),
            self.hint, self.error, self.plot, self.says,
        )

    # What the controls do ----------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """idle, running, paused, diverged or error."""
        return self.session.state

    @property
    def plan(self) -> Plan:
        """Of the generator that is chosen."""
        return self.plans[self.learner_box.value]

    def asked(self) -> tuple[str, float]:
        """What the controls say now: which g, and the outer rate."""
        return self.learner_box.value, float(self.rate_slider.value)

    def start(self) -> None:
        """What the Start button does."""
        self.clear_error()
        self.session.start()

    def step(self) -> None:
        """What the Step button does."""
        self.clear_error()
        self.session.step()

    def reset(self) -> None:
        """What the Reset button does."""
        self.session.reset()
        self.clear_error()

    def show(self) -> None:
        """Read the speaker's support with g and show what comes out."""
        self.clear_error()
        self._work.run(self._show)

    def _chosen(self) -> None:
        """Another generator: its own outer rate, unless the reader has moved the slider."""
        if self.rate_slider.value == self._offered:
            ladder = [value for _, value in self.rate_slider.options]
            self.rate_slider.value = min(ladder, key=lambda rate: abs(rate - self.plan.live_lr))
        self._offered = self.rate_slider.value
        self.whose_box.value = _TRAINED if self.plan.teacher else _LIVE
        self._say()

    def _again(self) -> None:
        if self.dialogue.value:
            self.show()

    def next_speaker(self) -> None:
        """The next held-out speaker."""
        self.index += 1
        self.show()

    def wait(self, seconds: float = 60) -> bool:
        """Wait for the background work (tests and scripts)."""
        return self._work.wait(seconds)

    # D beside D' -------------------------------------------------------------------------------------------------

    def _g(self) -> tuple[Learner, str]:
        """The learner whose D' is shown, and a word on it."""
        name = self.learner_box.value
        if self.whose_box.value == _LIVE:
            with self.session.busy:
                learner = self.session.learner()
                if learner is None or learner.name != name:
                    raise ValueError(f"no {name} is being trained here yet: press Step or Start first")
                n = len(self.session.records)
                return copy_learner(learner), f"after {n} outer step{'s' * (n != 1)} here"
        if self.plan.teacher is None:
            raise ValueError(f"no {name} is shipped; choose '{_LIVE}'")
        return self.plan.teacher, "as it was shipped"

    def _show(self) -> None:
        learner, which = self._g()
        source, at = self.plan.source, self.turn_slider.value - 1
        support = source.task("test", self.seed, self.index).support(self.shots)
        if isinstance(learner, Augmentation):
            self.dialogue.value = lines_html(recombinations(learner, support, at))
        elif isinstance(learner, ExampleWeights):
            near = weighted(learner, support)[max(0, min(at, self.shots - _NEAR)) :][:_NEAR]
            self.dialogue.value = lines_html(near, most=2.0)
        elif isinstance(learner, Distillation):
            self.dialogue.value = synthetic_html(synthetic(learner), support[at : at + 1])
        self.dialogue_says.value = html.escape(f"Speaker {self.index}, {learner.name} {which}. {counts_text(learner)}")

    # Training ----------------------------------------------------------------------------------------------------

    def _make(self) -> WatchedTrainer:
        self._trained = self.asked()
        return self.plan.trainer(self.seed, outer_lr=self._trained[1])

    def _changed(self) -> None:
        self.redraw()
        if self.session.state != "running" or time.monotonic() - self._said > _SENTENCES_EVERY:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        session, n = self.session, len(self.session.records)
        words = [f"<b>{session.state}</b>"]
        if n:
            words.append(f"step {n}, {session.cpu_seconds:.1f} CPU seconds")
        elif session.state == "running":
            words.append("preparing the first step …")
        if session.note and session.state not in ("diverged", "error"):
            words.append(html.escape(session.note))
        self.status.value = " · ".join(words)
        name, rate = self._trained if n else self.asked()
        what = f"{name} with β = {rate:g}; frozen: {self.plans[name].origin}."
        hint = f"Training {what}" if n else f"Start will train {what}"
        if n and self.asked() != self._trained:
            hint += " Your new settings take effect after Reset and Start."
        self.hint.value = html.escape(hint)
        learner = session.learner()
        self.says.value = html.escape(f"{curve_text(session.curve)} {counts_text(learner)}") if n and learner else ""
        if session.state in ("diverged", "error") and session.note and not session.resetting:
            unforeseen = session.problem is not None and not isinstance(session.problem, ValueError)
            self.fail(session.problem if unforeseen and session.problem else session.note)

    def build_figure(self) -> LivePlot:
        return data_figure.build()

    def picture(self) -> Picture:
        trainer = self.session.trainer
        return data_figure.numbers(self.session.curve, trainer.history if isinstance(trainer, WatchedTrainer) else [])

    def summary(self) -> str:
        return f"D beside D′ of {self.learner_box.value}; open in JupyterLab to train g"

"""The training panel: Start, and watch the loss of each capability fall towards its Bayes floor."""

from __future__ import annotations

import html
import threading
import time
from pathlib import PurePath
from typing import Any

import ipywidgets as w

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.curve import curve_text, parts_of
from metadialog_lite.lab.figures import curve_layout, curve_traces
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.papermill_command import CommandPanel, papermill_command
from metadialog_lite.lab.session import Session, quiet_others
from metadialog_lite.lab.settings import LEARNER_NAMES, ORDER_OF, SHOTS_MIXED, Settings, build_trainer, offered_rate
from metadialog_lite.training import Record
from metadialog_lite.turns import TaskSource

#: Seconds between two updates of the sentences; a screen reader could not follow the curve's pace.
_SENTENCES_EVERY = 1.0


class TrainingPanel(CommandPanel):
    """Meta-train a learner live. Making and showing the panel builds no model and starts no thread; Start does.

    Args:
        source: the world or corpus to train on.
        learner: maml, fomaml, reptile, anil or meta_sgd.
        inner_lr: α, above 0 and at most 10.
        inner_steps: K, from 0 to 20.
        shots: support turns of every training task, or None for a mixture of 0 to 32.
        order: 2 = through the inner steps, 1 = first order; it belongs to the learner, so 1 turns maml into fomaml.
        seed: of the model and of the training tasks.
        start: name or path of a checkpoint to begin from (a joint model), or None for random weights.
        seconds: stop after this many CPU seconds; None = when you press Pause.
        notebook: the notebook named by "Copy as papermill command".
        model: sizes of the model; None = the default, or those of ``start``.

    Raises:
        ValueError: a setting is out of range; the message names it.
    """

    def __init__(
        self,
        source: TaskSource,
        learner: str = "maml",
        inner_lr: float = 0.0003,
        inner_steps: int = 3,
        shots: int | None = None,
        order: int | None = None,
        seed: int = 0,
        start: str | None = None,
        seconds: float | None = None,
        notebook: str = "05_meta_optimization.ipynb",
        model: Any = None,
    ) -> None:
        super().__init__(f"Training on {source.name}", "Forget the curve and begin again with the settings below",
                         "The same run without a browser")
        self.source, self.notebook, self.parts = source, notebook, parts_of(source.capabilities)
        settings = Settings(learner, inner_lr, inner_steps, shots, seed, start, seconds).with_order(order)
        self._fixed = settings  # what no control changes: seed, start, seconds
        self._model = model
        self._trained = settings  # what the running session was made with
        self._said = 0.0
        self._saying = threading.RLock()  # both threads speak: a Reset must not be followed by an older error
        self._tops: dict[str, float] = {}  # of the vertical axes
        self.session = Session(self._make, self._changed)
        quiet_others()
        self._controls(settings)
        self._changed(force=True)

    # What the notebook may use ----------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """idle, running, paused, done, diverged or error."""
        return self.session.state

    @property
    def records(self) -> list[Record]:
        """One record for each step taken since the last reset."""
        return self.session.records

    @property
    def learner(self) -> Any:
        """The learner being trained; None before the first step."""
        return self.session.learner()

    def snapshot(self) -> Any:
        """A copy of the learner as it is between two steps; None before the first step."""
        from metadialog_lite.lab.settings import copy_learner

        with self.session.busy:
            return None if self.learner is None else copy_learner(self.learner)

    def start(self) -> None:
        """What the Start button does."""
        self.clear_error()
        self.session.start()

    def pause(self) -> None:
        """What the Pause button does."""
        self.session.pause()

    def step(self) -> None:
        """What the Step button does."""
        self.clear_error()
        self.session.step()

    def reset(self) -> None:
        """What the Reset button does."""
        self.session.reset()
        with self._saying:
            self.clear_error()

    def settings(self) -> Settings:
        """What the controls say now."""
        shots = self.shots_box.value
        return Settings(self.learner_box.value, float(self.rate_slider.value), int(self.steps_slider.value),
                        None if shots == SHOTS_MIXED else int(shots), self._fixed.seed, self._fixed.start,
                        self._fixed.seconds)

    def command(self) -> str:
        """The papermill command that trains the same way without a browser."""
        s = self.settings()
        values = {"world": self.source.name, "learner": s.learner, "inner_lr": f"{s.inner_lr:.4g}",
                  "inner_steps": s.inner_steps, "shots": 16 if s.shots is None else s.shots,
                  "meta_steps": max(1, len(self.records)), "seed": s.seed}
        if "state" not in self.source.capabilities:  # a corpus
            values = {"corpus": values.pop("world")} | values
        return papermill_command(self.notebook, values)

    # Controls ----------------------------------------------------------------------------------------------------

    def _controls(self, s: Settings) -> None:
        self.start_button = ui.button("Start", "Train until you press Pause", "play", "success")
        self.pause_button = ui.button("Pause", "Stop after the step being taken", "pause")
        self.step_button = ui.button("Step", "Take one outer step", "step-forward")
        self.learner_box = ui.choice("Learner", LEARNER_NAMES, s.learner, "Which algorithm", "170px")
        self.order_box = ui.choice("Order", [("2: exact", 2), ("1: first order", 1)], ORDER_OF[s.learner],
                                   "Is the outer gradient taken through the inner steps?", "170px")
        self._offered = s.inner_lr  # the rate that came with the learner
        self.rate_slider = ui.rate("Inner rate α", s.inner_lr, "Size of an adaptation step")
        self.steps_slider = ui.whole("Inner steps K", s.inner_steps, 0, 20, "Adaptation steps", "260px")
        self.shots_box = ui.choice("Shots", [(f"mixed, {SHOTS_MIXED}", SHOTS_MIXED), *((str(k), k) for k in range(33))],
                                   SHOTS_MIXED if s.shots is None else s.shots, "Support turns of a task", "150px")
        self.smooth_slider = ui.whole("Average over steps", 20, 1, 100, "Of the moving average", "300px")
        self.status, self.says = ui.text_line("", "md-live"), ui.text_line("", "md-says")
        for button, action in ((self.start_button, self.start), (self.pause_button, self.pause),
                               (self.step_button, self.step)):
            button.on_click(lambda _, action=action: action())
        self.learner_box.observe(self._learner_chosen, "value")
        self.order_box.observe(self._order_chosen, "value")
        self.smooth_slider.observe(lambda _: self.redraw(), "value")
        for control in (self.learner_box, self.rate_slider, self.steps_slider, self.shots_box):
            control.observe(lambda _: self._say(), "value")
        self._lock_order()
        self.children = (
            self.guard, self.title,
            ui.row(self.start_button, self.pause_button, self.step_button, self.reset_button, self.status),
            ui.row(self.learner_box, self.order_box, self.shots_box, self.rate_slider, self.steps_slider),
            self.hint, self.error, self.plot, self.says,
            ui.row(self.smooth_slider, self.copy_button, self.command_field),
        )

    def _learner_chosen(self, _: Any) -> None:
        self.order_box.value = ORDER_OF[self.learner_box.value]
        self._lock_order()
        offered = offered_rate(self.learner_box.value, self._fixed)
        if self.rate_slider.value == self._offered:  # else the reader has chosen a rate
            self.rate_slider.value = offered
        self._offered = offered

    def _order_chosen(self, _: Any) -> None:
        """The order is what maml and fomaml differ in; the other learners have one order only."""
        if ORDER_OF[self.learner_box.value] != self.order_box.value:
            self.learner_box.value = {2: "maml", 1: "fomaml"}[self.order_box.value]

    def _lock_order(self) -> None:
        self.order_box.disabled = self.learner_box.value not in ("maml", "fomaml")

    # Drawing -----------------------------------------------------------------------------------------------------

    def _make(self) -> Any:
        self._trained = self.settings()
        return build_trainer(self.source, self._trained, self._model)

    def _changed(self, force: bool = False) -> None:
        """Something happened in the session; called at most ten times a second, often by the worker."""
        self.redraw()
        if force or self.session.state != "running" or time.monotonic() - self._said > _SENTENCES_EVERY:
            self._say()

    def _say(self) -> None:
        """The sentences: what is going on, what the curve says, what a changed control will do."""
        with self._saying:
            self._say_now()

    def _say_now(self) -> None:
        self._said = time.monotonic()
        session, settings = self.session, self.settings()
        n, trained = len(session.records), self._trained
        words = [f"<b>{session.state}</b>"]
        if n:
            words.append(f"step {n}, {session.cpu_seconds:.1f} CPU seconds")
        elif session.state == "running":
            words.append("preparing the first step …")
        if session.state == "done" and not session.note:
            words.append("the budget is used up; Reset begins again")
        elif session.note and session.state not in ("diverged", "error"):
            words.append(html.escape(session.note))
        _set(self.status, " · ".join(words))
        begun = n > 0 or session.state == "running"
        if begun and settings != trained:
            hint = f"Still training {trained.text()}. Your new settings take effect after Reset and Start."
        elif begun:
            hint = f"Training {trained.text()}."
        else:
            origin = f"from the checkpoint {PurePath(settings.start).name}" if settings.start else "from random weights"
            hint = f"Start will train {settings.text()}, {origin}."
        _set(self.hint, html.escape(hint))
        _set(self.says, html.escape(curve_text(session.curve, self.smooth_slider.value)) if n else "")
        if session.state in ("diverged", "error") and session.note and not session.resetting:
            if session.problem is not None and not isinstance(session.problem, ValueError):
                self.fail(session.problem)
            else:
                self.fail(session.note)

    def build_figure(self) -> LivePlot:
        drawn = {part: self.session.curve.drawn(part, 1) for part in self.parts}
        self._tops = dict.fromkeys(self.parts, 1.0)
        return LivePlot(curve_traces(drawn, self.parts), curve_layout(self.parts), rest=1.0)

    def picture(self) -> Picture:
        curve, window = self.session.curve, self.smooth_slider.value
        changes: list[dict[str, Any]] = []
        frame: dict[str, Any] = {}
        for i, part in enumerate(self.parts):
            d, top = curve.drawn(part, window), curve.top(part, window)
            changes += [{"x": d.step, "y": y} for y in (d.raw, d.mean, d.floor)]
            if not 0.87 < self._tops[part] / top < 1.15:  # a moving axis is hard to read
                self._tops[part] = top
            frame[f"yaxis{i + 1 if i else ''}.range"] = [0, self._tops[part]]
        return changes, frame

    def summary(self) -> str:
        n = len(self.records)
        text = f"{self.learner_box.value} on {self.source.name}, {self.state}"
        return f"{text}, {n} steps" if n else f"{text}; press Start in JupyterLab"


def _set(line: w.HTML, text: str) -> None:
    if line.value != text:
        line.value = text

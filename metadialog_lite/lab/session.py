"""Training behind a panel: one worker thread that trains, buttons that only flip flags. No widgets in here.

States: idle → running ⇄ paused → done | diverged | error; ``reset`` leads back to idle from each of them.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from metadialog_lite.lab.curve import Curve
from metadialog_lite.training import Record, Trainer

#: Seconds after which a computing thread lets another one in. With Python's own 0.005 a slider waits for many turns.
_SWITCH = 0.001
#: Sessions of this process: only one trains at a time, so that a cell run twice does not leave a hidden worker behind.
_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()


class Session:
    """Runs a trainer step by step in the background.

    Args:
        make: builds the trainer; called in the worker at the first step, never before.
        changed: called (from either thread) after something happened, at most ``rate`` times a second while running.
        rate: updates a second at most.
    """

    def __init__(self, make: Callable[[], Trainer], changed: Callable[[], None] = lambda: None, rate: float = 10.0):
        self.make, self.changed, self.pause_between = make, changed, 1.0 / rate
        self.trainer: Trainer | None = None
        self.records: list[Record] = []
        self.curve = Curve()
        self.state = "idle"
        self.note = ""  # why the state is what it is: a divergence, an error, another panel
        self.problem: BaseException | None = None
        self.busy = threading.RLock()  # held while a step changes the learner
        self._lock = threading.Lock()  # guards the flags below and the worker's birth and death
        self._run = False
        self._single = 0  # steps asked for one by one
        self._reset = False
        self._worker: threading.Thread | None = None
        self._thread: threading.Thread | None = None  # the last worker: still drawing, maybe, when it is none any more
        _SESSIONS.add(self)

    # What the buttons call: flags only. ------------------------------------------------------------------------

    def start(self) -> None:
        """Train until paused or finished. Starting twice is the same as starting once."""
        for other in list(_SESSIONS):
            if other is not self:
                other.pause("paused, because another panel was started")
        self._ask(run=True)

    def step(self) -> None:
        """One step; while running it means nothing, because the next step is coming anyway."""
        self._ask(single=True)

    def pause(self, why: str = "") -> None:
        """Stop after the step that is being taken."""
        with self._lock:
            if self._run or self._single:
                self._run, self._single, self.note = False, 0, why

    def reset(self) -> None:
        """Forget the learner and the curve; a step being taken is finished first and thrown away."""
        with self._lock:
            self._run, self._single, self._reset = False, 0, True
            if self._worker is None:
                self._clear()
                worker = False
            else:
                worker = True
        if not worker:
            self.changed()

    @property
    def resetting(self) -> bool:
        """Reset was pressed and the worker has not come to it yet: what the state says is out of date."""
        return self._reset

    def wait(self, seconds: float) -> bool:
        """Wait until the worker rests (tests and scripts); False when it took longer."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return self._worker is None and not (thread and thread.is_alive())

    # ------------------------------------------------------------------------------------------------------------

    def _ask(self, run: bool = False, single: bool = False) -> None:
        with self._lock:
            if self.state in ("done", "diverged", "error") and not self._reset:
                words = {"done": "the budget is used up", "diverged": "training diverged", "error": "an error"}
                if "Reset" not in self.note:
                    self.note = f"{self.note or words[self.state]} — press Reset to begin again"
            else:
                self._run = self._run or run
                self._single += int(single and not self._run)
                self.note = ""
                self.state = "running"
                if self._worker is None:
                    self._worker = self._thread = threading.Thread(target=self._work, name="training", daemon=True)
                    self._worker.start()
        self.changed()

    def _clear(self) -> None:
        self.trainer, self.records, self.curve = None, [], Curve()
        self.state, self.note, self.problem, self._reset = "idle", "", None, False

    def _work(self) -> None:
        """The worker: takes steps while the flags say so, and ends when there is nothing to do."""
        shown = 0.0
        sys.setswitchinterval(_SWITCH)
        while True:
            with self._lock:
                if self._reset:
                    run, single = self._run, self._single
                    self._clear()
                    if run or single:  # Start was pressed after Reset, before the worker noticed
                        self.state = "running"
                go = self._run or self._single > 0
                if not go:
                    if self.state == "running":
                        self.state = "paused" if self.records else "idle"
                    self._worker = None
                    break
                self._single = max(0, self._single - 1)
            self._one_step()
            now = time.monotonic()
            if now - shown >= self.pause_between:
                self.changed()
                shown = time.monotonic()
        self.changed()

    def _one_step(self) -> None:
        try:
            with self.busy:
                if self.trainer is None:
                    self.trainer = self.make()
                record = self.trainer.step()
                finished = self.trainer.finished
        except Exception as error:  # shown in the panel; a thread's traceback would be lost
            self._end("error", str(error) if isinstance(error, ValueError) else repr(error), error)
            return
        with self._lock:
            if self._reset:
                return
            self.records.append(record)
            self.curve.add(record)
        if record.warning:
            self._end("diverged", record.warning)
        elif finished:
            self._end("done", "")

    def _end(self, state: str, note: str, problem: BaseException | None = None) -> None:
        with self._lock:
            self._run, self._single = False, 0
            if not self._reset:
                self.state, self.note, self.problem = state, note, problem

    @property
    def cpu_seconds(self) -> float:
        """Process CPU seconds spent in training steps."""
        return self.records[-1].cpu_seconds if self.records else 0.0

    def learner(self) -> Any:
        """The learner being trained, or None before the first step."""
        trainer = self.trainer
        return None if trainer is None else trainer.learner


def quiet_others() -> None:
    """Pause every session of this process: a new panel takes the place of what its cell showed before."""
    for session in list(_SESSIONS):
        session.pause("paused, because another panel was opened")

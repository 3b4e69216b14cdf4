"""Predict, then check: commit to a guess and to how sure you are, before the notebook shows the answer.

What was committed is stored in ``my_predictions.json`` beside the notebook and nowhere else; nothing is stored by a run
in which nobody presses a button. ``calibration()`` sums up how often one was right at each degree of confidence.
"""

from __future__ import annotations

import contextlib
import json
import math
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metadialog_lite.results import write_text

FILE = "my_predictions.json"
CONFIDENCES = (50, 60, 70, 80, 90, 99)


class Prediction:
    """One question. Display it to answer; ``reveal(truth)`` in a later cell compares.

    Attributes:
        guess: what was committed: one of ``choices``, or a number; None before.
        confidence: percent, how sure the reader is.
    """

    def __init__(self, identifier: str, question: str, choices: Sequence[str] | None, unit: str | None, folder: Path,
                 tolerance: float):
        self.identifier, self.question, self.unit = identifier, question, unit
        self.choices = None if choices is None else [str(choice) for choice in choices]
        self.folder, self.tolerance = folder, tolerance
        self.guess: str | float | None = None
        self.confidence: int | None = None
        self.message = ""

    def commit(self, guess: str | float, confidence: int = 70) -> str:
        """Store a guess; later guesses replace it until the answer is revealed. Returns what happened, as text.

        Raises:
            ValueError: when the guess is none of the choices, or not a finite number.
        """
        if self.choices is not None and guess not in self.choices:
            raise ValueError(f"{self.identifier}: {guess!r} is none of the choices {self.choices}")
        if self.choices is None and not (isinstance(guess, (int, float)) and math.isfinite(guess)):
            raise ValueError(f"{self.identifier}: {guess!r} is not a number")
        if not 0 <= confidence <= 100:
            raise ValueError(f"{self.identifier}: confidence {confidence} is not between 0 and 100 percent")
        self.guess, self.confidence = guess, confidence
        self._store(right=None)
        return f"Committed: {self._show(guess)}, {confidence} % sure. Go on to see the answer."

    def right(self, truth: str | float) -> bool | None:
        """Whether the guess agrees with the truth (numbers: within ``tolerance``, relative); None without a guess."""
        if self.guess is None:
            return None
        if self.choices is not None:
            return self.guess == str(truth)
        return abs(float(self.guess) - float(truth)) <= self.tolerance * max(abs(float(truth)), 1e-12)

    def reveal(self, truth: str | float, because: str = "") -> None:
        """Show the answer beside the guess. Without a guess the answer is shown all the same."""
        right = self.right(truth)
        if right is None:
            said = "No guess was committed this time."
        else:
            said = f"You said {self._show(self.guess)} ({self.confidence} % sure): {'right' if right else 'not so'}."
            self._store(right)
        self.message = " ".join(part for part in (f"Answer: {self._show(truth)}.", said, because) if part)
        print(textwrap.fill(self.message, 92, break_on_hyphens=False))

    def widget(self) -> Any:
        """The controls. Callbacks only note what was chosen."""
        import ipywidgets as widgets

        from metadialog_lite.lab.guard import Guard

        wide = widgets.Layout(width="auto")
        answer: Any
        if self.choices is not None:
            answer = widgets.RadioButtons(options=self.choices, index=None, description="Your guess", layout=wide)
        else:
            answer = widgets.FloatText(value=0.0, description="Your guess", tooltip=self.unit or "a number")
        sure = widgets.Dropdown(options=[(f"{c} %", c) for c in CONFIDENCES], value=70, description="How sure?")
        button = widgets.Button(description="Commit", tooltip=f"Commit your guess for {self.identifier}", icon="check")
        text = widgets.HTML("Not committed yet.")

        def commit(_: Any) -> None:
            if answer.value is None:
                text.value = "Choose an answer first."
                return
            try:
                text.value = self.commit(answer.value, sure.value)
            except (ValueError, OSError) as error:
                text.value = str(error)

        button.on_click(commit)
        unit = [widgets.Label(self.unit)] if self.unit and self.choices is None else []
        # The guard keeps keys typed on a control from becoming notebook shortcuts ("d d" deletes the cell).
        box = widgets.VBox([widgets.HBox([answer, *unit]), widgets.HBox([sure, button]), text, Guard()])
        box.add_class("md-panel")
        return box

    def _ipython_display_(self) -> None:
        from IPython.display import Markdown, display

        lines = [f"**Predict ({self.identifier}).** {self.question}"]
        lines += [f"- {choice}" for choice in self.choices or []]
        display(Markdown("\n".join(lines)))
        display(self.widget())

    def __repr__(self) -> str:
        return f"Prediction({self.identifier!r}, guess={self.guess!r})"

    def _show(self, value: Any) -> str:
        if self.choices is not None or value is None:
            return f"“{value}”"
        return f"{float(value):.4g}" + (f" {self.unit}" if self.unit else "")

    def _store(self, right: bool | None) -> None:
        stored = read_predictions(self.folder)
        old = stored.get(self.identifier, {})
        if right is None and old.get("right") is not None and old.get("guess") == self.guess:
            return  # the same answer again, after it was revealed: the first time counts
        stored[self.identifier] = {"guess": self.guess, "confidence": self.confidence, "right": right,
                                   "when": time.strftime("%Y-%m-%d %H:%M:%S")}
        write_text(self.folder / FILE, json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


def predict(
    identifier: str,
    question: str,
    choices: Sequence[str] | None = None,
    unit: str | None = None,
    tolerance: float = 0.25,
    folder: str | Path = ".",
) -> Prediction:
    """Ask before showing. As the last line of a cell it shows the question and, in Jupyter, controls to answer.

    Args:
        identifier: for example "05.p1"; the key in the file of answers.
        question: one sentence or two; Markdown is fine.
        choices: the possible answers; without them a number is asked for.
        unit: of the number, for example "nats per turn".
        tolerance: a number counts as right when it is this close to the truth, relative to it.
        folder: where ``my_predictions.json`` lies; the notebook's own folder by default.
    """
    if choices is not None and len(set(choices)) < 2:
        raise ValueError(f"{identifier}: choices={list(choices)}: at least two different ones are needed")
    return Prediction(identifier, question, choices, unit, Path(folder), tolerance)


def read_predictions(folder: str | Path = ".") -> dict[str, dict[str, Any]]:
    """What was committed: id → guess, confidence, right, when. A damaged file is set aside and counts as empty."""
    path = Path(folder) / FILE
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(stored, dict) and all(isinstance(row, dict) for row in stored.values()):
            return stored
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        pass
    with contextlib.suppress(OSError):
        path.replace(path.with_suffix(".damaged.json"))
    return {}


def calibration(folder: str | Path = ".") -> str:
    """How often one was right at each degree of confidence, as text. Calibrated: 80 % sure is right 8 times in 10."""
    rows = [row for row in read_predictions(folder).values() if row.get("right") is not None]
    if not rows:
        return "No committed predictions yet: answer a 'Predict' question before you run the cell that answers it."
    lines = []
    for level in sorted({row["confidence"] for row in rows}):
        hits = [bool(row["right"]) for row in rows if row["confidence"] == level]
        lines.append(f"{level:3d} % sure: {sum(hits)} of {len(hits)} right")
    brier = sum((row["confidence"] / 100 - row["right"]) ** 2 for row in rows) / len(rows)
    lines.append(f"Brier score {brier:.2f} (0 = always sure and right; 0.25 = always 50 % sure)")
    return "\n".join(lines)

"""The sampler: speakers of a toy world, what is hidden about them, and what they say under other knobs."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets as w

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.papermill_command import CommandPanel, papermill_command
from metadialog_lite.lab.speaker import lexicon_html, said_html
from metadialog_lite.lab.world_game import check_world
from metadialog_lite.turns import EMPTY, Turn
from metadialog_lite.world import BayesReference, World, WorldError, WorldTask, load_world, shipped_worlds

NOTEBOOK = "02_dialogue_world.ipynb"
#: Knob → (label, tip, steps of its slider).
KNOBS = {
    "volunteer": ("Volunteers", "How likely a slot is told that was not asked for", (0.0, 0.1, 0.22, 0.4, 0.6, 0.95)),
    "correct": ("Corrects", "How likely the user takes something back", (0.0, 0.1, 0.15, 0.3, 0.6, 1.0)),
    "word_noise": ("Word noise ε", "How likely a wrong word is heard", (0.0, 0.05, 0.1, 0.2, 0.35, 0.5)),
    "style": ("Style c", "Small: few templates, often; large: all alike", (0.05, 0.1, 0.3, 1.0, 3.0, 100.0)),
}
_TURNS = 8  # query turns for the line about the optimum


class SamplerPanel(CommandPanel):
    """Draw speakers and dialogues, with the hidden side shown or not; turn the knobs and see what changes.

    Args:
        source: the toy world that is shown first; the others that are shipped can be chosen.
        seed: which series of speakers (of the training split).
    """

    def __init__(self, source: World, seed: int = 0) -> None:
        super().__init__("Sample the dialogue world", "The world, speaker and knobs of the beginning",
                         "This notebook for these settings")
        self.source, self.world, self.seed, self.number = check_world(source), source, seed, 0
        names = list(dict.fromkeys([source.name, *shipped_worlds()]))
        self.world_choice = ui.choice("World", names, source.name, "Which world", "230px")
        self.speaker_slider = ui.whole("Speaker", 0, 0, 99, "Which speaker", "260px")
        self.sliders = {knob: self._knob(knob) for knob in KNOBS}
        self.another_button = ui.button("Another dialogue", "The same speaker again", "comments", "success")
        self.hidden_button = ui.toggle("Show what is hidden", "Lexicon, order, habits, persona", "eye")
        self.says = ui.text_line("", "md-live")
        self.dialogue, self.hidden = ui.text_line("", "md-scroll"), ui.text_line("", "md-scroll")
        self.another_button.on_click(lambda _: self.another())
        for control in (self.speaker_slider, self.hidden_button, *self.sliders.values()):
            control.observe(lambda _: self.show(), "value")
        self.world_choice.observe(lambda _: self._chosen(), "value")
        self._quiet = False
        self.children = (
            self.guard, self.title,
            ui.row(self.world_choice, self.speaker_slider, self.another_button, self.hidden_button, self.reset_button),
            ui.row(*self.sliders.values()), self.error, self.says, self.dialogue, self.hidden,
            ui.row(self.copy_button, self.command_field), self.hint,
        )
        self.show()

    def _knob(self, knob: str) -> w.SelectionSlider:
        label, tip, steps = KNOBS[knob]
        value = float(getattr(self.world.spec.knobs, knob))
        return w.SelectionSlider(description=label, options=_options(steps, value), value=value, tooltip=tip,
                                 style={"description_width": "initial"}, layout=w.Layout(width="270px"))

    # What the controls do ----------------------------------------------------------------------------------------

    def another(self) -> None:
        """The next dialogue of the same speaker."""
        self.number += 1
        self.show()

    def reset(self) -> None:
        """Everything as in the beginning."""
        self._quiet = True
        self.world_choice.value, self.number = self.source.name, 0
        self.speaker_slider.value, self.hidden_button.value = 0, False
        self._quiet = False
        self._chosen()

    def _chosen(self) -> None:
        """Another world, with its own knobs."""
        if self._quiet:
            return
        self.clear_error()
        name = self.world_choice.value
        self.world = self.source if name == self.source.name else load_world(name)
        self._quiet = True
        for knob, slider in self.sliders.items():
            value = float(getattr(self.world.spec.knobs, knob))
            slider.options, slider.value = _options(KNOBS[knob][2], value), value
        self._quiet = False
        self.show()

    def knobs(self) -> dict[str, float]:
        """Those knobs that differ from the chosen world's own."""
        own = self.world.spec.knobs
        return {knob: slider.value for knob, slider in self.sliders.items() if slider.value != getattr(own, knob)}

    def show(self) -> None:
        """Draw the speaker and the dialogue that the controls name."""
        if self._quiet:
            return
        self.clear_error()
        try:
            world = self.world.with_knobs(**self.knobs()) if self.knobs() else self.world
        except WorldError as error:  # a knob that this world has no sentences for
            self.says.value = self.dialogue.value = self.hidden.value = ""
            self.fail(error)
            return
        task = world.task("train", self.seed, self.speaker_slider.value)
        self.dialogue.value = dialogue_html(world, task.dialogues(self.number + 1)[-1])
        self.hidden.value = hidden_html(world, task) if self.hidden_button.value else ""
        self.says.value = html.escape(
            f"Speaker {self.speaker_slider.value}, dialogue {self.number + 1}. {best(world, task)}")

    def command(self) -> str:
        """The papermill command that makes this notebook's numbers for these settings."""
        values: dict[str, Any] = {"world": self.world_choice.value, **{k: f"{v:g}" for k, v in self.knobs().items()},
                                  "seed": self.seed}
        return papermill_command(NOTEBOOK, values)

    def summary(self) -> str:
        return f"speakers and dialogues of {self.source.name}; open in JupyterLab to draw more"


def _options(steps: Sequence[float], value: float) -> list[tuple[str, float]]:
    return [(f"{step:g}", step) for step in sorted({*steps, value})]


def best(world: World, task: WorldTask) -> str:
    """What the optimum pays for this speaker's new turns, knowing nothing of them, and after 16 support turns."""
    reference, query = BayesReference(world), task.query(_TURNS)
    before, after = (sum(map(sum, map(reference.posterior(task.support(k)).nll, query))) / _TURNS for k in (0, 16))
    return (f"On {_TURNS} new turns of this speaker the best possible learner pays {before:.2f} nats a turn without "
            f"support and {after:.2f} after 16 support turns.")


def dialogue_html(world: World, dialogue: Sequence[Turn]) -> str:
    """One dialogue as a table; what is new in the state is bold, what was corrected says so."""
    rows = []
    for turn in dialogue:
        state = []
        for slot, old, new in zip(world.slots, turn.previous_state, turn.state, strict=True):
            shown = html.escape(new) if new == old else f"<b>{html.escape(new)}</b>"
            state.append(f"<small>{html.escape(slot)}</small> {shown}"
                         + ("" if old in (EMPTY, new) else f" <small>(was {html.escape(old)})</small>"))
        rows.append(f"<tr><td>{html.escape(world.text(turn.user))}</td><td>{' · '.join(state)}</td>"
                    f"<td>{said_html(world, 'act', turn.act)}</td>"
                    f"<td>{said_html(world, 'response', turn.response)}</td></tr>")
    head = "<tr><th>the user says</th><th>state</th><th>act</th><th>response</th></tr>"
    return f"<table class='md-table md-even'>{head}{''.join(rows)}</table>"


def hidden_html(world: World, task: WorldTask) -> str:
    """The latents: lexicon and order, persona, and the habits as percentages beside their templates."""
    rows = [f"<tr><th>persona</th><td>{html.escape(', '.join(f'{k} {v}' for k, v in task.persona.items()))}</td></tr>"]
    for act, chances in task.style.items():
        said = "<br>".join(f"{100 * p:.0f} %&ensp;{html.escape(text)}" for p, text in
                           sorted(zip(chances, world.spec.system.templates(act), strict=True), reverse=True))
        rows.append(f"<tr><th>says for {act}</th><td>{said}</td></tr>")
    return lexicon_html(task, ()).replace("<small>✓ = heard in the support turns</small>", "") + (
        f"<table class='md-table'>{''.join(rows)}</table>")

"""The adaptation panel: slide the inner steps and watch a model turn into one speaker's model."""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from metadialog_lite.decoding import Reply
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.curve import parts_of
from metadialog_lite.lab.figures import FLOOR, LOOK_OF, curve_layout, line
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.speaker import Adaptation, Surprise, adapt, lexicon_html, resolve, said_html, surprises
from metadialog_lite.turns import CAPABILITIES, TaskSource, Turn


class AdaptationPanel(ui.Panel):
    """Loss for each capability, reply and every token's loss after 0 … K inner steps on one held-out speaker.

    Nothing is computed before "Adapt" is pressed or the slider is moved; then all steps at once, so that sliding is
    quick.

    Args:
        learner: a learner, a training panel, or a function that returns one of them.
        source: world or corpus; speakers come from its test split.
        seed: which series of speakers.
        shots: support turns, 0 to 32.
        most_steps: K; it may go beyond what the learner was trained with.
    """

    def __init__(self, learner: Any, source: TaskSource, seed: int = 0, shots: int = 8, most_steps: int = 8) -> None:
        super().__init__(f"Adaptation to one speaker of {source.name}")
        if isinstance(shots, bool) or not isinstance(shots, int) or not 0 <= shots <= 32:
            raise ValueError(f"shots: got {shots!r}; a whole number from 0 to 32 is needed")
        self.source, self.seed, self.most_steps = source, seed, most_steps
        self.parts = parts_of(source.capabilities)
        self._get = resolve(learner)
        self._learner: Any = None
        self.index = self.example = 0
        self.result: Adaptation | None = None
        self._tokens: list[Surprise] = []
        self._replies: dict[int, Reply] = {}  # of the example, by steps
        self._work = ui.Background(self.fail)
        self._talk = ui.Background(self.fail, patience=0.2)  # replies take longer than a moving slider should wait
        self.adapt_button = ui.button("Adapt", "Take the learner as it is now and adapt it", "magic", "success")
        self.speaker_button = ui.button("Next speaker", "Another held-out speaker", "user")
        self.turn_button = ui.button("Next turn", "Another turn of this speaker as the example", "comment")
        self.lexicon_button = ui.toggle("Reveal the lexicon", "What this speaker's words mean", "eye")
        self.steps_slider = ui.whole("Inner steps", 0, 0, most_steps, "How far to adapt", "420px")
        self.shots_slider = ui.whole("Shots", shots, 0, 32, "Support turns", "300px")
        self.reset_button = ui.reset_button((self.steps_slider, self.shots_slider, self.lexicon_button),
                                            self._begin_again)
        self.says, self.example_line = ui.text_line("Press Adapt.", "md-live"), ui.text_line()
        self.chips, self.lexicon = ui.text_line(), ui.text_line()
        self.adapt_button.on_click(lambda _: self.adapt())
        self.speaker_button.on_click(lambda _: self.next_speaker())
        self.turn_button.on_click(lambda _: self.next_turn())
        self.lexicon_button.observe(lambda _: self._say(), "value")
        self.steps_slider.observe(lambda _: self._moved(), "value")
        self.shots_slider.observe(lambda _: self.result and self.adapt(fresh=False), "value")
        self.children = (
            self.guard, self.title,
            ui.row(self.adapt_button, self.speaker_button, self.turn_button, self.lexicon_button, self.shots_slider,
                   self.reset_button),
            self.error, ui.row(self.steps_slider), self.plot, self.says, self.example_line, self.chips, self.lexicon,
        )

    # What the controls do ----------------------------------------------------------------------------------------

    def adapt(self, fresh: bool = True) -> None:
        """Compute all inner steps in the background; ``fresh`` takes the learner as it is now."""
        self.clear_error()
        if self.result is None:
            self.says.value = "Adapting …"
        self._work.run(lambda: self._compute(fresh))

    def next_speaker(self) -> None:
        """The next held-out speaker."""
        self.index += 1
        self.example = 0
        self.adapt(fresh=False)

    def next_turn(self) -> None:
        """Another query turn as the example."""
        if self.result is None:
            self.adapt()
            return
        self.example = (self.example + 1) % len(self.result.query)
        self._look()
        self._say()

    def _begin_again(self) -> None:
        """The first speaker and turn, adapted anew if anybody has been adapted to."""
        self.index = self.example = 0
        if self.result is not None:
            self.adapt()

    def wait(self, seconds: float = 60) -> bool:
        """Wait for the background work (tests and scripts)."""
        return self._work.wait(seconds) and self._talk.wait(seconds)

    def _moved(self) -> None:
        if self.result is None:
            self.adapt()
        else:
            self.redraw()
            self._say()

    # The work ----------------------------------------------------------------------------------------------------

    def _compute(self, fresh: bool) -> None:
        first = self.result is None
        if fresh or self._learner is None:
            self._learner = self._get()
        self.result = adapt(self._learner, self.source, self.seed, self.index, self.shots_slider.value, self.most_steps)
        last = len(self.result.loss) - 1
        if self.steps_slider.max != last and last > 0:
            self.steps_slider.max = last
        self._look()
        if first and self.steps_slider.value == 0:
            self.steps_slider.value = min(last, self.result.trained_steps or last)
        self.redraw()
        self._say()

    def _look(self) -> None:
        """Look at one query turn, token by token."""
        assert self.result is not None
        self.example %= len(self.result.query)
        self._replies = {}
        self._tokens = surprises(self._learner, self.result.adapted, self.result.query[self.example])

    def build_figure(self) -> LivePlot:
        traces = []
        for i, part in enumerate(self.parts):
            axis = str(i + 1) if i else ""
            where = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "showlegend": i == 0}
            traces += [
                line(LOOK_OF[part], "loss after so many steps", **where),
                line(FLOOR, "Bayes floor (best possible)", **where) | {"mode": "lines"},
                {"type": "scatter", "mode": "markers", "name": "now", **where,
                 "marker": {"size": 15, "symbol": "circle-open", "color": "#000000", "line": {"width": 2.5}}},
            ]
        return LivePlot(traces, curve_layout(self.parts, axis_name="inner step") | {"height": 270})

    def picture(self) -> Picture:
        result = self.result
        if result is None:
            return [{} for _ in range(3 * len(self.parts))], {}
        now = min(self.steps_slider.value, len(result.loss) - 1)
        steps = np.arange(len(result.loss), dtype=np.float32)
        changes: list[dict[str, Any]] = []
        frame: dict[str, Any] = {}
        for i, part in enumerate(self.parts):
            y = np.asarray([loss[part] for loss in result.loss], np.float32)
            bottom = None if result.floor is None else result.floor[part]
            floor = np.full(len(steps), np.nan if bottom is None else bottom, np.float32)
            changes += [{"x": steps, "y": y}, {"x": steps, "y": floor},
                        {"x": steps[now : now + 1], "y": y[now : now + 1]}]
            top = 1.12 * max(float(y[: max(2, result.trained_steps + 2)].max()), bottom or 0.0, 1e-3)
            frame[f"yaxis{i + 1 if i else ''}.range"] = [0, top]
        return changes, frame

    # The words ---------------------------------------------------------------------------------------------------

    def _say(self) -> None:
        result = self.result
        if result is None:
            self.lexicon.value = self._lexicon()
            return
        now = min(self.steps_slider.value, len(result.loss) - 1)
        trained = result.trained_steps
        plural = "s" * (trained != 1)
        beyond = f" (The learner was trained with {trained} inner step{plural}.)" if trained and now > trained else ""
        self.says.value = html.escape(f"Speaker {self.index}: {result.text(now)}{beyond}")
        self._talk.run(lambda: self._reply(result, self.example, now))
        self.chips.value = chips_html(self._tokens, now)
        self.lexicon.value = self._lexicon()

    def _lexicon(self) -> str:
        if not self.lexicon_button.value:
            return ""
        task = self.source.task("test", self.seed, self.index)
        return lexicon_html(task, task.support(self.shots_slider.value))

    def _reply(self, result: Adaptation, example: int, step: int) -> None:
        """The example turn: what was said, what is right, what the model replies after ``step`` steps."""
        turn, replies = result.query[example], self._replies
        for k in (0, step):
            if k not in replies:
                replies[k] = result.adapted[k].reply(turn)
        if (result, example) == (self.result, self.example):  # else the reader has moved on
            self.example_line.value = self._example(turn, replies[0], replies[step], step)

    def _example(self, turn: Turn, before: Reply, now: Reply, step: int) -> str:
        rows = []
        for name in CAPABILITIES:
            right = getattr(turn, name)
            if not right and name != "response":
                continue
            cells = []
            for reply in (before, now):
                said = getattr(reply, name)
                mark = "✓" if said == right else "✗"
                cells.append(f"<td>{mark} {said_html(self.source, name, said)}</td>")
            rows.append(f"<tr><th>{name}</th>{cells[0]}{cells[1]}<td>{said_html(self.source, name, right)}</td></tr>")
        after = f"after {step} step{'s' * (step != 1)}"
        return (f"<div class='md-said'>User: <b>{html.escape(self.source.text(turn.user))}</b></div>"
                "<table class='md-table md-wide'><tr><th></th><th>reply before</th>"
                f"<th>reply {after}</th><th>what this speaker's system says</th></tr>"
                f"{''.join(rows)}</table>")


def chips_html(tokens: list[Surprise], step: int) -> str:
    """Every target token with its loss before → now: blue ▼ = less surprising, orange ▲ = more."""
    if not tokens:
        return ""
    rows = []
    for name in CAPABILITIES:
        chips = []
        for one in tokens:
            if one.capability == name:
                before, now = one.loss[0], one.loss[step]
                change = now - before
                strength = min(0.75, 0.08 + abs(change) / 4) if abs(change) > 0.05 else 0.0
                colour = f"rgba(86,180,233,{strength:.2f})" if change < 0 else f"rgba(230,159,0,{strength:.2f})"
                arrow = "▼" if change < -0.05 else "▲" if change > 0.05 else "="
                chips.append(f"<span class='md-chip' style='background:{colour}'>{html.escape(one.token)}"
                             f"<small>{before:.2f}→{now:.2f} {arrow}</small></span>")
        if chips:
            rows.append(f"<div><b>{name}</b> {''.join(chips)}</div>")
    return ("<div style='margin-top:6px'>Loss of each token of the right answer, in nats, before → now "
            "(▼ less surprising, ▲ more):</div>" + "".join(rows))

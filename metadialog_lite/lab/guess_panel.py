"""The guessing panel: what does this speaker mean by each word? Bet against the exact optimum, turn by turn."""

from __future__ import annotations

import html
from collections.abc import Sequence

import ipywidgets as w
import numpy as np

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.figures import ABOVE, FLOOR, LOOKS, layout, line
from metadialog_lite.lab.live_plot import LivePlot, Picture
from metadialog_lite.lab.speaker import lexicon_html, said_html
from metadialog_lite.lab.world_game import PLAYERS, Chances, Game, Round, sure
from metadialog_lite.turns import Turn
from metadialog_lite.world import Asked, World, heard

ONE, EACH = "one value, and how sure", "a weight for each value"
_SURE = [("just guessing", 0.0),
         *((f"{100 * c:g} %", c) for c in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999))]
_NAMES = dict(zip(PLAYERS, ("you", "the optimum", "one who never learns"), strict=True))
#: Most rounds whose table rows are kept on the page.
_ROWS = 6


class _Bet:
    """The controls for one word: a value and how sure, or a weight for each value."""

    def __init__(self, world: World, question: Asked) -> None:
        self.question, self.values = question, world.values[question.slot]
        word, slot = world.words[question.slot][question.word], world.slots[question.slot]
        self.name = f"“{word}” ({slot})"
        options = [("choose …", -1), *((v, i) for i, v in enumerate(self.values) if i != question.old)]
        self.value = ui.choice(f"{self.name} means", options, -1, "What this speaker means by it")
        self.sure = ui.choice("How sure?", _SURE, 0.6, f"How sure you are about {self.name}", "190px")
        self.weights = [
            w.IntSlider(description=v, value=50, min=0, max=100, tooltip=f"Weight of {v} for {self.name}",
                        style={"description_width": "80px"}, layout=w.Layout(width="230px"),
                        disabled=i == question.old) for i, v in enumerate(self.values)]

    def row(self, mode: str) -> w.Widget:
        if mode == ONE:
            return ui.row(self.value, self.sure)
        return ui.row(ui.text_line(f"{html.escape(self.name)} means:"), *self.weights)

    def chances(self, mode: str) -> Chances:
        """Raises ValueError when no value was chosen."""
        size = len(self.values)
        if mode == EACH:
            return [float(s.value) for s in self.weights]
        if self.sure.value == 0.0:
            return [1.0] * size
        if self.value.value < 0:
            raise ValueError(f"Choose what {self.name} means, or set “How sure?” to “just guessing”.")
        return sure(self.value.value, self.sure.value, size, self.question.old)


class GuessPanel(ui.Panel):
    """Guess the hidden lexicon of one held-out speaker against the optimal learner.

    Args:
        source: a single toy world without noise in the support.
        seed: which series of speakers.
        shots: support turns to be played, 1 to 64.

    Raises:
        ValueError: the world has no exact optimum that a reader could compete with, or ``shots`` is out of range.
    """

    def __init__(self, source: World, seed: int = 0, shots: int = 16) -> None:
        if isinstance(shots, bool) or not isinstance(shots, int) or not 1 <= shots <= 64:
            raise ValueError(f"shots: got {shots!r}; a whole number from 1 to 64 is needed")
        super().__init__(f"Guess the lexicon of a speaker of {source.name}")
        self.source, self.seed, self.shots, self.index = source, seed, shots, 0
        self.game = Game(source, seed, 0, shots)
        self.bets: list[_Bet] = []
        self.peeked = False
        self.mode_choice = ui.choice("You say", (ONE, EACH), ONE, "How you tell your probabilities", "260px")
        self.commit_button = ui.button("Commit", "See what was meant, and what it costs", "check", "success")
        self.optimum_button = ui.button("Say what the optimum says", "Let it play this turn for you", "magic")
        self.reset_button = ui.button("Reset", "The same speaker from the first turn", "undo")
        self.speaker_button = ui.button("Next speaker", "Another held-out speaker", "user")
        self.notes_button = ui.toggle("My notes", "What has been heard so far", "pencil")
        self.beliefs_button = ui.toggle("The optimum's beliefs", "What it thinks before this turn", "table")
        self.lexicon_button = ui.toggle("Reveal the lexicon", "Give up: what this speaker's words mean", "eye")
        self.prompt, self.betting, self.says = ui.text_line(), w.VBox(), ui.text_line("", "md-live")
        self.table, self.notes, self.beliefs, self.lexicon = (ui.text_line("", "md-scroll") for _ in range(4))
        self.notes_button.value = True
        self.commit_button.on_click(lambda _: self.commit())
        self.optimum_button.on_click(lambda _: self.play_optimum())
        self.reset_button.on_click(lambda _: self.reset())
        self.speaker_button.on_click(lambda _: self.next_speaker())
        self.mode_choice.observe(lambda _: self._show_bets(), "value")
        for button in (self.notes_button, self.beliefs_button, self.lexicon_button):
            button.observe(lambda _: self._show_tables(), "value")
        self.children = (
            self.guard, self.title, self.prompt, self.betting, self.error,
            ui.row(self.commit_button, self.optimum_button, self.mode_choice), self.says, self.plot, self.table,
            ui.row(self.notes_button, self.beliefs_button, self.lexicon_button, self.reset_button, self.speaker_button),
            self.notes, self.beliefs, self.lexicon,
        )
        self._new_turn()

    # What the controls do ----------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Bet what the controls say."""
        self.clear_error()
        if not self.game.done:
            try:
                self._play([bet.chances(self.mode_choice.value) for bet in self.bets])
            except ValueError as error:
                self.fail(error)

    def play_optimum(self) -> None:
        """Bet what the optimum believes (a little doubt is mixed in, as into every bet)."""
        self.clear_error()
        if not self.game.done:
            self._play(self.game.optimum())

    def reset(self) -> None:
        """The same speaker again, from the first turn."""
        self.clear_error()
        self.game, self.peeked = Game(self.source, self.seed, self.index, self.shots), False
        self.beliefs_button.value = self.lexicon_button.value = False
        self._new_turn()
        self.redraw()

    def next_speaker(self) -> None:
        """Another held-out speaker."""
        self.index += 1
        self.reset()

    def _play(self, chances: Sequence[Sequence[float]]) -> None:
        self.peeked = self.peeked or self.beliefs_button.value or self.lexicon_button.value
        self.game.play(chances)
        self._new_turn()
        self.redraw()

    # What is shown -----------------------------------------------------------------------------------------------

    def _new_turn(self) -> None:
        game = self.game
        self.bets = [_Bet(self.source, question) for question in game.questions]
        self.commit_button.disabled = self.optimum_button.disabled = game.done
        quiet = game.support[game.rounds[-1].number + 1 if game.rounds else 0 : game.at]
        told = "".join(f"<small>(In between, without a word to guess: {self._said(t)})</small><br>" for t in quiet)
        if game.done:
            self.prompt.value = f"{told}<b>The support is over.</b> Press “Next speaker” for another one."
        else:
            self.prompt.value = (
                f"{told}<small>Speaker {self.index}, support turn {game.at + 1} of {self.shots}; state so far: "
                f"{said_html(self.source, 'state', game.turn.previous_state)}</small>"
                f"<div class='md-said'>{html.escape(self.source.text(game.turn.user))}</div>")
        self.says.value = html.escape(self._last() + game.text()) + (
            " <small>(You have looked at the answers.)</small>" if self.peeked else "")
        self._show_bets()
        self._show_tables()

    def _said(self, turn: Turn) -> str:
        return f"“{html.escape(self.source.text(turn.user))}” → “{html.escape(self.source.text(turn.response))}”"

    def _show_bets(self) -> None:
        self.betting.children = tuple(bet.row(self.mode_choice.value) for bet in self.bets)

    def _last(self) -> str:
        """What the last turn cost."""
        if not self.game.rounds:
            return "Say what each word means to this speaker, and how sure you are; then press “Commit”. "
        last = self.game.rounds[-1]
        return (f"That turn cost you {last.nats['you']:.2f} nats and the optimum {last.nats['optimum']:.2f}. ")

    def _show_tables(self) -> None:
        game = self.game
        self.table.value = _rounds_html(self.source, game.rounds[-_ROWS:][::-1])
        self.notes.value = _notes_html(self.source, game.support[: game.at]) if self.notes_button.value else ""
        self.beliefs.value = _beliefs_html(game) if self.beliefs_button.value else ""
        self.lexicon.value = lexicon_html(game.task, game.support[: game.at]) if self.lexicon_button.value else ""

    # The picture -------------------------------------------------------------------------------------------------

    def build_figure(self) -> LivePlot:
        frame = layout(250, xaxis={"title": {"text": "support turn", "standoff": 4}, "range": [0, self.shots + 0.5]},
                       yaxis={"title": {"text": "nats paid so far", "standoff": 4}, "range": [0, 1]},
                       margin={"l": 55, "r": 15, "t": 30, "b": 45}, legend=ABOVE)
        return LivePlot([line(look, _NAMES[who]) for who, look in zip(PLAYERS, (LOOKS[0], FLOOR, LOOKS[1]))], frame)

    def picture(self) -> Picture:
        x = np.array([0, *(r.number + 1 for r in self.game.rounds)], np.float32)
        paid = [np.cumsum([0.0, *(r.nats[who] for r in self.game.rounds)]).astype(np.float32) for who in PLAYERS]
        top = 1.1 * max(1.0, *(float(row[-1]) for row in paid))
        return [{"x": x, "y": row} for row in paid], {"yaxis.range": [0, top]}

    def summary(self) -> str:
        return f"guess what a speaker of {self.source.name} means by each word; open in JupyterLab to play"


def _rounds_html(world: World, rounds: Sequence[Round]) -> str:
    """The last rounds, newest first: what each word meant, and what each player gave for it."""
    rows = []
    for each in rounds:
        for i, question in enumerate(each.asked):
            gave = [each.said[who][i][question.value] for who in PLAYERS]
            cells = "".join(f"<td>{100 * p:.3g} %</td>" for p in gave)
            word, value = world.words[question.slot][question.word], world.values[question.slot][question.value]
            rows.append(f"<tr><td>{each.number + 1}</td><td>{html.escape(word)} = <b>{html.escape(value)}</b></td>"
                        f"{cells}</tr>")
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in _NAMES.values())
    return ("<table class='md-table'><tr><th>turn</th><th>it meant</th>" + head + "</tr>" + "".join(rows) + "</table>"
            "<small>The probability that each gave to what was meant.</small>")


def _notes_html(world: World, support: Sequence[Turn]) -> str:
    """What the support has said about the lexicon, slot by slot."""
    known: dict[int, dict[str, None]] = {}
    for slot, word, value in heard(support):
        known.setdefault(slot, {})[f"{world.words[slot][word]} = {world.values[slot][value]}"] = None
    rows = [f"<tr><th>{html.escape(name)}</th><td>{html.escape(', '.join(known.get(s, {})) or '–')}</td>"
            f"<td><small>{html.escape(', '.join(world.values[s]))}</small></td></tr>"
            for s, name in enumerate(world.slots)]
    return ("<table class='md-table'><tr><th>slot</th><th>heard so far</th><th>its values</th></tr>"
            f"{''.join(rows)}</table>")


def _beliefs_html(game: Game) -> str:
    """The optimum's p(value | word) before the turn that is being played, one table a slot."""
    tables = []
    for slot, words in game.reference.posterior(game.support[: game.at]).lexicon().items():
        head = "".join(f"<th>{html.escape(value)}</th>" for value in next(iter(words.values())))
        rows = "".join(
            f"<tr><th>{html.escape(word)}</th>" + "".join(
                f"<td style='background:rgba(86,180,233,{0.75 * p:.2f})'>{100 * p:.0f} %</td>" for p in row.values())
            + "</tr>" for word, row in words.items())
        tables.append(f"<table class='md-table'><tr><th>{html.escape(slot)}</th>{head}</tr>{rows}</table>")
    return f"<div class='md-tables'>{''.join(tables)}</div>"

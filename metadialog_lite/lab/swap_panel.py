"""The swap panel: two speakers, two thetas, and what happens when each system gets the other one's."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import ipywidgets as w

from metadialog_lite.decoding import Chat, Reply, words_of
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.speaker import lexicon_html, resolve, said_html
from metadialog_lite.turns import EMPTY, TaskSource
from metadialog_lite.world import World

_NAMES = ("A", "B")


class Exchange(NamedTuple):
    """One message: its text, what each theta replies, and the state that each speaker would mean by it."""

    text: str
    replies: tuple[Reply, Reply]
    meant: tuple[tuple[str, ...], tuple[str, ...]]


class SwapPanel(ui.Panel):
    """The same words to the systems of speakers A and B; "Swap θ" gives each system the parameters of the other.

    Args:
        learner: a learner, a training panel, or a function that returns one of them.
        source: a toy world; speakers come from its test split, two neighbours at a time.
        seed: which series of speakers.
        shots: support turns that each theta was made from.
    """

    def __init__(self, learner: Any, source: TaskSource, seed: int = 0, shots: int = 16) -> None:
        if not isinstance(source, World):
            raise ValueError(f"source: got {source!r}; a toy world is needed, because only there meanings are known")
        if isinstance(shots, bool) or not isinstance(shots, int) or not 0 <= shots <= 32:
            raise ValueError(f"shots: got {shots!r}; a whole number from 0 to 32 is needed")
        super().__init__(f"Two speakers of {source.name} swap their θ")
        self.source, self.seed, self.shots = source, seed, shots
        self._get = resolve(learner)
        self.index = self._dialogue = 0
        self._chats: tuple[Chat, ...] = ()  # with the theta of A, of B
        self.losses: list[list[float]] = []  # [speaker whose new turns][whose theta], nats per turn
        self.history: list[Exchange] = []
        self._work = ui.Background(self.fail)
        self.entry = w.Text(description="Both say", placeholder="type, or press one of the suggestions",
                            style={"description_width": "initial"}, layout=w.Layout(flex="1 1 320px"),
                            continuous_update=False)
        self.send_button = ui.button("Send", "Say it to both systems", "paper-plane", "success")
        self.swap_button = ui.toggle("Swap θ", "Give each system the parameters of the other", "exchange")
        self.reset_button = ui.button("New dialogue", "Empty both states", "undo")
        self.speaker_button = ui.button("Next two speakers", "Two other held-out speakers", "user")
        self.lexicon_button = ui.toggle("Reveal both lexicons", "What their words mean", "eye")
        self.suggestions, self.lexicons = ui.row(), ui.text_line()
        self.says = ui.text_line("Say something: both θ are made then.", "md-live")
        self.columns, self.table = ui.text_line(), ui.text_line()
        self.send_button.on_click(lambda _: self.say(self.entry.value))
        self.entry.observe(lambda change: self.say(change["new"]), "value")  # Enter
        self.swap_button.observe(lambda _: self._show(), "value")
        self.reset_button.on_click(lambda _: self.reset())
        self.speaker_button.on_click(lambda _: self.next_speakers())
        self.lexicon_button.observe(lambda _: self._reveal(), "value")
        self.children = (
            self.guard, self.title, ui.row(self.entry, self.send_button, self.swap_button), self.suggestions,
            self.error, self.says, self.columns, self.table,
            ui.row(self.reset_button, self.speaker_button, self.lexicon_button), self.lexicons,
        )
        self.reset()

    # What the controls do ----------------------------------------------------------------------------------------

    def tasks(self) -> tuple[Any, Any]:
        """Speakers A and B."""
        return self.source.task("test", self.seed, self.index), self.source.task("test", self.seed, self.index + 1)

    def say(self, text: str) -> None:
        """Say ``text`` to both systems; the answers appear when they are ready."""
        text = text.strip()
        if not text:
            return
        self.clear_error()
        self.entry.value = ""
        self.says.value = "…" if self._chats else "Reading both supports …"
        self._work.run(lambda: self._answer(text))

    def reset(self) -> None:
        """A new dialogue with the same speakers, and other suggestions."""
        self.history = []
        for chat in self._chats:
            chat.reset()
        dialogue = self.tasks()[0].dialogues(self._dialogue + 1)[self._dialogue]
        self._dialogue += 1
        buttons = []
        for turn in dialogue[:5]:
            text = self.source.text(turn.user)
            one = ui.button(text if len(text) <= 60 else text[:57] + "…", f"Say: {text}")
            one.on_click(lambda _, text=text: self.say(text))
            buttons.append(one)
        self.suggestions.children = (ui.text_line("Say for example:"), *buttons)
        self.columns.value = ""
        if self._chats:
            self.says.value = "A new dialogue: both states are empty."

    def next_speakers(self) -> None:
        """Two other speakers."""
        self.index, self._dialogue, self._chats, self.losses = self.index + 2, 0, (), []
        self.table.value = ""
        self.reset()
        self._reveal()
        self.says.value = f"Speakers {self.index} (A) and {self.index + 1} (B). Say something."

    def wait(self, seconds: float = 60) -> bool:
        """Wait for the background work (tests and scripts)."""
        return self._work.wait(seconds)

    def fail(self, error: BaseException | str) -> None:
        self.says.value = ""
        super().fail(error)

    # The work ----------------------------------------------------------------------------------------------------

    def _answer(self, text: str) -> None:
        tasks = self.tasks()
        if not self._chats:
            learner = self._get()
            models = [learner.adapt(task.support(self.shots)) for task in tasks]
            self.losses = [[float(model.nll(task.query(16)).sum(-1).mean()) for model in models] for task in tasks]
            self._chats = tuple(Chat(model, learner.vocabulary, self.source) for model in models)
        first, second = (chat.say(text) for chat in self._chats)
        before = self.history[-1].meant if self.history else ((EMPTY,) * len(first.state),) * 2
        words = words_of(text, self._chats[0].vocabulary)
        meant = tuple(state_meant(task.lexicon, words, old) for task, old in zip(tasks, before, strict=True))
        self.history.append(Exchange(text, (first, second), (meant[0], meant[1])))
        self._show()

    def _show(self) -> None:
        """The dialogue as the two systems hear it, with their own or with swapped parameters."""
        if not self.history:
            return
        swapped = self.swap_button.value
        self.columns.value = self._columns(swapped)
        self.table.value = self._losses(swapped)
        rights = []
        for speaker, name in enumerate(_NAMES):
            whose = 1 - speaker if swapped else speaker
            last = self.history[-1]
            right, named = agree(last.replies[whose].state, last.meant[speaker])
            rights.append(f"{name}'s system, with the θ of {_NAMES[whose]}, has {right} of {named} slots as {name} "
                          "means them")
        unknown = self.history[-1].replies[0].unknown
        more = f" Words that the model has never seen: {', '.join(unknown)}." if unknown else ""
        self.says.value = html.escape(f"{'Swapped' if swapped else 'Each with its own θ'}: {'; '.join(rights)}.{more}")

    def _columns(self, swapped: bool) -> str:
        whose = [1 - i if swapped else i for i in (0, 1)]
        head = "".join(f"<th>system of speaker {name}, with θ<sub>{_NAMES[whose[i]]}</sub></th>"
                       for i, name in enumerate(_NAMES))
        rows = [f"<tr><th></th>{head}</tr>"]
        for text, replies, meant in self.history:
            rows.append(f"<tr><th>user</th><td colspan='2'><b>{html.escape(text)}</b></td></tr>")
            cells = []
            for speaker in (0, 1):
                reply = replies[whose[speaker]]
                cells.append(f"<td><small>state: {self._marked(reply.state, meant[speaker])}</small><br>"
                             f"<small>act: {said_html(self.source, 'act', reply.act)}</small><br>"
                             f"{said_html(self.source, 'response', reply.response)}</td>")
            rows.append(f"<tr><th>system</th>{''.join(cells)}</tr>")
        return f"<table class='md-table md-wide'>{''.join(rows)}</table><small>✓ ✗ = as this speaker means it</small>"

    def _marked(self, state: Sequence[str], meant: Sequence[str]) -> str:
        if len(state) != len(meant):
            return said_html(self.source, "state", state)
        marks = [f"{html.escape(value)} {'✓' if value == right else '✗'}" if (value, right) != (EMPTY, EMPTY) else EMPTY
                 for value, right in zip(state, meant, strict=True)]
        return " · ".join(marks)

    def _losses(self, swapped: bool) -> str:
        rows = []
        for i, name in enumerate(_NAMES):
            used = 1 - i if swapped else i
            cells = "".join(f"<td>{'<b>' * (j == used)}{loss:.2f}{'</b>' * (j == used)}</td>"
                            for j, loss in enumerate(self.losses[i]))
            rows.append(f"<tr><th>new turns of {name}</th>{cells}</tr>")
        return ("<table class='md-table'><tr><th>nats per turn</th><th>with θ<sub>A</sub></th>"
                f"<th>with θ<sub>B</sub></th></tr>{''.join(rows)}</table>")

    def _reveal(self) -> None:
        parts = [f"<td><b>{name}</b>{lexicon_html(task, task.support(self.shots))}</td>"
                 for name, task in zip(_NAMES, self.tasks(), strict=True)]
        self.lexicons.value = f"<table><tr>{''.join(parts)}</tr></table>" if self.lexicon_button.value else ""

    def summary(self) -> str:
        return f"two speakers of {self.source.name} swap their θ; open in JupyterLab to talk"


def state_meant(lexicon: dict[str, dict[str, str]], words: Sequence[str], before: Sequence[str]) -> tuple[str, ...]:
    """The state that a speaker with this lexicon means by ``words`` after the state ``before``."""
    state = list(before)
    for s, meaning in enumerate(lexicon.values()):
        for word in words:
            state[s] = meaning.get(word, state[s])
    return tuple(state)


def agree(state: Sequence[str], meant: Sequence[str]) -> tuple[int, int]:
    """(slots that are filled as meant, slots that are meant to be filled)."""
    named = [(value, right) for value, right in zip(state, meant, strict=False) if right != EMPTY]
    return sum(value == right for value, right in named), sum(right != EMPTY for right in meant)

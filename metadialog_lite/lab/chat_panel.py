"""Chat with the generator before and after adaptation, side by side."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as w

from metadialog_lite.decoding import Chat
from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.speaker import lexicon_html, resolve, said_html
from metadialog_lite.turns import TaskSource


class ChatPanel(ui.Panel):
    """The same words to the model before (θ₀) and after adaptation (θ′) to one speaker; each keeps its own state.

    Args:
        learner: a learner, a training panel, or a function that returns one of them.
        source: world or corpus; the speaker comes from its test split.
        seed: which series of speakers.
        shots: support turns that the right-hand model has adapted to.
    """

    def __init__(self, learner: Any, source: TaskSource, seed: int = 0, shots: int = 16) -> None:
        super().__init__(f"Chat on {source.name}: before and after adaptation")
        if isinstance(shots, bool) or not isinstance(shots, int) or not 0 <= shots <= 32:
            raise ValueError(f"shots: got {shots!r}; a whole number from 0 to 32 is needed")
        self.source, self.seed, self.shots = source, seed, shots
        self._get = resolve(learner)
        self.index = self._dialogue = 0
        self._chats: tuple[Chat, ...] = ()  # before, after
        self.history: list[tuple[str, Any, Any]] = []  # (user text, reply before, reply after)
        self._work = ui.Background(self.fail)
        self.entry = w.Text(description="You say", placeholder="type, or press one of the suggestions",
                            style={"description_width": "initial"}, layout=w.Layout(flex="1 1 320px"),
                            continuous_update=False)
        self.send_button = ui.button("Send", "Say it to both", "paper-plane", "success")
        self.reset_button = ui.button("New dialogue", "Empty both states", "undo")
        self.speaker_button = ui.button("Next speaker", "Adapt to another speaker", "user")
        self.lexicon_button = ui.toggle("Reveal the lexicon", "What this speaker's words mean", "eye")
        self.suggestions = ui.row()
        self.says = ui.text_line("Say something: the models are made then.", "md-live")
        self.columns, self.lexicon = ui.text_line(), ui.text_line()
        self.send_button.on_click(lambda _: self.say(self.entry.value))
        self.entry.observe(lambda change: self.say(change["new"]), "value")  # Enter
        self.reset_button.on_click(lambda _: self.reset())
        self.speaker_button.on_click(lambda _: self.next_speaker())
        self.lexicon_button.observe(lambda _: self._reveal(), "value")
        self.children = (
            self.guard, self.title, ui.row(self.entry, self.send_button),
            self.suggestions, self.error, self.says, self.columns,
            ui.row(self.reset_button, self.speaker_button, self.lexicon_button), self.lexicon,
        )
        self.reset()

    @property
    def task(self) -> Any:
        """The speaker."""
        return self.source.task("test", self.seed, self.index)

    def say(self, text: str) -> None:
        """Say ``text`` to both models; the answers appear when they are ready."""
        text = text.strip()
        if not text:
            return
        self.clear_error()
        self.entry.value = ""
        self.says.value = "Adapting …" if not self._chats else "…"
        self._work.run(lambda: self._answer(text))

    def reset(self) -> None:
        """A new dialogue with the same speaker, and other suggestions."""
        self.history = []
        for chat in self._chats:
            chat.reset()
        try:
            dialogue = self.task.dialogues(self._dialogue + 1)[self._dialogue]
        except ValueError:  # a real person has only so many conversations
            self._dialogue = 0
            dialogue = self.task.dialogues(1)[0]
        self._dialogue += 1
        buttons = []
        for turn in dialogue[:5]:
            text = self.source.text(turn.user)
            short = text if len(text) <= 60 else text[:57] + "…"
            one = ui.button(short, f"Say: {text}")
            one.on_click(lambda _, text=text: self.say(text))
            buttons.append(one)
        self.suggestions.children = (ui.text_line("This speaker might say:"), *buttons)
        self.columns.value = ""
        if self._chats:
            self.says.value = "A new dialogue: both states are empty."

    def next_speaker(self) -> None:
        """Another held-out speaker; the right-hand model adapts to this one."""
        self.index, self._dialogue, self._chats = self.index + 1, 0, ()
        self.reset()
        self._reveal()
        self.says.value = f"Speaker {self.index}. Say something."

    def fail(self, error: BaseException | str) -> None:
        self.says.value = ""
        super().fail(error)

    def wait(self, seconds: float = 60) -> bool:
        """Wait for the background work (tests and scripts)."""
        return self._work.wait(seconds)

    def _answer(self, text: str) -> None:
        if not self._chats:
            learner = self._get()
            models = learner.adapt([]), learner.adapt(self.task.support(self.shots))
            self._chats = tuple(Chat(model, learner.vocabulary, self.source) for model in models)
        replies = [chat.say(text) for chat in self._chats]
        self.history.append((text, replies[0], replies[1]))
        self.columns.value = self._table()
        different = [n for n in ("state", "act", "response") if getattr(replies[0], n) != getattr(replies[1], n)]
        said = f"Before and after differ in {', '.join(different)}." if different else "Before and after say the same."
        if unknown := replies[0].unknown:
            said += f" Words this model has never seen: {', '.join(unknown)}."
        self.says.value = html.escape(said)

    def _table(self) -> str:
        head = (f"<tr><th></th><th>before adaptation</th><th>after {self.shots} support turns of speaker {self.index}"
                "</th></tr>")
        rows = []
        for text, *replies in self.history:
            rows.append(f"<tr><th>you</th><td colspan='2'><b>{html.escape(text)}</b></td></tr>")
            cells = []
            for reply in replies:
                details = [f"<small>{name}: {said_html(self.source, name, value)}</small><br>"
                           for name, value in (("state", reply.state), ("act", reply.act)) if value]
                answer = said_html(self.source, "response", reply.response)
                cells.append(f"<td>{''.join(details)}{answer}</td>")
            rows.append(f"<tr><th>system</th>{''.join(cells)}</tr>")
        return f"<table class='md-table md-wide'>{head}{''.join(rows)}</table>"

    def _reveal(self) -> None:
        self.lexicon.value = lexicon_html(self.task, self.task.support(self.shots)) if self.lexicon_button.value else ""

    def summary(self) -> str:
        return f"chat on {self.source.name}; open in JupyterLab to talk"

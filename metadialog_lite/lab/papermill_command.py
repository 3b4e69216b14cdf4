"""What panels with a "Copy as papermill command" button share: the command's words, the button, its field and hint."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import ipywidgets as w

from metadialog_lite.lab import widgets as ui

_COPIED = "The command is on the clipboard."
_REFUSED = "Your browser does not let a page copy: mark the command in its field and press Ctrl+C."


def papermill_command(notebook: str, values: Mapping[str, object], results: Path | None = None) -> str:
    """The command that runs a notebook with ``values`` as its parameters, for a shell.

    ``results`` is the folder of stored runs, when it is not the shipped one; it is named in full, because the command
    may run in another folder.
    """
    words = ["papermill", f"notebooks/{notebook}", "out.ipynb"]
    if results is not None:
        values = {**values, "results": results.resolve()}
    for name, value in values.items():
        words += ["-p", name, str(value)]
    return shlex.join(words)


class CommandPanel(ui.Panel):
    """A panel that can go back to how it began, and say by which command the same is had without a browser.

    A subclass says what ``reset`` and ``command`` do, and places ``reset_button``, ``copy_button``, ``command_field``
    and ``hint`` among its children.

    Args:
        title: the panel's title.
        reset_tip: what the Reset button says of itself.
        copy_tip: what the copy button says of itself.
    """

    def __init__(self, title: str, reset_tip: str = "Back to what the notebook's parameters say",
                 copy_tip: str = "The same without a browser") -> None:
        super().__init__(title)
        self.reset_button = ui.button("Reset", reset_tip, "undo")
        self.copy_button = ui.button("Copy as papermill command", copy_tip, "copy")
        self.command_field = w.Text(description="Command", placeholder="press Copy as papermill command",
                                    style={"description_width": "initial"}, layout=w.Layout(flex="1 1 300px"))
        self.hint = ui.text_line("", "md-quiet")
        self.reset_button.on_click(lambda _: self.reset())
        self.copy_button.on_click(lambda _: self._copy())
        self.guard.on_copied = self._copied

    def reset(self) -> None:
        """What the Reset button does."""
        raise NotImplementedError

    def command(self) -> str:
        """The papermill command that shows the same without a browser."""
        raise NotImplementedError

    def _copy(self) -> None:
        self.command_field.value = self.command()
        self.guard.copy(self.command_field.value)

    def _copied(self, done: bool) -> None:
        self.hint.value = _COPIED if done else _REFUSED

"""The browser's half of every panel: keyboard guard, names for screen readers, clipboard, "somebody is looking"."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"


class Guard(anywidget.AnyWidget):
    """An invisible widget that a panel holds among its children; what it does is said in ``static/guard.js``.

    ``views`` counts how often a browser has shown the panel. Under papermill and nbval it stays 0.
    """

    _esm = (_STATIC / "guard.js").read_text(encoding="utf-8")
    _css = (_STATIC / "guard.css").read_text(encoding="utf-8")
    views = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.on_copied: Callable[[bool], None] = lambda done: None
        self.on_msg(self._heard)

    def copy(self, text: str) -> None:
        """Ask the browser to put ``text`` on the clipboard; ``on_copied`` hears whether it could."""
        self.send({"copy": text})

    def _heard(self, _: Any, content: Any, __: Any) -> None:
        if isinstance(content, dict) and "copied" in content:
            self.on_copied(bool(content["copied"]))

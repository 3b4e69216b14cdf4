"""What the panels share: the frame, labelled controls, lines of text, and work in the background."""

from __future__ import annotations

import html
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as w

from metadialog_lite.lab.guard import Guard
from metadialog_lite.lab.live_plot import LivePlot, Picture

_WIDE = {"description_width": "initial"}


class Panel(w.VBox):
    """A frame round controls, a figure and lines of text.

    Nothing heavy is made before a browser shows the panel: ``build_figure`` is called then, and never in a
    notebook that runs without a browser (papermill, nbval), where the panel is one line of text.
    """

    def __init__(self, title: str) -> None:
        self.guard = Guard()
        self.title = text_line(f"<b>{html.escape(title)}</b>", "md-title")
        self.plot = w.Box(layout=w.Layout(width="100%", overflow="hidden"))
        self.plot.add_class("md-plot")
        self.error = text_line("", "md-error", "md-live")
        self.error.layout.display = "none"
        self.figure: LivePlot | None = None
        super().__init__(layout=w.Layout(width="100%", overflow="visible"))
        self.add_class("md-panel")
        self.guard.observe(lambda _: self._seen(), "views")

    def _seen(self) -> None:
        """A browser shows the panel: make the figure."""
        if self.figure is None:
            try:
                self.figure = self.build_figure()
                if self.figure is not None:
                    self.redraw()
                    self.plot.children = (self.figure,)
            except Exception as error:  # a traceback in a widget callback is seen by nobody
                self.fail(error)

    def build_figure(self) -> LivePlot | None:
        """The panel's live figure, or None."""
        return None

    def picture(self) -> Picture:
        """What the figure should show now."""
        return [], {}

    def redraw(self) -> None:
        """Bring the figure up to date as soon as the browser can."""
        if self.figure is not None:
            self.figure.draw(self.picture)

    def summary(self) -> str:
        """What a notebook without a browser shows of this panel, one line."""
        return "open this notebook in JupyterLab to use it"

    def fail(self, error: BaseException | str) -> None:
        """Show an error in the panel, with its kind when it is not one of ours."""
        text, detail = str(error), ""
        if isinstance(error, BaseException) and not isinstance(error, ValueError):
            trace = html.escape("".join(traceback.format_exception(error)))
            text = f"{type(error).__name__}: {error}"
            detail = f"<details><summary>details</summary><pre>{trace}</pre></details>"
        self.error.value = html.escape(text) + detail
        self.error.layout.display = ""

    def clear_error(self) -> None:
        """Take the error away."""
        self.error.value, self.error.layout.display = "", "none"

    def __repr__(self) -> str:
        return f"[{type(self).__name__}: {self.summary()}]"


def text_line(value: str = "", *classes: str) -> w.HTML:
    """A line of text (HTML; escape what was not written here)."""
    line = w.HTML(value, layout=w.Layout(width="auto", margin="0"))
    for name in ("md-text", *classes):
        line.add_class(name)
    return line


def row(*children: w.Widget) -> w.Box:
    """Controls side by side, on several lines where the window is narrow."""
    box = w.Box(children, layout=w.Layout(width="100%"))
    box.add_class("md-row")
    return box


def button(text: str, tip: str, icon: str = "", style: str = "") -> w.Button:
    """A button; its text is its name, ``tip`` says more."""
    return w.Button(description=text, tooltip=tip, icon=icon, button_style=style, layout=w.Layout(width="auto"))


def reset_button(controls: Sequence[Any], begin_again: Callable[[], None]) -> w.Button:
    """“Reset”: bring controls back to the values that they have now, then call ``begin_again``."""
    first = [(control, control.value) for control in controls]
    made = button("Reset", "Back to how the panel began", "undo")

    def back(_: Any) -> None:
        for control, value in first:
            control.value = value
        begin_again()

    made.on_click(back)
    return made


def toggle(text: str, tip: str, icon: str = "") -> w.ToggleButton:
    """A button that stays pressed."""
    return w.ToggleButton(description=text, tooltip=tip, icon=icon, layout=w.Layout(width="auto"))


def choice(label: str, options: Sequence[Any], value: Any, tip: str = "", width: str = "") -> w.Dropdown:
    """One of several."""
    return w.Dropdown(description=label, options=list(options), value=value, tooltip=tip, style=_WIDE,
                      layout=w.Layout(width=width or "auto"))


def whole(label: str, value: int, low: int, high: int, tip: str = "", width: str = "300px") -> w.IntSlider:
    """A whole number on a slider."""
    return w.IntSlider(description=label, value=value, min=low, max=high, tooltip=tip, style=_WIDE,
                       continuous_update=True, layout=w.Layout(width=width))


def rate(label: str, value: float, tip: str = "") -> w.SelectionSlider:
    """A slider over round rates from 0.00001 to 10, four a decade; ``value`` joins them when it is not one of them."""
    ladder = {round(m * 10.0**e, 10) for e in range(-5, 1) for m in (1, 2, 3, 5)} | {10.0, float(value)}
    return w.SelectionSlider(description=label, options=[(f"{r:.6g}", r) for r in sorted(ladder)], value=float(value),
                             tooltip=tip, style=_WIDE, continuous_update=True, layout=w.Layout(width="300px"))


class Background:
    """One job at a time in a thread of its own; a new one asked for meanwhile starts when the first has ended.

    Args:
        failed: hears what went wrong (from the thread).
        patience: seconds to wait before a job, in case a newer one makes it needless.
    """

    def __init__(self, failed: Callable[[BaseException], None], patience: float = 0.0) -> None:
        self._failed, self._patience = failed, patience
        self._lock = threading.Lock()
        self._next: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def run(self, job: Callable[[], None]) -> None:
        """Start ``job`` now, or as soon as the running one has ended; only the last one asked for is kept."""
        with self._lock:
            self._next = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, daemon=True)
                self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left to do; False when it took too long."""
        thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return self._thread is None

    def _loop(self) -> None:
        while True:
            with self._lock:
                job, self._next = self._next, None
                if job is None:
                    self._thread = None
                    return
            if self._patience:
                time.sleep(self._patience)
                if self._next is not None:
                    continue
            try:
                job()
            except Exception as error:
                self._failed(error)

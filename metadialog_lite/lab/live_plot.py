"""A plotly figure for live data: light in the notebook, and never sent faster than the browser draws.

Why not plotly's FigureWidget: each one puts 5 MB of JavaScript into the page and into a saved notebook, anywidget gives
up on it when a slow machine needs more than two seconds to read that, and nothing tells the kernel that the browser
is behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

_STATIC = Path(__file__).parent / "static"
#: After so many seconds without an answer the browser is asleep or gone; try again, this often.
_PATIENCE = 3.0

#: For each trace what changes, for example ``{"x": float32 array, "y": float32 array}``; and changes of the layout.
Picture = tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]


class LivePlot(anywidget.AnyWidget):
    """Plotly traces and a layout as plain dictionaries; ``draw`` replaces their numbers.

    Args:
        traces: as plotly writes them, without numbers.
        layout: as plotly writes it.
        width: CSS width; the figure follows its place.
        rest: how long the browser rests after a drawing, in multiples of what that drawing took. A curve that draws
            itself leaves half of the page's time to sliders elsewhere with 1.
    """

    _esm = (_STATIC / "live_plot.js").read_text(encoding="utf-8")
    traces: Any = traitlets.List().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)  # plotly's layout; the name ``layout`` is taken by ipywidgets
    height = traitlets.Int(320).tag(sync=True)
    width = traitlets.Unicode("100%").tag(sync=True)
    rest = traitlets.Float(0.0).tag(sync=True)

    def __init__(self, traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], width: str = "100%",
                 rest: float = 0.0) -> None:
        bare = [{k: v for k, v in trace.items() if k not in ("x", "y") or isinstance(v, list)} for trace in traces]
        frame = {k: v for k, v in layout.items() if k != "template"}  # a name that only plotly's Python side knows
        super().__init__(traces=bare, frame=frame, height=int(layout.get("height", 320)), width=width,
                         rest=rest)
        self.data: list[dict[str, Any]] = [dict(trace) for trace in traces]  # what was drawn last
        self.draws = 0  # sent to the browser
        self.shown = 0  # answered by the browser
        self.on_shown: Callable[[int], None] = lambda n: None
        self._lock = threading.RLock()
        self._make: Callable[[], Picture] | None = None
        self._ready = self._again = False
        self._sent_at = 0.0
        self.on_msg(self._heard)

    def draw(self, make: Callable[[], Picture]) -> None:
        """Draw what ``make()`` returns: now, or, when the browser is still busy, what it returns then.

        May be called from any thread and as often as one likes.
        """
        with self._lock:
            self._make = make
            waiting = self.shown < self.draws and time.monotonic() - self._sent_at < _PATIENCE
            if not self._ready or waiting:
                self._again = True
                if not self._ready:  # nobody looks: remember the numbers for those who ask for them
                    self.data = [dict(change) for change in make()[0]]
                return
            self._transmit()

    def _transmit(self) -> None:
        assert self._make is not None
        changes, layout = self._make()
        self.data = [dict(change) for change in changes]
        arrays: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        place = 0
        traces = []
        for change in changes:
            packed: dict[str, Any] = {}
            for name, value in change.items():
                if isinstance(value, np.ndarray):
                    packed[name] = {"at": place, "length": len(value)}
                    arrays.append(np.ascontiguousarray(value, np.float32))
                    place += len(value)
                else:
                    packed[name] = value
            traces.append(packed)
        self.draws += 1
        self._again, self._sent_at = False, time.monotonic()
        buffer = np.concatenate(arrays).tobytes() if arrays else b""
        self.send({"kind": "draw", "n": self.draws, "traces": traces, "layout": dict(layout)}, [buffer])

    def _heard(self, _: Any, content: Any, __: Any) -> None:
        if not isinstance(content, dict):
            return
        if content.get("want") == "library":
            self.send({"kind": "library"}, [_library()])
        elif content.get("ready"):  # a browser shows the figure: send what there is, all of it
            with self._lock:
                self._ready, self.shown = True, self.draws
                if self._make is not None:
                    self._transmit()
        elif "drawn" in content:
            with self._lock:
                self.shown = max(self.shown, int(content["drawn"]))
                if self._again and self.shown >= self.draws:
                    self._transmit()
            self.on_shown(self.shown)


def _library() -> bytes:
    """plotly.js as it comes with the plotly package."""
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package plotly is not installed: pip install plotly")
    return (Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js").read_bytes()

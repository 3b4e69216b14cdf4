"""The step panel: one number θ, two parabolas, and what a gradient step on one does to the loss on the other."""

from __future__ import annotations

import html
from typing import NamedTuple

import ipywidgets as w
import numpy as np

from metadialog_lite.lab import widgets as ui
from metadialog_lite.lab.figures import ABOVE, LOOKS, layout, line
from metadialog_lite.lab.live_plot import LivePlot, Picture

#: Curvature and minimum of the query parabola; those of the support are on sliders.
QUERY_CURVATURE, QUERY_MINIMUM = 1.0, 1.0
OUTER_RATE = 0.3  # β of the button
_X = np.linspace(-3, 3, 121)
_START = {"theta": -2.0, "alpha": 0.4, "curvature": 1.0, "minimum": 0.0}


class StepState(NamedTuple):
    """One number θ and the support parabola L_S = ½ a (θ − s)²; the query's is L_Q = ½ b (θ − q)²."""

    theta: float
    alpha: float
    curvature: float  # a
    minimum: float  # s

    @property
    def after(self) -> float:
        """EQ-MAML-1: θ′ = θ − α a (θ − s)."""
        return self.theta - self.alpha * self.curvature * (self.theta - self.minimum)

    @property
    def factor(self) -> float:
        """dθ′/dθ = 1 − α a: what first order leaves out."""
        return 1 - self.alpha * self.curvature

    @property
    def query_gradient(self) -> float:
        """dL_Q/dθ′ = b (θ′ − q)."""
        return QUERY_CURVATURE * (self.after - QUERY_MINIMUM)

    @property
    def through(self) -> float:
        """EQ-MAML-2: dL_Q(θ′(θ))/dθ = b (θ′ − q) (1 − α a)."""
        return self.query_gradient * self.factor

    def text(self) -> str:
        """What the figure says."""
        said = (f"θ = {self.theta:.2f} becomes θ′ = {self.after:.2f}; the query loss there is "
                f"{parabola(self.after, QUERY_CURVATURE, QUERY_MINIMUM):.3f}. Where θ moves by 1, θ′ moves by "
                f"1 − αa = {self.factor:.2f}. Outer gradient: {self.query_gradient:.3f} · {self.factor:.2f} = "
                f"{self.through:.3f}; first order takes {self.query_gradient:.3f}")
        if self.factor < -1e-9:
            said += " and so walks the wrong way: the step jumps over the minimum, and θ′ moves against θ"
        elif abs(self.factor) < 1e-9:
            said += ", though θ has no influence on θ′ any more: the step always lands in the support's minimum"
        return said + "."


def parabola(x: float | np.ndarray, curvature: float, minimum: float) -> float | np.ndarray:
    """½ · curvature · (x − minimum)²."""
    return 0.5 * curvature * (x - minimum) ** 2


class StepPanel(ui.Panel):
    """θ′ = θ − α∇L_S(θ) with one number: move θ and α, and see the query loss after the step as a function of θ."""

    def __init__(self) -> None:
        super().__init__("One number, one step: from where should one start?")
        self.sliders = {
            "theta": self._slider("θ", _START["theta"], -3, 3, "Where one starts"),
            "alpha": self._slider("α", _START["alpha"], 0, 2.5, "The rate of the step"),
            "curvature": self._slider("a: curvature of L_S", _START["curvature"], 0.2, 2, "How steep L_S is"),
            "minimum": self._slider("s: minimum of L_S", _START["minimum"], -2, 2, "Where L_S is 0"),
        }
        self.outer_button = ui.button("Outer step", f"θ ← θ − {OUTER_RATE} · outer gradient", "step-forward", "success")
        self.order_toggle = ui.toggle("First order", "Leave out the factor 1 − αa")
        self.reset_button = ui.button("Reset", "As in the beginning", "undo")
        self.says = ui.text_line("", "md-live")
        for slider in self.sliders.values():
            slider.observe(lambda _: self._show(), "value")
        self.outer_button.on_click(lambda _: self.outer_step())
        self.reset_button.on_click(lambda _: self.reset())
        self.children = (self.guard, self.title, ui.row(*self.sliders.values()),
                         ui.row(self.outer_button, self.order_toggle, self.reset_button), self.error, self.says,
                         self.plot)
        self._show()

    def _slider(self, label: str, value: float, low: float, high: float, tip: str) -> w.FloatSlider:
        return w.FloatSlider(description=label, value=value, min=low, max=high, step=0.05, tooltip=tip,
                             style={"description_width": "initial"}, layout=w.Layout(width="300px"))

    @property
    def state(self) -> StepState:
        """What the sliders say."""
        return StepState(**{name: float(slider.value) for name, slider in self.sliders.items()})

    def outer_step(self) -> None:
        """θ ← θ − β · outer gradient, of the order that is chosen."""
        state = self.state
        gradient = state.query_gradient if self.order_toggle.value else state.through
        self.sliders["theta"].value = float(np.clip(state.theta - OUTER_RATE * gradient, -3, 3))

    def reset(self) -> None:
        """As in the beginning."""
        self.order_toggle.value = False
        for name, value in _START.items():
            self.sliders[name].value = value

    def _show(self) -> None:
        self.says.value = html.escape(self.state.text())
        self.redraw()

    def build_figure(self) -> LivePlot:
        frame = layout(300, xaxis={"title": {"text": "θ", "standoff": 4}, "range": [-3, 3]},
                       yaxis={"title": {"text": "loss", "standoff": 4}, "range": [-0.3, 5]},
                       margin={"l": 50, "r": 15, "t": 30, "b": 45}, hovermode="closest", legend=ABOVE)
        point = {"type": "scatter", "mode": "lines+markers", "name": "θ → θ′ (the step)",
                 "line": {"color": "#444444", "width": 2, "dash": "dot"},
                 "marker": {"size": [9, 15], "symbol": ["circle", "star"], "color": "#444444"}}
        names = ("L_S, the support loss", "L_Q, the query loss", "L_Q after the step, as a function of θ")
        return LivePlot([*(line(look, name, mode="lines") for look, name in zip(LOOKS, names)), point], frame)

    def picture(self) -> Picture:
        s = self.state
        after = _X - s.alpha * s.curvature * (_X - s.minimum)
        curves = [parabola(_X, s.curvature, s.minimum), parabola(_X, QUERY_CURVATURE, QUERY_MINIMUM),
                  parabola(after, QUERY_CURVATURE, QUERY_MINIMUM)]
        changes = [{"x": _X.astype(np.float32), "y": np.asarray(curve, np.float32)} for curve in curves]
        heights = [parabola(s.theta, s.curvature, s.minimum), parabola(s.after, QUERY_CURVATURE, QUERY_MINIMUM)]
        changes.append({"x": np.array([s.theta, s.after], np.float32), "y": np.array(heights, np.float32)})
        return changes, {}

    def summary(self) -> str:
        return "one number and one gradient step; open in JupyterLab to move them"

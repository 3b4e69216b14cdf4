"""Every panel has a reset, and it brings the panel back to how it began."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import Any

import pytest
import torch
from small import small, world

import metadialog_lite.lab
from metadialog_lite.lab import AdaptationPanel, GradientMicroscope, StructurePanel, ThetaPanel
from metadialog_lite.lab.widgets import Panel


def panels() -> list[type[Panel]]:
    """Every kind of panel in the package."""
    for module in pkgutil.iter_modules(metadialog_lite.lab.__path__):
        if module.name.endswith(("panel", "panels", "microscope")):
            import_module(f"metadialog_lite.lab.{module.name}")
    found, todo = [], [Panel]
    while todo:
        kinds = todo.pop().__subclasses__()
        found += [kind for kind in kinds if kind.__module__.startswith("metadialog_lite.")]
        todo += kinds
    return found


def test_every_panel_has_a_reset() -> None:
    kinds = panels()
    assert len(kinds) >= 10
    without = [kind.__name__ for kind in kinds if "reset_button" not in inspect.getsource(kind)
               and not any("reset_button" in inspect.getsource(base) for base in kind.__mro__[1:]
                           if issubclass(base, Panel) and base is not Panel)]
    assert without == []


def shaken(name: str) -> Any:
    """Untrained, but it depends on the support (phi begins with zeros)."""
    learner, random = small(name), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in learner.parameters():
            value += 0.3 * torch.randn(value.shape, generator=random)
    return learner


@pytest.mark.parametrize(("make", "controls"), [
    (lambda: ThetaPanel(shaken("hypernetwork"), world(), shots=2), ("turns_slider", "lexicon_button", "whose_choice")),
    (lambda: StructurePanel(shaken("structure_parameters"), world(), shots=2), ("turns_slider", "hard_button")),
    (lambda: AdaptationPanel(small(), world(), shots=2, most_steps=2), ("steps_slider", "lexicon_button")),
], ids=["theta", "structure", "adaptation"])
def test_reset_brings_everything_back(make: Any, controls: tuple[str, ...]) -> None:
    panel = make()
    first = {name: getattr(panel, name).value for name in controls}
    panel.index = 3
    for name in controls:
        control = getattr(panel, name)
        other = getattr(control, "options", None) or (False, True)
        control.value = control.max if hasattr(control, "max") else next(o for o in other if o != control.value)
    assert panel.wait()
    panel.reset_button.click()
    assert panel.wait()
    assert panel.error.value == ""
    assert panel.index == 0
    assert {name: getattr(panel, name).value for name in controls} == first
    assert panel.result is not None  # the first one, read anew


def test_reset_before_anything_was_computed_computes_nothing() -> None:
    for panel in (ThetaPanel(small("hypernetwork"), world(), shots=2), AdaptationPanel(small(), world(), shots=2)):
        panel.index = 1
        panel.reset_button.click()
        assert panel.wait()
        assert panel.index == 0
        assert panel.result is None


def test_the_microscope_forgets_what_it_measured() -> None:
    scope = GradientMicroscope(small(), world(), shots=1, query_turns=1, tasks=1)
    scope.directions_slider.value = 1
    scope.begin()
    assert scope.wait()
    assert scope.table.value
    scope.reset_button.click()
    assert scope.result is None
    assert (scope.table.value, scope.says.value, scope.directions_slider.value) == ("", "Press Measure.", 20)

"""What the notebooks show: live panels, predictions and checks.

Names are imported when first used, so that a notebook which only checks an answer does not load plotly or torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metadialog_lite.lab.adaptation_panel import AdaptationPanel
    from metadialog_lite.lab.capability_panel import CapabilityPanel
    from metadialog_lite.lab.challenge_panels import CostPanel, PoolPanel
    from metadialog_lite.lab.chat_panel import ChatPanel
    from metadialog_lite.lab.check import Verdict, check
    from metadialog_lite.lab.comparison_panel import ComparisonPanel
    from metadialog_lite.lab.data_panel import DataPanel
    from metadialog_lite.lab.figures import show
    from metadialog_lite.lab.guess_panel import GuessPanel
    from metadialog_lite.lab.microscope import GradientMicroscope
    from metadialog_lite.lab.museum_panel import BugMuseum
    from metadialog_lite.lab.parameters import Parameters, parameters
    from metadialog_lite.lab.predict import predict
    from metadialog_lite.lab.questions_panel import QuestionsPanel
    from metadialog_lite.lab.real_panel import RealPanel
    from metadialog_lite.lab.sampler_panel import SamplerPanel
    from metadialog_lite.lab.step_panel import StepPanel
    from metadialog_lite.lab.structure_panel import StructurePanel
    from metadialog_lite.lab.swap_panel import SwapPanel
    from metadialog_lite.lab.theta_panel import ThetaPanel
    from metadialog_lite.lab.training_panel import TrainingPanel

_HOME = {
    "TrainingPanel": "training_panel",
    "AdaptationPanel": "adaptation_panel",
    "GradientMicroscope": "microscope",
    "ChatPanel": "chat_panel",
    "ThetaPanel": "theta_panel",
    "SwapPanel": "swap_panel",
    "DataPanel": "data_panel",
    "StructurePanel": "structure_panel",
    "CapabilityPanel": "capability_panel",
    "ComparisonPanel": "comparison_panel",
    "GuessPanel": "guess_panel",
    "SamplerPanel": "sampler_panel",
    "StepPanel": "step_panel",
    "CostPanel": "challenge_panels",
    "PoolPanel": "challenge_panels",
    "BugMuseum": "museum_panel",
    "QuestionsPanel": "questions_panel",
    "RealPanel": "real_panel",
    "show": "figures",
    "predict": "predict",
    "check": "check",
    "Verdict": "check",
    "parameters": "parameters",
    "Parameters": "parameters",
}

__all__ = ["AdaptationPanel", "BugMuseum", "CapabilityPanel", "ChatPanel", "ComparisonPanel", "CostPanel", "DataPanel",
           "GradientMicroscope", "GuessPanel", "Parameters", "PoolPanel", "QuestionsPanel", "RealPanel",
           "SamplerPanel", "StepPanel", "StructurePanel", "SwapPanel", "ThetaPanel", "TrainingPanel", "Verdict",
           "check", "parameters", "predict", "show"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"metadialog_lite.lab has no '{name}'; it offers {', '.join(__all__)}")
    value = getattr(import_module(f"metadialog_lite.lab.{_HOME[name]}"), name)
    globals()[name] = value
    return value


class _Lab(ModuleType):
    """Importing the submodule ``check`` would put it in the place of the function of that name: prevented here."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Lab

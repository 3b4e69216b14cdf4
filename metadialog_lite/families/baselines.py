"""Baselines: what a learner has to beat (prior, finetune, scratch), and what nobody beats (bayes)."""

from __future__ import annotations

import torch
from torch import Tensor

from metadialog_lite.episodes import TurnBatch
from metadialog_lite.families.base import Learner, Phi
from metadialog_lite.model import Theta


class Prior(Learner):
    """The joint model: one theta for all tasks, no adaptation. Its training is ordinary training on all turns."""

    name = "prior"
    trained = "joint"

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """theta' = theta_0, whatever the support says."""
        return self.theta_0(phi, support)

    def task_loss(self, phi: Phi, support: TurnBatch, query: TurnBatch) -> tuple[Tensor, Tensor]:
        """Mean nats per turn over support and query together: every turn is a training turn."""
        theta = self.theta_0(phi)  # one theta for all tasks: nothing to stack
        turns = torch.cat([self.model.nll(theta, part) for part in (support, query) if part.turns()], -2)
        losses = turns.mean(-2)
        return losses.sum(-1).mean(), losses

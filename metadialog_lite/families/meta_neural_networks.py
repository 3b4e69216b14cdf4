"""Meta-Neural Networks (元神经网络): theta = phi(D), phi(theta) = argmin_theta' L(f_theta'(x), y).

The two formulas of the course's source text use phi for two maps: from a data set to parameters, and from parameters to
better parameters. We name the clash and read the two as one procedure:

    EQ-MNN-1   (theta, s) = phi(D)                          initialise: a network reads D and proposes
    EQ-MNN-2   (theta', s') = argmin L_S, started there     refine: a few gradient steps on the support

s are *scores of structure*: one for each attention head, each MLP unit and each block (attention, MLP) of each layer.
A gate g(s) between 0 and 1 multiplies what that part contributes (EQ-GATE-1).

    learner               proposed from D         refined by gradient steps
    parameters            theta                   theta
    structure             s                       s
    structure_parameters  theta and s             theta and s

Related: CMAML (Song et al., ACL 2020) gives each dialogue task a private part whose structure differs from task to
task; MLtD (Hou, Salazar and Polovets, TACL 2022) learns a low-rank change and a controller that chooses each task's
structure; LEO (Rusu et al. 2019, arXiv 1807.05960) also starts its gradient steps at a point that a network proposes
from D.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from metadialog_lite.episodes import TurnBatch, Vocabulary
from metadialog_lite.families.base import Phi, Rates, inner_step
from metadialog_lite.families.emission import emit, make_emission, part_of, zeros
from metadialog_lite.families.meta_optimization import MetaSGD
from metadialog_lite.families.set_encoder import Reading, make_encoder, read_set, reader
from metadialog_lite.model import DialogueModel, ModelConfig, Theta, untie_head

#: In theta, scores of structure are called ``scores_layer0_heads`` and so on; the gates made of them ``gates_...``.
SCORES, GATES = "scores_", "gates_"
#: A gate's score at the start: open (g = 1), and not so far that no gradient comes through.
OPEN = 2.0


def gate(score: Tensor, hard: bool, sharp: float = 1.0) -> Tensor:
    """EQ-GATE-1: g = clip(1.2 sigmoid(c s) - 0.1, 0, 1), which reaches 0 and 1; hard: 1 where that is above one half.

    The stretched sigmoid without noise of Louizos et al. 2018 (arXiv 1712.01312). The larger ``sharp`` (c), the less is
    left between closed and open, and the less changes when the gates are made hard at the end.
    """
    if hard:
        return (score > 0).to(score.dtype)
    return (1.2 * (sharp * score).sigmoid() - 0.1).clamp(0, 1)


def straight_through(score: Tensor, sharp: float) -> Tensor:
    """EQ-GATE-3: the hard gate's value with the relaxed gate's derivative (Bengio et al. 2013, arXiv 1308.3432).

    What is trained is then what :meth:`adapt` returns. The derivative is not the hard gate's own, which is 0.
    """
    relaxed = gate(score, False, sharp)
    return relaxed + (gate(score, True) - relaxed).detach()


def scale(score: Tensor) -> Tensor:
    """EQ-GATE-2: a = g(s0) + g'(s0) (s - s0), the tangent of EQ-GATE-1 (c = 1) at s0, where scores begin: the control.

    At the start a gate and this scale are the same number with the same derivative, read from the same numbers of phi.
    But the tangent has no ends: it changes how much a part says, and no part is ever removed.
    """
    opened = torch.tensor(OPEN, dtype=score.dtype, device=score.device).sigmoid()
    return 1.2 * opened - 0.1 + 1.2 * opened * (1 - opened) * (score - OPEN)


def score_shapes(config: ModelConfig) -> dict[str, int]:
    """Names and numbers of the scores: for each layer its heads, its MLP units, and its two blocks."""
    parts = {"heads": config.heads, "units": config.mlp, "blocks": 2}
    return {f"layer{i}_{part}": n for i in range(config.layers) for part, n in parts.items()}


def gated(theta: Theta, config: ModelConfig, switch: Callable[[Tensor], Tensor]) -> Theta:
    """theta with its gates: head h's rows of ``attention_out`` times g_h, unit u's row of ``mlp_out`` times g_u.

    switch  what makes gates of scores, :func:`gate` or (in the control) :func:`scale`

    Scaling what a part gives to the residual stream is the same as switching the part itself, so f_theta needs no
    change. The gates stay in theta as ``gates_*`` for whoever wants to look at them.
    """
    found = dict(theta)
    for i in range(config.layers):
        heads, units, blocks = (
            switch(theta[f"{SCORES}layer{i}_{part}"]) for part in ("heads", "units", "blocks"))
        rows = heads.repeat_interleave(config.attention // config.heads, -1) * blocks[..., :1]
        found[f"layer{i}_attention_out"] = theta[f"layer{i}_attention_out"] * rows.unsqueeze(-1)
        found[f"layer{i}_mlp_out"] = theta[f"layer{i}_mlp_out"] * (units * blocks[..., 1:]).unsqueeze(-1)
        found |= {f"{GATES}layer{i}_{part}": g for part, g in (("heads", heads), ("units", units), ("blocks", blocks))}
    return found


class StructureParameters(MetaSGD):
    """Both: a network proposes parameters and structure for the task, gradient steps refine both (EQ-MNN-1, EQ-MNN-2).

    inner_lr, inner_steps   alpha and K of the argmin steps, as in MAML; rates are learned for each parameter (``pace``)
    rank                    of the proposed low-rank changes (EQ-EMIT-1)
    sparsity                nats that a structure with all gates open costs in training: what is not needed closes
                            (at 0.02 nothing closed in a minute of training; at 0.3 two of five gates, in 40 s more)
    sharp                   c of EQ-GATE-1. Gates half open in training are a loss when they are made hard: train with 1
                            first and with more at the end
    straight                hard gates forward, relaxed ones backward (EQ-GATE-3), for the end of training: gates that
                            are only nearly hard were found to lose most of what was adapted when they are made hard
    gates                   False is the control, structure off: as many parameters, read from the same D and refined by
                            the same steps, scale the parts instead of switching them (EQ-GATE-2). There is nothing to
                            make hard, so that ``sharp`` and ``sparsity`` mean nothing then
    """

    name = "structure_parameters"
    proposes_parameters = True
    proposes_structure = True

    def __init__(
        self, model: DialogueModel, vocabulary: Vocabulary, inner_lr: float = 0.0003, inner_steps: int = 1,
        pace: float = 10.0, rank: int = 2, sparsity: float = 0.3, sharp: float = 1.0,
        gates: bool = True, straight: bool = False,
    ) -> None:
        super().__init__(model, vocabulary, inner_lr, inner_steps, pace)
        if not 0 <= sparsity <= 10:
            raise ValueError(f"sparsity is {sparsity}; it must be from 0 to 10 (nats; 0 keeps every gate open)")
        if not 0 < sharp <= 100:
            raise ValueError(f"sharp is {sharp}; it must be above 0 and at most 100 (1: relaxed, 5: nearly hard)")
        self.rank, self.sparsity, self.sharp, self.gates, self.straight = rank, sparsity, sharp, gates, straight
        self.encoder = make_encoder(model)
        width = model.config.width
        self.emit = make_emission(model, rank) if self.proposes_parameters else nn.ParameterDict()
        self.structure = nn.ParameterDict()
        if self.proposes_structure:
            for name, n in score_shapes(model.config).items():
                self.structure[name] = nn.Parameter(torch.full((n,), OPEN / self.steepness))
                self.structure[f"from_{name}"] = zeros(width, n)
                self.structure[f"rate_{name}"] = zeros(n)

    @property
    def steepness(self) -> float:
        """c of EQ-GATE-1."""
        return self.sharp if self.gates else 1.0

    def adapted(self, theta: Theta) -> Theta:
        return untie_head(theta) if self.proposes_parameters else {}

    def propose(self, phi: Phi, theta: Theta, reading: Reading | None) -> Theta:
        """EQ-MNN-1: what phi reads from D becomes parameters and scores; without D, phi's own ones."""
        if self.proposes_parameters and reading is not None:
            theta = emit(part_of(phi, "emit."), theta, reading)
        if self.proposes_structure:
            structure = part_of(phi, "structure.")
            tasks = theta["output_bias"].shape[:-1]
            for name, n in score_shapes(self.model.config).items():
                score = structure[name].expand(*tasks, n)
                if reading is not None:
                    score = score + reading.whole @ structure[f"from_{name}"]
                theta = {**theta, SCORES + name: score}
        return theta

    def inner_rates(self, phi: Phi, theta: Theta) -> Rates:
        """Those of Meta-SGD, and one for each score, learned on the same scale; c s takes the same step for every c."""
        structure, begin = part_of(phi, "structure.rate_"), self.inner_lr * 100 / self.steepness**2
        return {**super().inner_rates(phi, theta),
                **{SCORES + name: begin * (self.pace * rate).exp() for name, rate in structure.items()}}

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """(theta', s'): proposed, then K steps of EQ-MAML-1 on both (EQ-MNN-2)."""
        theta = untie_head(self.theta_0(phi, support))
        if support.turns() == 0:
            return self.propose(phi, theta, None)
        rates = self.inner_rates(phi, self.theta_0(phi, support))
        theta = self.propose(phi, theta, read_set(self.model, reader(phi), support))
        exact = torch.is_grad_enabled() and not self.first_order
        for _ in range(self.inner_steps if steps is None else steps):
            theta = inner_step(theta, rates, lambda now: self.support_loss(now, support), exact)
        return theta

    def support_loss(self, theta: Theta, support: TurnBatch) -> Tensor:
        return super().support_loss(self.with_gates(theta), support)

    def query_losses(self, theta: Theta, query: TurnBatch) -> Tensor:
        return super().query_losses(self.with_gates(theta), query)

    def with_gates(self, theta: Theta, hard: bool = False) -> Theta:
        """f_theta with its structure: relaxed gates in training, hard ones at its end and in :meth:`adapt`'s result."""
        if not self.proposes_structure or SCORES + "layer0_heads" not in theta:
            return theta
        if not self.gates:
            return gated(theta, self.model.config, scale)
        if self.straight and not hard:
            return gated(theta, self.model.config, lambda score: straight_through(score, self.sharp))
        return gated(theta, self.model.config, lambda score: gate(score, hard, self.sharp))

    def finish(self, theta: Theta) -> Theta:
        return self.with_gates(theta, hard=True)

    def task_loss(self, phi: Phi, support: TurnBatch, query: TurnBatch) -> tuple[Tensor, Tensor]:
        """As for every learner, plus ``sparsity`` times the share of the gates that are open."""
        theta = self.adapt_theta(phi, support)
        losses = self.query_losses(theta, query)
        scores = [value for name, value in theta.items() if name.startswith(SCORES)]
        price: Any = 0.0
        if scores and self.gates:
            price = self.sparsity * torch.cat([gate(s, False, self.sharp) for s in scores], -1).mean()
        return losses.sum(-1).mean() + price, losses


class Parameters(StructureParameters):
    """Parameters alone: a network proposes theta from D, gradient steps refine it. The control: structure off."""

    name = "parameters"
    proposes_structure = False


class Structure(StructureParameters):
    """Structure alone: theta_0 is the same for all tasks; a task switches parts of it off, and may switch them back."""

    name = "structure"
    proposes_parameters = False

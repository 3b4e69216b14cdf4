"""Meta-Optimization (元优化): theta' = theta - alpha * grad L, and what of it is meta-learned.

    learner    what is meta-learned               how the outer gradient is taken
    maml       theta_0 (and one rate per tensor)  exactly, through the inner steps
    fomaml     theta_0                            inner gradients count as constants
    reptile    theta_0                            theta_0 - theta', no derivative at all
    anil       theta_0                            exactly, but only the head takes inner steps
    meta_sgd   theta_0 and a rate per parameter   exactly

    learned_optimizer  theta_0 and the rule of the step itself, exactly (or, as an option, as its paper does)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metadialog_lite.episodes import TurnBatch, Vocabulary
from metadialog_lite.families.base import Learner, Phi, Rates, check_inner, inner_gradient, inner_step
from metadialog_lite.model import HEAD, DialogueModel, Theta, untie_head


class MAML(Learner):
    """MAML (Finn et al. 2017, arXiv 1703.03400): K gradient steps from a meta-learned theta_0.

    inner_lr        alpha, in parameter units per nat of the support loss (summed over the support, as in the paper)
    inner_steps     K
    learned_rates   also meta-learn one alpha for each tensor, starting at ``inner_lr``: see :meth:`inner_rates`
    pace            how fast they are learned: an outer step of size beta changes them by about a factor 1 + pace * beta
    boost           the embedding's learned rate starts so many times as large as the others: a row of the embedding
                    hears only of the turns with its word, every other tensor of all turns. With 100 in place of 10
                    Meta-SGD overshoots widely at first, and closed 0.92 of the state's gap after 40 CPU seconds
                    instead of 0.71 after 300 (restaurants.en, 60 validation tasks, one training seed each)
    """

    name = "maml"
    first_order = False

    def __init__(
        self,
        model: DialogueModel,
        vocabulary: Vocabulary,
        inner_lr: float = 0.0003,
        inner_steps: int = 3,
        learned_rates: bool = False,
        pace: float = 10.0,
        boost: float = 10.0,
    ) -> None:
        super().__init__(model, vocabulary)
        check_inner(inner_lr, inner_steps)
        if not 0 < pace <= 100:
            raise ValueError(f"pace is {pace}; it must be above 0 and at most 100 (10: fast, 4: steadier)")
        if not 1 <= boost <= 1000:
            raise ValueError(f"boost is {boost}; it must be from 1 to 1000 (10: steady, 100: fast)")
        self.inner_lr, self.inner_steps, self.pace, self.boost = inner_lr, inner_steps, pace, boost
        self.rates = nn.ParameterDict()
        if learned_rates:
            shapes = {name: self.rate_shape(value) for name, value in self.adapted(self.theta_0(self.phi())).items()}
            for name, shape in shapes.items():
                start = math.log(boost) / pace if name == "embedding" else 0.0
                self.rates[name] = nn.Parameter(torch.full(shape, start))

    def rate_shape(self, value: Tensor) -> torch.Size:
        """Shape of the learned rate of a tensor: one number."""
        return torch.Size(())

    def adapted(self, theta: Theta) -> Theta:
        """The part of theta that takes inner steps: here all of it."""
        return theta

    def prepare(self, theta: Theta) -> Theta:
        """theta as the inner steps find it."""
        return theta

    def inner_rates(self, phi: Phi, theta: Theta) -> Rates:
        """alpha for every tensor that takes inner steps.

        A learned alpha is inner_lr * exp(pace * r). The papers learn alpha itself; but useful
        rates lie a factor of 100 apart, and an outer step changes every number by about as much, so that large rates
        would be out of reach for thousands of steps. On the scale of r all rates are learned equally fast.
        """
        learned = {name: phi.get(f"rates.{name}") for name in self.adapted(theta)}
        return {name: self.inner_lr * (1.0 if r is None else (self.pace * r).exp()) for name, r in learned.items()}

    def steps(self) -> int:
        return self.inner_steps

    def support_loss(self, theta: Theta, support: TurnBatch) -> Tensor:
        """Sum over tasks of L_S: nats, *summed* over the support turns, as in the paper: evidence adds up."""
        return self.model.nll(theta, support).sum()

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """theta' after K steps of EQ-MAML-1 on the support loss; theta_0 when the support is empty."""
        theta = self.prepare(self.theta_0(phi, support))
        rates = self.inner_rates(phi, theta)
        if support.turns() == 0:
            return theta
        exact = torch.is_grad_enabled() and not self.first_order
        for _ in range(self.inner_steps if steps is None else steps):
            theta = inner_step(theta, rates, lambda now: self.support_loss(now, support), exact)
        return theta


class FOMAML(MAML):
    """First-order MAML. EQ-FOMAML-1: d L_Q(theta') / d theta_0 is taken to be grad L_Q at theta'.

    Inner gradients count as constants, so d theta' / d theta_0 = 1. Cheaper, and not the gradient of the outer loss.
    """

    name = "fomaml"
    first_order = True


class Reptile(MAML):
    """Reptile (Nichol et al. 2018, arXiv 1803.02999): move theta_0 towards theta'. It needs no query."""

    name = "reptile"
    first_order = True

    def task_gradient(self, phi: Phi, support: TurnBatch, query: TurnBatch) -> tuple[Phi, Tensor]:
        """EQ-REPTILE-1: theta_0 - theta', averaged over the tasks, in the place of a gradient. Losses are for show."""
        with torch.no_grad():
            theta = self.adapt_theta(phi, support)
            losses = self.query_losses(theta, query)
            tasks = support.tokens.shape[:-2].numel()
            gradient = {
                name: value - theta[name.removeprefix("model.")].reshape(tasks, *value.shape).mean(0)
                for name, value in phi.items()
            }
        return gradient, losses


class ANIL(MAML):
    """ANIL (Raghu et al. 2020, arXiv 1909.09157). EQ-ANIL-1: theta' = (body_0, head_0 - alpha * grad_head L).

    The head is the output layer: the matrix that turns hidden states into scores of words, and its bias. Our model ties
    that matrix to the input embedding; inner steps move the output side only (``untie_head``), the input side stays.
    """

    name = "anil"

    def prepare(self, theta: Theta) -> Theta:
        return untie_head(theta)

    def adapted(self, theta: Theta) -> Theta:
        untied = untie_head(theta)
        return {name: untied[name] for name in HEAD}


class MetaSGD(MAML):
    """Meta-SGD (Li et al. 2017, arXiv 1707.09835). EQ-METASGD-1: theta' = theta - alpha ∘ grad L, alpha learned.

    alpha has the shape of theta: a rate for every single parameter, so direction and length of the step are learned.
    """

    name = "meta_sgd"

    def __init__(
        self, model: DialogueModel, vocabulary: Vocabulary, inner_lr: float = 0.0003, inner_steps: int = 3,
        pace: float = 10.0, boost: float = 10.0,
    ) -> None:
        super().__init__(model, vocabulary, inner_lr, inner_steps, True, pace, boost)

    def rate_shape(self, value: Tensor) -> torch.Size:
        return value.shape


class LearnedOptimizer(MAML):
    """Learning to learn by gradient descent (Andrychowicz et al. 2016, arXiv 1606.04474).

    EQ-L2L-1: (u, h_k+1) = m_phi(grad L(theta_k), h_k),  theta_k+1 = theta_k - alpha (grad L(theta_k) + u)

    m is one small LSTM cell that every coordinate of theta runs on its own, each with a state h of its own; so it has
    few parameters and fits any model. u begins at zero: at first the rule is gradient descent with a learned alpha for
    each tensor.
    The paper's input log|g|, sign(g) has a corner; asinh(g / 1e-4) / 10 is the same far from zero and smooth.

    hidden                 size of a coordinate's state
    drop_gradient_of_step  as in the paper, count the inner gradients as constants ("we drop gradients along the dashed
                           edges"): cheaper, and not the derivative of the outer loss
    """

    name = "learned_optimizer"

    def __init__(
        self, model: DialogueModel, vocabulary: Vocabulary, inner_lr: float = 0.0003, inner_steps: int = 2,
        hidden: int = 4, drop_gradient_of_step: bool = False,
    ) -> None:
        super().__init__(model, vocabulary, inner_lr, inner_steps, learned_rates=True)
        if not 1 <= hidden <= 64:
            raise ValueError(f"hidden is {hidden}; a whole number from 1 to 64 is needed")
        self.hidden, self.drop_gradient_of_step = hidden, drop_gradient_of_step
        random = torch.Generator().manual_seed(model.seed + 4)
        self.cell = nn.ParameterDict({
            "input": nn.Parameter(torch.randn(1, 4 * hidden, generator=random)),
            "state": nn.Parameter(torch.randn(hidden, 4 * hidden, generator=random) / math.sqrt(hidden)),
            "bias": nn.Parameter(torch.zeros(4 * hidden)),
            "out": nn.Parameter(torch.zeros(hidden, 1)),
        })

    def rule(self, phi: Phi, gradient: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, ...]:
        """One step of the cell for every coordinate: gradient [...] -> (u [...], cell [..., hidden], output)."""
        x = torch.asinh(gradient / 1e-4).unsqueeze(-1) / 10
        gates = x @ phi["cell.input"] + phi["cell.bias"]
        if state is not None:
            gates = gates + state[1] @ phi["cell.state"]
        forget, write, show, new = gates.chunk(4, -1)
        memory = write.sigmoid() * new.tanh()
        if state is not None:
            memory = memory + forget.sigmoid() * state[0]
        output = show.sigmoid() * memory.tanh()
        return (output @ phi["cell.out"]).squeeze(-1), memory, output

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """theta' after K steps of EQ-L2L-1."""
        theta = self.theta_0(phi, support)
        rates = self.inner_rates(phi, theta)
        if support.turns() == 0:
            return theta
        exact = torch.is_grad_enabled() and not self.drop_gradient_of_step
        states: dict[str, tuple[Tensor, Tensor]] = {}
        for _ in range(self.inner_steps if steps is None else steps):
            gradient = inner_gradient(theta, rates, lambda now: self.support_loss(now, support), exact)
            after = dict(theta)
            for name, g in gradient.items():
                u, memory, output = self.rule(phi, g, states.get(name))
                states[name] = memory, output
                after[name] = theta[name] - rates[name] * (g + u)
            theta = after
        return theta

"""What every learner shares: the interface, the inner step, and the outer gradient over many tasks.

A learner is an ``nn.Module`` whose parameters ``phi`` are what is meta-learned. Adapting is pure:
it reads ``phi`` and a support set and returns an :class:`Adapted`; it changes nothing.

All tensors may carry a leading task dimension (see :mod:`metadialog_lite.model`): ``support`` with tokens
[turns, length] is one task and gives one ``theta'``; with tokens [tasks, turns, length] it gives one ``theta'``
for each task, stacked. So a formula is written once, and many tasks run in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metadialog_lite.decoding import Reply, decode, parse_reply
from metadialog_lite.episodes import TurnBatch, Vocabulary, encode_turns, prompt_ids
from metadialog_lite.model import DialogueModel, Theta
from metadialog_lite.turns import Turn

Phi = dict[str, Tensor]
Rates = Mapping[str, "Tensor | float"]


def inner_gradient(
    theta: Theta, names: Iterable[str], loss: Callable[[Theta], Tensor], differentiable: bool
) -> dict[str, Tensor]:
    """grad_theta L(theta) for the tensors called ``names``.

    ``loss`` sums over tasks: each task has its own theta, so the gradient of the sum is every task's own gradient.
    With ``differentiable`` the gradient keeps its graph (second order); without, it counts as a constant.
    """
    free = {name: theta[name] if differentiable else theta[name].detach().requires_grad_() for name in names}
    with torch.enable_grad():
        gradient = torch.autograd.grad(loss({**theta, **free}), list(free.values()), create_graph=differentiable)
    return dict(zip(free, gradient))


def inner_step(theta: Theta, rates: Rates, loss: Callable[[Theta], Tensor], differentiable: bool) -> Theta:
    """EQ-MAML-1: theta' = theta - alpha * grad_theta L(theta), for the tensors that ``rates`` names."""
    gradient = inner_gradient(theta, rates, loss, differentiable)
    return {**theta, **{name: theta[name] - rates[name] * g for name, g in gradient.items()}}


def check_inner(inner_lr: float, inner_steps: int) -> None:
    """Raise ValueError for an inner rate or a number of inner steps that cannot be meant."""
    if not 0 < inner_lr <= 10:
        raise ValueError(f"inner_lr is {inner_lr}; it must be above 0 and at most 10 (start with 0.0003 to 0.001)")
    if not isinstance(inner_steps, int) or not 0 <= inner_steps <= 1000:
        raise ValueError(f"inner_steps is {inner_steps!r}; it must be a whole number from 0 to 1000")


class Adapted:
    """A model adapted to one task; ``theta`` is theta' (None where a learner has none)."""

    theta: Theta | None = None

    def nll(self, query: TurnBatch | Sequence[Turn]) -> Tensor:
        """[turns, 3]: nats per turn and capability (state, act, response)."""
        raise NotImplementedError

    def reply(self, prompt: Turn, temperature: float = 0.0, seed: int = 0) -> Reply:
        """State, act and response to ``prompt`` (its ``previous_state`` and ``user``; the rest is not looked at)."""
        return self.replies([prompt], temperature, seed)[0]

    def replies(self, prompts: Sequence[Turn], temperature: float = 0.0, seed: int = 0) -> list[Reply]:
        """:meth:`reply` for several prompts at once."""
        raise NotImplementedError


class AdaptedModel(Adapted):
    """The dialogue model with parameters theta'."""

    def __init__(self, model: DialogueModel, vocabulary: Vocabulary, theta: Theta) -> None:
        self.model, self.vocabulary = model, vocabulary
        self.theta: Theta = {name: value.detach() for name, value in theta.items()}

    @torch.no_grad()
    def nll(self, query: TurnBatch | Sequence[Turn]) -> Tensor:
        return self.model.nll(self.theta, as_batch(query, self.vocabulary, self.model))

    def replies(self, prompts: Sequence[Turn], temperature: float = 0.0, seed: int = 0) -> list[Reply]:
        heads = [prompt_ids(prompt, self.vocabulary) for prompt in prompts]
        tails = decode(self.model, self.theta, heads, temperature, seed)
        return [parse_reply(head, tail, self.vocabulary) for head, tail in zip(heads, tails)]


def as_batch(turns: TurnBatch | Sequence[Turn], vocabulary: Vocabulary, model: DialogueModel) -> TurnBatch:
    """Turns as tensors on the model's device; tensors stay as they are."""
    if isinstance(turns, TurnBatch):
        return turns
    return encode_turns(turns, vocabulary).to(model.future.device)


class Learner(nn.Module):
    """Base of all learners. A subclass gives :meth:`adapt_theta`; the rest is written here once.

    ``trained`` says how phi comes about: "meta" (outer steps), "joint" (ordinary training), "none".
    """

    name = ""
    trained = "meta"
    chunk = 16  # tasks in one pass of outer_gradient: enough to be fast, and memory stays flat beyond it

    stacked = True  # whether :meth:`adapt` also takes several tasks at once (a TurnBatch with a task dimension)
    likelihood = True  # whether it gives probabilities; one that does not has no loss, only replies

    def __init__(self, model: DialogueModel, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.options: dict[str, Any] = {}  # what make_learner was given, for checkpoints and results
        self.model = model
        self.vocabulary = vocabulary

    @property
    def device(self) -> torch.device:
        """Where the model's tensors are."""
        return self.model.future.device

    def phi(self) -> Phi:
        """All meta-parameters by name: ``model.*`` is theta_0, the rest is the learner's own (e.g. ``rates.*``)."""
        return dict(self.named_parameters())

    def theta_0(self, phi: Phi, turns: TurnBatch | None = None) -> Theta:
        """theta_0 out of phi; with stacked ``turns`` one (unchanged, unallocated) copy for each task."""
        tasks = () if turns is None else turns.tokens.shape[:-2]
        return {
            name[len("model.") :]: value.expand(*tasks, *value.shape)
            for name, value in phi.items()
            if name.startswith("model.")
        }

    def steps(self) -> int:
        """How many steps :meth:`adapt_theta` takes when not told otherwise."""
        return 0

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """theta' = the learner's formula; pure and differentiable in phi. An empty support gives theta_0."""
        raise NotImplementedError

    def finish(self, theta: Theta) -> Theta:
        """theta as an adapted model uses it; here it stays as it is."""
        return theta

    def support_loss(self, theta: Theta, support: TurnBatch) -> Tensor:
        """Sum over tasks of L_S: mean nats per support turn."""
        return self.model.token_nll(theta, support).sum() / support.turns()

    def query_losses(self, theta: Theta, query: TurnBatch) -> Tensor:
        """L_Q for each task and capability: mean nats per query turn, [..., 3]."""
        return self.model.nll(theta, query).mean(-2)

    def task_loss(self, phi: Phi, support: TurnBatch, query: TurnBatch) -> tuple[Tensor, Tensor]:
        """(L_Q(theta') averaged over the tasks: scalar, its parts: [..., 3]), in nats per query turn."""
        losses = self.query_losses(self.adapt_theta(phi, support), query)
        return losses.sum(-1).mean(), losses

    def task_gradient(self, phi: Phi, support: TurnBatch, query: TurnBatch) -> tuple[Phi, Tensor]:
        """EQ-MAML-2: d/dphi of L_Q(theta'(phi)), averaged over the tasks, through all inner steps; and the losses."""
        loss, losses = self.task_loss(phi, support, query)
        return gradients(loss, phi), losses.detach()

    def outer_gradient(
        self, support: TurnBatch, query: TurnBatch, chunk: int | None = None
    ) -> tuple[Phi, Tensor]:
        """:meth:`task_gradient` averaged over stacked tasks, in chunks, and the losses [tasks, 3].

        Chunks bound the memory: it does not grow with the number of tasks.
        """
        phi, tasks = self.phi(), support.tokens.shape[0]
        total = {name: torch.zeros_like(value) for name, value in phi.items()}
        losses = []
        for part in torch.arange(tasks).split(chunk or self.chunk):
            pick = slice(int(part[0]), int(part[-1]) + 1)
            gradient, loss = self.task_gradient(phi, tasks_of(support, pick), tasks_of(query, pick))
            for name, value in gradient.items():
                total[name] += value * (len(part) / tasks)
            losses.append(loss)
        return total, torch.cat(losses)

    def adapt(self, support: TurnBatch | Sequence[Turn], steps: int | None = None) -> Adapted:
        """The learner after it has seen the support of one task."""
        batch = as_batch(support, self.vocabulary, self.model)
        with torch.no_grad():
            theta = self.finish(self.adapt_theta(self.phi(), batch, steps))
        return AdaptedModel(self.model, self.vocabulary, theta)

    def trajectory(self, support: TurnBatch | Sequence[Turn]) -> list[Adapted]:
        """The adaptation curve: one :class:`Adapted` for 0, 1, ... inner steps; the first is not adapted."""
        return [self.adapt(support, steps) for steps in range(self.steps() + 1)]


def tasks_of(turns: TurnBatch, pick: slice) -> TurnBatch:
    """Some tasks of a stacked batch."""
    return TurnBatch(*(part[pick] for part in turns))


def gradients(loss: Tensor, phi: Phi) -> Phi:
    """d loss / d phi; zero for what the loss does not depend on (e.g. rates, or all of a translator, at zero shots)."""
    if not loss.requires_grad:
        return {name: torch.zeros_like(value) for name, value in phi.items()}
    found: Any = torch.autograd.grad(loss, list(phi.values()), allow_unused=True)
    return {
        name: torch.zeros_like(value) if g is None else g for (name, value), g in zip(phi.items(), found)
    }

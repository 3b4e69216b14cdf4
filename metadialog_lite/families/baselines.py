"""Baselines: what a learner has to beat (prior, finetune, scratch), and what nobody beats (bayes)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from metadialog_lite.decoding import Reply
from metadialog_lite.episodes import Episode, TurnBatch, Vocabulary, stack_tasks
from metadialog_lite.families.base import Adapted, AdaptedModel, Learner, Phi, as_batch, check_inner, inner_gradient
from metadialog_lite.model import HEAD, DialogueModel, Theta, untie_head
from metadialog_lite.turns import Turn


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


class Trial(NamedTuple):
    """One setting that was tried on validation tasks, and its loss (nats per query turn)."""

    optimizer: str
    head_only: bool
    inner_lr: float
    inner_steps: int
    loss: float


class FineTune(Prior):
    """Ordinary fine-tuning of the joint model on the support. Nothing is meta-learned through it.

    ``optimizer`` is "sgd" (the very rule of EQ-MAML-1, so that only meta-learning sets it apart from MAML) or "adam"
    (arXiv 1412.6980; usually the stronger one, because its step does not shrink with the gradient of rare words).
    Neither is favoured: :meth:`choose` tries both, and all else, on validation tasks.
    """

    name = "finetune"
    RATES: ClassVar[dict[str, tuple[float, ...]]] = {  # toy worlds want the large ones, real dialogues the small ones
        "sgd": (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
        "adam": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
    }
    STEPS: ClassVar[tuple[int, ...]] = (2, 5, 10, 20, 40)
    HOPELESS: ClassVar[float] = 1.2

    def __init__(
        self,
        model: DialogueModel,
        vocabulary: Vocabulary,
        inner_lr: float = 0.003,
        inner_steps: int = 10,
        head_only: bool = False,
        optimizer: str = "adam",
    ) -> None:
        super().__init__(model, vocabulary)
        check_inner(inner_lr, inner_steps)
        if optimizer not in self.RATES:
            raise ValueError(f"optimizer is {optimizer!r}; it must be one of {', '.join(self.RATES)}")
        self.optimizer, self.head_only = optimizer, head_only
        self.inner_lr, self.inner_steps = inner_lr, inner_steps

    def steps(self) -> int:
        return self.inner_steps

    def path(self, phi: Phi, support: TurnBatch, steps: int) -> Iterator[Theta]:
        """theta after 0, 1, ..., ``steps`` steps; the same theta again and again when the support is empty."""
        theta = self.theta_0(phi, support)
        theta = {name: value.detach() for name, value in (untie_head(theta) if self.head_only else theta).items()}
        names = HEAD if self.head_only else tuple(theta)
        mean = {name: torch.zeros_like(theta[name]) for name in names}
        square = {name: torch.zeros_like(theta[name]) for name in names}
        yield theta
        for step in range(1, steps + 1):
            if support.turns():
                gradient = inner_gradient(theta, names, lambda now: self.support_loss(now, support), False)
                if self.optimizer == "adam":
                    for name, g in gradient.items():
                        mean[name] = 0.9 * mean[name] + 0.1 * g
                        square[name] = 0.999 * square[name] + 0.001 * g * g
                        root = (square[name] / (1 - 0.999**step)).sqrt() + 1e-8
                        gradient[name] = mean[name] / (1 - 0.9**step) / root
                theta = {**theta, **{name: theta[name] - self.inner_lr * g for name, g in gradient.items()}}
            yield theta

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """theta after the chosen number of steps."""
        *_, theta = self.path(phi, support, self.inner_steps if steps is None else steps)
        return theta

    def trajectory(self, support: TurnBatch | Sequence[Turn]) -> list[Adapted]:
        batch = as_batch(support, self.vocabulary, self.model)
        thetas = self.path(self.phi(), batch, self.inner_steps)
        return [AdaptedModel(self.model, self.vocabulary, theta) for theta in thetas]

    def choose(self, episodes: Sequence[Episode]) -> list[Trial]:
        """Try optimiser x whole or head x rate x steps on validation ``episodes``; keep the best; trials, best first.

        Episodes may differ in shots; those without support say nothing about adapting and are left out.
        """
        groups: dict[int, list[Episode]] = {}
        for episode in episodes:
            groups.setdefault(len(episode.support), []).append(episode)
        groups.pop(0, None)
        if not groups:
            raise ValueError("choosing how to fine-tune needs validation episodes with at least one support turn")
        batches = [
            (
                stack_tasks([e.support for e in part], self.vocabulary).to(self.device),
                stack_tasks([e.query for e in part], self.vocabulary).to(self.device),
            )
            for group in groups.values()
            for part in (group[i : i + self.chunk] for i in range(0, len(group), self.chunk))
        ]
        trials = []
        for optimizer, rates in self.RATES.items():
            for head_only in (False, True):
                for rate in rates:
                    self.optimizer, self.head_only, self.inner_lr = optimizer, head_only, rate
                    for steps, loss in self._losses(batches).items():
                        trials.append(Trial(optimizer, head_only, rate, steps, loss))
        trials.sort(key=lambda trial: trial.loss)
        self.optimizer, self.head_only, self.inner_lr, self.inner_steps, _ = trials[0]
        return trials

    @torch.no_grad()
    def _losses(self, batches: Sequence[tuple[TurnBatch, TurnBatch]]) -> dict[int, float]:
        """Steps -> mean query loss over all tasks; one run to the most steps serves them all.

        A run whose loss is over ``HOPELESS`` times that before adapting ends there: its later losses count as infinite.
        """
        total, tasks = dict.fromkeys(self.STEPS, 0.0), 0
        for support, query in batches:
            tasks += len(query.tokens)
            limit = math.inf
            for step, theta in enumerate(self.path(self.phi(), support, max(self.STEPS))):
                if step == 0:
                    limit = self.HOPELESS * float(self.query_losses(theta, query).sum())
                if step in total:
                    loss = float(self.query_losses(theta, query).sum())
                    total[step] += loss
                    if not loss <= limit:
                        total |= {later: math.inf for later in total if later > step}
                        break
        return {steps: loss / tasks if math.isfinite(loss) else math.inf for steps, loss in total.items()}


class Scratch(FineTune):
    """Fine-tuning that starts from a random initialisation: what the support alone can teach."""

    name = "scratch"
    trained = "none"
    RATES: ClassVar[dict[str, tuple[float, ...]]] = {"sgd": (0.01, 0.03, 0.1, 0.3), "adam": (0.003, 0.01, 0.03, 0.1)}
    STEPS = (10, 20, 40, 80)


class PosteriorLike(Protocol):
    """What :class:`Bayes` needs to know of ``metadialog_lite.world``'s Posterior."""

    def nll(self, turn: Turn) -> tuple[float, float, float]: ...

    def predict(self, turn: Turn) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]: ...


class ReferenceLike(Protocol):
    """What :class:`Bayes` needs to know of ``metadialog_lite.world``'s BayesReference."""

    def posterior(self, support: Sequence[Turn]) -> PosteriorLike: ...


class AdaptedBayes(Adapted):
    """The exact posterior after some support turns. It reads turns of the toy world, not tensors."""

    def __init__(self, posterior: PosteriorLike) -> None:
        self.posterior = posterior

    def nll(self, query: TurnBatch | Sequence[Turn]) -> Tensor:
        if isinstance(query, TurnBatch):
            raise TypeError("the Bayes reference scores a list of toy-world turns, not a TurnBatch")
        return torch.tensor([self.posterior.nll(turn) for turn in query]).reshape(len(query), 3)

    def replies(self, prompts: Sequence[Turn], temperature: float = 0.0, seed: int = 0) -> list[Reply]:
        """The most probable state, act and response; there is no sampling, so ``temperature`` is not used."""
        return [Reply(*self.posterior.predict(prompt)) for prompt in prompts]


class Bayes(Learner):
    """The optimum of the toy world behind the interface of a learner: no parameters, no training.

    ``reference`` is the world's ``BayesReference``.
    """

    name = "bayes"
    trained = "none"
    stacked = False

    def __init__(self, model: DialogueModel | None, vocabulary: Vocabulary, reference: ReferenceLike) -> None:
        nn.Module.__init__(self)  # no model: there is no f_theta in here
        self.options = {}
        self.vocabulary, self.reference = vocabulary, reference

    def adapt(self, support: TurnBatch | Sequence[Turn], steps: int | None = None) -> Adapted:
        if isinstance(support, TurnBatch):
            raise TypeError("the Bayes reference adapts to a list of toy-world turns, not to a TurnBatch")
        return AdaptedBayes(self.reference.posterior(list(support)))

    def trajectory(self, support: TurnBatch | Sequence[Turn]) -> list[Adapted]:
        """One for each support turn: after none, after the first, after the first two, ..."""
        return [self.adapt(support[:turns]) for turns in range(len(support) + 1)]  # type: ignore[arg-type]

"""The outer step of MAML as others would write it: the same loss, model and data as ours, differentiated another way.

Each takes K steps of gradient descent on the *summed* support loss (EQ-MAML-1) and averages over the tasks the
gradient of the mean query loss: exactly (EQ-MAML-2), or with inner gradients as constants (EQ-FOMAML-1). All call
the same ``DialogueModel.nll`` with the same hand-written attention, so nothing but the differentiating is compared.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn

from metadialog_lite.episodes import TurnBatch
from metadialog_lite.families.meta_optimization import MAML
from metadialog_lite.model import DialogueModel, Theta

#: Stacked support and query -> the outer gradient by the model's own names, averaged over the tasks.
Step = Callable[[TurnBatch, TurnBatch], Theta]

OURS, NAIVE, HIGHER, TORCHOPT, FUNC = "ours", "naive loop", "higher", "TorchOpt", "torch.func"
ITERYNE, PARALLEL = "iteryne", "parallel-metalearn"

#: The peers that the target speaks of. torch.func is no library of meta-learning; it is shown besides.
PEERS = (NAIVE, HIGHER, TORCHOPT, ITERYNE, PARALLEL)


def ways(learner: MAML) -> dict[str, Step]:
    """Every way to take the outer step of ``learner``; libraries that are not installed are left out."""
    peer = PeerModel(learner.model)
    found: dict[str, Step] = {OURS: partial(ours, learner), NAIVE: partial(naive, learner)}
    if importlib.util.find_spec("higher"):
        found[HIGHER] = partial(with_higher, learner, peer)
    if importlib.util.find_spec("torchopt"):
        found[TORCHOPT] = partial(with_torchopt, learner)
    if importlib.util.find_spec("iteryne"):
        found[ITERYNE] = partial(with_iteryne, learner, peer)
    if importlib.util.find_spec("metalearn"):
        found[PARALLEL] = parallel_metalearn(learner)
    found[FUNC] = partial(with_torch_func, learner)
    return found


def ours(learner: MAML, support: TurnBatch, query: TurnBatch) -> Theta:
    """What the course uses: all tasks of a chunk side by side in one graph."""
    gradient, _ = learner.outer_gradient(support, query)
    return {name.removeprefix("model."): value for name, value in gradient.items()}


def naive(learner: MAML, support: TurnBatch, query: TurnBatch) -> Theta:
    """The textbook loop: ``torch.autograd.grad`` for each inner step, and once for the outer loss."""
    model, exact = learner.model, not learner.first_order
    start = model.theta()
    per_task = []
    for seen, asked in each_task(support, query):
        theta = start
        for _ in range(learner.inner_steps):
            slope = torch.autograd.grad(model.nll(theta, seen).sum(), list(theta.values()), create_graph=exact)
            theta = {name: value - learner.inner_lr * g for (name, value), g in zip(theta.items(), slope)}
            if not exact:
                theta = dict(zip(theta, constants(theta.values())))
        loss = model.nll(theta, asked).sum() / asked.turns()
        per_task.append(torch.autograd.grad(loss, list((start if exact else theta).values())))
    return dict(zip(start, mean(per_task)))


class PeerModel(nn.Module):
    """The dialogue model as a library expects one: parameters of its own, and a ``forward`` to call.

    ``forward(turns)`` is the support loss: the nats of all turns, summed.
    """

    def __init__(self, model: DialogueModel) -> None:
        super().__init__()
        self.names = tuple(model.theta())
        for name, value in model.theta().items():
            self.register_parameter(name, nn.Parameter(value.detach().clone()))
        self.function = (model.nll,)  # in a tuple, so that the model is no submodule with parameters of its own

    def forward(self, turns: TurnBatch) -> Tensor:
        return self.function[0]({name: getattr(self, name) for name in self.names}, turns).sum()


def with_higher(learner: MAML, peer: PeerModel, support: TurnBatch, query: TurnBatch) -> Theta:
    """``higher``, as in its own MAML example: a differentiable ``torch.optim.SGD`` in an inner-loop context."""
    import higher

    exact = not learner.first_order
    optimizer = torch.optim.SGD(peer.parameters(), lr=learner.inner_lr)
    per_task = []
    for seen, asked in each_task(support, query):
        with higher.innerloop_ctx(
            peer, optimizer, copy_initial_weights=not exact, track_higher_grads=exact
        ) as (fast, inner):
            for _ in range(learner.inner_steps):
                inner.step(fast(seen))
            ends = list(peer.parameters() if exact else fast.parameters())
            per_task.append(torch.autograd.grad(fast(asked) / asked.turns(), ends))
    return dict(zip(peer.names, mean(per_task)))


def with_torchopt(learner: MAML, support: TurnBatch, query: TurnBatch) -> Theta:
    """TorchOpt's functional SGD. (``torchopt.MetaSGD`` on a module was measured as well: 0 to 11 % slower.)"""
    import torchopt

    exact, model = not learner.first_order, learner.model
    names, start = tuple(model.theta()), tuple(model.theta().values())
    sgd = torchopt.sgd(lr=learner.inner_lr)

    def loss(params: tuple[Tensor, ...], turns: TurnBatch) -> Tensor:
        return model.nll(dict(zip(names, params)), turns).sum()

    per_task = []
    for seen, asked in each_task(support, query):
        optimizer, state, params = torchopt.FuncOptimizer(sgd), sgd.init(start), start
        for _ in range(learner.inner_steps):
            if exact:
                params = optimizer.step(loss(params, seen), params)
            else:  # FuncOptimizer would build a graph nobody needs: its two parts, called alone, do not
                slope = torch.autograd.grad(loss(params, seen), params)
                updates, state = sgd.update(slope, state, params=params, inplace=False)
                params = constants(torchopt.apply_updates(params, updates, inplace=False))
        outer = loss(params, asked) / asked.turns()
        per_task.append(torch.autograd.grad(outer, start if exact else params))
    return dict(zip(names, mean(per_task)))


def with_iteryne(learner: MAML, peer: PeerModel, support: TurnBatch, query: TurnBatch) -> Theta:
    """``iteryne.functional.adapt``: the task loop with ``torch.func.functional_call``."""
    from iteryne.functional import adapt, functional_forward, named_params

    def support_loss(seen: TurnBatch, now: Theta) -> Tensor:
        loss: Tensor = functional_forward(peer, now, seen)
        return loss

    start = named_params(peer)
    per_task = []
    for seen, asked in each_task(support, query):
        theta = adapt(peer, start, partial(support_loss, seen), lr=learner.inner_lr, inner_steps=learner.inner_steps,
                      first_order=learner.first_order)
        loss = support_loss(asked, theta) / asked.turns()
        per_task.append(torch.autograd.grad(loss, list(start.values())))
    return dict(zip(start, mean(per_task)))


def parallel_metalearn(learner: MAML) -> Step:
    """``metalearn.algorithms.MAML`` (package parallel-metalearn): ``vmap`` over tasks, then ``backward``.

    Its outer optimiser is one that never moves, so that only the gradient is left behind.
    """
    from metalearn.algorithms import MAML as Parallel
    from metalearn.inner_optimizers import InnerSGD
    from metalearn.loss.base import BaseLoss

    class Wrapped(PeerModel):  # its forward is another one, as that library wants it
        """Passes the tokens on: the loss needs them beside the weights."""

        def get_fast_weights(self) -> list[tuple[str, Tensor]]:
            return list(self.named_parameters())

        def forward(  # type: ignore[override]
            self, tokens: Tensor, training: bool = False, num_step: int = 0
        ) -> dict[str, Tensor]:
            return {"tokens": tokens}

    class Loss(BaseLoss):
        """Nats of all turns, summed; the query's are divided by their number."""

        def __init__(self, per_turn: bool) -> None:
            super().__init__()
            self.per_turn = per_turn

        def forward(
            self, out_dict: dict[str, Tensor], targets: dict[str, Tensor], model_states: Theta | None = None,
            **_: object,
        ) -> tuple[Tensor, Tensor]:
            turns = TurnBatch(out_dict["tokens"], **targets)
            loss = learner.model.nll(model_states or {}, turns).sum() / (turns.turns() if self.per_turn else 1)
            return loss, loss.detach()

    precision = next(learner.parameters()).dtype

    def step(support: TurnBatch, query: TurnBatch) -> Theta:
        wrapped = Wrapped(learner.model).to(support.tokens.device)
        inner = InnerSGD(dict(wrapped.named_parameters()), learner.first_order, learner.inner_lr,
                         learner.inner_steps, learn_lr=False)
        for rate in inner.parameters():  # it rounds the rate to single precision
            rate.data = torch.full_like(rate, learner.inner_lr, dtype=precision)
        maml = Parallel(model=wrapped, optimizer=torch.optim.SGD(wrapped.parameters(), lr=0.0), inner_optimizer=inner,
                        support_loss_fn=Loss(False), query_loss_fn=Loss(True), inner_steps=learner.inner_steps,
                        chunk_size=learner.chunk, device=support.tokens.device)
        (seen, known), (asked, wanted) = ((turns.tokens, {**turns._asdict()}) for turns in (support, query))
        del known["tokens"], wanted["tokens"]
        maml.step(iter([(seen, known, asked, wanted)]))
        return {name: value.grad for name, value in wrapped.named_parameters() if value.grad is not None}

    return step


def with_torch_func(learner: MAML, support: TurnBatch, query: TurnBatch) -> Theta:
    """``vmap(grad(task))`` of ``torch.func``: PyTorch's own way without a loop over tasks."""
    from torch.func import grad, vmap

    model = learner.model

    def adapt(theta: Theta, seen: TurnBatch) -> Theta:
        for _ in range(learner.inner_steps):
            slope = grad(lambda now: model.nll(now, seen).sum())(theta)
            theta = {name: theta[name] - learner.inner_lr * slope[name] for name in theta}
        return theta

    def query_loss(theta: Theta, asked: TurnBatch) -> Tensor:
        return model.nll(theta, asked).sum() / asked.turns()

    def second(theta: Theta, seen: TurnBatch, asked: TurnBatch) -> Theta:
        return grad(lambda start: query_loss(adapt(start, seen), asked))(theta)

    def first(theta: Theta, seen: TurnBatch, asked: TurnBatch) -> Theta:
        return grad(query_loss)(adapt(theta, seen), asked)

    theta = {name: value.detach() for name, value in model.theta().items()}
    stacked = vmap(first if learner.first_order else second, (None, 0, 0))(theta, support, query)
    return {name: value.mean(0) for name, value in stacked.items()}


def each_task(support: TurnBatch, query: TurnBatch) -> list[tuple[TurnBatch, TurnBatch]]:
    """Stacked tasks one by one, as views."""
    return [(TurnBatch(*seen), TurnBatch(*asked)) for seen, asked in zip(zip(*support), zip(*query))]


def constants(values: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The same numbers without their history, to be differentiated anew."""
    return tuple(value.detach().requires_grad_() for value in values)


def mean(per_task: list[tuple[Tensor, ...]]) -> list[Tensor]:
    """The average over tasks of tuples of gradients, added up in place."""
    total = [value / len(per_task) for value in per_task[0]]
    for gradients in per_task[1:]:
        for so_far, value in zip(total, gradients):
            so_far.add_(value, alpha=1 / len(per_task))
    return total

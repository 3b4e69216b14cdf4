"""Meta-Networks (元网络): y = f_theta(x), theta = phi(D). A network reads the support and gives the parameters.

    learner        what phi reads                      what phi gives
    hypernetwork   the support turns as a set          changes of theta_0: FiLM, low rank
    fast_weights   the support loss's gradients        a memory of fast weights, read by attention
    in_context     hidden states and their next words  a memory of examples, read by attention

None takes a gradient *step*: adapting is one pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from metadialog_lite.episodes import TurnBatch, Vocabulary
from metadialog_lite.families.base import Adapted, Learner, Phi, as_batch
from metadialog_lite.families.emission import emit, make_emission, matrix, part_of
from metadialog_lite.families.set_encoder import make_encoder, read_set
from metadialog_lite.model import DialogueModel, Theta, untie_head
from metadialog_lite.turns import Turn


class OnePass(Learner):
    """A learner whose adaptation curve runs over support turns, because it has no steps."""

    def trajectory(self, support: TurnBatch | Sequence[Turn]) -> list[Adapted]:
        """One for each support turn: after none, after the first, after the first two, ..."""
        batch = as_batch(support, self.vocabulary, self.model)
        first = (TurnBatch(*(part[..., :turns, :] for part in batch)) for turns in range(batch.turns() + 1))
        return [self.adapt(some) for some in first]


class InContext(OnePass):
    """The support as context: EQ-CTX-1, theta = (theta_0, {(key(h_i), value(e(y_i)))}) over support positions i.

    h_i is the hidden state with which theta_0 would predict the token y_i of the support, e its embedding. At a query
    position with hidden state h the model reads ``recall(h)`` (EQ-MEM-1) before it speaks: "what came
    next, where the support was in a state like mine?". This is the attention of a transformer that has support and
    query in one context, without positions across turns, so the order of the support turns does not matter
    (compare the continuous cache of Grave et al. 2017, arXiv 1612.04426, and Santoro et al. 2016, arXiv 1605.06065).

    heads, size   of the memory
    """

    name = "in_context"

    def __init__(self, model: DialogueModel, vocabulary: Vocabulary, heads: int = 4, size: int = 24) -> None:
        super().__init__(model, vocabulary)
        self.heads, self.size = heads, size
        width, inner = model.config.width, heads * size
        random = torch.Generator().manual_seed(model.seed + 1)
        self.memory = nn.ParameterDict({
            "query": matrix(random, width, inner), "key": matrix(random, width, inner),
            "value": matrix(random, width, inner), "out": matrix(random, inner, width),
            "null": nn.Parameter(torch.zeros(heads)),
        })

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """EQ-CTX-1; theta_0 alone when the support is empty."""
        theta = self.theta_0(phi, support)
        if support.turns() == 0:
            return theta
        rows = self.model.hidden(theta, support.tokens, support.where)
        padding = support.segment.gather(-1, support.where + 1).flatten(-2) == 0
        tasks = support.tokens.shape[:-2]

        def own(name: str) -> Tensor:  # a tensor of phi that all tasks share
            return phi[f"memory.{name}"].expand(*tasks, *phi[f"memory.{name}"].shape)

        return {
            **theta,
            "memory_key": torch.nn.functional.layer_norm(rows, rows.shape[-1:]) @ phi["memory.key"],
            "memory_value": self.said(phi, theta, rows, support) @ phi["memory.value"],
            "memory_open": torch.where(padding, -math.inf, 0.0).to(rows.dtype),
            "memory_query": own("query"), "memory_out": own("out"), "memory_null": own("null"),
        }

    def said(self, phi: Phi, theta: Theta, rows: Tensor, support: TurnBatch) -> Tensor:
        """e(y_i): what the support position says, [..., positions, width]; of about unit variance."""
        words = support.tokens.gather(-1, support.where + 1).flatten(-2)
        return torch.nn.functional.embedding(words, phi["model.embedding"]) * math.sqrt(rows.shape[-1])


class FastWeights(InContext):
    """Meta networks after Munkhdalai & Yu 2017 (arXiv 1703.00837). EQ-FAST-1: w_i = m_phi(dL_i / dh_i).

    The *meta-information* is the gradient of the support loss: for each support position i, the derivative of its loss
    L_i with respect to the hidden state h_i. A small network m_phi, the same for every coordinate of the gradient as in
    the paper, turns it into a fast weight vector w_i; the memory keeps w_i under the representation of h_i,
    and a query reads the memory by attention (EQ-MEM-1), so each query gets fast weights of its own. The paper keeps
    one fast weight matrix per support *example* and layer; here it is a fast bias of the output layer per support
    *position*.
    """

    name = "fast_weights"

    def said(self, phi: Phi, theta: Theta, rows: Tensor, support: TurnBatch) -> Tensor:
        """EQ-FAST-1, [..., positions, width]."""
        return self.meta_information(theta, rows, support)

    def meta_information(self, theta: Theta, rows: Tensor, support: TurnBatch) -> Tensor:
        """-dL_i / dh_i for each support position, [..., positions, width]; L_i in nats, differentiable in theta."""
        words = support.tokens.gather(-1, support.where + 1).flatten(-2)
        counted = support.segment.gather(-1, support.where + 1).flatten(-2) > 0
        with torch.enable_grad():
            free = rows if rows.requires_grad else rows.detach().requires_grad_()
            surprise = self.model.speak(theta, free).log_softmax(-1).gather(-1, words.unsqueeze(-1)).squeeze(-1)
            exact = torch.is_grad_enabled() and rows.requires_grad
            (gradient,) = torch.autograd.grad((surprise * counted).sum(), free, create_graph=exact)
        return gradient


class Hypernetwork(OnePass):
    """A hypernetwork (Ha et al. 2017, arXiv 1609.09106) over a set of turns. EQ-HYPER-1: theta = theta_0 + phi(D).

    A set encoder (EQ-SET-1) reads the support; linear maps of what it says are *changes* of theta_0:
    of words, FiLM, and low rank (EQ-EMIT-1 in :mod:`metadialog_lite.families.emission`).

    Why not emit all of theta? A linear map from ``width`` numbers to all 28,941 body parameters of the toy model would
    have 64 x 28,941 = 1.9 million parameters, 64 times the model that it is to serve. The changes need about as many
    as two such models (``parameters`` in an evaluation counts them).
    """

    name = "hypernetwork"

    def __init__(self, model: DialogueModel, vocabulary: Vocabulary, rank: int = 2) -> None:
        super().__init__(model, vocabulary)
        self.rank = rank
        self.encoder = make_encoder(model)
        self.emit = make_emission(model, rank)

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """EQ-HYPER-1; theta_0 alone when the support is empty."""
        theta = untie_head(self.theta_0(phi, support))
        if support.turns() == 0:
            return theta
        reading = read_set(self.encoder, part_of(phi, "encoder."), support)
        return emit(part_of(phi, "emit."), theta, reading)

"""Meta-Networks (元网络): y = f_theta(x), theta = phi(D). A network reads the support and gives the parameters.

    learner        what phi reads                      what phi gives
    hypernetwork   the support turns as a set          changes of theta_0: FiLM, low rank
    fast_weights   the support loss's gradients        memories of fast weights, read by attention
    in_context     the support's words and states      memories of examples, read by attention

None takes a gradient *step*: adapting is one pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metadialog_lite.episodes import PAD, TurnBatch, Vocabulary
from metadialog_lite.families.base import Adapted, Learner, Phi, as_batch
from metadialog_lite.families.emission import emit, make_emission, matrix, part_of
from metadialog_lite.families.set_encoder import make_encoder, read_rows, read_set
from metadialog_lite.memory import recall
from metadialog_lite.model import DialogueModel, Theta, untie_head
from metadialog_lite.turns import Turn

#: The two memories of phi: of how words were used, and of what came after which state.
WORDS, STATES = "words", "states"


class OnePass(Learner):
    """A learner whose adaptation curve runs over support turns, because it has no steps."""

    def trajectory(self, support: TurnBatch | Sequence[Turn]) -> list[Adapted]:
        """One for each support turn: after none, after the first, after the first two, ..."""
        batch = as_batch(support, self.vocabulary, self.model)
        first = (TurnBatch(*(part[..., :turns, :] for part in batch)) for turns in range(batch.turns() + 1))
        return [self.adapt(some) for some in first]


class InContext(OnePass):
    """The support as context: EQ-CTX-1, theta = (theta_0, {(key_i, value_i)}) over the support positions i.

    A model that has support and query in one context looks back at the support. It does so in two places (EQ-MEM-1):

    - each word looks where it was used before: keys are word embeddings, values what a reader of the whole support turn
      makes of the word there. The answer depends on the word alone, so it is added to the word's embedding once;
    - before it speaks, the model asks what came next when the support was in a state like its own: keys are hidden
      states h_i, values the words y_i that followed. These entries stay in theta as its memory.

    Positions across turns are not seen, so the order of the support turns does not matter. Compare the continuous
    cache of Grave et al. 2017 (arXiv 1612.04426) and the memory of Santoro et al. 2016 (arXiv 1605.06065).

    heads, size   of the memories
    """

    name = "in_context"

    def __init__(self, model: DialogueModel, vocabulary: Vocabulary, heads: int = 4, size: int = 24) -> None:
        super().__init__(model, vocabulary)
        self.heads, self.size = heads, size
        width, inner = model.config.width, heads * size
        random = torch.Generator().manual_seed(model.seed + 1)
        self.words, self.states = (self.make_memory(random, width, inner) for _ in range(2))
        self.prepare_reader(model)

    def make_memory(self, random: torch.Generator, width: int, inner: int) -> nn.ParameterDict:
        """The maps of a memory. Question and key begin equal, so that from the first step on the like finds the like."""
        key = matrix(random, width, inner, scale=1.5)
        return nn.ParameterDict({
            "query": nn.Parameter(key.detach().clone()), "key": key, "value": matrix(random, width, inner),
            "out": matrix(random, inner, width, scale=0.3), "null": nn.Parameter(torch.zeros(self.heads)),
        })

    def prepare_reader(self, model: DialogueModel) -> None:
        """What reads whole support turns."""
        self.encoder = make_encoder(model)

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """EQ-CTX-1; theta_0 alone when the support is empty."""
        theta = self.theta_0(phi, support)
        if support.turns() == 0:
            return theta
        words = F.embedding(support.tokens.flatten(-2), phi["model.embedding"])
        rows = self.model.hidden(theta, support.tokens, support.where, words=words)
        counted = support.segment.gather(-1, support.where + 1).flatten(-2) > 0
        of_words, of_states = self.said(phi, theta, words, rows, support)
        look = self.entries(phi, WORDS, words, of_words, support.tokens.flatten(-2) != PAD)
        return {
            **untie_head(theta),
            "embedding": theta["embedding"] + recall(look, theta["embedding"]),
            **self.entries(phi, STATES, rows, of_states, counted),
        }

    def entries(self, phi: Phi, memory: str, keys: Tensor, values: Tensor, counted: Tensor) -> Theta:
        """A memory: one entry for each of ``keys`` and ``values`` [..., positions, width]."""
        own = part_of(phi, f"{memory}.")
        tasks = keys.shape[:-2]
        return {
            "memory_key": F.layer_norm(keys, keys.shape[-1:]) @ own["key"],
            "memory_value": values @ own["value"],
            "memory_open": torch.where(counted, 0.0, -math.inf).to(keys.dtype),
            **{f"memory_{name}": own[name].expand(*tasks, *own[name].shape) for name in ("query", "out", "null")},
        }

    def said(
        self, phi: Phi, theta: Theta, words: Tensor, rows: Tensor, support: TurnBatch
    ) -> tuple[Tensor, Tensor]:
        """What the entries say: each word as read in its whole turn; the embedding of each target y_i."""
        read, _ = read_rows(self.encoder, part_of(phi, "encoder."), support)
        targets = support.tokens.gather(-1, support.where + 1).flatten(-2)
        return read.flatten(-3, -2), F.embedding(targets, phi["model.embedding"]) * math.sqrt(rows.shape[-1])


class FastWeights(InContext):
    """Meta networks after Munkhdalai & Yu 2017 (arXiv 1703.00837). EQ-FAST-1: w_i = m_phi(grad_i L_i).

    The *meta-information* is the gradient of the support loss: at each support position, its derivative with respect to
    the word's embedding there and with respect to the hidden state before the output. phi turns each gradient into a
    fast weight vector w_i and stores it under the representation of its position; a query reads the memories by
    attention (EQ-MEM-1), so each query gets fast weights of its own. The paper keeps a fast weight *matrix* for each
    layer and support example; here they are fast shifts of two layers (embedding and output) for each support
    position. As in the paper, gradients are compressed first, because their sizes differ by orders of magnitude.
    """

    name = "fast_weights"

    def prepare_reader(self, model: DialogueModel) -> None:
        """Nothing but gradients is read."""

    def said(
        self, phi: Phi, theta: Theta, words: Tensor, rows: Tensor, support: TurnBatch
    ) -> tuple[Tensor, Tensor]:
        """EQ-FAST-1, both [..., positions, width]: asinh(-10 dL/dx), for the maps ``value`` of phi to read."""
        entering, leaving = self.meta_information(theta, words, support)
        return torch.asinh(-10 * entering), torch.asinh(-10 * leaving)

    def meta_information(self, theta: Theta, words: Tensor, support: TurnBatch) -> tuple[Tensor, Tensor]:
        """dL/d(word embeddings) [..., turns * length, width] and dL/d(hidden states) [..., turns * targets, width].

        L is the summed support loss in nats; differentiable in theta while gradients are being recorded.
        """
        exact = torch.is_grad_enabled() and words.requires_grad
        targets = support.tokens.gather(-1, support.where + 1).flatten(-2)
        counted = support.segment.gather(-1, support.where + 1).flatten(-2) > 0
        with torch.enable_grad():
            words = words if exact else words.detach().requires_grad_()
            rows = self.model.hidden(theta, support.tokens, support.where, words=words)
            surprise = -self.model.speak(theta, rows).log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
            found = torch.autograd.grad((surprise * counted).sum(), (words, rows), create_graph=exact)
        return found[0], found[1]


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

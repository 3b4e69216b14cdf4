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

from metadialog_lite.episodes import TurnBatch, Vocabulary, user_words
from metadialog_lite.families.base import Adapted, Learner, Phi, as_batch
from metadialog_lite.families.emission import emit, make_emission, matrix, part_of, zeros
from metadialog_lite.families.set_encoder import by_word, make_encoder, read_changes, read_rows, read_set, reader
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
    """The support as context. EQ-CTX-1: theta = (theta_0, {(key_i, value_i)}) over the support positions i.

    A model that has support and query in one context looks back at the support. It does so in two places (EQ-MEM-1):

    - each word of the user looks where it itself was used before, and takes up what a reader of the whole support
      turn makes of it there (attention with perfectly sharp scores: a word finds itself). That is added to the
      word's embedding;
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
        self.words = nn.ParameterDict({"value": matrix(random, width, inner), "out": zeros(inner, width)})
        key = matrix(random, width, inner, scale=1.5)
        self.states = nn.ParameterDict({  # question and key begin equal: the like finds the like at once
            "query": nn.Parameter(key.detach().clone()), "key": key, "value": matrix(random, width, inner),
            "out": matrix(random, inner, width, scale=0.3), "null": nn.Parameter(torch.zeros(heads)),
        })
        self.prepare_reader(model)

    def prepare_reader(self, model: DialogueModel) -> None:
        """What reads whole support turns."""
        self.encoder = make_encoder(model)

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """EQ-CTX-1; theta_0 alone when the support is empty."""
        theta = self.theta_0(phi, support)
        if support.turns() == 0:
            return theta
        said, heard = self.said_of_words(phi, theta, support), user_words(support.tokens)
        used = by_word(support, said, heard, len(self.vocabulary))
        shift = F.gelu(used @ phi["words.value"]) @ phi["words.out"]
        theta = {**untie_head(theta), "embedding": theta["embedding"] + shift}
        rows = self.model.hidden(theta, support.tokens, support.where)
        counted = support.segment.gather(-1, support.where + 1).flatten(-2) > 0
        said = self.said_of_states(phi, theta, rows, support)
        return {**theta, **self.remember(part_of(phi, "states."), rows, said, counted)}

    def remember(self, states: Phi, keys: Tensor, values: Tensor, counted: Tensor) -> Theta:
        """The memory: one entry for each of ``keys`` and ``values`` [..., positions, width]."""
        tasks = keys.shape[:-2]
        return {
            "memory_key": F.layer_norm(keys, keys.shape[-1:]) @ states["key"],
            "memory_value": values @ states["value"],
            "memory_open": torch.where(counted, 0.0, -math.inf).to(keys.dtype),
            **{f"memory_{name}": states[name].expand(*tasks, *states[name].shape) for name in ("query", "out", "null")},
        }

    def said_of_words(self, phi: Phi, theta: Theta, support: TurnBatch) -> Tensor:
        """What each word is in its turn: [..., turns, length, width]."""
        weights = reader(phi)
        rows, _ = read_rows(self.model, weights, support)
        return read_changes(weights, rows, support)

    def said_of_states(self, phi: Phi, theta: Theta, rows: Tensor, support: TurnBatch) -> Tensor:
        """What followed each state, the embedding of y_i: [..., turns * targets, width]."""
        return F.embedding(next_words(support), phi["model.embedding"]) * math.sqrt(rows.shape[-1])


def next_words(support: TurnBatch) -> Tensor:
    """y_i, the target token of each support position: [..., turns * targets]."""
    return support.tokens.gather(-1, support.where + 1).flatten(-2)


class FastWeights(InContext):
    """Meta networks after Munkhdalai & Yu 2017 (arXiv 1703.00837). EQ-FAST-1: w_i = m_phi(grad_i L_i).

    The *meta-information* is the gradient of the support loss: at each support position, its derivative with respect to
    the word's embedding there and with respect to the hidden state before the output. phi turns each gradient into a
    fast weight vector w_i: those of a word shift its embedding, those of a state are kept in the memory under
    that state and read by attention (EQ-MEM-1), so that each query gets fast weights of its own. The paper keeps a fast
    weight *matrix* for each layer and support example; here they are fast shifts of two layers (embedding and output).
    As in the paper, gradients are compressed first, because their sizes differ by orders of magnitude.
    """

    name = "fast_weights"

    def prepare_reader(self, model: DialogueModel) -> None:
        """Nothing but gradients is read."""

    def said_of_words(self, phi: Phi, theta: Theta, support: TurnBatch) -> Tensor:
        """asinh(-10 dL/dx_i) of each word's embedding x_i."""
        return torch.asinh(-10 * self.word_gradient(theta, support)).unflatten(-2, support.tokens.shape[-2:])

    def said_of_states(self, phi: Phi, theta: Theta, rows: Tensor, support: TurnBatch) -> Tensor:
        """asinh(-10 dL/dh_i) of each state h_i."""
        return torch.asinh(-10 * self.state_gradient(theta, rows, support))

    def word_gradient(self, theta: Theta, support: TurnBatch) -> Tensor:
        """dL/d(word embeddings), [..., turns * length, width]; L is the summed support loss in nats."""
        words = embedded(theta, support)
        with torch.enable_grad():
            words = words if words.requires_grad else words.requires_grad_()
            rows = self.model.hidden(theta, support.tokens, support.where, words=words)
            return self.slope(theta, rows, words, support)

    def state_gradient(self, theta: Theta, rows: Tensor, support: TurnBatch) -> Tensor:
        """dL/d(hidden states), [..., turns * targets, width]."""
        with torch.enable_grad():
            rows = rows if rows.requires_grad else rows.requires_grad_()
            return self.slope(theta, rows, rows, support)

    def slope(self, theta: Theta, rows: Tensor, by: Tensor, support: TurnBatch) -> Tensor:
        """d (support loss at hidden states ``rows``) / d ``by``; differentiable while gradients are being recorded."""
        counted = support.segment.gather(-1, support.where + 1).flatten(-2) > 0
        targets = next_words(support).unsqueeze(-1)
        surprise = -self.model.speak(theta, rows).log_softmax(-1).gather(-1, targets).squeeze(-1)
        (found,) = torch.autograd.grad((surprise * counted).sum(), by, create_graph=torch.is_grad_enabled())
        return found


def embedded(theta: Theta, support: TurnBatch) -> Tensor:
    """The embeddings of the support's tokens, one theta for each task: [..., turns * length, width]."""
    at = support.tokens.flatten(-2).unsqueeze(-1).expand(*support.tokens.shape[:-2], -1, theta["embedding"].shape[-1])
    return theta["embedding"].gather(-2, at)


class Hypernetwork(OnePass):
    """A hypernetwork (Ha et al. 2017, arXiv 1609.09106) over a set of turns. EQ-HYPER-1: theta = theta_0 + phi(D).

    A set encoder (EQ-SET-1) reads the support; linear maps of what it says are *changes* of theta_0:
    of words, FiLM, and low rank (EQ-EMIT-1 in :mod:`metadialog_lite.families.emission`).

    Why not emit all of theta? A linear map from ``width`` numbers to all 28,941 body parameters of the toy model would
    have 64 x 28,941 = 1.9 million parameters, 64 times the model that it is to serve. All of phi that emits
    and reads here has 136,320 for a model of 40,525 (``parameters`` in an evaluation counts both).
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
        reading = read_set(self.model, reader(phi), support)
        return emit(part_of(phi, "emit."), theta, reading)

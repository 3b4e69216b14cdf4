"""The tiny generative dialogue model f_theta: a causal transformer as a pure function of its parameters.

``theta`` is an ordinary dictionary of tensors, so "the same model with other parameters" is the same
call with another dictionary; that is all that meta-learning needs.

**Tasks side by side.** Every tensor may carry leading task dimensions. With ``theta`` of shapes ``[...]``
the model reads turns ``[turns, length]``; with ``theta`` of shapes ``[tasks, ...]``, one set of parameters
for each task, it reads ``[tasks, turns, length]``. Tasks never mix, so one pass serves them all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metadialog_lite.episodes import TurnBatch

Theta = dict[str, Tensor]

#: The head: the output layer, once :func:`untie_head` has split it from the input embedding.
HEAD = ("output_embedding", "output_bias")


def untie_head(theta: Theta) -> Theta:
    """theta with an output matrix of its own, equal to the embedding to begin with: the same function f_theta."""
    return {**theta, "output_embedding": theta.get("output_embedding", theta["embedding"])}


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the transformer. ``attention`` is the width of all heads together."""

    vocabulary: int
    width: int = 48
    attention: int = 32
    mlp: int = 64
    layers: int = 2
    heads: int = 4
    max_length: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"ModelConfig.{name} is {value!r}; it must be a whole number of at least 1")
        if self.attention % self.heads:
            raise ValueError(f"ModelConfig.attention={self.attention} is not a multiple of heads={self.heads}")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every parameter."""
        shapes: dict[str, tuple[int, ...]] = {
            "embedding": (self.vocabulary, self.width),
            "position": (self.max_length, self.width),
        }
        for i in range(self.layers):
            shapes |= {
                f"layer{i}_norm1_weight": (self.width,),
                f"layer{i}_norm1_bias": (self.width,),
                f"layer{i}_query_key_value": (self.width, 3 * self.attention),
                f"layer{i}_attention_out": (self.attention, self.width),
                f"layer{i}_norm2_weight": (self.width,),
                f"layer{i}_norm2_bias": (self.width,),
                f"layer{i}_mlp_in": (self.width, self.mlp),
                f"layer{i}_mlp_bias": (self.mlp,),
                f"layer{i}_mlp_out": (self.mlp, self.width),
            }
        return shapes | {
            "norm_weight": (self.width,),
            "norm_bias": (self.width,),
            "output_bias": (self.vocabulary,),
        }

    @property
    def body_parameters(self) -> int:
        """Number of parameters outside the token embedding."""
        return sum(math.prod(shape) for name, shape in self.shapes().items() if name != "embedding")


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """Look up rows: table [..., n, width], index [..., rows] -> [..., rows, width]."""
    if table.dim() == 2:
        return F.embedding(index, table)
    n = table.shape[-2]
    start = torch.arange(0, table.shape[:-2].numel() * n, n, device=index.device).view(*table.shape[:-2], 1)
    return F.embedding(index + start, table.reshape(-1, table.shape[-1]))


def _norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """LayerNorm. The affine part stands outside: inside, its second derivative under vmap has been wrong."""
    return F.layer_norm(x, x.shape[-1:]) * weight.unsqueeze(-2) + bias.unsqueeze(-2)


class DialogueModel(nn.Module):
    """A small pre-norm causal transformer with tied embedding. The parameters are theta_0."""

    future: Tensor

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        random = torch.Generator().manual_seed(seed)
        for name, shape in config.shapes().items():
            if name.endswith("weight"):
                value = torch.ones(shape)
            elif name.endswith("bias"):
                value = torch.zeros(shape)
            else:  # matrices: variance 1 / inputs; what feeds the residual stream is scaled down by its depth
                inputs = config.width if name in ("embedding", "position") else shape[0]
                scale = 1 / math.sqrt(2 * config.layers) if name.endswith("out") else 1.0
                value = torch.randn(shape, generator=random) * scale / math.sqrt(inputs)
            self.register_parameter(name, nn.Parameter(value))
        minus_infinity = torch.full((config.max_length, config.max_length), -math.inf)
        self.register_buffer("future", minus_infinity.triu(1), persistent=False)  # causal mask

    def theta(self) -> Theta:
        """theta_0, by name."""
        return dict(self.named_parameters())

    def forward(self, tokens: Tensor) -> Tensor:
        return self.logits(self.theta(), tokens)

    def logits(self, theta: Theta, tokens: Tensor) -> Tensor:
        """f_theta(x), pure: tokens [turns, length] -> logits [turns, length, vocabulary], each for the *next* token.

        Task dimensions may stand in front of both (see the module's text); a single sequence [length] is legal.
        """
        if tokens.dim() == 1:
            return self.logits(theta, tokens.unsqueeze(0)).squeeze(0)
        return self._output(theta, self._hidden(theta, tokens)).unflatten(-2, tokens.shape[-2:])

    def token_nll(self, theta: Theta, turns: TurnBatch) -> Tensor:
        """-log p of the target tokens: [..., turns, targets] in nats, 0 where ``turns.where`` is padding."""
        length = turns.tokens.shape[-1]
        # The vocabulary is the widest layer, so it is computed only at positions that predict a target.
        first = torch.arange(0, turns.turns() * length, length, device=turns.where.device).unsqueeze(-1)
        hidden = _rows(self._hidden(theta, turns.tokens), (turns.where + first).flatten(-2))
        target = turns.tokens.gather(-1, turns.where + 1)
        logits = self._output(theta, hidden).unflatten(-2, target.shape[-2:])
        surprise = logits.logsumexp(-1) - logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        return surprise * (turns.segment.gather(-1, turns.where + 1) > 0)

    def nll(self, theta: Theta, turns: TurnBatch) -> Tensor:
        """Nats per turn and capability: [..., turns, 3] = (state, act, response), summed over the segment's tokens."""
        segment = turns.segment.gather(-1, turns.where + 1)
        surprise = self.token_nll(theta, turns)
        return torch.stack([(surprise * (segment == i)).sum(-1) for i in (1, 2, 3)], -1)

    def _output(self, theta: Theta, x: Tensor) -> Tensor:
        """Hidden rows [..., rows, width] -> logits [..., rows, vocabulary] through the tied embedding."""
        x = _norm(x, theta["norm_weight"], theta["norm_bias"])
        words = theta.get("output_embedding", theta["embedding"])
        return x @ words.mT + theta["output_bias"].unsqueeze(-2)

    def _hidden(self, theta: Theta, tokens: Tensor) -> Tensor:
        """Tokens [..., turns, length] -> hidden rows [..., turns * length, width]: all rows of a task in one matrix."""
        turns, length = tokens.shape[-2:]
        if length > self.config.max_length:
            raise ValueError(f"a sequence of {length} tokens exceeds max_length={self.config.max_length}")
        place = torch.arange(length, device=tokens.device).repeat(turns).expand(*tokens.shape[:-2], -1)
        x = _rows(theta["embedding"], tokens.flatten(-2)) + _rows(theta["position"], place)
        for i in range(self.config.layers):
            p = {name: theta[f"layer{i}_{name}"] for name in _LAYER}
            x = x + self._attention(p, _norm(x, p["norm1_weight"], p["norm1_bias"]), turns)
            wide = _norm(x, p["norm2_weight"], p["norm2_bias"]) @ p["mlp_in"] + p["mlp_bias"].unsqueeze(-2)
            x = x + F.gelu(wide) @ p["mlp_out"]
        return x

    def _attention(self, p: Theta, x: Tensor, turns: int) -> Tensor:
        """Softmax attention by hand (the fused kernels have no second derivative on the CPU)."""
        length, size = x.shape[-2] // turns, self.config.attention // self.config.heads
        every = (x @ p["query_key_value"]).unflatten(-2, (turns, length))
        q, k, v = every.unflatten(-1, (3, self.config.heads, size)).movedim(-3, 0).transpose(-2, -3)
        scores = (q / math.sqrt(size)) @ k.mT + self.future[:length, :length]
        heard = scores.softmax(-1) @ v  # [..., turns, heads, length, size]
        return heard.transpose(-2, -3).flatten(-2).flatten(-3, -2) @ p["attention_out"]


_LAYER = (
    "norm1_weight",
    "norm1_bias",
    "query_key_value",
    "attention_out",
    "norm2_weight",
    "norm2_bias",
    "mlp_in",
    "mlp_bias",
    "mlp_out",
)

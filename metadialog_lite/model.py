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

from metadialog_lite.episodes import STATE, SYS, TurnBatch
from metadialog_lite.memory import has_memory, recall

Theta = dict[str, Tensor]

#: The parameters of one layer; in ``theta`` they are called ``layer0_query`` and so on.
_LAYER = ("query", "key_value", "attention_out", "mlp_in", "mlp_bias", "mlp_out")

#: Parts of a turn: what stands before any marker, previous state, user, state, act, response.
PARTS = 6
#: The head: the output layer, once :func:`untie_head` has split it from the input embedding.
HEAD = ("output_embedding", "output_bias")


def untie_head(theta: Theta) -> Theta:
    """theta with an output matrix of its own, equal to the embedding to begin with: the same function f_theta."""
    if "output_embedding" in theta:
        return theta
    # A clone: were it the same tensor, a gradient with respect to the head would include the input side as well.
    return {**theta, "output_embedding": theta["embedding"].clone()}


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the transformer. ``attention`` is the width of all heads together."""

    vocabulary: int
    width: int = 64
    attention: int = 48
    mlp: int = 96
    layers: int = 1
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
        layer: dict[str, tuple[int, ...]] = {
            "query": (self.width, self.attention),
            "key_value": (self.width, 2 * self.attention),
            "attention_out": (self.attention, self.width),
            "mlp_in": (self.width, self.mlp),
            "mlp_bias": (self.mlp,),
            "mlp_out": (self.mlp, self.width),
        }
        return {
            "embedding": (self.vocabulary, self.width),
            "position": (self.max_length, self.width),
            "part": (PARTS, self.width),
            **{f"layer{i}_{name}": layer[name] for i in range(self.layers) for name in _LAYER},
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


def _places(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Where each token stands: (number of the part of the turn, place inside that part), both shaped as ``tokens``.

    A marker such as ``<act>`` begins a part. Counting from the marker instead of from the turn's first token gives
    the state of a slot the same place in every turn, however much the user said before it.
    """
    marker = (tokens >= STATE) & (tokens <= SYS)
    count = torch.arange(tokens.shape[-1], device=tokens.device)
    begin = torch.where(marker, count, 0).cummax(-1).values
    return marker.cumsum(-1).clamp(max=PARTS - 1), count - begin


def _norm(x: Tensor) -> Tensor:
    """LayerNorm without weights. An affine part belongs *outside*: inside, its second derivative has been wrong.

    Within a layer it is left out: the linear map that follows can do all that it could do, and time is saved.
    """
    return F.layer_norm(x, x.shape[-1:])


class DialogueModel(nn.Module):
    """A small pre-norm causal transformer with tied embedding. The parameters are theta_0."""

    future: Tensor

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        super().__init__()
        self.config, self.seed = config, seed
        random = torch.Generator().manual_seed(seed)
        for name, shape in config.shapes().items():
            if name.endswith("weight"):
                value = torch.ones(shape)
            elif name.endswith("bias"):
                value = torch.zeros(shape)
            else:  # matrices: variance 1 / inputs; what feeds the residual stream is scaled down by its depth
                inputs = config.width if name in ("embedding", "position", "part") else shape[0]
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

    def logits(self, theta: Theta, tokens: Tensor, where: Tensor | None = None) -> Tensor:
        """f_theta(x), pure: tokens [turns, length] -> logits [turns, length, vocabulary], each for the *next* token.

        ``where`` [turns, targets] asks for some positions only: logits [turns, targets, vocabulary].
        Task dimensions may stand in front of all (see the module's text); a single sequence [length] is legal.
        """
        if tokens.dim() == 1:
            return self.logits(theta, tokens.unsqueeze(0)).squeeze(0)
        if where is None:
            where = torch.arange(tokens.shape[-1], device=tokens.device).expand_as(tokens)
        return self.speak(theta, self.hidden(theta, tokens, where)).unflatten(-2, where.shape[-2:])

    def speak(self, theta: Theta, rows: Tensor) -> Tensor:
        """The output layer: rows [..., rows, width] -> logits [..., rows, vocabulary]."""
        if has_memory(theta):
            rows = rows + recall(theta, rows)
        x = _norm(rows)
        x = x * theta["norm_weight"].unsqueeze(-2) + theta["norm_bias"].unsqueeze(-2)
        words = theta.get("output_embedding", theta["embedding"])  # tied, unless the head has been untied
        return x @ words.mT + theta["output_bias"].unsqueeze(-2)

    def token_nll(self, theta: Theta, turns: TurnBatch) -> Tensor:
        """-log p of the target tokens: [..., turns, targets] in nats, 0 where ``turns.where`` is padding."""
        logits = self.logits(theta, turns.tokens, turns.where)
        target = turns.tokens.gather(-1, turns.where + 1)
        surprise = logits.logsumexp(-1) - logits.gather(-1, target.unsqueeze(-1)).squeeze(-1)
        return surprise * (turns.segment.gather(-1, turns.where + 1) > 0)

    def nll(self, theta: Theta, turns: TurnBatch) -> Tensor:
        """Nats per turn and capability: [..., turns, 3] = (state, act, response), summed over the segment's tokens."""
        segment = turns.segment.gather(-1, turns.where + 1)
        surprise = self.token_nll(theta, turns)
        return torch.stack([(surprise * (segment == i)).sum(-1) for i in (1, 2, 3)], -1)

    def soft_nll(self, theta: Theta, mixtures: Tensor, layout: list[int]) -> Tensor:
        """Cross-entropy of soft turns, [..., turns, targets] in nats: each place of a turn is a mixture of words.

        mixtures  [turns, length, vocabulary], rows that sum to one; the same turns for every task
        layout    the markers of a turn; other places hold 0
        """
        begin = min(i for i, token in enumerate(layout) if token in (STATE, SYS) and STATE not in layout[i + 1 :])
        tasks = theta["output_bias"].shape[:-1]
        mixtures = mixtures.expand(*tasks, *mixtures.shape)
        tokens = torch.tensor(layout, device=mixtures.device).expand(mixtures.shape[:-1])
        where = torch.arange(begin, len(layout) - 1, device=mixtures.device).expand(*mixtures.shape[:-2], -1)
        words = mixtures.flatten(-3, -2) @ theta["embedding"]
        logits = self.speak(theta, self.hidden(theta, tokens, where, words=words)).unflatten(-2, where.shape[-2:])
        return -(mixtures[..., begin + 1 :, :] * logits.log_softmax(-1)).sum(-1)

    def hidden(
        self, theta: Theta, tokens: Tensor, where: Tensor, mask: Tensor | None = None, words: Tensor | None = None
    ) -> Tensor:
        """Hidden rows [..., turns * targets, width] of ``tokens`` [..., turns, length] at positions ``where``.

        ``mask`` [..., turns, 1, 1, length] (0, or minus infinity for what nobody may look at) takes the place of the
        causal mask, for one who reads whole turns rather than predicts them. ``words`` [..., turns * length, width]
        takes the place of the tokens' embeddings; only the markers of ``tokens`` count then.

        All rows of a task stand in one matrix, so that a layer is one matrix product. The last layer works
        only on the rows that are asked for: the others could no longer change anything.
        """
        turns, length = tokens.shape[-2:]
        if length > self.config.max_length:
            raise ValueError(f"a sequence of {length} tokens exceeds max_length={self.config.max_length}")
        part, place = (at.flatten(-2) for at in _places(tokens))
        asked = (where + torch.arange(0, turns * length, length, device=tokens.device).unsqueeze(-1)).flatten(-2)
        x = _rows(theta["embedding"], tokens.flatten(-2)) if words is None else words
        x = x + _rows(theta["position"], place)
        x = x + _rows(theta["part"], part)
        future = self.future[:length, :length] if mask is None else mask
        for i in range(self.config.layers):
            p = {name: theta[f"layer{i}_{name}"] for name in _LAYER}
            listen = heard = _norm(x)
            if i == self.config.layers - 1:
                x, listen = _rows(x, asked), _rows(heard, asked)
                future = future[where].unsqueeze(-3) if mask is None else mask
            x = x + self._attention(p, listen, heard, future, turns)
            wide = _norm(x) @ p["mlp_in"] + p["mlp_bias"].unsqueeze(-2)
            x = x + F.gelu(wide) @ p["mlp_out"]
        return x

    def _attention(self, p: Theta, listen: Tensor, heard: Tensor, future: Tensor, turns: int) -> Tensor:
        """Rows ``listen`` attend to rows ``heard`` of their turn, except where ``future`` is minus infinity.

        Softmax attention by hand: the fused kernels have no second derivative on the CPU.
        """

        def heads(rows: Tensor) -> Tensor:  # [..., turns * length, attention] -> [..., turns, heads, length, size]
            return rows.unflatten(-2, (turns, -1)).unflatten(-1, (self.config.heads, -1)).transpose(-2, -3)

        query = heads(listen @ p["query"])
        key, value = (heads(rows) for rows in (heard @ p["key_value"]).chunk(2, -1))
        scores = (query / math.sqrt(query.shape[-1])) @ key.mT + future
        return (scores.softmax(-1) @ value).transpose(-2, -3).flatten(-2).flatten(-3, -2) @ p["attention_out"]


"""A set encoder: it reads support turns and says what they tell about the task, whatever their order.

Deep sets (Zaheer et al. 2017, arXiv 1703.06114): a function of a *set* is a function of a sum over its members.
Each turn is read by itself, by a transformer that sees the whole turn; then all is summed up in two ways:
once over everything (what is this speaker like?), and once for each word (what goes with this word?).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metadialog_lite.episodes import PAD, TurnBatch, user_words
from metadialog_lite.model import DialogueModel, Theta


class Reading(NamedTuple):
    """What a set encoder gives.

    whole  [..., width]              about the task
    heard  [..., vocabulary, width]  about each word as a word of the user; zero for a word that the user did not say
    said   [..., vocabulary, width]  about each word in what is to be predicted: states, acts, responses
    """

    whole: Tensor
    heard: Tensor
    said: Tensor


def make_encoder(model: DialogueModel) -> nn.ParameterDict:
    """The layers that read whole turns: of the model's own size, with other weights.

    Their words, places and parts are the model's own: a joint model already knows which words go together. ``repeated``
    is added to a token that stood in the same turn before, so that in a state what is new differs from what was known.
    """
    fresh = DialogueModel(model.config, model.seed + 1).theta()
    layers = {name: value for name, value in fresh.items() if name.startswith(("layer", "norm"))}
    random = torch.Generator().manual_seed(model.seed + 5)
    width = model.config.width
    return nn.ParameterDict({
        **layers, "repeated": torch.randn(width, generator=random) / math.sqrt(width), "change": torch.eye(width),
    })


def reader(phi: dict[str, Tensor]) -> Theta:
    """The encoder's weights out of phi: theta_0 with the encoder's layers in the place of its own."""
    own = {name[len("encoder.") :]: value for name, value in phi.items() if name.startswith("encoder.")}
    return {name[len("model.") :]: value for name, value in phi.items() if name.startswith("model.")} | own


def read_rows(model: DialogueModel, weights: Theta, support: TurnBatch) -> tuple[Tensor, Tensor]:
    """Every token of every support turn, read in the light of its whole turn.

    Returns rows [..., turns, length, width], zero at padding, and what is no padding [..., turns, length].
    """
    tokens, there = support.tokens, support.tokens != PAD
    mask = torch.where(there, 0.0, -math.inf).to(weights["embedding"].dtype)[..., None, None, :]
    everywhere = torch.arange(tokens.shape[-1], device=tokens.device).expand_as(tokens)
    words = F.embedding(tokens.flatten(-2), weights["embedding"])
    words = words + repeated(tokens).flatten(-2).unsqueeze(-1) * weights["repeated"]
    rows = model.hidden(weights, tokens, everywhere, mask, words).unflatten(-2, tokens.shape[-2:])
    rows = F.layer_norm(rows, rows.shape[-1:]) * weights["norm_weight"] + weights["norm_bias"]
    return rows * there.unsqueeze(-1), there


def repeated(tokens: Tensor) -> Tensor:
    """Which tokens stood in the same turn before: bool, shaped as ``tokens`` [..., length]."""
    return (tokens.unsqueeze(-1) == tokens.unsqueeze(-2)).tril(-1).any(-1)


def read_changes(weights: Theta, rows: Tensor, support: TurnBatch) -> Tensor:
    """EQ-SET-2: row_i + C · mean of the rows of what is new in the state of the same turn, [..., turns, length, width].

    What a user says changes the state: each word of a turn takes note of what changed. Which word it was that changed
    it, one turn cannot always tell; the sum over turns can.
    """
    new = ((support.segment == 1) & ~repeated(support.tokens)).to(rows.dtype).unsqueeze(-1)
    change = (rows * new).sum(-2, keepdim=True) / (1 + new.sum(-2, keepdim=True))
    return rows + change @ weights["change"]


def read_set(model: DialogueModel, weights: Theta, support: TurnBatch) -> Reading:
    """EQ-SET-1: (Σ_i h_i / (1 + n), Σ_{i: x_i = w} h_i / (1 + n_w)) over support positions i with hidden states h_i.

    The second sum is taken twice, over the user's words and over the targets: "thai" in a state is not a private word
    of the speaker, and its meaning must not change because it was mentioned often.
    A sum divided by (1 + count) is a mean that begins at zero: one sighting counts half, many count fully.
    """
    rows, there = read_rows(model, weights, support)
    whole = rows.flatten(-3, -2).sum(-2) / (1 + there.flatten(-2).sum(-1, keepdim=True))
    heard = by_word(support, read_changes(weights, rows, support), user_words(support.tokens), model.config.vocabulary)
    return Reading(whole, heard, by_word(support, rows, support.segment > 0, model.config.vocabulary))


def by_word(support: TurnBatch, rows: Tensor, where: Tensor, vocabulary: int) -> Tensor:
    """Σ_{i: x_i = w} row_i / (1 + n_w) for each word w, over the positions ``where`` [..., turns, length].

    rows [..., turns, length, width] -> [..., vocabulary, width]
    """
    of_word = F.one_hot(support.tokens.flatten(-2), vocabulary).to(rows.dtype) * where.flatten(-2).unsqueeze(-1)
    return (of_word.mT @ rows.flatten(-3, -2)) / (1 + of_word.sum(-2).unsqueeze(-1))


def read_turns(model: DialogueModel, weights: Theta, support: TurnBatch) -> Tensor:
    """Each turn by itself: the mean of its rows, [..., turns, width]."""
    rows, there = read_rows(model, weights, support)
    return rows.sum(-2) / there.sum(-1, keepdim=True)

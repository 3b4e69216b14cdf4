"""Memories that can be a part of theta: rows of the model read from them by attention.

A learner that reads its support as *context* does not change any weight. It still fits
``y = f_theta(x), theta = phi(D)``: theta then also holds one entry for each support position, and the model looks
there. There are two such places in the model: ``enter``, where a word comes in, and ``exit``, before the model speaks.
A memory M in theta consists of

    M_key    [entries, heads * size]   what an entry answers to
    M_value  [entries, heads * size]   what it says
    M_open   [entries]                 0, or minus infinity for an entry that is only padding
    M_query  [width, heads * size]     what a row of the model asks
    M_out    [heads * size, width]     how the answer enters the row
    M_null   [heads]                   score of "nothing in here answers me"; its value is zero

All may carry leading task dimensions, like every other tensor of theta.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors = dict[str, Tensor]
ENTER, EXIT = "enter", "exit"


def has_memory(theta: Tensors, memory: str) -> bool:
    """Whether theta holds this memory (``ENTER`` or ``EXIT``)."""
    return f"{memory}_key" in theta


def recall(theta: Tensors, memory: str, rows: Tensor) -> Tensor:
    """EQ-MEM-1: out · Σ_i softmax_i(query · key_i) value_i for each of ``rows`` [..., rows, width].

    This is the attention of a transformer over the support's positions, with a null entry: when no entry fits,
    nothing is added, and with an empty memory the model is exactly f_theta without one.
    """
    query, key, value, opened, null, out = (
        theta[f"{memory}_{part}"] for part in ("query", "key", "value", "open", "null", "out"))
    heads = null.shape[-1]

    def split(matrix: Tensor) -> Tensor:  # [..., n, heads * size] -> [..., heads, n, size]
        return matrix.unflatten(-1, (heads, -1)).transpose(-2, -3)

    asked = split(F.layer_norm(rows, rows.shape[-1:]) @ query)
    scores = asked @ split(key).mT / math.sqrt(key.shape[-1] // heads) + opened[..., None, None, :]
    nothing = null[..., None, None].expand(*scores.shape[:-1], 1)
    weight = torch.cat([nothing, scores], -1).softmax(-1)[..., 1:]
    return (weight @ split(value)).transpose(-2, -3).flatten(-2) @ out

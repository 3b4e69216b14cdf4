"""A memory that can be a part of theta: rows of the model read from it by attention.

A learner that reads its support as *context* does not change any weight. It still fits
``y = f_theta(x), theta = phi(D)``: theta then also holds one entry for each support position, and the model looks
there before it speaks.

    memory_key    [entries, heads * size]   what an entry answers to
    memory_value  [entries, heads * size]   what it says
    memory_open   [entries]                 0, or minus infinity for an entry that is only padding
    memory_query  [width, heads * size]     what a row of the model asks
    memory_out    [heads * size, width]     how the answer enters the row
    memory_null   [heads]                   score of "nothing in here answers me"; its value is zero

All may carry leading task dimensions, like every other tensor of theta.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Tensors = dict[str, Tensor]


def has_memory(theta: Tensors) -> bool:
    """Whether theta holds a memory."""
    return "memory_key" in theta


def recall(memory: Tensors, rows: Tensor) -> Tensor:
    """EQ-MEM-1: out · Σ_i softmax_i(query · key_i) value_i for each of ``rows`` [..., rows, width].

    This is the attention of a transformer over the support's positions, with a null entry: when no entry fits,
    nothing is added, and with an empty memory the model is exactly f_theta without one.
    """
    query, key, value, opened, null, out = (
        memory[f"memory_{part}"] for part in ("query", "key", "value", "open", "null", "out"))
    heads = null.shape[-1]

    def split(matrix: Tensor) -> Tensor:  # [..., n, heads * size] -> [..., heads, n, size]
        return matrix.unflatten(-1, (heads, -1)).transpose(-2, -3)

    asked = split(F.layer_norm(rows, rows.shape[-1:]) @ query)
    scores = asked @ split(key).mT / math.sqrt(key.shape[-1] // heads) + opened[..., None, None, :]
    nothing = null[..., None, None].expand(*scores.shape[:-1], 1)
    weight = torch.cat([nothing, scores], -1).softmax(-1)[..., 1:]
    return (weight @ split(value)).transpose(-2, -3).flatten(-2) @ out

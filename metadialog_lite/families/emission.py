"""From what a set encoder says to changes of theta_0: the output side of every learner that *emits* parameters."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metadialog_lite.families.set_encoder import Reading
from metadialog_lite.model import DialogueModel, Theta

Phi = dict[str, Tensor]


def matrix(random: torch.Generator, *shape: int, scale: float = 1.0) -> nn.Parameter:
    """A matrix [inputs, outputs] whose outputs have variance ``scale``² for inputs of variance 1."""
    return nn.Parameter(torch.randn(shape, generator=random) * scale / math.sqrt(shape[0]))


def zeros(*shape: int) -> nn.Parameter:
    """A matrix that begins at zero: what it emits changes nothing at first."""
    return nn.Parameter(torch.zeros(shape))


def part_of(phi: Phi, prefix: str) -> Phi:
    """The tensors of phi whose names begin with ``prefix``, without it."""
    return {name[len(prefix) :]: value for name, value in phi.items() if name.startswith(prefix)}


def make_emission(model: DialogueModel, rank: int) -> nn.ParameterDict:
    """The matrices of EQ-EMIT-1 for ``model``."""
    random = torch.Generator().manual_seed(model.seed + 2)
    width = model.config.width
    found = {
        "word": matrix(random, width, 2 * width),
        "word_heard": matrix(random, width, 2 * width),
        "word_said": matrix(random, width, 2 * width),
        "word_whole": matrix(random, width, 2 * width),
        "word_in": zeros(2 * width, width),
        "word_out": zeros(2 * width, width),
        "word_bias": zeros(2 * width, 1),
        "film_weight": zeros(width, width),
        "film_bias": zeros(width, width),
    }
    for name, value in model.theta().items():
        if name.startswith("layer") and value.dim() == 2:
            found[f"left_{name}"] = matrix(random, width, value.shape[0] * rank)
            found[f"right_{name}"] = zeros(rank, value.shape[1])
        elif name.startswith("layer"):
            found[f"shift_{name}"] = zeros(width, value.shape[0])
    return nn.ParameterDict(found)


def emit(emission: Phi, theta: Theta, reading: Reading) -> Theta:
    """EQ-EMIT-1: theta = theta_0 + change(D), for an untied theta_0. With z = what is said of the whole support:

    - word w: two two-layer networks; from (e_w, w as heard from the user) a change of its row of the embedding, from
      (e_w, w as said to the user, z) changes of its row of the output layer and of the output bias. Words that were
      not seen change as well: when four of five meanings are taken, the fifth word is known without having been heard;
    - FiLM (Perez et al. 2018, arXiv 1709.07871): scale and shift of the last hidden state, shift of the MLP's units;
    - low rank: U(z) V for every matrix of every layer.
    """
    whole, heard, said = reading
    known = theta["embedding"] * math.sqrt(whole.shape[-1]) @ emission["word"]
    listening = F.gelu(known + heard @ emission["word_heard"])
    speaking = F.gelu(known + said @ emission["word_said"] + (whole @ emission["word_whole"]).unsqueeze(-2))
    change = {
        "embedding": listening @ emission["word_in"],
        "output_embedding": speaking @ emission["word_out"],
        "output_bias": (speaking @ emission["word_bias"]).squeeze(-1),
        "norm_weight": whole @ emission["film_weight"],
        "norm_bias": whole @ emission["film_bias"],
    }
    for name in theta:
        if f"right_{name}" in emission:
            right = emission[f"right_{name}"]
            change[name] = (whole @ emission[f"left_{name}"]).unflatten(-1, (-1, len(right))) @ right
        elif f"shift_{name}" in emission:
            change[name] = whole @ emission[f"shift_{name}"]
    return {name: value + change[name] if name in change else value for name, value in theta.items()}

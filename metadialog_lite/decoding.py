"""From probabilities to words: greedy and temperature decoding, and chatting with an adapted model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from metadialog_lite.episodes import ACT, EOS, PAD, STATE, SYS, UNK, Vocabulary
from metadialog_lite.model import DialogueModel, Theta


class Reply(NamedTuple):
    """What the system makes of a prompt. ``unknown`` lists user words that the vocabulary does not have."""

    state: tuple[str, ...]
    act: tuple[str, ...]
    response: tuple[str, ...]
    unknown: tuple[str, ...] = ()


@torch.no_grad()
def decode(
    model: DialogueModel,
    theta: Theta,
    prompts: Sequence[Sequence[int]],
    temperature: float = 0.0,
    seed: int = 0,
) -> list[list[int]]:
    """Continue each prompt (ids) up to and without ``<eos>``, or to the model's max_length.

    temperature 0 takes the most probable token (greedy); above 0 tokens are drawn from p^(1/temperature).
    Raises ValueError for a negative temperature and for a prompt that leaves no room for an answer.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; it must be 0 (greedy) or above")
    room = model.config.max_length
    longest = max((len(prompt) for prompt in prompts), default=0)
    if longest >= room:
        raise ValueError(f"a prompt of {longest} tokens leaves no room for an answer: max_length is {room}")
    device = theta["embedding"].device
    random = torch.Generator(device).manual_seed(seed)
    tokens = torch.full((len(prompts), room), PAD, device=device)
    for row, prompt in zip(tokens, prompts):
        row[: len(prompt)] = torch.tensor(prompt, device=device)
    ends = torch.tensor([len(prompt) for prompt in prompts], device=device)  # where the next token goes
    running = torch.ones_like(ends, dtype=torch.bool)
    while running.any():
        logits = model.logits(theta, tokens[:, : int(ends.max())])
        scores = logits[torch.arange(len(ends)), ends - 1]
        scores[:, [PAD, UNK]] = -torch.inf  # neither is anything a system could say
        if temperature > 0:
            chosen = torch.multinomial((scores / temperature).softmax(-1), 1, generator=random).squeeze(-1)
        else:
            chosen = scores.argmax(-1)
        running &= chosen != EOS
        tokens[running, ends[running]] = chosen[running]
        ends += running
        running &= ends < room
    return [row[len(prompt) : end].tolist() for row, prompt, end in zip(tokens, prompts, ends)]


def parse_reply(prompt: Sequence[int], tail: Sequence[int], vocabulary: Vocabulary) -> Reply:
    """Decoded ids -> :class:`Reply`. What stands behind a marker that never came is empty."""
    rest = list(tail)
    if prompt[0] != STATE:
        return Reply((), (), tuple(vocabulary.decode(rest)))
    parts: list[tuple[str, ...]] = []
    for marker in (ACT, SYS):
        cut = rest.index(marker) if marker in rest else len(rest)
        parts.append(tuple(vocabulary.decode(rest[:cut])))
        rest = rest[cut + 1 :]
    return Reply(parts[0], parts[1], tuple(vocabulary.decode(rest)))

"""A tiny model and made-up turns for the tests of the torch core: fast, float64, no world needed."""

from __future__ import annotations

import random

import torch

from metadialog_lite.episodes import SPECIALS, TurnBatch, Vocabulary, stack_tasks
from metadialog_lite.families import Learner, make_learner
from metadialog_lite.model import ModelConfig
from metadialog_lite.turns import Turn

WORDS = ("-", *(f"w{i}" for i in range(14)))
VOCABULARY = Vocabulary(SPECIALS + WORDS)
CONFIG = ModelConfig(vocabulary=len(VOCABULARY), width=8, attention=8, mlp=10, layers=2, heads=2, max_length=24)


def make_turn(seed: int) -> Turn:
    """A turn of random words with parts of random lengths."""
    draw = random.Random(seed)

    def words(least: int, most: int) -> tuple[str, ...]:
        return tuple(draw.choice(WORDS) for _ in range(draw.randint(least, most)))

    return Turn(words(2, 2), words(1, 4), words(2, 2), words(1, 2), words(1, 4))


def make_tasks(tasks: int, turns: int, seed: int = 0) -> list[list[Turn]]:
    """``turns`` turns for each of ``tasks`` tasks."""
    return [[make_turn(hash((seed, task, turn))) for turn in range(turns)] for task in range(tasks)]


def make_batches(tasks: int = 3, shots: int = 3, query_turns: int = 2) -> tuple[TurnBatch, TurnBatch]:
    """Stacked support and query."""
    return (
        stack_tasks(make_tasks(tasks, shots, 1), VOCABULARY),
        stack_tasks(make_tasks(tasks, query_turns, 2), VOCABULARY),
    )


def make_tiny(name: str, scale: float = 2.0, **options: object) -> Learner:
    """A float64 learner on the tiny model. Weights are blown up so that second derivatives are not negligible."""
    learner = make_learner(name, CONFIG, VOCABULARY, seed=3, **options).double()
    noise = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for key, value in learner.named_parameters():
            if key.startswith("model."):
                value.add_(0.3 * torch.randn(value.shape, generator=noise, dtype=torch.float64)).mul_(scale / 2)
            else:  # learned rates start equal: make them differ, by a factor of up to 1.5
                value.add_(0.04 * torch.rand(value.shape, generator=noise, dtype=torch.float64))
    return learner

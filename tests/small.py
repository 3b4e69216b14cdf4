"""A small learner on a real world, and a made-up corpus with responses only: for tests of training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import Learner, make_learner
from metadialog_lite.model import ModelConfig
from metadialog_lite.training import TrainConfig
from metadialog_lite.turns import Turn
from metadialog_lite.world import World, load_world

SIZE = {"width": 16, "attention": 8, "mlp": 16, "layers": 1, "heads": 2, "max_length": 64}


@cache
def world() -> World:
    return load_world("restaurants.en")


def small(name: str = "maml", source: Any = None, seed: int = 0, **options: Any) -> Learner:
    """A learner with a model of a few thousand parameters."""
    vocabulary = Vocabulary.of(source or world())
    return make_learner(name, ModelConfig(len(vocabulary), **SIZE), vocabulary, seed, **options)


def config(learner: str = "maml", **settings: Any) -> TrainConfig:
    """Few tasks and query turns."""
    if "seconds" not in settings:
        settings.setdefault("steps", 6)
    return TrainConfig(**{"learner": learner, "tasks": 2, "query_turns": 2, "shots": (0, 1, 2), **settings})


@dataclass
class Person:
    """One person of :class:`Corpus`, who begins every answer with a word of their own."""

    name: str
    random: str

    def support(self, shots: int) -> list[Turn]:
        return [self._turn("support", i) for i in range(shots)]

    def query(self, turns: int) -> list[Turn]:
        return [self._turn("query", i) for i in range(turns)]

    def dialogues(self, count: int) -> list[list[Turn]]:
        return [[self._turn(f"dialogue {i}", j) for j in range(3)] for i in range(count)]

    def _turn(self, part: str, i: int) -> Turn:
        draw = Random(f"{self.random}/{part}/{i}")
        own = Random(self.random).choice("abc")
        return Turn((), (draw.choice("de"), "d"), (), (), (own, *draw.choices("fg", k=draw.randint(1, 3))))


class Corpus:
    """A source without state and act, whose people have 4 support and 3 query turns."""

    name = "letters"
    capabilities = ("response",)
    tokens = tuple("abcdefg")

    def task(self, split: str, seed: int, index: int) -> Person:
        return Person(f"person {index}", f"{split}/{seed}/{index}")

    def text(self, tokens: Sequence[str]) -> str:
        return " ".join(tokens)

    def check_size(self, shots: int, query_turns: int) -> None:
        if shots > 4 or query_turns > 3:
            raise ValueError(f"shots is {shots}, query_turns is {query_turns}; letters has at most 4 and 3")

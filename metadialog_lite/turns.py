"""What a dialogue turn is, and what every source of dialogue tasks offers. No torch in here.

A *task* is one speaker (toy world) or one person (real corpus) with habits of their own.
Meta-learning is about what a learner can pick up of these habits from a few *support* turns,
measured on other *query* turns of the same task.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

#: The three dialogue capabilities, in the order of every table and of the columns of ``nll``:
#: state tracking (状态跟踪), context understanding = choice of act (上下文理解), generation (生成质量).
CAPABILITIES = ("state", "act", "response")

#: The token that stands for "this slot is still empty" in a dialogue state.
EMPTY = "-"


class Turn(NamedTuple):
    """One exchange: the user speaks, the system updates its state, chooses an act and answers.

    All fields are tuples of tokens (words in the toy world, subword pieces in real corpora).
    ``state`` and ``act`` are empty where a source does not have these capabilities. Its loss has three parts:

    EQ-TURN-1:  −ln p(turn | prompt) = −ln p(state | prompt) − ln p(act | prompt, state) − ln p(response | …, act)

    ``meaning`` is for the exact Bayes reference of the toy world and is never shown to a model.
    """

    previous_state: tuple[str, ...]
    user: tuple[str, ...]
    state: tuple[str, ...]
    act: tuple[str, ...]
    response: tuple[str, ...]
    meaning: Any = None


class Task(Protocol):
    """One speaker: an endless supply of that speaker's turns."""

    name: str

    def support(self, shots: int) -> list[Turn]:
        """The first ``shots`` turns of one fixed stream of consecutive turns (so 4 shots begin 8 shots)."""
        ...

    def query(self, turns: int) -> list[Turn]:
        """The first ``turns`` query turns; they come from dialogues of which no turn is in the support."""
        ...

    def dialogues(self, count: int) -> list[list[Turn]]:
        """``count`` whole dialogues of which no turn is in the support."""
        ...


class TaskSource(Protocol):
    """A toy world or a real corpus."""

    name: str
    capabilities: tuple[str, ...]
    tokens: tuple[str, ...]

    def task(self, split: str, seed: int, index: int) -> Task:
        """Task number ``index``: a pure function of (source, split, seed, index)."""
        ...

    def text(self, tokens: Sequence[str]) -> str:
        """Tokens as a person would read them."""
        ...

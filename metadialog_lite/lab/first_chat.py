"""The first experiment of the course: the same words to a bot before and after it adapted to a speaker."""

from __future__ import annotations

from collections.abc import Sequence

from metadialog_lite.families.base import Adapted, Learner
from metadialog_lite.turns import Turn
from metadialog_lite.world import World, asked


def understood_words(world: World, adapted: Adapted, turns: Sequence[Turn]) -> tuple[int, int]:
    """(value words of the turns that the bot's new state has as the speaker means them, all value words)."""
    right = total = 0
    for turn, reply in zip(turns, adapted.replies(turns), strict=True):
        for question in asked(turn):
            meant = world.values[question.slot][question.value]
            right += len(reply.state) == len(world.slots) and reply.state[question.slot] == meant
            total += 1
    return right, total


def before_and_after(learner: Learner, world: World, shots: int, speakers: int, seed: int) -> dict[int, float]:
    """Support turns (0 and ``shots``) → share of the value words that were understood, over held-out speakers."""
    share = {}
    for k in (0, shots):
        counts = []
        for index in range(speakers):
            task = world.task("test", seed, index)
            counts.append(understood_words(world, learner.adapt(task.support(k)), task.query(6)))
        share[k] = sum(right for right, _ in counts) / max(1, sum(total for _, total in counts))
    return share

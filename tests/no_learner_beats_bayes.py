"""A test that any learner can be put to: nobody is better than the exact optimum, except by cheating.

With one query turn per *fresh* task, Π p_learner / p_bayes is a non-negative martingale of mean 1 for every honest
learner, however good. By Ville's inequality its running maximum reaches 10⁴ with probability ≤ 10⁻⁴. So when

    Σ (L_bayes − L_learner)  ≥  ln 10⁴

is ever reached, the learner has seen what it must not see (or does not give probabilities that sum to 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from metadialog_lite.turns import Turn
from metadialog_lite.world import BayesReference, World

#: (support, query turn) -> nats for (state, act, response).
Loss = Callable[[Sequence[Turn], Turn], Sequence[float]]
LIMIT = math.log(1e4)


def highest_lead(world: World, loss: Loss, tasks: int = 200, shots: Sequence[int] = (0, 1, 2, 4, 8, 16),
                 seed: int = 0, capability: int | None = None) -> float:
    """The largest running sum of (L_bayes − L_learner), in nats; ``>= LIMIT`` means that somebody cheats.

    ``capability`` 0, 1 or 2 compares state, act or response alone (each is a fair race by itself).
    """
    bayes, lead, highest = BayesReference(world), 0.0, 0.0
    for index in range(tasks):
        task = world.task("test", seed, index)
        support, (turn,) = task.support(shots[index % len(shots)]), task.query(1)
        columns = slice(None) if capability is None else slice(capability, capability + 1)
        lead += sum(bayes.posterior(support).nll(turn)[columns]) - sum(list(loss(support, turn))[columns])
        highest = max(highest, lead)
    return highest

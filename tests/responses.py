"""Every response that a toy-world system could give to a turn, with the probability that Bayes gives it."""

from __future__ import annotations

import math
from itertools import product

from metadialog_lite.turns import Turn
from metadialog_lite.world import Posterior, World


def response_event(world: World, posterior: Posterior, turn: Turn) -> tuple[str, list[float], int]:
    """All responses (template × facts) and their probability by ``nll``, and which of them was given."""
    m, found, outcome = turn.meaning, [], -1
    state = {f"{{{s}}}": v for s, v in zip(world.slots, turn.state, strict=True)}
    for template, text in enumerate(world.templates[m.act]):
        facts = [fact for fact in world.spec.persona if f"{{{fact}}}" in text]
        options = [[posterior.known[f]] if f in posterior.known else world.spec.persona[f] for f in facts]
        for choice in product(*options):
            fill = state | {f"{{{f}}}": x for f, x in zip(facts, choice, strict=True)}
            response = world.render(m.act, template, m.asked, fill)
            if response == turn.response:
                outcome = len(found)
            other = turn._replace(response=response, meaning=m._replace(template=template))
            found.append(math.exp(-posterior.nll(other)[2]))
    return "response", found, outcome

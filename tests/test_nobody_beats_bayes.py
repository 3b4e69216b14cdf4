"""The real model, put to the "no learner beats Bayes" test: green with its causal mask, red without."""

from __future__ import annotations

from itertools import chain

import pytest
import torch
from no_learner_beats_bayes import LIMIT, highest_lead

from metadialog_lite.episodes import Vocabulary, encode_turns
from metadialog_lite.model import DialogueModel, ModelConfig
from metadialog_lite.world import load_world

STEPS, TASKS = 150, 200


@pytest.mark.parametrize("masked", [True, False])
def test_the_causal_mask_is_what_keeps_the_model_honest(masked):
    """Trained a moment on other tasks. A model that sees its own targets soon copies them, and is caught."""
    world = load_world("restaurants.en")
    vocabulary = Vocabulary.of(world)
    model = DialogueModel(ModelConfig(vocabulary=len(vocabulary)), seed=0)
    if not masked:
        model.future.zero_()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(STEPS):
        tasks = (world.task("train", 0, 8 * step + i) for i in range(8))
        batch = encode_turns(list(chain.from_iterable(task.query(8) for task in tasks)), vocabulary)
        optimizer.zero_grad()
        model.nll(model.theta(), batch).sum(-1).mean().backward()
        optimizer.step()

    @torch.no_grad()
    def loss(_, turn):
        return model.nll(model.theta(), encode_turns([turn], vocabulary))[0].tolist()

    lead = highest_lead(world, loss, tasks=TASKS, shots=(0,))
    assert (lead < LIMIT) if masked else (lead >= 10 * LIMIT)

"""Notebook 02 from the shell with plain papermill: its claims hold for several worlds and knobs."""

from __future__ import annotations

import json

import pytest

NAME = "02_dialogue_world"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"eval_tasks": 20, "query_turns": 2, "shots": 4},
    {"world": "travel.en", "word_noise": 0.1, "style": 1.0, "eval_tasks": 12, "query_turns": 2, "shots": 4, "seed": 3},
], ids=["small", "noise-and-corrections"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, **parameters, result_path="out/result.json")
    result = json.loads(run.written())
    assert result["world"] == parameters.get("world", "restaurants.en")
    assert result["knobs"]["word_noise"] == parameters.get("word_noise", 0)
    assert result["knobs"]["style"] == parameters.get("style", 0.3)
    assert list(result["bayes"]) == ["0", "1", "2", "4"]
    assert result["bayes"]["4"]["total"] < result["bayes"]["0"]["total"]
    assert len(result["enumerated"]) == 12
    assert max(abs(mine - theirs) for mine, theirs in result["enumerated"]) < 1e-9
    assert sum(result["next_slot"]["exact"]) == pytest.approx(1)
    for rows in result["regret"].values():
        assert all(expected > -1e-9 for _, expected in rows.values())  # nobody beats Bayes
        assert rows["16"][1] > 0


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "world: got 'restaurants.en,travel.en': 'restaurants.en,travel.en' is several worlds",
            world="restaurants.en,travel.en")

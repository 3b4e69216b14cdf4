"""Notebook 03 from the shell with plain papermill: no environment variable, no panel pressed, a valid result."""

from __future__ import annotations

import pytest

NAME = "03_meta_networks"
SMALL = {"meta_steps": 2, "tasks": 2, "eval_tasks": 6, "query_turns": 4}


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"learner": "hypernetwork", "shots": 16, "result_path": "out/result.json"},
    {"learner": "in_context", "world": "restaurants.zh", "shots": 4, "seed": 1, "result_path": "result.json"},
], ids=lambda p: p["learner"])
def test_parameter_sets_give_results_in_the_schema(papermill, parameters) -> None:
    """The second has no shipped checkpoint: all cells work on learners that know nothing yet."""
    parameters = {**SMALL, **parameters}
    run = papermill(NAME, timeout=800, **parameters)
    run.judged(parameters)
    assert "stays the same up to rounding" in run.printed


@pytest.mark.parametrize(("parameters", "words"), [
    ({"learner": "maml"}, "learner: got 'maml': unknown learner; known are hypernetwork, fast_weights, in_context"),
    ({"inner_lr": 0.1}, "inner_lr: there is no such parameter"),
], ids=["learner", "inner_lr"])
def test_bad_parameters_stop_the_run_with_a_readable_word(refused, parameters, words) -> None:
    refused(NAME, words, **parameters)

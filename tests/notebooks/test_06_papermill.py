"""Notebook 06 from the shell with plain papermill: no environment variable, no panel pressed, a valid result."""

from __future__ import annotations

import pytest

NAME = "06_meta_data_generation"
SMALL = {"meta_steps": 2, "tasks": 2, "eval_tasks": 6, "query_turns": 4}


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"learner": "augmentation", "shots": 8, "result_path": "out/result.json"},
    {"learner": "example_weights", "world": "restaurants.zh", "shots": 4, "seed": 1, "result_path": "result.json"},
    {"learner": "distillation", "meta_steps": 0, "noise": 0, "shots": 4, "result_path": "result.json"},
], ids=lambda p: p["learner"])
def test_parameter_sets_give_results_in_the_schema(papermill, parameters) -> None:
    """The second has no shipped checkpoint, the third neither training nor noise."""
    parameters = {**SMALL, **parameters}
    run = papermill(NAME, timeout=800, **parameters)
    if parameters["learner"] == "example_weights":  # the notebook gives it noisy support
        parameters["world"] += "+noise=0.2"
    run.judged(parameters)
    assert "largest error" in run.printed


@pytest.mark.parametrize(("parameters", "words"), [
    ({"learner": "maml"}, "learner: got 'maml': unknown learner; known are augmentation, distillation"),
    ({"noise": 2}, "noise: got 2"),
], ids=["learner", "noise"])
def test_bad_parameters_stop_the_run_with_a_readable_word(refused, parameters, words) -> None:
    refused(NAME, words, **parameters)

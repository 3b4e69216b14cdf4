"""Notebook 04 from the shell with plain papermill: no environment variable, no panel pressed, a valid result."""

from __future__ import annotations

import pytest

NAME = "04_meta_neural_networks"
SMALL = {"meta_steps": 2, "tasks": 2, "eval_tasks": 6, "query_turns": 4}


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"learner": "structure_parameters", "shots": 16, "result_path": "out/result.json"},
    {"learner": "structure", "world": "restaurants.zh", "shots": 4, "seed": 1, "result_path": "result.json"},
], ids=lambda p: p["learner"])
def test_parameter_sets_give_results_in_the_schema(papermill, parameters) -> None:
    """The second has no shipped checkpoint: all cells work on learners that know nothing yet."""
    parameters = {**SMALL, **parameters}
    run = papermill(NAME, timeout=800, **parameters)
    run.judged(parameters)
    assert "A closed gate is a removed part: the two losses agree." in run.printed
    assert "structure on − structure off, speaker by speaker" in run.printed


@pytest.mark.parametrize(("parameters", "words"), [
    ({"learner": "maml"}, "learner: got 'maml': unknown learner; known are structure_parameters, structure"),
    ({"sparsity": -0.1}, "sparsity: got -0.1"),
], ids=["learner", "sparsity"])
def test_bad_parameters_stop_the_run_with_a_readable_word(refused, parameters, words) -> None:
    refused(NAME, words, **parameters)

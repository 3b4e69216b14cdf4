"""Notebook 00 from the shell with plain papermill: the first experiment works for every shipped learner's kind."""

from __future__ import annotations

import json

import pytest

NAME = "00_start_here"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {},
    {"learner": "hypernetwork", "shots": 8, "eval_tasks": 12, "seed": 3},
], ids=["default", "hypernetwork"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, **parameters, result_path="out/result.json")
    result = json.loads(run.written())
    shots = parameters.get("shots", 16)
    assert result["learner"] == parameters.get("learner", "meta_sgd")
    assert result["understood"]["0"] < 0.45 < result["understood"][str(shots)] <= 1  # a guess among five; then it knows
    assert "The installation works." in run.printed
    assert "用户:" in run.printed


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "learner: got 'hypernet': unknown learner; did you mean 'hypernetwork'?", learner="hypernet")

"""Notebook 01 from the shell with plain papermill: its claims hold for several parameter sets."""

from __future__ import annotations

import json

import pytest

NAME = "01_learning_to_learn"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"meta_steps": 250, "eval_tasks": 60},
    {"meta_steps": 20, "eval_tasks": 20, "shots": 5, "inner_steps": 1, "inner_lr": 0.3, "seed": 3},
], ids=["shorter", "tiny"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, **parameters, result_path="out/result.json")
    result = json.loads(run.written())
    assert result["memorised"]["train"] < 0.1 < 1 < result["memorised"]["fresh"]  # learned by heart, and wrong
    assert 0.01 * 0.8 < result["floor"] < result["zero"]
    assert min(map(min, result["error"].values())) > 0.9 * result["floor"]
    if parameters["meta_steps"] >= 250:
        assert result["gap_closed"]["meta-trained"] > 0.3
        assert result["gap_closed"]["joint, fine-tuned"] < 0.2


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "inner_lr: got 5: input should be less than or equal to 2", inner_lr=5)

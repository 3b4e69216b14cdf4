"""Notebook 07 from the shell with plain papermill: whatever is stored, all, half or nothing, it runs and says so."""

from __future__ import annotations

import pytest
from made_up_comparison import write_comparison, write_shifts

NAME = "07_compare_families"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"eval_tasks": 20, "result_path": "out/result.json"},
    {"eval_tasks": 20, "shots": 0, "capability": "response", "measure": "regret", "result_path": "result.json"},
], ids=["as shipped", "no support"])
def test_two_checkpoints_are_measured_and_written(papermill, parameters) -> None:
    run = papermill(NAME, timeout=600, **parameters)
    result = run.result(parameters["result_path"])
    assert result.learner == "meta_sgd"
    assert result.tasks == 20
    assert result.row(parameters.get("shots", 16)).bayes is not None
    assert result.options["compared"]
    assert "measured here" in run.printed


@pytest.mark.slow
def test_a_folder_of_ones_own_with_a_damaged_file(papermill, tmp_path) -> None:
    folder = write_comparison(tmp_path / "mine" / "compare")
    write_shifts(tmp_path / "mine" / "shift")
    (folder / "restaurants.en.prior.seed1.json").write_text("{")
    run = papermill(NAME, timeout=600, results=folder, learners="all", capability="state", measure="loss", shots=4,
                    training_seed=0, live="", result_path="result.json")
    result, printed = run.result("result.json"), run.words
    assert "hypernetwork wins" in printed
    assert "restaurants.en.prior.seed1.json: the file: Invalid JSON" in printed
    assert "Answer: “Meta-Neural Networks”" in printed
    assert "lexicon: meta_sgd 0.40" in printed
    assert result.learner == "hypernetwork"
    assert "prior" in result.options["not_run"]


@pytest.mark.slow
def test_a_world_without_any_run(papermill) -> None:
    run = papermill(NAME, timeout=600, world="restaurants.zh", result_path="result.json")
    assert run.code == 0, run.log[-3000:]
    printed = run.words
    assert "No run on restaurants.zh is stored" in printed
    assert "No checkpoint of meta_sgd,hypernetwork is shipped for restaurants.zh" in printed
    assert "nothing was measured or stored" in printed


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "'mamel' is no learner; did you mean 'maml'?",
            "shots: got 7: the comparison was made after", learners="mamel", shots=7)

"""Notebook 08 from the shell with plain papermill: whatever is stored, it runs and says what is missing."""

from __future__ import annotations

import pytest
from made_up_comparison import write_comparison

NAME = "08_three_capabilities"


@pytest.mark.slow
def test_a_gradient_learner_with_few_speakers(papermill) -> None:
    run = papermill(NAME, timeout=600, eval_tasks=8, shots=4, measure="regret", who="all", result_path="out/r.json")
    result = run.result("out/r.json")
    assert (result.learner, result.tasks) == ("meta_sgd", 8)
    assert result.row(4, "state").gap_closed is not None
    assert len(result.options["claims"]) == 12
    assert result.options["jga"]["4 own"] <= 1
    assert len(set(result.options["bleu"].values())) > 3
    assert [len(row) for row in result.options["taught"]] == [3, 3, 3, 3]


@pytest.mark.slow
def test_a_network_and_a_folder_of_ones_own(papermill, tmp_path) -> None:
    folder = write_comparison(tmp_path / "mine" / "compare")
    run = papermill(NAME, timeout=600, results=folder, learner="hypernetwork", eval_tasks=6, training_seed=0,
                    result_path="result.json")
    result, printed = run.result("result.json"), run.words
    assert "11 of 11 claims: supported" in printed
    assert result.learner == "hypernetwork"
    assert result.options["shipped"]


@pytest.mark.slow
def test_a_world_without_any_run_or_checkpoint(papermill) -> None:
    run = papermill(NAME, timeout=600, world="clinic.en", learner="maml", eval_tasks=4, shots=2,
                    result_path="result.json")
    result, printed = run.result("result.json"), run.words
    assert "No run on clinic.en is stored" in printed
    assert "11 of 11 claims: not measured" in printed
    assert set(result.options["claims"].values()) == {"not measured"}


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "learner: got 'mamel': unknown learner; did you mean 'maml'?",
            "shots: got 7: the comparison was made after", learner="mamel", shots=7)

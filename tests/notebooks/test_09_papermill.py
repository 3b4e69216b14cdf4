"""Notebook 09 from the shell with plain papermill: with and without stored experiments, on other worlds as well."""

from __future__ import annotations

import pytest

NAME = "09_three_challenges"


@pytest.mark.slow
def test_a_short_run_is_written(papermill) -> None:
    run = papermill(NAME, timeout=600, pool=2, meta_steps=24, tasks=2, eval_tasks=6, result_path="out/result.json")
    result = run.result()
    assert (result.learner, result.tasks) == ("meta_sgd", 6)
    assert result.options["shipped"]
    change = result.options["change_of_regret"]
    assert change["seen"] < 0 < change["new"]  # it learns its two speakers by heart, and strangers pay
    assert [point["step"] for point in result.options["points"]] == [0, 4, 8, 12, 16, 20, 24]
    shares = result.options["shift_gap_closed"]
    assert shares["+lexicon"] < shares[""]
    errors = list(result.options["order_error"].values())
    assert errors[0] < errors[-1]
    assert "stored: python -m metadialog_lite.challenges tasks" in run.words


@pytest.mark.slow
def test_another_learner_without_stored_experiments(papermill, tmp_path) -> None:
    (tmp_path / "nothing").mkdir()
    run = papermill(NAME, timeout=600, results=tmp_path / "nothing", learner="maml", meta_steps=2, pool=3, tasks=2,
                    eval_tasks=4, shots=4, result_path="result.json")
    result = run.result("result.json")
    assert "nobody has made this experiment yet" in run.words
    assert (result.learner, result.options["shipped"]) == ("maml", False)
    assert result.row(4).bayes is not None


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "learner: got 'hypernetwork': unknown learner", "pool: got 0", learner="hypernetwork", pool=0)

"""Notebook 11 from the shell with plain papermill: the shipped corpus, and a corpus in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_up_real import write_real

from tests import tiny_corpora as tiny

NAME = "11_real_dialogues"


@pytest.mark.slow
def test_chitchat_with_made_up_runs_and_a_little_training(papermill, tmp_path: Path) -> None:
    pytest.importorskip("chitchat_dataset")
    folder = write_real(tmp_path / "mine")
    run = papermill(NAME, timeout=600, results=folder, shots=4, eval_tasks=3, meta_steps=2, learner="hypernetwork",
                    result_path="out/result.json")
    result = run.result()
    assert "Answer: “yes, it wins”" in run.words
    assert "in both: 0" in run.words
    assert (result.learner, result.corpus, result.tasks) == ("hypernetwork", "chitchat", 3)
    assert result.options["against"] == "finetune"


@pytest.mark.slow
def test_a_corpus_in_a_folder_without_any_stored_run(papermill, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "sgd", tiny.sgd())
    run = papermill(NAME, timeout=600, corpus="sgd", folder=folder, results=tmp_path, shots=4, eval_tasks=2,
                    joint_steps=2, learner="anil", result_path="result.json")
    result = run.result("result.json")
    assert "No joint model of 'sgd' is shipped: training a stand-in for 2 steps" in run.words
    assert "Nothing is stored on sgd (tiny model)" in run.words
    assert (result.learner, result.corpus, result.tasks) == ("anil", "sgd", 2)
    assert {row.capability for row in result.rows} == {"state", "act", "response", "total"}


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "there is no such folder or .zip", "shots: got 0", corpus="sgd", folder="/no/such/folder", shots=0)

"""Notebook 05 from the shell with plain papermill: no environment variable, no panel pressed, a valid result."""

from __future__ import annotations

import pytest

NAME = "05_meta_optimization"
SMALL = {"meta_steps": 2, "tasks": 2, "eval_tasks": 10}


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [
    {"learner": "maml", "shots": 4, "seed": 1, "result_path": "out/result.json"},
    {"learner": "meta_sgd", "world": "restaurants.zh", "inner_steps": 1, "shots": 2, "result_path": "result.json"},
    {"learner": "reptile", "inner_lr": 0.0005, "shots": 8, "meta_steps": 3, "result_path": "result.json"},
], ids=lambda p: p["learner"])
def test_parameter_sets_give_results_in_the_schema(papermill, parameters) -> None:
    parameters = {**SMALL, **parameters}
    result = papermill(NAME, timeout=800, **parameters).judged(parameters)
    assert result.corpus is None
    assert result.seed == parameters.get("seed", 0)
    row = result.row(parameters["shots"])
    assert row.loss > 0
    assert row.gap_closed is not None
    assert {r.capability for r in result.rows} == {"state", "act", "response", "total"}
    assert {r.shots for r in result.rows} >= {0, parameters["shots"]}


@pytest.mark.slow
def test_real_dialogues_run_through_the_same_notebook(papermill) -> None:
    pytest.importorskip("chitchat_dataset")
    pytest.importorskip("tokenizers")
    run = papermill(NAME, timeout=800, corpus="chitchat", shots=4, result_path="result.json", **SMALL)
    result = run.result("result.json")
    # From the shipped joint model: training a stand-in would take minutes.
    assert "shipped joint model chitchat.joint.safetensors" in (run.folder / "out.ipynb").read_text(encoding="utf-8")
    assert (result.corpus, result.world) == ("chitchat", None)
    assert {row.capability for row in result.rows} == {"response", "total"}
    assert all(row.bayes is None and row.gap_closed is None for row in result.rows)
    assert result.perplexity is not None
    assert result.perplexity["4"] > 1
    assert result.vocabulary is not None


@pytest.mark.parametrize(("parameters", "words"), [
    ({"inner_lr": -1}, ["inner_lr: got -1", "greater than 0"]),
    ({"learner": "mamal", "shots": "many"}, ["did you mean 'maml'", "shots: got 'many'"]),
    ({"metasteps": 3}, ["metasteps: there is no such parameter; did you mean 'meta_steps'"]),
    ({"result_path": "/proc/no/result.json"}, ["result_path: got '/proc/no/result.json'", "cannot be written"]),
], ids=lambda p: next(iter(p)) if isinstance(p, dict) else "")
def test_bad_parameters_stop_the_run_with_a_readable_word(refused, parameters, words) -> None:
    refused(NAME, *words, **parameters)

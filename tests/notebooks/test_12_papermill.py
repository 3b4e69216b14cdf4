"""Notebook 12 from the shell with plain papermill: it reads what is stored, and says so where nothing is."""

from __future__ import annotations

import json

import pytest

from metadialog_lite.lab.open_questions import DIRECTIONS, QUESTIONS

NAME = "12_open_questions"


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{}, {"world": "restaurants.zh", "shots": 4, "direction": "better responses"}],
                         ids=["as shipped", "nothing stored"])
def test_parameter_sets_give_results(papermill, parameters) -> None:
    run = papermill(NAME, **parameters, result_path="out/result.json")
    result = json.loads(run.written())
    assert list(result["answers"]) == list(QUESTIONS)
    assert result["commands"] == {name: [one.command, one.sweep] for name, one in DIRECTIONS.items()}
    if parameters:
        assert result["left"] == {}
        assert "is stored" in result["answers"]["What comes next?"]
    else:
        assert set(result["left"]) == {"state", "act", "response"}
        assert "meta_sgd wins" in result["answers"]["How does it differ from traditional learning?"]


def test_bad_parameters_stop_the_run_with_a_readable_word(refused) -> None:
    refused(NAME, "did you mean 'cheaper adaptation'?", "shots: got 3: the stored numbers are for",
            direction="cheaper adaption", shots=3)

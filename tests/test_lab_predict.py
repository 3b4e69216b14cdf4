"""Predict, then check: guesses are stored locally, the first answer counts, nobody there means nothing stored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metadialog_lite.lab.predict import FILE, calibration, predict, read_predictions


def ask(folder: Path, identifier: str = "05.p1"):
    return predict(identifier, "Which is larger?", choices=["a", "b"], folder=folder)


def test_without_a_guess_the_answer_is_shown_and_nothing_is_stored(tmp_path, capsys):
    question = ask(tmp_path)
    question.reveal("a", "Because.")
    assert "Answer: “a”. No guess was committed this time. Because." in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_guess_is_stored_and_compared(tmp_path, capsys):
    question = ask(tmp_path)
    question.commit("b", 80)
    assert read_predictions(tmp_path)["05.p1"]["right"] is None
    question.reveal("a")
    assert "You said “b” (80 % sure): not so." in capsys.readouterr().out
    assert read_predictions(tmp_path)["05.p1"]["right"] is False


def test_saying_the_same_after_the_answer_changes_nothing(tmp_path):
    question = ask(tmp_path)
    question.commit("a", 60)
    question.reveal("a")
    ask(tmp_path).commit("a", 99)
    assert read_predictions(tmp_path)["05.p1"]["confidence"] == 60


def test_numbers_have_a_tolerance(tmp_path):
    question = predict("05.p2", "How many?", unit="steps", folder=tmp_path)
    question.commit(11.0)
    assert question.right(10) is True
    assert question.right(20) is False


@pytest.mark.parametrize(("guess", "confidence"), [("c", 50), ("a", 101)])
def test_impossible_guesses_are_refused(tmp_path, guess, confidence):
    with pytest.raises(ValueError, match=r"05\.p1"):
        ask(tmp_path).commit(guess, confidence)


def test_numbers_must_be_numbers(tmp_path):
    question = predict("05.p2", "How many?", folder=tmp_path)
    for bad in (float("nan"), "three"):
        with pytest.raises(ValueError, match=r"05\.p2"):
            question.commit(bad)


def test_choices_must_differ():
    with pytest.raises(ValueError, match="at least two"):
        predict("x", "?", choices=["a", "a"])


def test_a_damaged_file_is_set_aside(tmp_path):
    (tmp_path / FILE).write_text("{half a fi", encoding="utf-8")
    assert read_predictions(tmp_path) == {}
    ask(tmp_path).commit("a")
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["05.p1"]["guess"] == "a"
    assert (tmp_path / "my_predictions.damaged.json").read_text(encoding="utf-8") == "{half a fi"


def test_calibration(tmp_path):
    assert "No committed predictions" in calibration(tmp_path)
    for i, guess in enumerate("aab"):
        question = ask(tmp_path, f"05.p{i}")
        question.commit(guess, 80)
        question.reveal("a")
    assert "80 % sure: 2 of 3 right" in calibration(tmp_path)


def test_the_controls_commit(tmp_path):
    box = ask(tmp_path).widget()
    (answer,), (_, button), text = box.children[0].children, box.children[1].children, box.children[2]
    button.click()
    assert "Choose" in text.value
    answer.value = "b"
    button.click()
    assert "Committed" in text.value
    assert read_predictions(tmp_path)["05.p1"]["guess"] == "b"
    assert all(control.description for control in (answer, button, box.children[1].children[0]))


def test_a_folder_that_cannot_be_written_is_said_in_the_panel(tmp_path):
    (tmp_path / "file").write_text("")
    box = predict("05.p1", "?", choices=["a", "b"], folder=tmp_path / "file").widget()
    box.children[0].children[0].value = "a"
    box.children[1].children[1].click()
    assert "cannot be written" in box.children[2].value

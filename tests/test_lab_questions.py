"""Notebook 12: answers come from what is stored, commands are commands, its panel and its checks."""

from __future__ import annotations

import math
import shlex

import papermill as pm
import pytest
import torch
from made_up_comparison import write_comparison

from metadialog_lite.lab import QuestionsPanel, check
from metadialog_lite.lab.comparison_data import Comparison, read_comparison
from metadialog_lite.lab.open_questions import DIRECTIONS, QUESTIONS, left_over, paired, shipped
from metadialog_lite.lab.parameters import ParameterError, Parameters, parameters
from metadialog_lite.lab.parameters_03 import NetworkParameters
from metadialog_lite.lab.parameters_12 import NAMES, QuestionParameters
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.runs.grid import grid_of_text, settings
from metadialog_lite.runs.notebook import load_notebook

WORLD = "restaurants.en"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return read_comparison(WORLD, write_comparison(tmp_path_factory.mktemp("compare")))


# Answers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_has_numbers_or_says_that_nothing_is_stored(question: str) -> None:
    assert any(letter.isdigit() for letter in QUESTIONS[question](WORLD, 16))
    nothing = QUESTIONS[question]("clinic.en", 16)
    assert "stored" in nothing or "chitchat" in nothing  # what is hard is also asked of real conversations


def test_answers_repeat_what_the_files_say() -> None:
    ((learner, rival, difference),) = paired(WORLD, 16)
    assert (learner, rival) == ("meta_sgd", "finetune")
    assert f"{difference.mean:+.3f}" in QUESTIONS["How does it differ from traditional learning?"](WORLD, 16)
    results = [result for result in shipped(WORLD) if result.learner == "meta_sgd"]
    rows = [result.row(16, "act") for result in results]
    assert left_over(results, 16)["act"] == pytest.approx(sum(row.loss - row.bayes for row in rows) / len(rows))
    assert left_over([], 16) == {}
    assert paired(WORLD, 3) == []


# Ways on -------------------------------------------------------------------------------------------------------------


def test_four_directions_known_from_numbers(found: Comparison) -> None:
    assert tuple(DIRECTIONS) == NAMES
    nobody = read_comparison("clinic.en", found.folder)
    for one in DIRECTIONS.values():
        assert any(letter.isdigit() for letter in one.known(found, 4)), one.name
        assert "othing is stored" in one.known(nobody, 4)


@pytest.mark.parametrize("name", NAMES)
def test_the_command_names_a_notebook_and_parameters_that_it_takes(name: str) -> None:
    words = shlex.split(DIRECTIONS[name].command)
    assert words[0] == "papermill"
    notebook = notebooks_dir() / words[1].removeprefix("notebooks/")
    offered = pm.inspect_notebook(str(notebook))
    given = {words[i + 1]: words[i + 2] for i, word in enumerate(words) if word == "-p"}
    assert set(given) <= set(offered)
    kind = NetworkParameters if notebook.name.startswith("03") else Parameters
    given.pop("result_path")
    parameters(None, kind, **given)  # the notebook's own validation accepts them


@pytest.mark.parametrize("name", NAMES)
def test_the_sweep_is_a_grid_that_the_experiment_accepts(name: str) -> None:
    experiment = load_notebook("experiment")
    runs = settings(experiment, grid_of_text(DIRECTIONS[name].grid, experiment))
    assert 9 <= len(runs) <= 18
    assert {run["seed"] for run in runs} == {0, 1, 2}  # one seed is one draw
    words = shlex.split(DIRECTIONS[name].sweep)
    assert words[:4] == ["metadialog-lite", "sweep", "experiment", "--grid"]
    assert words[4] == DIRECTIONS[name].grid


# The panel -----------------------------------------------------------------------------------------------------------


def test_panel_at_every_value_and_reset(found: Comparison) -> None:
    panel = QuestionsPanel(found, "better state", 4)
    for name in NAMES:
        panel.direction_choice.value = name
        for shots in panel.shots_slider.options:
            panel.shots_slider.value = shots
            assert panel.error.value == ""
            assert panel.says.value
            assert panel.command_field.value == DIRECTIONS[name].command
    panel.reset_button.click()
    assert (panel.direction_choice.value, panel.shots_slider.value) == ("better state", 4)
    panel.copy_button.click()
    panel.guard.on_copied(True)
    assert "clipboard" in panel.hint.value
    assert "better state" in repr(panel)
    with pytest.raises(ValueError, match="direction: got 'nowhere'"):
        QuestionsPanel(found, "nowhere")


def test_parameters_name_the_culprit() -> None:
    with pytest.raises(ParameterError, match="did you mean 'better state'"):
        parameters(None, QuestionParameters, direction="better stat")
    with pytest.raises(ParameterError, match="shots: got 7: the stored numbers are for 0, "):
        parameters(None, QuestionParameters, shots=7)


# The checks ----------------------------------------------------------------------------------------------------------


def needed(d, s):
    return math.ceil((1.96 * s / d) ** 2)


def test_right_answers_pass() -> None:
    for _ in range(5):
        assert check("12.1", lambda x, b, p: (x - b).tolist().index(max((x - b).tolist()))).passed
        assert check("12.2", needed).passed


@pytest.mark.parametrize(("number", "answer", "label"), [
    ("12.1", lambda x, b, p: x.argmax(), "largest loss"),
    ("12.1", lambda x, b, p: (x / b).argmax(), "largest ratio"),
    ("12.1", lambda x, b, p: ((p - x) / (p - b)).argmin(), "smallest share closed"),
    ("12.1", lambda x, b, p: (p - x).argmax(), "most gained already"),
    ("12.1", lambda x, b, p: (p - b).argmax(), "largest gap"),
    ("12.1", lambda x, b, p: (x - b).argmin(), "least left"),
    ("12.1", lambda x, b, p: (x - b).max(), "the number itself"),
    ("12.2", lambda d, s: math.ceil(1.96 * s / d), "not squared"),
    ("12.2", lambda d, s: math.ceil((s / d) ** 2), "no 1.96"),
    ("12.2", lambda d, s: math.ceil((3.92 * s / d) ** 2), "both sides"),
    ("12.2", lambda d, s: math.ceil((1.96 * d / s) ** 2), "upside down"),
    ("12.2", lambda d, s: math.ceil(1.96**2 * s / d**2), "variance forgotten"),
    ("12.2", lambda d, s: int((1.96 * s / d) ** 2), "rounded down"),
])
def test_usual_mistakes_are_named(number, answer, label) -> None:
    verdicts = [check(number, answer) for _ in range(4)]  # rarely two ideas agree on all of a draw
    assert not any(verdict.passed for verdict in verdicts)
    assert label in {verdict.misconception for verdict in verdicts}, verdicts


@pytest.mark.parametrize("number", ["12.1", "12.2"])
@pytest.mark.parametrize("answer", [lambda *a: ..., None, 0, lambda *a: 0, lambda *a: 3, lambda *a: torch.zeros(3),
                                    lambda *a: 1 / 0, lambda *a: float("nan"), lambda: 1], ids=range(9))
def test_nothing_cheap_passes(number, answer) -> None:
    assert not check(number, answer).passed

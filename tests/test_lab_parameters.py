"""Mistyped, mistaken and impossible parameters: each gets a line with its name, its value and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadialog_lite.families import LEARNERS as FAMILIES
from metadialog_lite.lab.parameters import LEARNERS, ParameterError, Parameters, parameters


def complaint(**values) -> str:
    with pytest.raises(ParameterError) as caught:
        parameters(**values)
    return str(caught.value)


def test_defaults_are_valid():
    p = parameters()
    assert p.source.name == "restaurants.en"
    assert p.exact
    assert p.eval_shots == (0, 2, 4, 8, 16)
    assert p.train_shots == (0, 1, 2, 4, 8, 16, 32)
    assert "maml" in str(p)


def test_every_learner_offered_exists():
    assert set(LEARNERS) <= set(FAMILIES)


@pytest.mark.parametrize(("values", "words"), [
    ({"inner_lr": -0.1}, ["inner_lr: got -0.1", "greater than 0", "0.0005 to 0.001"]),
    ({"inner_lr": 50}, ["inner_lr: got 50", "less than or equal to 1"]),
    ({"inner_lr": float("nan")}, ["inner_lr: got nan", "finite"]),
    ({"inner_lr": "fast"}, ["inner_lr: got 'fast'", "number"]),
    ({"inner_steps": 0}, ["inner_steps: got 0"]),
    ({"inner_steps": 2.5}, ["inner_steps: got 2.5"]),
    ({"shots": True}, ["shots: got True"]),
    ({"shots": -4}, ["shots: got -4"]),
    ({"meta_steps": "many"}, ["meta_steps: got 'many'", "whole number"]),
    ({"learner": "mamal"}, ["learner: got 'mamal'", "did you mean 'maml'"]),
    ({"learner": "xyz"}, ["maml, fomaml, reptile"]),
    ({"learner": 3}, ["learner: got 3"]),
    ({"world": "restaurant.en"}, ["world: got 'restaurant.en'", "did you mean 'restaurants.en'"]),
    ({"device": "gpu"}, ["device: got 'gpu'", "'cpu' or 'cuda'"]),
    ({"seed": -1}, ["seed: got -1"]),
    ({"inner_rate": 0.1}, ["inner_rate: there is no such parameter", "did you mean 'inner"]),
])
def test_culprit_value_and_remedy_are_named(values, words):
    text = complaint(**values)
    for word in words:
        assert word in text, text


def test_all_culprits_at_once():
    assert len(complaint(inner_lr=-1, learner="x", seed="s").splitlines()) == 3


def test_cuda_is_checked(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "use device='cpu'" in complaint(device="cuda")


def test_result_path_is_checked_before_the_work(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in complaint(result_path=str(tmp_path / "file" / "result.json"))
    assert "is a folder" in complaint(result_path=str(tmp_path))
    parameters(result_path=str(tmp_path / "new" / "result.json"))
    assert not (tmp_path / "new" / "result.json").exists()


def test_only_known_names_are_taken_from_a_notebook():
    p = parameters({"world": "restaurants.zh", "shots": 4, "np": object(), "_": 3, "In": ["", "x = 1"]})
    assert (p.world, p.shots) == ("restaurants.zh", 4)


def test_none_means_no_corpus():
    assert parameters(corpus=None).exact


CELL = 'world: str = "restaurants.en"  # a world\nshots: int = 4\nseed: int = 0\n'


def test_a_name_that_papermill_injected_and_nobody_knows_is_found():
    with pytest.raises(ParameterError, match="meta_step: there is no such parameter; did you mean 'meta_steps'"):
        parameters({"In": ["", CELL, "# Parameters\nmeta_step = 5\n"], "meta_step": 5})


def test_a_name_mistyped_in_the_cell_is_found():
    with pytest.raises(ParameterError, match="inner_lrr"):
        parameters({"In": [CELL + "inner_lrr: float = 0.1\n"]})


def test_later_annotations_of_a_student_are_no_parameters():
    parameters({"In": [CELL, "mine: int = 3", "broken syntax ("]})


def test_the_message_stands_alone_in_a_traceback():
    error = ParameterError("shots: got -4: …")
    assert error._render_traceback_() == ["ParameterError: shots: got -4: …"]


def test_parameters_do_not_change():
    with pytest.raises(ValueError):
        Parameters().shots = 3

"""Where the tutorial starts from, the code it shows, the stored results, and the slopes of its numeric checks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from metadialog_lite.checkpoints import CheckpointError, load_checkpoint
from metadialog_lite.lab import start as start_module
from metadialog_lite.lab.parameters import parameters
from metadialog_lite.lab.slopes import random_direction, shifted, slope
from metadialog_lite.lab.start import code_of, joint_start, meta_trained, new_learner
from metadialog_lite.lab.stored import stored_results, stored_table
from metadialog_lite.results import Result, Row


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A joint model of two steps, as trained where none is shipped."""
    p = parameters(world="restaurants.zh", tasks=2, seed=3)
    said: list[str] = []
    empty = tmp_path_factory.mktemp("data")
    (empty / "checkpoints").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metadialog_lite.checkpoints.data_dir", lambda: empty)
        found = joint_start(p, say=said.append, steps=2)
    return p, found, said


def test_without_a_shipped_checkpoint_a_short_joint_training_stands_in(stand_in):
    _, found, said = stand_in
    assert found.learner.name == "prior"
    assert "No joint model of 'restaurants.zh' is shipped" in said[0]
    assert found.path.is_file()  # panels begin from the file
    assert load_checkpoint(found.path, "restaurants.zh").source == "restaurants.zh"


def test_a_learner_starts_where_the_joint_model_is(stand_in):
    p, found, _ = stand_in
    for name in ("meta_sgd", "prior"):
        learner = new_learner(p, found, name)
        for key, value in found.learner.model.theta().items():
            assert torch.equal(learner.model.theta()[key], value)
    assert new_learner(p, found, "maml", inner_steps=1).steps() == 1


def test_a_start_that_was_named_must_exist_and_fit(stand_in, tmp_path: Path):
    found = stand_in[1]
    assert joint_start(parameters(world="restaurants.zh", start=str(found.path))).path == found.path
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors"):
        joint_start(parameters(start=str(tmp_path / "nowhere.safetensors")))
    with pytest.raises(CheckpointError, match=r"restaurants\.zh"):
        joint_start(parameters(start=str(found.path)))


def test_no_meta_trained_checkpoint_is_no_error(stand_in, monkeypatch, tmp_path: Path):
    p, found, _ = stand_in
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "restaurants.zh.broken.safetensors").write_text("no tensors")
    (tmp_path / "checkpoints" / "restaurants.zh.joint.safetensors").write_bytes(found.path.read_bytes())
    monkeypatch.setattr(start_module, "data_dir", lambda: tmp_path)
    assert meta_trained(p) is None


def test_code_is_shown_without_its_docstring():
    text = code_of(slope).data
    assert "metadialog_lite/lab/slopes.py" in text
    assert "def slope" in text
    assert "over all tensors" not in text
    assert "```python\ndef code_of" in code_of(code_of).data


def test_slopes():  # EQ-FD-1
    point = {"a": torch.randn(3, dtype=torch.float64), "b": torch.randn(2, 2, dtype=torch.float64)}
    u = random_direction(point, seed=1)
    assert slope(u, u) == pytest.approx(1)
    gradient = {name: 2 * value for name, value in point.items()}

    def loss(x):
        return sum(float((value**2).sum()) for value in x.values())

    measured = (loss(shifted(point, u, 1e-4)) - loss(shifted(point, u, -1e-4))) / 2e-4
    assert measured == pytest.approx(slope(gradient, u), rel=1e-8)


def test_stored_results_become_a_table(tmp_path: Path):
    assert "No results are stored" in stored_table("w", 16, tmp_path).data
    for learner, loss in (("b", 2.0), ("a", 1.0)):
        rows = [Row(shots=16, capability="total", loss=loss, bayes=0.5, gap_closed=0.9, gap_low=0.8, gap_high=1.0)]
        result = Result(learner=learner, world="w", seed=0, split="test", tasks=200, query_turns=8, rows=rows)
        result.write(tmp_path / f"{learner}.json")
    (tmp_path / "other.json").write_text("{}")
    assert [r.learner for r in stored_results("w", tmp_path)] == ["a", "b"]
    assert stored_results("x", tmp_path) == []
    table = stored_table("w", 16, tmp_path).data
    assert table.index("| a |") < table.index("| b |")
    assert "0.900 [0.800, 1.000]" in table
    assert "No results are stored" in stored_table("w", 8, tmp_path).data


def test_a_stored_comparison_is_a_sentence_not_a_row(tmp_path: Path):
    rows = [Row(shots=16, capability="total", loss=1.0)]
    difference = {"16": {"mean": -0.5, "low": -0.6, "high": -0.4}}
    other = {"learner": "finetune", "checkpoint": "j", "seconds": {"train": 515.0, "adapt": 0.1},
             "difference": difference, "chosen": {"16": {"trials": 130}}}
    Result(learner="a", world="w", seed=0, split="test", tasks=200, query_turns=8, rows=rows,
           options={"against": other}).write(tmp_path / "against.json")
    assert stored_table("w", 16, tmp_path).data.count("| a |") == 1  # the only result of a
    Result(learner="a", world="w", seed=0, split="test", tasks=200, query_turns=8, rows=rows).write(tmp_path / "a.json")
    text = stored_table("w", 16, tmp_path).data
    assert text.count("| a |") == 1
    assert "the best of 130 settings on validation speakers" in text
    assert "a − finetune, speaker by speaker: -0.500 nats/turn, 95 % interval [-0.600, -0.400]: a wins." in text

"""What notebook 03 needs: its parameters, its starting points, its panels without a browser, its checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from metadialog_lite.checkpoints import save_checkpoint
from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.lab import start as start_module
from metadialog_lite.lab.parameters import LEARNERS, ParameterError, parameters
from metadialog_lite.lab.parameters_03 import NETWORKS, NetworkParameters
from metadialog_lite.lab.start import meta_trained
from metadialog_lite.model import ModelConfig
from metadialog_lite.training import TrainConfig
from metadialog_lite.world import load_world

WORLD = load_world("restaurants.en")
SIZE = ModelConfig(len(Vocabulary.of(WORLD)), width=8, attention=8, mlp=8, layers=1, heads=2)


def small(name: str = "hypernetwork") -> Learner:
    return make_learner(name, SIZE, Vocabulary.of(WORLD))


# Parameters and starting points --------------------------------------------------------------------------------------


def test_parameters_of_this_notebook() -> None:
    p = parameters(None, NetworkParameters)
    assert (p.learner, p.options) == ("hypernetwork", {})
    assert str(p) == "hypernetwork on world restaurants.en: 16 shots, 20 meta-steps, seed 0, cpu"
    for name in NETWORKS:
        assert parameters(None, NetworkParameters, learner=name).learner == name


@pytest.mark.parametrize(("values", "words"), [
    ({"learner": "maml"}, "learner: got 'maml': unknown learner; known are hypernetwork"),
    ({"learner": "hypernet"}, "did you mean 'hypernetwork'"),
    ({"inner_lr": 0.1}, "inner_lr: there is no such parameter"),
    ({"corpus": "chitchat"}, "corpus: there is no such parameter"),
    ({"shots": 1}, "shots: got 1"),
])
def test_wrong_parameters_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parameters(None, NetworkParameters, **values)
    assert words in str(caught.value)


def test_each_notebook_finds_a_checkpoint_of_its_own_family(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(start_module, "data_dir", lambda: tmp_path)
    for name in ("hypernetwork", "meta_sgd"):  # in this order in the folder
        learner = small(name)
        path = tmp_path / "checkpoints" / f"restaurants.en.{name}.safetensors"
        save_checkpoint(path, learner, WORLD.name, TrainConfig(learner=name, steps=1))
    ours, theirs = meta_trained(parameters(None, NetworkParameters)), meta_trained(parameters())
    assert ours is not None
    assert theirs is not None
    assert (ours.learner.name, theirs.learner.name) == ("hypernetwork", "meta_sgd")
    found = meta_trained(parameters(None, NetworkParameters), LEARNERS)
    assert found is not None
    assert found.learner.name == "meta_sgd"
    assert meta_trained(parameters(None, NetworkParameters), ["in_context"]) is None

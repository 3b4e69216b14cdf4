"""What notebook 03 needs: its parameters, its starting points, its panels without a browser, its checks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metadialog_lite.checkpoints import save_checkpoint
from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.lab import SwapPanel, ThetaPanel, theta_figure
from metadialog_lite.lab import start as start_module
from metadialog_lite.lab.check import check, exercises
from metadialog_lite.lab.parameters import LEARNERS, ParameterError, parameters
from metadialog_lite.lab.parameters_03 import NETWORKS, NetworkParameters
from metadialog_lite.lab.start import meta_trained
from metadialog_lite.lab.swap_panel import agree, state_meant
from metadialog_lite.lab.understanding import believed, grow, right_words, truth, understood
from metadialog_lite.model import ModelConfig
from metadialog_lite.training import TrainConfig
from metadialog_lite.world import load_world

WORLD = load_world("restaurants.en")
SIZE = ModelConfig(len(Vocabulary.of(WORLD)), width=8, attention=8, mlp=8, layers=1, heads=2)


def small(name: str = "hypernetwork") -> Learner:
    return make_learner(name, SIZE, Vocabulary.of(WORLD))


def shaken(name: str = "hypernetwork") -> Learner:
    """Untrained, but theta depends on the support (phi begins with zeros)."""
    learner, random = small(name), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in learner.parameters():
            value += 0.3 * torch.randn(value.shape, generator=random)
    return learner


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


# Theta as a picture --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["restaurants.en", "restaurants.zh"])
def test_what_a_model_takes_words_to_mean_are_probabilities(world: str) -> None:
    source = load_world(world)
    vocabulary = Vocabulary.of(source)
    learner = make_learner("prior", ModelConfig(len(vocabulary), width=8, attention=8, mlp=8, heads=2), vocabulary)
    with torch.no_grad():  # a model that says one value always
        learner.model.output_bias[vocabulary.encode([source.values[1][2]])] = 50.0
    found = understood(learner.model, learner.model.theta(), source, vocabulary)
    assert list(found) == list(source.slots)
    for table, words, values in zip(found.values(), source.words, source.values, strict=True):
        assert table.shape == (len(words), len(values))
        assert table.sum(1).max() <= 1 + 1e-6
    assert found[source.slots[1]][:, 2] == pytest.approx(1)


def test_the_probe_reads_the_state_at_the_slot_of_the_word() -> None:
    """The shipped Meta-SGD model, adapted to a whole lexicon's worth of turns, agrees with the exact optimum."""
    from metadialog_lite.checkpoints import load_checkpoint

    learner = load_checkpoint("restaurants.en.meta_sgd", WORLD.name).learner
    task = WORLD.task("test", 0, 0)
    support = task.support(16)
    theta = learner.adapt(support).theta
    assert theta is not None
    ours = understood(learner.model, theta, WORLD, learner.vocabulary)
    optimum = believed(WORLD, support)
    for slot in WORLD.slots:
        assert np.abs(ours[slot] - optimum[slot]).max() < 0.2
    right, words = right_words(optimum, truth(WORLD, task.lexicon))
    assert words == 20
    assert right >= 15


def test_growth_begins_with_theta_0_and_says_what_it_sees() -> None:
    growth = grow(shaken(), WORLD, 0, 0, 4, query_turns=4)
    assert len(growth.loss) == len(growth.floor) == len(growth.meanings) == len(growth.moved) == 5
    assert not growth.moved[0].any()
    assert growth.moved[4].any()
    assert growth.heard(0) == set()
    assert len(growth.heard(4)) >= 2
    assert growth.text(0).startswith("No support turn yet, θ = θ₀.")
    assert "After 1 support turn, " in growth.text(1)
    assert "above the Bayes floor; most of that in" in growth.text(4)
    growth.floor[4]["total"] = growth.loss[4]["total"] + 0.1
    assert "0.10 below the Bayes floor by the luck of the draw." in growth.text(4)


@pytest.mark.parametrize("name", ["hypernetwork", "fast_weights", "in_context", "maml"])
def test_theta_panel_at_its_ends(name: str) -> None:
    panel = ThetaPanel(shaken(name), WORLD, shots=3)
    panel._seen()
    assert panel.result is None
    assert panel.figure is not None
    assert len(panel.figure.traces) == len(panel.picture()[0]) == theta_figure.traces_of(WORLD)
    panel.turns_slider.value = 3
    assert panel.wait()
    assert panel.error.value == ""
    assert len(panel.picture()[0]) == theta_figure.traces_of(WORLD)
    assert "After 3 support turns" in panel.says.value
    assert panel.figure.data[-1]["x"].tolist() == [3, 3]
    assert panel.figure.data[4]["x"] == []  # the lexicon is hidden
    panel.lexicon_button.value = True
    assert panel.figure.data[4]["x"] == panel.result.truth["food"].argmax(1).tolist()
    ours = panel.figure.data[0]["z"]
    panel.whose_choice.value = "the optimum"
    assert panel.figure.data[0]["z"] == panel.result.bayes[3]["food"].tolist() != ours
    panel.turns_slider.value = 0
    assert not np.any(panel.figure.data[8]["z"])
    panel.next_speaker()
    assert panel.wait()
    assert panel.says.value.startswith("Speaker 1.")


@pytest.mark.parametrize("panel", [ThetaPanel, SwapPanel])
def test_panels_say_what_they_need(panel: type) -> None:
    for wrong in (33, True, 2.5):
        with pytest.raises(ValueError, match="shots: got"):
            panel(small(), WORLD, shots=wrong)
    with pytest.raises(ValueError, match="a toy world is needed"):
        panel(small(), "restaurants.en")


def test_a_learner_without_theta_is_an_error_in_the_panel() -> None:
    panel = ThetaPanel(lambda: None, WORLD)
    panel.read()
    assert panel.wait()
    assert "there is no learner yet" in panel.error.value
    assert panel.says.value == ""


# Two speakers --------------------------------------------------------------------------------------------------------


def test_a_state_is_what_the_speaker_means() -> None:
    lexicon = {"food": {"zesty": "thai", "mellow": "french"}, "area": {"harbour": "north"}}
    assert state_meant(lexicon, ["zesty", "near", "harbour"], ("-", "-")) == ("thai", "north")
    assert state_meant(lexicon, ["mellow"], ("thai", "north")) == ("french", "north")
    assert agree(("thai", "south"), ("thai", "north")) == (1, 2)
    assert agree((), ("thai", "-")) == (0, 1)


def test_swapping_gives_each_system_the_replies_of_the_other() -> None:
    panel = SwapPanel(shaken(), WORLD, shots=2)
    panel.suggestions.children[1].click()
    assert panel.wait()
    panel.entry.value = "something ZESTY, xyzzy <b>"
    assert panel.wait()
    assert len(panel.history) == 2
    assert "never seen: xyzzy" in panel.says.value
    assert panel.says.value.startswith("Each with its own θ")
    assert "&lt;b&gt;" in panel.columns.value
    own = panel.columns.value
    panel.swap_button.value = True
    assert panel.says.value.startswith("Swapped")
    assert panel.columns.value != own
    assert "A&#x27;s system, with the θ of B" in panel.says.value
    a, b = panel.tasks()
    assert panel.history[-1].meant[0][0] == a.lexicon["food"]["zesty"]
    assert panel.history[-1].meant[1][0] == b.lexicon["food"]["zesty"]
    assert panel.table.value.count("<b>") == 2
    panel.lexicon_button.value = True
    assert panel.lexicons.value.count("asks in this order") == 2
    panel.next_speakers()
    assert panel.history == []
    panel.say("hello there")
    assert panel.wait()
    assert panel.error.value == ""
    panel.reset()
    assert panel.history == []


def test_each_theta_serves_its_own_speaker_best() -> None:
    from metadialog_lite.checkpoints import load_checkpoint

    panel = SwapPanel(load_checkpoint("restaurants.en.meta_sgd", WORLD.name).learner, WORLD, shots=16)
    panel.say("hello there")
    assert panel.wait()
    (own, foreign), (foreign_too, own_too) = panel.losses
    assert own + 1 < foreign
    assert own_too + 1 < foreign_too


# The exercises -------------------------------------------------------------------------------------------------------


def by_word(rows: Any, words: Any, vocabulary: int) -> Any:
    found = torch.zeros(vocabulary, rows.shape[1], dtype=rows.dtype).index_add(0, words, rows)
    return found / (1 + torch.bincount(words, minlength=vocabulary)).unsqueeze(-1)


def emit(weight: Any, z: Any, left: Any, right: Any) -> Any:
    return weight + (z @ left).view(weight.shape[0], right.shape[0]) @ right


def recall(query: Any, key: Any, value: Any, null: float) -> Any:
    scores = (query @ key.T / key.shape[1] ** 0.5).exp()
    return scores @ value / (scores.sum(1, keepdim=True) + math.exp(null))


@pytest.mark.parametrize(("identifier", "answer"), [("03.1", by_word), ("03.2", emit), ("03.3", recall)])
def test_right_answers_pass(identifier: str, answer: Any) -> None:
    for _ in range(3):
        verdict = check(identifier, answer)
        assert verdict.passed, verdict
        assert verdict.misconception is None


@pytest.mark.parametrize(("identifier", "answer", "label"), [
    ("03.1", lambda r, w, v: torch.zeros(v, r.shape[1], dtype=r.dtype).index_add(0, w, r), "sum without division"),
    ("03.1", lambda r, w, v: torch.stack([r[w == i].mean(0) if (w == i).any() else 0 * r[0] for i in range(v)]),
     "mean without the 1"),
    ("03.1", lambda r, w, v: torch.zeros(v, r.shape[1], dtype=r.dtype).index_add(0, w, r) / (1 + len(r)),
     "n instead of n_w"),
    ("03.1", lambda r, w, v: torch.stack([r[w == i][-1] if (w == i).any() else 0 * r[0] for i in range(v)]),
     "order decides"),
    ("03.1", lambda r, w, v: (r.sum(0) / (1 + len(r))).repeat(v, 1), "everything in every word"),
    ("03.2", lambda w, z, a, b: (z @ a).view(w.shape[0], -1) @ b, "θ₀ forgotten"),
    ("03.2", lambda w, z, a, b: w + (z @ a).view(-1, w.shape[0]).T @ b, "numbers in the wrong order"),
    ("03.2", lambda w, z, a, b: w - (z @ a).view(w.shape[0], -1) @ b, "change subtracted"),
    ("03.2", lambda w, z, a, b: w, "nothing emitted"),
    ("03.2", lambda w, z, a, b: w + a.sum(0).view(w.shape[0], -1) @ b, "z ignored"),
    ("03.3", lambda q, k, v, n: (q @ k.T / k.shape[1] ** 0.5).softmax(1) @ v, "no null entry"),
    ("03.3", lambda q, k, v, n: recall(q * k.shape[1] ** 0.5, k, v, n), "scores not scaled"),
    ("03.3", lambda q, k, v, n: recall(q, k, v, n / k.shape[1] ** 0.5), "null scaled, too"),
    ("03.3", lambda q, k, v, n: (q @ k.T / k.shape[1] ** 0.5).exp() @ v, "not normalised"),
    ("03.3", lambda q, k, v, n: (q @ k.T / k.shape[1] ** 0.5 + n).softmax(1) @ v, "no null entry"),
])
def test_usual_mistakes_are_named(identifier: str, answer: Any, label: str) -> None:
    verdict = check(identifier, answer)
    assert not verdict.passed
    assert verdict.misconception == label


CHEAP = [lambda *a: ..., None, 0.0, "answer", lambda *a: 0.0, lambda *a: a[0], lambda *a: a[0] * 0, lambda: 1,
         lambda *a: torch.zeros(3), lambda *a: float("nan"), lambda *a: "text", lambda *a: 1 / 0]


@pytest.mark.parametrize("identifier", ["03.1", "03.2", "03.3"])
@pytest.mark.parametrize("answer", CHEAP, ids=range(len(CHEAP)))
def test_no_checker_is_satisfied_by_anything_cheap(identifier: str, answer: Any) -> None:
    assert not check(identifier, answer).passed


def test_the_exercises_of_this_notebook_are_listed() -> None:
    assert exercises("03") == ["03.1", "03.2", "03.3"]
    assert "stub" in check("03.1", lambda *a: ...).message

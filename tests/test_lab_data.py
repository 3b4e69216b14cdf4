"""What notebook 06 needs: parameters, where each generator begins, D' to be read, the panel, the checks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metadialog_lite.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import make_learner
from metadialog_lite.families.base import Learner
from metadialog_lite.lab import DataPanel, data_figure
from metadialog_lite.lab.check import check, exercises
from metadialog_lite.lab.data_start import Plan, auc, contrast, floor, judged, parts, plans, ranks, with_theta
from metadialog_lite.lab.data_stored import stored_parts
from metadialog_lite.lab.data_text import (
    Line,
    counts_text,
    lines_html,
    lines_text,
    probe_of,
    recombinations,
    synthetic,
    synthetic_html,
    synthetic_text,
    watched,
    weighted,
)
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_06 import DATA, DataParameters
from metadialog_lite.model import ModelConfig
from metadialog_lite.results import Result, Row
from metadialog_lite.training import TrainConfig
from metadialog_lite.turns import CAPABILITIES
from metadialog_lite.world import load_world

WORLD = load_world("restaurants.en")
NOISY = load_world("restaurants.en+noise=0.4")
SIZE = ModelConfig(len(Vocabulary.of(WORLD)), width=8, attention=8, mlp=8, layers=1, heads=2)


def small(name: str, **options: Any) -> Learner:
    return make_learner(name, SIZE, Vocabulary.of(WORLD), **options)


def plan(name: str, teacher: bool = True, **more: Any) -> Plan:
    source = NOISY if name == "example_weights" else WORLD
    return Plan(name, source, lambda **options: small(name, frozen=True, **options), 0.05, (2, 3), "a tiny model",
                small(name) if teacher else None, **more)


def start(tmp_path: Path, name: str = "prior") -> Checkpoint:
    path = tmp_path / f"restaurants.en.{name}.safetensors"
    learner = small(name)
    with torch.no_grad():
        learner.model.theta()["position"].add_(0.1)  # one that differs from an untrained model of the same seed
    save_checkpoint(path, learner, WORLD.name, TrainConfig(learner=name, steps=1))
    return load_checkpoint(path, WORLD.name)


# Parameters and starting points --------------------------------------------------------------------------------------


def test_parameters_of_this_notebook() -> None:
    p = parameters(None, DataParameters)
    assert (p.learner, p.few, p.options) == ("augmentation", 4, {"inner_lr": 0.0003, "inner_steps": 1})
    assert str(p) == ("augmentation on world restaurants.en: inner rate 0.0003, 16 shots, 40 meta-steps, seed 0, cpu")


@pytest.mark.parametrize(("values", "words"), [
    ({"learner": "literal"}, "learner: got 'literal': unknown learner; known are augmentation"),
    ({"learner": "augmentaton"}, "did you mean 'augmentation'"),
    ({"noise": 1.5}, "noise: got 1.5"),
    ({"noise": math.nan}, "noise: got nan"),
    ({"corpus": "chitchat"}, "corpus: there is no such parameter"),
    ({"inner_steps": 2}, "inner_steps: there is no such parameter"),
    ({"shots": 3}, "shots: got 3"),
])
def test_wrong_parameters_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parameters(None, DataParameters, **values)
    assert words in str(caught.value)


def test_a_start_with_learned_rates_gives_them_away(tmp_path: Path) -> None:
    rated = start(tmp_path, "meta_sgd")
    with torch.no_grad():
        rated.learner.rates["position"].fill_(0.1)
    for name in DATA:
        ours = with_theta(rated, name, frozen=True)
        theirs = rated.learner.inner_rates(rated.learner.phi(), rated.learner.model.theta())
        mine = ours.inner_rates(dict(ours.named_parameters()), ours.model.theta())
        torch.testing.assert_close(mine["position"], theirs["position"])
        assert not any(key.startswith(("model.", "rates.")) for key in ours.phi())
    plain = with_theta(start(tmp_path), "augmentation", inner_lr=0.002)
    assert plain.inner_lr == 0.002


def test_each_generator_has_its_world_and_its_frozen_start(tmp_path: Path) -> None:
    said: list[str] = []
    found = plans(parameters(None, DataParameters, noise=0.3), start(tmp_path), said.append)
    assert list(found) == list(DATA)
    assert [each.source.name for each in found.values()] == ["restaurants.en"] * 2 + ["restaurants.en+noise=0.3"]
    assert len(said) >= 3
    for each in found.values():
        learner = each.make()
        assert not any(name.startswith("model.") for name in learner.phi())
        assert each.make(identity=True).identity
    joint, ours = start(tmp_path).learner, found["augmentation"].make()
    assert torch.equal(joint.model.theta()["position"], ours.model.theta()["position"])
    assert not torch.equal(joint.model.theta()["position"], found["distillation"].make().model.theta()["position"])


def test_without_noise_the_world_is_the_clean_one(tmp_path: Path) -> None:
    found = plans(parameters(None, DataParameters, noise=0), start(tmp_path), lambda text: None)
    assert found["example_weights"].source.name == "restaurants.en"


@pytest.mark.parametrize("name", DATA)
def test_training_notes_what_is_learned_and_leaves_the_model_alone(name: str) -> None:
    trainer = plan(name).trainer(0, 2, tasks=2, query_turns=2)
    before = {key: value.clone() for key, value in trainer.learner.model.theta().items()}
    while not trainer.finished:
        assert trainer.step().warning is None
    assert [step for step, _ in trainer.history] == [0, 1, 2]
    assert trainer.history[0][1] != trainer.history[2][1]
    for key, value in trainer.learner.model.theta().items():
        assert torch.equal(value, before[key])


# D' to be read -------------------------------------------------------------------------------------------------------


def test_recombinations_keep_the_turn_and_change_what_they_say() -> None:
    support = WORLD.task("test", 0, 0).support(6)
    learner = small("augmentation")
    own, past, words, response, fewer = recombinations(learner, support, 2)
    turn, other = support[2], support[3]
    assert own.turn == turn
    assert own.weight == (1, 1, 1)
    assert past.turn.previous_state == other.previous_state
    assert words.turn.user == other.user
    assert (words.turn.state, words.turn.response) == (turn.state, turn.response)
    assert response.turn.response == other.response
    assert "…" in fewer.turn.user
    assert past.weight == pytest.approx(learner.probabilities()[0].tolist())
    text = lines_text([own, words], WORLD)
    assert "(100 %)" in text
    assert "another turn's words" in text
    table = lines_html([own, past, words, response, fewer])
    assert table.count("<tr>") == 6
    assert f"<b>{other.user[0]}</b>" in table


def test_weights_stand_beside_the_segments_and_strangers_are_marked() -> None:
    lines = weighted(small("example_weights"), NOISY.task("test", 0, 0).support(8))
    assert all(line.weight == pytest.approx((1, 1, 1)) for line in lines)
    assert any(line.replaced for line in lines)
    assert "[replaced: " in lines_text(lines, NOISY)
    assert "✗" in lines_html(lines, most=2.0)
    assert "✗" not in lines_html([line for line in lines if not line.replaced])


def test_texts_escape_what_was_not_written_here() -> None:
    turn = WORLD.task("test", 0, 0).support(1)[0]._replace(user=("<script>",))
    line = Line("D: as it was", turn, (1.0, 0.5, 0.001))
    assert "<script>" not in lines_html([line])
    assert "below 1 %" in lines_html([line])
    assert "<script>" not in synthetic_html(synthetic(small("distillation")), [turn])


def test_synthetic_turns_are_read_place_by_place() -> None:
    learner = small("distillation", synthetic=2)
    with torch.no_grad():
        learner.scores.zero_()
        learner.scores[0, 0, 9] = 50.0
    first, second = synthetic(learner)
    assert len(first) == len(second) == learner.layout.count(0)
    assert (first[0].part, first[0].word) == ("before", learner.vocabulary.tokens[9])
    assert first[0].sure == pytest.approx(1)
    assert second[0].sure == pytest.approx(1 / len(learner.vocabulary))
    assert list(dict.fromkeys(place.part for place in first)) == ["before", "user", "state", "act", "response"]
    text = synthetic_text([first])
    assert f" {first[0].word} (" in text  # the sure word without brackets, the next in them


def test_numbers_to_watch() -> None:
    found = watched(small("augmentation"))
    assert list(found) == list(CAPABILITIES)
    assert all(0 < p < 0.01 for row in found.values() for p in row.values())
    assert watched(small("distillation"))["act"]["act words"] == pytest.approx(math.e**3 / (math.e**3 + 172), rel=0.01)
    task = NOISY.task("test", 0, 0)
    probe = probe_of([task.support(8)], Vocabulary.of(NOISY))
    weights = watched(small("example_weights"), probe)
    assert weights["state"] == pytest.approx({"this speaker's": 1, "a stranger's": 1})
    replaced = sum("state" in turn.meaning.replaced for turn in task.support(8))
    assert int(probe.replaced[0, :, 0].sum()) == replaced
    with pytest.raises(ValueError, match="learner: got 'maml'"):
        watched(small("maml"))


def test_sentences_on_what_counts() -> None:
    assert "brings 0.01 recombined ones" in counts_text(small("augmentation"))
    assert "synthetic turns counts 1 times" in counts_text(small("distillation", begin=0.0))
    assert "between 0 and 2" in counts_text(small("example_weights"))


# How good is it? -----------------------------------------------------------------------------------------------------


def test_auc_is_a_rank_statistic() -> None:
    assert auc([3, 2], [1, 0]) == 1
    assert auc([0], [1]) == 0
    assert auc([1, 1], [1]) == 0.5
    assert auc([], [1]) is None
    assert auc([0.2, 0.9, 0.5], [0.4]) == pytest.approx(2 / 3)
    turn = WORLD.task("test", 0, 0).support(1)[0]
    lines = [Line("", turn, (1.0, 0.3, 1.0)), Line("", turn, (0.2, 0.5, 1.0), ("state", "act"))]
    assert ranks(lines) == {"state": 1.0, "act": 0.0, "response": None}


def test_controls_are_paired() -> None:
    p = parameters(None, DataParameters, eval_tasks=4, query_turns=2)
    plain = plan("augmentation")
    mine, control = plain.make(), plain.make(identity=True)
    a, b = judged(mine, plain, p, 3), judged(control, plain, p, 3)
    assert "no clear difference" in contrast(a, a) or "+0.000" in contrast(a, a)
    assert len(parts(a)) == len(floor(a)) == 3
    assert contrast(b, judged(control, plain, p, 9, counts_as=3)).endswith(("better", "worse", "no clear difference"))
    with pytest.raises(ValueError, match="cannot be paired"):
        contrast(a, judged(control, plain, p, 9))


def test_figures_say_what_they_show() -> None:
    figure, text = data_figure.trust_figure(watched(small("augmentation")))
    assert np.array(figure.data[0].z).shape == (4, 3)
    assert text.startswith("Trusted most: the ")
    turns = synthetic(small("distillation"))
    figure, text = data_figure.sure_figure(turns)
    assert figure.data[0].text[0][0] == turns[0][0].word
    assert "0 of 112 places" in text
    lines = weighted(small("example_weights"), NOISY.task("test", 0, 0).support(16))
    figure, text = data_figure.weights_figure(lines)
    assert len(figure.data) == 6
    assert "a stranger's: 1.00" in text
    figure, text = data_figure.bars_figure({"one": [3, 2, 1], "two": [1, 1, 1]}, [1, 1, 1], "x")
    assert text == "Nats per turn above the floor: one 3.00; two 0.00."
    assert list(figure.data[0].x) == [2, 0]


def test_stored_results_by_capability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metadialog_lite.lab.data_stored.data_dir", lambda: tmp_path)
    assert "No results" in stored_parts("w", ["augmentation"], 16).data
    rows = [Row(shots=16, capability=part, loss=1.0, bayes=0.9, regret=0.1 * (i + 1))
            for i, part in enumerate((*CAPABILITIES, "total"))]
    made = {"world": "w", "seed": 0, "split": "test", "tasks": 2, "query_turns": 2}
    Result(learner="augmentation", rows=rows, **made).write(tmp_path / "results" / "a.json")
    Result(learner="meta_sgd", rows=rows[:2], **made).write(tmp_path / "results" / "b.json")
    Result(learner="augmentation", rows=rows, options={"training_seed": 3}, **made).write(
        tmp_path / "results" / "compare" / "c.json")
    table = stored_parts("w", ["augmentation", "meta_sgd"], 16).data
    assert "| augmentation | shipped | – | 0.100 | 0.200 | 0.300 | 0.400 | – |" in table
    assert "| augmentation | equal budget | 3 |" in table
    assert "meta_sgd" not in table  # something of it was not measured


# The panel -----------------------------------------------------------------------------------------------------------


def made(*names: str, **more: Any) -> DataPanel:
    panel = DataPanel({name: plan(name) for name in names or DATA}, names[0] if names else DATA[0], shots=4, **more)
    panel._seen()
    return panel


@pytest.mark.parametrize("name", DATA)
def test_panel_shows_d_prime_at_its_ends(name: str) -> None:
    panel = made(name)
    assert panel.dialogue.value == ""
    panel.show()
    assert panel.wait()
    assert (panel.error.value, panel.dialogue.value.count("<table")) == ("", 1)
    assert panel.dialogue_says.value.startswith(f"Speaker 0, {name} as it was shipped.")
    for turn in (panel.turn_slider.max, panel.turn_slider.min):
        panel.turn_slider.value = turn
        assert panel.wait()
        assert panel.error.value == ""
    panel.next_speaker()
    assert panel.wait()
    assert panel.dialogue_says.value.startswith("Speaker 1,")


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("rate", ["lowest", "default", "highest"])
def test_panel_trains_at_every_rate(name: str, rate: str) -> None:
    panel = made(name)
    ladder = [value for _, value in panel.rate_slider.options]
    panel.rate_slider.value = {"lowest": ladder[0], "default": panel.rate_slider.value, "highest": ladder[-1]}[rate]
    panel.step()
    assert panel.session.wait(60)
    assert panel.state in ("paused", "diverged")
    changes, frame = panel.picture()
    assert len(changes) == 3 + 3 * data_figure.SERIES
    assert changes[3]["x"].tolist() == [0, 1]
    assert set(frame) == {"yaxis.range", "yaxis2.range", "yaxis3.range", "yaxis4.range"}
    assert "step 1, " in panel.status.value
    panel.whose_box.value = "being trained below"
    panel.show()
    assert panel.wait()
    assert "after 1 outer step here." in panel.dialogue_says.value
    panel.reset()
    assert panel.state == "idle"
    assert len(panel.picture()[0][0]["x"]) == 0


def test_panel_says_what_it_cannot_show() -> None:
    panel = DataPanel({"augmentation": plan("augmentation", teacher=False)})
    assert panel.whose_box.value == "being trained below"
    panel.show()
    assert panel.wait()
    assert "no augmentation is being trained here yet" in panel.error.value
    panel.whose_box.value = "shipped"
    panel.show()
    assert panel.wait()
    assert "no augmentation is shipped" in panel.error.value
    panel.start()
    assert panel.error.value == ""
    panel.session.pause()
    assert panel.session.wait(60)


def test_another_generator_brings_its_own_rate_unless_one_was_chosen() -> None:
    panel = DataPanel({"augmentation": plan("augmentation"), "distillation": plan("distillation")})
    panel.plans["distillation"] = Plan(**{**vars(plan("distillation")), "outer_lr": 0.4})
    panel.learner_box.value = "distillation"
    assert panel.rate_slider.value == 0.2
    panel.rate_slider.value = 0.001
    panel.learner_box.value = "augmentation"
    assert panel.rate_slider.value == 0.001
    panel.step()
    assert panel.session.wait(60)
    panel.rate_slider.value = 0.1
    assert "take effect after Reset and Start" in panel.hint.value


def test_panel_says_what_it_needs() -> None:
    with pytest.raises(ValueError, match="learner: got 'maml'; there are plans for augmentation"):
        DataPanel({"augmentation": plan("augmentation")}, "maml")
    for wrong in (1, 33, True, 2.5):
        with pytest.raises(ValueError, match="shots: got"):
            DataPanel({"augmentation": plan("augmentation")}, shots=wrong)
    assert "open in JupyterLab" in repr(made("augmentation"))


# The exercises -------------------------------------------------------------------------------------------------------


def loss_1(own: Any, new: Any, chance: Any) -> Any:
    return own.sum() + torch.einsum("wtc,wc->", new, chance)


def loss_2(scores: Any, logits: Any) -> Any:
    return torch.nn.functional.cross_entropy(logits, scores.softmax(1), reduction="sum")


def slope_3(each: Any, query: Any, rate: float) -> Any:
    return torch.stack([-rate * (row * query).sum() for row in each])


@pytest.mark.parametrize(("identifier", "answer"), [("06.1", loss_1), ("06.2", loss_2), ("06.3", slope_3)])
def test_right_answers_pass(identifier: str, answer: Any) -> None:
    for _ in range(3):
        verdict = check(identifier, answer)
        assert verdict.passed, verdict
        assert verdict.misconception is None


@pytest.mark.parametrize(("identifier", "answer", "label"), [
    ("06.1", lambda o, n, p: loss_1(o, n, p) - o.sum(), "D forgotten"),
    ("06.1", lambda o, n, p: o.sum() + n.sum(), "all of it counts 1"),
    ("06.1", lambda o, n, p: loss_1(o, n, p.round()), "coins rounded"),
    ("06.1", lambda o, n, p: o.mean() + (p[:, None] * n).mean(), "a mean, not a sum"),
    ("06.1", lambda o, n, p: loss_1(o, n, p.mean(1, keepdim=True).expand_as(p)),
     "one probability for all capabilities"),
    ("06.2", lambda s, z: torch.nn.functional.cross_entropy(z, s.argmax(1), reduction="sum"), "hard targets"),
    ("06.2", lambda s, z: torch.nn.functional.kl_div(z.log_softmax(1), s.softmax(1), reduction="sum"), "KL divergence"),
    ("06.2", lambda s, z: loss_2(z, s), "the other way round"),
    ("06.2", lambda s, z: -loss_2(s, z), "sign"),
    ("06.2", lambda s, z: loss_2(s, z) / len(s), "a mean, not a sum"),
    ("06.3", lambda g, q, a: -slope_3(g, q, a), "sign"),
    ("06.3", lambda g, q, a: slope_3(g, q, 1.0), "rate forgotten"),
    ("06.3", lambda g, q, a: (-slope_3(g, q, a)).clamp(min=0),
     "the new weights of the paper"),
    ("06.3", lambda g, q, a: slope_3(g, q, a) / g.norm(dim=1) / q.norm(), "cosines"),
    ("06.3", lambda g, q, a: slope_3(g, q, a).sum().repeat(len(g)), "all examples at once"),
])
def test_usual_mistakes_are_named(identifier: str, answer: Any, label: str) -> None:
    verdict = check(identifier, answer)
    assert not verdict.passed
    assert verdict.misconception == label


CHEAP = [lambda *a: ..., None, 0.0, "answer", lambda *a: 0.0, lambda *a: a[0], lambda *a: a[0].sum(), lambda: 1,
         lambda *a: torch.zeros(3), lambda *a: float("nan"), lambda *a: "text", lambda *a: 1 / 0]


@pytest.mark.parametrize("identifier", ["06.1", "06.2", "06.3"])
@pytest.mark.parametrize("answer", CHEAP, ids=range(len(CHEAP)))
def test_no_checker_is_satisfied_by_anything_cheap(identifier: str, answer: Any) -> None:
    assert not check(identifier, answer).passed


def test_the_exercises_of_this_notebook_are_listed() -> None:
    assert exercises("06") == ["06.1", "06.2", "06.3"]
    assert "stub" in check("06.1", lambda *a: ...).message

"""The comparison on real dialogues: on a made-up corpus, with seconds of training."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_real import write_real
from small import Corpus
from typer.testing import CliRunner

from metadialog_lite import corpora, real_comparison, workbench
from metadialog_lite.cli import app
from metadialog_lite.episodes import draw_episodes
from metadialog_lite.real_comparison import RealPlan, ShortFineTune, command, finished, plans, shown, tuned_once
from metadialog_lite.recipes import CORPUS_MODELS, REAL_RECIPES, Schedule, with_size
from metadialog_lite.workbench import build_learner

SHORT = Schedule(joint=0.3, meta=0.2, joint_shots=2, rates=(0.0003, 0.001), trial=0.1, tasks=2, query_turns=2,
                 shots=(1, 2), judged=(0, 2, 4), validation=3, tuned_at=(2, 4))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealPlan:
    for module in (workbench, real_comparison):
        monkeypatch.setattr(module, "load_source", lambda world=None, corpus=None: Corpus())
    return RealPlan("letters", "letters", "anil", 0, tmp_path / "ck", tmp_path / "results", SHORT, tasks=4)


def test_a_learner_and_its_rival_have_the_same_seconds_and_the_same_tasks(plan: RealPlan) -> None:
    told: dict[str, list[str]] = {}
    for one in plans(["anil", "finetune"], [0], plan):
        told[one.learner] = list(one.run())
    runs = finished(plan.results, "letters")
    assert set(runs) == {("anil", 0), ("finetune", 0)}
    ours, theirs = runs["anil", 0], runs["finetune", 0]
    assert ours.seconds.train == pytest.approx(theirs.seconds.train, abs=0.2)
    assert ours.options["per_task"].keys() == {"0", "2", "4"} == theirs.options["per_task"].keys()
    assert ours.options["chosen_value"]["best"] in SHORT.rates
    assert set(theirs.options["chosen"]) == {"2", "4"}
    # The rival after 0 turns is the joint model: nothing has been learned from nothing.
    assert len(ours.options["commands"]) == 2
    assert len([line for line in told["anil"] if line.startswith("metadialog-lite")]) == 4  # joint, two trials, meta
    assert list(plan.run()) == []  # never made twice


def test_trials_and_settings_are_made_once_for_all_training_seeds(plan: RealPlan) -> None:
    list(plan.run())
    kept = plan.results / "trials" / "letters.tiny.anil.json"
    kept.write_text(json.dumps({"best": 0.001, "losses": {"0.001": 1.0}, "seconds": 0.1}), encoding="utf-8")
    (second,) = plans(["anil"], [1], plan)
    told = list(second.run())
    assert not any("trial" in line for line in told)
    assert "--outer-lr 0.001" in told[1]
    learner = build_learner("prior", Corpus())
    first, second = (replace(one, learner="finetune") for one in (plan, second))
    judged, more = tuned_once(second, learner, Corpus())
    again, same = tuned_once(first, learner, Corpus())
    assert more == same
    assert isinstance(judged, dict)
    assert isinstance(again, dict)
    assert judged[0].inner_steps == judged[2].inner_steps  # below the first, the settings of the first


def test_the_command_is_one_that_the_command_line_understands(plan: RealPlan) -> None:
    words = shlex.split(command(plan.meta(0.001), "letters", "cpu"))
    assert words[0] == "metadialog-lite"
    assert "inner_lr=0.002" in words
    assert "learned_rates=true" in words
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 2  # understood, up to the start that is not there
    assert "letters.tiny.joint0.3.seed0.safetensors: no such checkpoint file" in done.output


def test_compare_shows_what_is_stored_on_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "label", lambda name: name)
    folder = write_real(tmp_path, "letters")
    call = ["compare", "--corpus", "letters", "--results", str(folder)]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert "hypernetwork - finetune after 16 turns: -1." in done.output
    assert CliRunner().invoke(app, [*call, "--size", "small"]).output.strip() == (
        "nothing is stored on letters (small model)")
    wrong = CliRunner().invoke(app, [*call, "--size", "huge"])
    assert wrong.exit_code == 2
    assert "must be one of tiny, small, full" in wrong.output
    assert CliRunner().invoke(app, [*call, "--learners", "bayes"]).exit_code == 2


def test_an_unknown_learner_is_named(plan: RealPlan) -> None:
    with pytest.raises(ValueError, match="'bayes' is not in the comparison on real dialogues; there are: prior"):
        plans(["bayes"], [0], plan)


@pytest.mark.parametrize(("size", "least", "most"), [("tiny", 5e4, 2e5), ("small", 1e6, 2e6), ("full", 3e6, 5e6)])
def test_sizes_for_real_text(size: str, least: float, most: float) -> None:
    corpus: Any = Corpus()
    corpus.tokens = tuple(f"t{i}" for i in range(1000))
    learner = build_learner("prior", corpus, model={"size": size})
    assert least <= sum(value.numel() for value in learner.parameters()) <= most
    assert learner.model.config.width == CORPUS_MODELS[size]["width"]


def test_a_size_may_be_varied_and_a_wrong_one_is_named() -> None:
    assert with_size({"size": "small", "layers": 3}) == {**CORPUS_MODELS["small"], "layers": 3}
    assert with_size({"width": 8}) == {"width": 8}
    with pytest.raises(ValueError, match="size='huge': it must be one of tiny, small, full"):
        with_size({"size": "huge"})


def test_tasks_of_a_plan_do_not_depend_on_the_training_seed(plan: RealPlan) -> None:
    one, two = (draw_episodes(Corpus(), "test", 0, 0, 4, 2, 2) for _ in range(2))
    assert [e.query for e in one] == [e.query for e in two]


@pytest.mark.parametrize("name", sorted(REAL_RECIPES))
def test_every_recipe_builds_a_learner(name: str) -> None:
    recipe = REAL_RECIPES[name]
    learner = build_learner(recipe.learner or name, Corpus(), options=recipe.options)
    assert learner.phi()


def test_short_fine_tuning_takes_no_more_steps_than_the_learners(plan: RealPlan) -> None:
    for one in plans(["finetune", "finetune_short"], [0], plan):
        list(one.run())
    runs = finished(plan.results, "letters")
    short = runs["finetune_short", 0].options["chosen"]
    assert {at["inner_steps"] for at in short.values()} <= {1, 2, 3}
    trials = {at["trials"] for at in short.values()}
    assert trials == {2 * 3 * sum(len(rates) for rates in ShortFineTune.RATES.values())}  # whole or head, steps, rates
    # Both begin with the same joint model: without support there is nothing to tell them apart.
    assert runs["finetune", 0].options["per_task"]["0"] == runs["finetune_short", 0].options["per_task"]["0"]


def test_a_training_that_diverged_leaves_no_result(plan: RealPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    list(plan.choose(Corpus()))
    monkeypatch.setattr(real_comparison, "load_checkpoint", _diverged(real_comparison.load_checkpoint))
    with pytest.raises(RuntimeError, match="training diverged, nothing is stored"):
        list(plan.run())
    assert not plan.result.exists()


def _diverged(load: Any) -> Any:
    def changed(name: Any, *more: Any) -> Any:
        checkpoint = load(name, *more)
        checkpoint.info["diverged"] = True
        return checkpoint

    return changed


def test_a_file_that_is_no_run_is_passed_over(tmp_path: Path) -> None:
    folder = write_real(tmp_path, "letters")
    before = finished(folder, "letters")
    one = next(folder.glob("*.seed0.json"))
    told = json.loads(one.read_text(encoding="utf-8"))
    del told["options"]["training_seed"]
    (folder / "letters.tiny.maml.seed7.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "letters.tiny.maml.seed8.json").write_text("{", encoding="utf-8")
    assert finished(folder, "letters").keys() == before.keys()


def test_a_stored_command_says_nothing_of_ones_folders(tmp_path: Path) -> None:
    assert shown("chitchat") == "chitchat"
    assert shown("chitchat+people=11") == "chitchat+people=11"
    assert shown(f"sgd:{tmp_path}") == "sgd:FOLDER"
    assert shown(f"sgd:{tmp_path}+people=3") == "sgd:FOLDER+people=3"
    assert shown(f"{tmp_path}+people=3") == "FOLDER+people=3"

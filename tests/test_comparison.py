"""The comparison of all learners: plans, pairing, verdicts, and one small real run through the command line."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from metadialog_lite import comparison
from metadialog_lite.checkpoints import initialise_from, load_checkpoint
from metadialog_lite.cli import _pairs, app
from metadialog_lite.comparison import Trials, finished, paired, plans, verdict
from metadialog_lite.families import LEARNERS
from metadialog_lite.recipes import BASELINES, BUDGET, RATES, RECIPES, STAGES, WARM
from metadialog_lite.results import Result, Row
from metadialog_lite.workbench import build_learner, load_source


def made_up(learner: str, training_seed: int, losses: list[float], **more: Any) -> Result:
    rows = [Row(shots=16, capability="total", loss=float(np.mean(losses)))]
    options = {"per_task": {"16": losses}, "training_seed": training_seed}
    return Result(**{"learner": learner, "world": "w", "seed": 0, "split": "test", "tasks": len(losses),
                     "query_turns": 8, "rows": rows, "options": options, **more})


def test_every_learner_is_in_the_comparison() -> None:
    assert {*(recipe.learner or name for name, recipe in RECIPES.items()), *BASELINES} == set(LEARNERS)
    assert sum(stage.share for stage in STAGES) == pytest.approx(1)


def test_everybody_has_the_same_budget(tmp_path: Path) -> None:
    for plan in plans([*RECIPES, "finetune"], "restaurants.en", [1], tmp_path, tmp_path):
        spent = [float(c[c.index("--seconds") + 1]) for c in plan.commands() if c[0] == "train"]
        warm = 0 if plan.learner == "finetune" else WARM
        assert sum(spent) + warm == pytest.approx(BUDGET, abs=0.05)
        assert plan.commands()[-1][0] == "evaluate"


def test_everybody_has_the_same_trials(tmp_path: Path) -> None:
    """Three settings, the same seconds, judged on validation tasks; the joint model of fine-tuning likewise."""
    for plan in plans([*RECIPES, "finetune"], "restaurants.en", [1], tmp_path, tmp_path):
        trial = plan.trial_commands(0.25)
        own = [float(c[c.index("--seconds") + 1]) for c in trial if "first" not in c[-1] and c[0] == "train"]
        assert own == [100.0 if plan.learner == "finetune" else 25.0]
        assert trial[-1][trial[-1].index("--split") + 1] == "valid"


def test_options_reach_the_learner_through_the_command_line(tmp_path: Path) -> None:
    """True and False are JSON there, and text would be refused."""
    for plan in plans(RECIPES, "restaurants.en", [1], tmp_path, tmp_path):
        last = plan.commands()[-2]
        given = _pairs("option", [last[i + 1] for i, part in enumerate(last) if part == "--option"])
        recipe = RECIPES[plan.learner]
        assert given == {**recipe.options, **recipe.late}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_begin_where_it_says(name: str) -> None:
    """From the joint model or from Meta-SGD's first seconds, with its rates where the recipe says so."""
    recipe, source = RECIPES[name], load_source("restaurants.en")
    start = load_checkpoint("restaurants.en.meta_sgd" if recipe.after else "restaurants.en.joint")
    size = {k: v for k, v in asdict(start.learner.model.config).items() if k != "vocabulary"}
    made = [build_learner(recipe.learner or name, source, 0, {**recipe.options, **more}, size)
            for more in ({}, recipe.late)]
    initialise_from(made[0], start, recipe.rates)
    assert made[1].phi().keys() == made[0].phi().keys()  # the last stage goes on with all of phi


def test_a_command_that_is_not_understood_has_not_diverged() -> None:
    with pytest.raises(ValueError, match="ended with 2"):
        comparison.call(["evaluate", "--checkpoint", "nowhere", "--world", "restaurants.en", "--json"])


def test_a_trial_that_diverged_is_not_the_best() -> None:
    trials = Trials(learner="a", setting="outer rate", values=list(RATES), losses=[None, 2.0, 1.5], commands=[])
    assert trials.best == RATES[2]
    with pytest.raises(ValueError, match="a: training diverged with each outer rate"):
        _ = trials.model_copy(update={"losses": [None] * 3}).best


def test_an_unknown_learner_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="learner 'mamel' is not in the comparison; there are: anil"):
        plans(["mamel"], "restaurants.en", [1], tmp_path, tmp_path)
    assert CliRunner().invoke(app, ["compare", "--learners", "mamel"]).exit_code == 2


def test_paired_differences_are_over_tasks() -> None:
    random = np.random.default_rng(0)
    hard = random.normal(3, 2, 100)  # tasks differ much more than learners
    a, b = made_up("a", 1, (hard - 0.1).tolist()), made_up("b", 1, hard.tolist())
    difference = paired(a, b, 16)
    assert difference.mean == pytest.approx(-0.1)
    assert difference.high < -0.09
    assert difference.wins
    with pytest.raises(ValueError, match="different tasks"):
        paired(a, made_up("b", 1, hard.tolist(), seed=7), 16)
    with pytest.raises(ValueError, match="evaluate with --per-task"):
        paired(a, b, 8)


def test_a_learner_wins_only_when_it_wins_with_every_training_seed() -> None:
    hard = np.linspace(1, 5, 50)
    runs = {("a", 1): made_up("a", 1, (hard - 1).tolist()), ("finetune", 1): made_up("finetune", 1, hard.tolist()),
            ("a", 2): made_up("a", 2, (hard - 1).tolist()), ("finetune", 2): made_up("finetune", 2, hard.tolist())}
    assert verdict(runs, "a").endswith("in 2 training seeds: a wins")
    runs["a", 2] = made_up("a", 2, (hard + 1).tolist())
    assert verdict(runs, "a").endswith("no clear win")
    assert "no run of finetune" in verdict({("a", 3): runs["a", 1]}, "a")


def test_a_real_run_is_made_once_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One trial, three stages of meta-training of about a second each, file, table; then nothing is done again."""
    monkeypatch.setattr(comparison, "RATES", (0.005,))
    call = ["compare", "--learners", "meta_sgd", "--seeds", "4", "--tasks", "20", "--budget", str(WARM + 2),
            "--folder", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 0
    assert "meta_sgd" not in shown.output
    ran = CliRunner().invoke(app, [*call, "--run"])
    assert ran.exit_code == 0, ran.output
    assert "metadialog-lite train --learner meta_sgd" in ran.output
    result = finished(tmp_path / "results", "restaurants.en")["meta_sgd", 4]
    assert [c.split()[1] for c in result.options["commands"]] == ["train", "train", "train", "evaluate"]
    trials = Trials.model_validate_json((tmp_path / "results/trials/restaurants.en.meta_sgd.json").read_text())
    assert result.options["chosen_value"] == trials.best
    assert len(trials.commands) == 2
    assert str(tmp_path) not in " ".join(result.options["commands"])
    assert len(result.options["per_task"]["16"]) == 20
    assert result.row(16).loss == pytest.approx(np.mean(result.options["per_task"]["16"]), abs=1e-5)
    assert result.jga is not None
    again = CliRunner().invoke(app, [*call, "--run"])
    assert "metadialog-lite train" not in again.output
    assert "meta_sgd" in again.output


def test_the_next_best_value_is_taken_when_the_full_training_diverges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plan,) = plans(["maml"], "restaurants.en", [1], tmp_path / "runs", tmp_path / "results")
    plan.tried.parent.mkdir(parents=True)
    plan.tried.write_text(Trials(learner="maml", setting="outer rate", values=list(RATES), losses=[2.0, 1.5, 1.4],
                                 commands=["tried"]).model_dump_json(), encoding="utf-8")
    ran: list[list[str]] = []

    def call(command: list[str]) -> str:
        ran.append(command)
        if command[0] == "train":
            Path(command[-1]).touch()
            if "0.00625" in command:  # the last stage with the best value, at half its rate
                raise RuntimeError("train ended with 1: diverged at step 221: loss 45.02")
        return made_up("maml", 1, [1.0] * 8).model_dump_json()

    monkeypatch.setattr(comparison, "call", call)
    told = list(plan.run())
    rates = [command[command.index("--outer-lr") + 1] for command in ran if command[0] == "train"]
    assert rates == ["0.0125", "0.0125", "0.00625", "0.005", "0.005", "0.0025"]  # all of it anew
    result = Result.model_validate_json(plan.result.read_text(encoding="utf-8"))
    assert result.options["chosen_value"] == 0.005
    assert not any("0.0125" in command for command in result.options["commands"])
    assert any("diverged at step 221" in line for line in told)
    kept = plan.choice()
    assert kept is not None
    assert kept.losses == [2.0, 1.5, None]
    assert kept.commands == ["tried", "# 0.0125: the full training diverged"]


def test_another_failure_than_divergence_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plan,) = plans(["maml"], "restaurants.en", [1], tmp_path / "runs", tmp_path / "results")
    plan.tried.parent.mkdir(parents=True)
    plan.tried.write_text(Trials(learner="maml", setting="outer rate", values=list(RATES), losses=[2.0, 1.5, 1.4],
                                 commands=[]).model_dump_json(), encoding="utf-8")

    def call(command: list[str]) -> str:
        raise RuntimeError("train ended with 1: no space left on device")

    monkeypatch.setattr(comparison, "call", call)
    with pytest.raises(RuntimeError, match="no space left"):
        list(plan.run())
    assert plan.chosen() == 0.0125


def test_a_trial_that_fails_is_no_trial_that_diverged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plan,) = plans(["maml"], "restaurants.en", [1], tmp_path / "runs", tmp_path / "results")
    said = "train ended with 1: no space left on device"

    def call(command: list[str]) -> str:
        if command[0] == "train" and "0.0125" in command:
            raise RuntimeError(said)
        return made_up("maml", 1, [1.0] * 8).model_dump_json()

    monkeypatch.setattr(comparison, "call", call)
    with pytest.raises(RuntimeError, match="no space left"):
        list(plan.choose())
    assert not plan.tried.exists()
    said = "train ended with 1: diverged at step 26: loss 9.0"
    list(plan.choose())
    found = plan.choice()
    assert found is not None
    assert found.losses == [1.0, 1.0, None]

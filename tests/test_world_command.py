"""``metadialog-lite world check`` and ``world sample``: what an instructor sees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from metadialog_lite.world import load_world
from metadialog_lite.world.command import world_app

GOOD = Path(__file__).parent / "worlds" / "instructor_40_lines.yaml"
runner = CliRunner()
app = typer.Typer()
app.add_typer(world_app, name="world")


def test_an_instructor_needs_forty_lines():
    assert len(GOOD.read_text(encoding="utf-8").splitlines()) <= 40
    result = runner.invoke(app, ["world", "check", str(GOOD)])
    assert result.exit_code == 0
    for part in ("library.en", "this world is sound", "history, physics, law", "Bayes(0)", "Bayes(16)", "request 3"):
        assert part in result.stdout


def test_check_as_json_is_json_alone_and_there_is_enough_to_learn():
    result = runner.invoke(app, ["world", "check", str(GOOD), "--json"])
    found = json.loads(result.stdout)
    assert found["ok"] is True
    assert found["slots"]["desk"] == ["first", "second", "third", "fourth", "fifth"]
    assert found["bayes"]["0"]["total"] - found["bayes"]["16"]["total"] > 1


def test_check_of_a_bad_world_is_exit_2_and_lines_on_stderr(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(GOOD.read_text(encoding="utf-8").replace("thank: 0.3", "thank: 3").replace("language: en", ""))
    for command in (["check"], ["sample"], ["check", "--json"], ["sample", "--json"]):
        result = runner.invoke(app, ["world", command[0], str(path), *command[1:]])
        assert result.exit_code == 2
        assert result.stdout == ""
        assert "knobs.thank: got 3" in result.stderr
        assert "language: missing" in result.stderr
        assert "Traceback" not in result.stderr


def test_sample_prints_dialogues_and_the_hidden_side():
    result = runner.invoke(app, ["world", "sample", "restaurants.en", "-n", "2", "--seed", "1"])
    assert result.exit_code == 0
    task = load_world("restaurants.en").task("train", 1, 0)
    word, value = next(iter(task.lexicon["food"].items()))
    for part in ("dialogue 1", "dialogue 2", f"{word} = {value}", ", ".join(task.order), task.persona["name"]):
        assert part in result.stdout
    assert "dialogue 3" not in result.stdout


def test_sample_as_json_holds_the_same_dialogues():
    result = runner.invoke(app, ["world", "sample", "restaurants.zh", "-n", "3", "--seed", "4", "--json"])
    found = json.loads(result.stdout)
    task = load_world("restaurants.zh").task("train", 4, 0)
    assert found["lexicon"] == task.lexicon
    assert [[turn["response"] for turn in d] for d in found["dialogues"]] == [
        [list(turn.response) for turn in d] for d in task.dialogues(3)]


def test_sample_marks_what_a_correction_changes():
    result = runner.invoke(app, ["world", "sample", "travel.en", "-n", "2", "--seed", "5"])
    assert result.exit_code == 0
    assert "not somewhere quiet" in result.stdout
    assert "city (was lake) car" in result.stdout


def test_shifted_worlds_and_several_worlds():
    result = runner.invoke(app, ["world", "sample", "restaurants.en+lexicon,travel.en", "-n", "1", "--json"])
    found = json.loads(result.stdout)
    assert [each["world"] for each in found] == ["restaurants.en+lexicon", "travel.en"]
    assert set(found[0]["lexicon"]["food"]) == {"lisbon", "oslo", "kyoto", "quito", "dublin"}
    result = runner.invoke(app, ["world", "check", "restaurants.en+style=1.0,clinic.en"])
    assert result.exit_code == 0
    for part in ("restaurants.en+style=1.0: this world is sound", "clinic.en: this world is sound", "style 1"):
        assert part in result.stdout
    result = runner.invoke(app, ["world", "check", "restaurants.en+stile=1"])
    assert result.exit_code == 2
    assert "no such shift" in result.stderr


def test_sample_marks_what_is_a_strangers():
    """Of a world with noise it shows the support's dialogues, as a learner is given them."""
    name = "restaurants.en+noise=0.4"
    result = runner.invoke(app, ["world", "sample", name, "-n", "3", "--seed", "2"])
    assert result.exit_code == 0
    stream = load_world(name).task("train", 2, 0).stream()
    turns = [turn for _ in range(3) for turn in next(stream)]
    marks = sum(len(turn.meaning.replaced) for turn in turns)
    assert marks > 5
    assert result.stdout.count("✗ ") == marks + 3  # and once in each title
    result = runner.invoke(app, ["world", "sample", name, "-n", "3", "--seed", "2", "--json"])
    found = [turn for dialogue in json.loads(result.stdout)["dialogues"] for turn in dialogue]
    assert [turn["replaced"] for turn in found] == [list(turn.meaning.replaced) for turn in turns]
    assert [turn["act"] for turn in found] == [list(turn.act) for turn in turns]
    assert "✗" not in runner.invoke(app, ["world", "sample", "restaurants.en"]).stdout
    told = "told which support segments were replaced"
    assert told in runner.invoke(app, ["world", "check", name]).stdout
    assert json.loads(runner.invoke(app, ["world", "check", name, "--json"]).stdout)["told"] == told


@pytest.mark.parametrize("arguments", [["-n", "0"], ["-n", "many"], ["--seed", "x"], ["--nothing"]])
def test_bad_arguments_are_exit_2(arguments):
    assert runner.invoke(app, ["world", "sample", "restaurants.en", *arguments]).exit_code == 2


def test_the_command_starts_without_torch():
    code = "import sys, metadialog_lite.world.command; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""The baseline without a likelihood: what it retrieves, and that nobody makes up a loss for it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from small import Corpus, config, small, world
from tiny import VOCABULARY, make_tasks
from typer.testing import CliRunner

from metadialog_lite.checkpoints import save_checkpoint
from metadialog_lite.cli import app
from metadialog_lite.comparison import plans
from metadialog_lite.episodes import encode_turns
from metadialog_lite.evaluation import evaluate, paired_difference, task_losses
from metadialog_lite.families.retrieval import AdaptedRetrieval, features
from metadialog_lite.turns import Turn


def turn(user: str, before: str, state: str, act: str = "a", response: str = "r") -> Turn:
    return Turn(*(tuple(text.split()) for text in (before, user, state, act, response)))


SUPPORT = [
    turn("i want zesty food", "- -", "thai -", "request area", "where ?"),
    turn("near the river", "thai -", "thai north", "confirm", "thai in the north ?"),
    turn("i want mild food", "- -", "greek -", "request area", "which area ?"),
]


def test_features_are_the_words_and_which_slots_are_filled() -> None:
    assert features(SUPPORT[1]) == {"near": 1, "the": 1, "river": 1, "<slot 0 filled>": 1, "<slot 1 empty>": 1}


def test_weights_are_tf_idf_by_hand() -> None:  # EQ-TFIDF-1
    found = AdaptedRetrieval(SUPPORT)
    assert found.rarity["food"] == pytest.approx(math.log(4 / 3))  # in 2 of 3 turns
    assert found.rarity["zesty"] == pytest.approx(math.log(4 / 2))
    assert found.rarity["<slot 1 empty>"] == 0  # in every turn: says nothing
    assert all(sum(w * w for w in vector.values()) == pytest.approx(1) for vector in found.vectors)
    twice = AdaptedRetrieval([turn("so so good", "-", "-"), turn("fine", "-", "-")])
    assert twice.vectors[0]["so"] == pytest.approx(2 * twice.vectors[0]["good"])


def test_the_nearest_turn_is_said_again_and_its_change_of_state_made_again() -> None:
    found = AdaptedRetrieval(SUPPORT)
    prompts = [SUPPORT[0], turn("zesty food", "- -", "? ?"), turn("the river", "greek -", "? ?")]
    assert [found.nearest(prompt) for prompt in prompts] == [0, 0, 1]
    replies = found.replies(prompts)
    assert [reply.state for reply in replies] == [("thai", "-"), ("thai", "-"), ("greek", "north")]
    assert replies[1].act == ("request", "area")
    assert replies[2].response == SUPPORT[1].response
    assert found.reply(turn("mild", "- north", "? ?")).state == ("greek", "north")  # only what the turn had changed


def test_of_equally_similar_turns_the_latest() -> None:
    assert AdaptedRetrieval(SUPPORT).nearest(turn("quite unknown words", "", "")) == 2
    assert AdaptedRetrieval([SUPPORT[0], SUPPORT[0]]).nearest(SUPPORT[0]) == 1


def test_without_support_there_is_nothing_to_say() -> None:
    learner = small("retrieval")
    assert learner.adapt([]).reply(SUPPORT[1])[:3] == (("thai", "-"), (), ())
    with pytest.raises(ValueError, match="no support turn"):
        AdaptedRetrieval([]).nearest(SUPPORT[0])
    assert len(learner.trajectory(SUPPORT)) == 4


def test_only_the_prompt_is_read() -> None:
    task = world().task("test", 0, 0)
    adapted = small("retrieval").adapt(task.support(16))
    query = task.query(8)
    blank = [q._replace(state=(), act=(), response=(), meaning=None) for q in query]
    assert adapted.replies(blank) == adapted.replies(query)


def test_it_has_no_likelihood_and_takes_no_tensors() -> None:
    learner, turns = small("retrieval"), make_tasks(1, 2)[0]
    assert not learner.likelihood
    assert learner.phi() == {}
    with pytest.raises(TypeError, match="no probabilities"):
        learner.adapt(turns).nll(turns)
    with pytest.raises(TypeError, match="list of turns"):
        learner.adapt(encode_turns(turns, VOCABULARY))


def test_its_loss_is_null_and_the_rest_is_measured() -> None:
    result = evaluate(small("retrieval"), world(), (0, 16), tasks=10, query_turns=4)
    for row in json.loads(result.to_json())["rows"]:
        assert {row[name] for name in ("loss", "low", "high", "regret", "gap_closed", "gap_low", "gap_high")} == {None}
        assert row["bayes"] > 0
        assert row["prior"] > 0
    assert result.perplexity is None
    assert result.parameters == 0
    assert result.jga is not None
    assert result.reference is not None
    assert 0.2 < result.jga.gold_previous_state < result.reference["jga"]  # type: ignore[operator]
    assert 0.2 < result.act_accuracy < result.reference["act_accuracy"]  # type: ignore[operator]
    assert result.bleu > 5  # type: ignore[operator]
    assert result.seconds.adapt is not None


def test_it_speaks_on_a_source_without_state_too() -> None:
    result = evaluate(small("retrieval", Corpus()), Corpus(), (0, 4), tasks=3, query_turns=2)
    assert (result.jga, result.act_accuracy) == (None, None)
    assert result.bleu is not None
    assert [row.loss for row in result.rows] == [None] * 4


def test_it_cannot_be_paired_by_loss() -> None:
    one, other = (task_losses(small(name), world(), (2,), 2, 2) for name in ("retrieval", "prior"))
    for pair in ((one, other), (other, one)):
        with pytest.raises(ValueError, match="without a likelihood has no loss"):
            paired_difference(*pair, shots=2)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path / "joint.safetensors", small("prior"), world().name, config("prior"))


def test_on_the_command_line(saved: Path) -> None:
    words = ["evaluate", "--checkpoint", str(saved), "--learner", "retrieval", "--tasks", "3", "--shots", "0,4",
             "--query-turns", "2", "--per-task"]
    done: Any = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "retrieval on restaurants.en, 3 held-out tasks" in done.stdout
    assert "joint goal accuracy" in done.stdout
    assert "perplexity" not in done.stdout
    done = CliRunner().invoke(app, [*words, "--json"])
    fields = json.loads(done.stdout)
    assert (fields["learner"], fields["rows"][0]["loss"], fields["seconds"]["train"]) == ("retrieval", None, 0.0)
    assert "per_task" not in fields["options"]
    done = CliRunner().invoke(app, [*words, "--no-decode", "--against", "prior"])
    assert done.exit_code == 2
    assert "without a likelihood" in done.stderr
    done = CliRunner().invoke(app, ["train", "--learner", "retrieval", "--world", "restaurants.en", "--steps", "1",
                                    "--out", str(saved.with_name("x.safetensors"))])
    assert done.exit_code == 2
    assert "is not trained; only evaluate it" in done.stderr


def test_a_plan_of_the_comparison(tmp_path: Path) -> None:
    (plan,) = plans(["retrieval"], "restaurants.en", [1], tmp_path, tmp_path)
    commands = plan.commands()
    assert commands[-1][0] == "evaluate"
    assert commands[-1][commands[-1].index("--learner") + 1] == "retrieval"

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small import Corpus, small, world

from metadialog_lite import evaluation
from metadialog_lite.decoded import decode_bayes, decode_learner
from metadialog_lite.decoding import Reply
from metadialog_lite.episodes import draw_episodes
from metadialog_lite.evaluation import (
    TaskLosses,
    evaluate,
    interval,
    paired_difference,
    rows,
    shift_of,
    task_losses,
)
from metadialog_lite.families import Adapted, Learner
from metadialog_lite.metrics import distinct
from metadialog_lite.results import Result
from metadialog_lite.turns import Turn
from metadialog_lite.world import BayesReference, World, load_world, training_reference

FEW = {"tasks": 6, "query_turns": 4}


def bayes() -> Learner:
    return small("bayes", reference=BayesReference(world()))


class Parrot(Learner):
    """Answers from a list of the true turns, except where ``wrong`` says otherwise."""

    name, stacked = "parrot", False

    def __init__(self, mistake: str | None = None, nan: bool = False) -> None:
        torch.nn.Module.__init__(self)
        self.options, self.vocabulary = {}, small().vocabulary
        self.mistake, self.nan = mistake, nan

    def adapt(self, support: Any, steps: int | None = None) -> Adapted:
        return Echo(self)


class Echo(Adapted):
    def __init__(self, parrot: Parrot) -> None:
        self.parrot = parrot

    def nll(self, query: Any) -> torch.Tensor:
        return torch.full((len(query), 3), math.nan if self.parrot.nan else 1.0)

    def replies(self, prompts: Sequence[Turn], temperature: float = 0.0, seed: int = 0) -> list[Reply]:
        said = []
        for turn in prompts:
            # What this turn changes, applied to the state in the prompt, as a real tracker would.
            changed = {s: turn.state[s] for s, _, _ in turn.meaning.mentions}
            state = [changed.get(s, value) for s, value in enumerate(turn.previous_state)]
            if self.parrot.mistake and changed and all(value == "-" for value in turn.previous_state):
                state[min(changed)] = self.parrot.mistake  # wrong about the first value of a dialogue
            said.append(Reply(tuple(state), turn.act, turn.response))
        return said


def test_bayes_has_no_regret_and_closes_the_gap() -> None:
    result = evaluate(bayes(), world(), (0, 2, 8), **FEW, decode=False)
    for row in result.rows:
        assert row.regret == pytest.approx(0, abs=1e-6)
        assert row.gap_closed == (None if row.shots == 0 else pytest.approx(1, abs=1e-5))
    assert result.parameters == 0


def test_prior_learns_nothing_from_support() -> None:
    result = evaluate(small("prior"), world(), (0, 4), **FEW, decode=False)
    for name in ("state", "act", "response", "total"):
        none, four = result.row(0, name), result.row(4, name)
        assert none.loss == four.loss
        assert none.regret is not None
        assert none.regret > 0
        assert none.gap_closed is None
        assert none.prior == none.bayes == four.prior


def test_under_a_shift_of_style_there_are_two_references() -> None:
    """The informed optimum and Bayes with the prior of the world trained on, on the same turns."""
    shifted, learner = load_world("restaurants.en+style=1.0"), small("prior")
    result = evaluate(learner, shifted, (0, 8), **FEW, decode=False)
    assert (result.shift_of, result.reference_label) == ("restaurants.en", None)
    believed = training_reference(shifted)
    assert believed is not None
    for k in (0, 8):
        nats = np.mean([[believed.posterior(e.support[:k]).nll(turn) for turn in e.query]
                        for e in draw_episodes(shifted, "test", 0, 0, 6, 8, 4)], axis=(0, 1))
        found = [result.row(k, name).bayes_training_prior for name in ("state", "act", "response", "total")]
        assert found == pytest.approx([*nats, nats.sum()])
        for name in ("state", "act"):  # these know nothing of style
            assert result.row(k, name).bayes_training_prior == result.row(k, name).bayes
        assert result.row(k).regret == pytest.approx(result.row(k).loss - result.row(k).bayes)  # to the informed one
    assert result.row(8).bayes_training_prior != result.row(8).bayes
    assert evaluate(bayes(), world(), (0,), **FEW, decode=False).row(0).bayes_training_prior is None


def test_where_the_training_prior_is_undefined_it_is_null() -> None:
    result = evaluate(small("prior"), load_world("restaurants.en+lexicon"), (0, 4), **FEW, decode=False)
    assert result.shift_of == "restaurants.en"
    assert {row.bayes_training_prior for row in result.rows} == {None}
    assert result.row(4).bayes is not None
    assert result.row(4).gap_closed is not None


def test_the_floor_of_a_noisy_support_says_what_it_is_told() -> None:
    noisy = load_world("restaurants.en+noise=0.5")
    result = evaluate(small("prior"), noisy, (0, 8), **FEW)
    clean = evaluate(small("prior"), world(), (0, 8), **FEW)
    assert (result.reference_label, result.shift_of) == ("told which support segments were replaced", None)
    assert result.row(0) == clean.row(0)  # the same speakers, the same query
    assert result.row(8).loss == clean.row(8).loss  # a learner that does not look at the support
    assert result.row(8).bayes > clean.row(8).bayes  # type: ignore[operator]
    assert (clean.reference_label, clean.shift_of) == (None, None)
    assert Result.model_validate_json(result.to_json()).reference_label == result.reference_label


@pytest.mark.parametrize(("name", "trained", "expected"), [
    ("restaurants.en", "restaurants.en", None), ("restaurants.en+noise=0.2", "restaurants.en", None),
    ("restaurants.en", "restaurants.en+noise=0.2", None),
    ("restaurants.en+noise=0.1", "restaurants.en+noise=0.2", None),
    ("restaurants.en+style=1.0", "restaurants.en", "restaurants.en"),
    ("restaurants.en+style=1.0", "restaurants.en+style=1.0", None),
    ("restaurants.en+lexicon+noise=0.1", "restaurants.en", "restaurants.en"),
    ("travel.en", "restaurants.en,travel.en", None), ("travel.en,restaurants.en", "restaurants.en,travel.en", None),
    ("travel.en", "restaurants.en,words:travel.en", "restaurants.en"),
    ("restaurants.en,travel.en", "restaurants.en", "restaurants.en"),
])
def test_what_is_a_shift_depends_on_what_was_trained_on(name: str, trained: str, expected: str | None) -> None:
    assert shift_of(load_world(name), trained) == expected
    assert shift_of(Corpus(), "letters") is None


def test_same_query_at_all_shots_and_nested_support() -> None:
    seen: dict[int, tuple[Any, Any]] = {}

    class Watching(Parrot):
        def adapt(self, support: Any, steps: int | None = None) -> Adapted:
            shots = len(support)

            class Keeping(Echo):
                def nll(self, query: Any) -> torch.Tensor:
                    seen[shots] = (support, query)
                    return super().nll(query)

            return Keeping(self)

    task_losses(Watching(), world(), (5, 0, 2), tasks=1, query_turns=3)
    assert set(seen) == {0, 2, 5}
    assert seen[0][1] == seen[2][1] == seen[5][1]
    assert seen[5][0][:2] == seen[2][0]


def test_losses_are_those_of_one_task_at_a_time() -> None:
    learner = small("maml", inner_lr=0.001)
    losses = task_losses(learner, world(), (0, 3), tasks=3, query_turns=4, seed=7)
    for i, episode in enumerate(draw_episodes(world(), "test", 7, 0, 3, 3, 4)):
        for j, shots in enumerate((0, 3)):
            alone = learner.adapt(episode.support[:shots]).nll(episode.query).mean(0).numpy()
            assert losses.loss[i, j] == pytest.approx(alone, rel=1e-4)
    assert losses.bayes is not None
    assert losses.prior is not None
    assert losses.bayes[:, :1] == pytest.approx(losses.prior)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = task_losses(small(), world(), (2,), tasks=5, query_turns=2)
    monkeypatch.setattr(evaluation, "CHUNK", 2)
    parts = task_losses(small(), world(), (2,), tasks=5, query_turns=2)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    assert parts.tokens == pytest.approx(whole.tokens)


def test_adaptation_seconds_are_those_of_adapting_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(evaluation.time, "process_time", lambda: clock[0])
    learner = small("prior")
    honest = learner.adapt

    def slow(support: Any, steps: int | None = None) -> Adapted:
        clock[0] += 3.0 * support.turns()
        adapted = honest(support, steps)
        nll = adapted.nll

        def slow_nll(query: Any) -> torch.Tensor:
            clock[0] += 100.0
            return nll(query)

        monkeypatch.setattr(adapted, "nll", slow_nll, raising=False)
        return adapted

    monkeypatch.setattr(learner, "adapt", slow)
    losses = task_losses(learner, world(), (1, 4), tasks=5, query_turns=2)
    assert losses.adapt_seconds == pytest.approx(3.0 * 4 / 5)


def made_up(loss: Any, bayes: Any = None, prior: Any = None, shots: tuple[int, ...] = (4,)) -> TaskLosses:
    def cube(total: Any) -> Any:
        values = np.asarray(total, dtype=float).reshape(-1, 1)
        return np.stack([values, values * 0, values * 0], -1)

    return TaskLosses(shots, cube(loss), None if bayes is None else cube(bayes), None if prior is None else cube(prior),
                      np.ones(len(np.atleast_1d(loss))), 0.0)


def test_gap_closed_by_hand() -> None:  # EQ-GAP-1
    total = rows(made_up([2.0, 3.0], [1.0, 1.0], [4.0, 4.0]), ("state", "act", "response"))[-1]
    assert (total.shots, total.capability, total.loss, total.bayes, total.prior) == (4, "total", 2.5, 1.0, 4.0)
    assert total.regret == pytest.approx(1.5)
    assert total.gap_closed == pytest.approx((4 - 2.5) / (4 - 1))
    assert total.gap_low == pytest.approx(1 / 3)
    assert total.gap_high == pytest.approx(2 / 3)
    assert (total.low, total.high) == (2.0, 3.0)


def test_gap_is_null_where_it_is_undefined() -> None:
    for row in rows(made_up([2.0, 3.0], [1.0, 1.0], [1.0, 1.0]), ("state", "act", "response")):
        assert (row.gap_closed, row.gap_low, row.gap_high) == (None, None, None)
    shaky = rows(made_up([2.0, 3.0], [1.0, 2.0], [4.0, 1.5]), ("state",))[-1]  # a resample has no gap at all
    assert shaky.gap_closed is not None
    assert shaky.gap_low is shaky.gap_high is None


def test_paired_difference_is_antisymmetric() -> None:
    random = np.random.default_rng(1)
    a, b = made_up(random.normal(1, 1, 50)), made_up(random.normal(2, 1, 50))
    one, other = paired_difference(a, b, 4), paired_difference(b, a, 4)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
    assert one.wins
    assert not other.wins
    same = paired_difference(a, a, 4)
    assert (same.mean, same.low, same.high, same.wins) == (0, 0, 0, False)


def test_paired_difference_needs_pairs() -> None:
    with pytest.raises(ValueError, match=r"3 tasks.*2 tasks"):
        paired_difference(made_up([1, 2, 3]), made_up([1, 2]), 4)
    with pytest.raises(ValueError, match="after 8 shots"):
        paired_difference(made_up([1, 2]), made_up([1, 2]), 8)


def test_interval_covers() -> None:
    """Of 300 simulated evaluations about 95 % of the intervals hold the true mean difference."""
    random = np.random.default_rng(0)
    hit = 0
    for _ in range(300):
        hard = random.gamma(2.0, 1.0, 60)  # what both find hard: it cancels in a paired difference
        low, high = interval((hard + random.normal(0.2, 0.3, 60)) - hard)
        hit += low <= 0.2 <= high
    assert 0.90 <= hit / 300 <= 0.98


def test_a_speaker_is_drawn_with_all_their_tasks() -> None:
    """Four tasks of each of 5 people: as if there were 5 numbers, and not 20."""
    people = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    each, names = np.repeat(people, 4), [name for name in "edcba" for _ in range(4)]
    assert interval(each, speakers=names) == pytest.approx(interval(people[::-1]))
    low, high = interval(each)
    wide = interval(each, speakers=names)
    assert wide[0] < low < high < wide[1]
    assert interval(each, each + 1, names) == pytest.approx(interval(people[::-1], people[::-1] + 1))
    alone = [f"{i:02d}" for i in range(20)]  # with one task for each, nothing changes
    assert interval(each, speakers=alone) == pytest.approx(interval(each))


def test_interval_over_speakers_covers() -> None:
    """As above, with tasks that resemble each other: over speakers it holds, over tasks it would be too narrow."""
    random = np.random.default_rng(0)
    names = [f"{i % 40:02d}" for i in range(160)]
    hits = {"speakers": 0, "tasks": 0}
    for _ in range(200):
        values = 0.2 + np.tile(random.normal(0, 0.3, 40), 4) + random.normal(0, 0.1, 160)
        for over, (low, high) in (("speakers", interval(values, speakers=names)), ("tasks", interval(values))):
            hits[over] += low <= 0.2 <= high
    assert 0.89 <= hits["speakers"] / 200 <= 0.99
    assert hits["tasks"] / 200 < 0.8


def test_intervals_of_a_corpus_are_over_its_speakers() -> None:
    people = replace(made_up([1.0, 1.0, 5.0, 5.0]), speakers=("ann", "ann", "bob", "bob"))
    other = replace(made_up([0.0, 0.0, 0.0, 0.0]), speakers=people.speakers)
    (row, total) = rows(people, ("state",))
    assert (row.low, row.high) == (total.low, total.high) == (1, 5)
    difference = paired_difference(people, other, 4)
    assert (difference.mean, difference.low, difference.high) == (3, 1, 5)
    with pytest.raises(ValueError, match="same speakers"):
        paired_difference(people, made_up([0.0, 0.0, 0.0, 0.0]), 4)

    class Known(Corpus):
        def task(self, split: str, seed: int, index: int) -> Any:
            task = super().task(split, seed, index)
            task.speaker = f"person {index % 2}"  # type: ignore[attr-defined]
            return task

    result = evaluate(small(source=Known()), Known(), (0, 2), 5, 2, decode=False)
    assert (result.tasks, result.options["speakers"]) == (5, 2)
    assert task_losses(small(), world(), (0,), 3, 2).speakers is None
    assert "speakers" not in evaluate(small(), world(), (0,), 3, 2, decode=False).options


def test_parrot_is_always_right() -> None:
    said = decode_learner(Parrot(), world(), 2, 4, 5, 0, "test")
    assert (said.jga, said.jga_carried, said.act_accuracy) == (1, 1, 1)
    assert said.bleu == pytest.approx(100)


def test_a_mistake_is_carried_through_the_dialogue() -> None:
    said = decode_learner(Parrot("nonsense"), world(), 2, 6, 12, 0, "test")
    turns = [turn for e in draw_episodes(world(), "test", 0, 0, 6, 2, 12) for turn in e.query]
    first = [bool(t.meaning.mentions) and set(t.previous_state) == {"-"} for t in turns]
    assert said.jga == pytest.approx(1 - sum(first) / len(turns))  # with the true state given, only these are wrong
    dialogues = [e.task.dialogues(1)[0] for e in draw_episodes(world(), "test", 0, 0, 6, 2, 1)]
    right = total = 0
    for dialogue in dialogues:
        spoiled: int | None = None
        for turn in dialogue:
            mentioned = [slot for slot, _, _ in turn.meaning.mentions]
            if mentioned and set(turn.previous_state) == {"-"}:
                spoiled = min(mentioned)
            elif spoiled in mentioned:
                spoiled = None  # the user has corrected this very slot
            right, total = right + (spoiled is None), total + 1
    assert said.jga_carried == pytest.approx(right / total)
    assert said.jga_carried < said.jga


def test_garbled_states_are_wrong_and_no_crash() -> None:
    class Garbling(Parrot):
        def adapt(self, support: Any, steps: int | None = None) -> Adapted:
            class Garbled(Echo):
                def replies(self, prompts: Sequence[Turn], temperature: float = 0.0, seed: int = 0) -> list[Reply]:
                    return [Reply((), (), ()) for _ in prompts]

            return Garbled(self)

    said = decode_learner(Garbling(), world(), 0, 2, 3, 0, "test")
    assert (said.jga, said.jga_carried, said.act_accuracy, said.bleu) == (0, 0, 0, 0)


def test_distinct_n_counts_different_n_grams_of_all_responses_together() -> None:
    assert distinct([("a", "b", "a"), ("a", "b")], 1) == pytest.approx(2 / 5)
    assert distinct([("a", "b", "a"), ("a", "b")], 2) == pytest.approx(2 / 3)  # ab, ba, ab
    assert distinct([("a",)], 2) is None


def test_bayes_decodes_as_the_reference_does() -> None:
    assert decode_learner(bayes(), world(), 4, 3, 4, 0, "test") == decode_bayes(world(), 4, 3, 4, 0, "test")


def test_chinese_is_cut_into_characters_for_bleu() -> None:
    said = decode_bayes(load_world("restaurants.zh"), 2, 2, 2, 0, "test")
    assert "tok:zh" in str(said.bleu_signature)


def test_result_has_the_whole_schema() -> None:
    result = evaluate(small("maml"), world(), (0, 2), **FEW)
    fields = json.loads(result.to_json())
    assert len(fields["rows"]) == 2 * 4
    assert re.fullmatch(r"nrefs:1\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:.*", fields["bleu_signature"])
    assert set(fields["reference"]) == {"jga", "jga_carried", "act_accuracy", "bleu", "distinct_1", "distinct_2"}
    assert set(fields["distinct"]) == {"1", "2"}
    assert set(fields["perplexity"]) == {"0", "2"}
    assert fields["options"] == {"inner_lr": small("maml").inner_lr, "inner_steps": 3, "pace": 10.0, "boost": 10.0}  # type: ignore[union-attr]
    assert fields["seconds"]["adapt"] > 0
    assert fields["vocabulary"] == len(small().vocabulary)
    again = evaluate(small("maml"), world(), [2, 0, 2], **FEW)
    volatile = {"seconds", "peak_mb"}
    assert again.model_dump(exclude=volatile) == result.model_dump(exclude=volatile)
    assert Result.model_validate_json(result.to_json()).rows == result.rows


def test_perplexity_is_per_response_token_over_all_turns() -> None:
    learner, corpus = small("prior", Corpus()), Corpus()
    result = evaluate(learner, corpus, (0, 3), tasks=4, query_turns=3)
    turns = [turn for e in draw_episodes(corpus, "test", 0, 0, 4, 3, 3) for turn in e.query]
    nats = float(learner.adapt([]).nll(turns)[:, 2].sum())
    tokens = sum(len(turn.response) + 1 for turn in turns)
    assert result.perplexity == {"0": pytest.approx(math.exp(nats / tokens), rel=1e-5),
                                 "3": pytest.approx(math.exp(nats / tokens), rel=1e-5)}


def test_corpora_have_no_state_act_or_floor() -> None:
    result = evaluate(small("maml", Corpus()), Corpus(), (0, 2), tasks=3, query_turns=2)
    fields = json.loads(result.to_json())
    assert (fields["world"], fields["corpus"]) == (None, "letters")
    assert {row["capability"] for row in fields["rows"]} == {"response", "total"}
    for row in fields["rows"]:
        assert row["bayes"] is row["prior"] is row["regret"] is row["gap_closed"] is None
        assert row["loss"] > 0
    assert fields["jga"] is fields["act_accuracy"] is fields["reference"] is None
    assert fields["bleu"] is not None


def test_nan_is_an_error_and_not_a_number() -> None:
    with pytest.raises(FloatingPointError, match=r"'parrot' is NaN or infinite after 2 support turns"):
        evaluate(Parrot(nan=True), world(), (2,), tasks=1, query_turns=1)


@pytest.mark.parametrize("wrong", [{"shots": ()}, {"shots": (-1, 2)}, {"tasks": 0}, {"query_turns": 0}])
def test_impossible_numbers(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        evaluate(small(), world(), **({"shots": (1,), "tasks": 1, "query_turns": 1} | wrong))


def test_one_learner_for_each_number_of_shots() -> None:
    many = {0: small("prior"), 2: small("maml", inner_lr=0.01)}
    result = evaluate(many, world(), (0, 2), tasks=3, query_turns=2, decode=False)
    alone = evaluate(many[2], world(), (2,), tasks=3, query_turns=2, decode=False)
    assert result.row(2) == alone.row(2)
    assert result.learner == "maml"
    assert isinstance(world(), World)

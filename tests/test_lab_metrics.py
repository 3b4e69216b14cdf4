"""Metrics written out: they agree with the library and with the evaluations, and their traps are where we say."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from metadialog_lite.corpora.dialogues import Value
from metadialog_lite.lab import metrics
from metadialog_lite.metrics import joint_goal
from metadialog_lite.turns import Turn

WORDS = ("the", "a", "table", "is", "booked", "for", "lunch", ",", "north", "you")


def corpus(seed: int, turns: int = 30) -> tuple[list[list[str]], list[list[str]]]:
    """Responses that share much with their references, so that no count is zero."""
    draw = random.Random(seed)
    meant = [[draw.choice(WORDS) for _ in range(draw.randint(5, 12))] for _ in range(turns)]
    said = [[word if draw.random() < 0.8 else draw.choice(WORDS) for word in words][: draw.randint(4, 12)]
            for words in meant]
    return said, meant


@pytest.mark.parametrize("seed", range(4))
def test_corpus_bleu_is_sacrebleus(seed: int) -> None:
    """EQ-BLEU-1 and EQ-BLEU-2 against the library on the same words."""
    said, meant = corpus(seed)
    theirs = BLEU(tokenize="none", smooth_method="none").corpus_score(
        [" ".join(words) for words in said], [[" ".join(words) for words in meant]])
    assert metrics.corpus_bleu(said, meant) == pytest.approx(theirs.score, abs=1e-9)
    for n in (1, 2, 3, 4):
        assert 100 * metrics.clipped_precision(said, meant, n) == pytest.approx(theirs.precisions[n - 1])


def test_bleu_of_nothing_is_zero() -> None:
    assert metrics.corpus_bleu([[]], [["a"]]) == 0
    assert metrics.clipped_precision([["a"]], [["a"]], 2) == 0


def test_settings_change_the_score_and_signatures_tell_them_apart() -> None:
    said, meant = corpus(1)
    rows = metrics.bleu_table([" ".join(words) for words in said], [" ".join(words) for words in meant])
    assert len({signature for *_, signature in rows}) >= len(rows) - 1  # one differs in its n-grams, which it hides
    assert max(score for _, score, _ in rows) - min(score for _, score, _ in rows) > 3


def test_joint_goal_accuracy_and_its_relatives() -> None:
    """EQ-JGA-1 on a case that can be counted by hand."""
    gold = [("thai", "-"), ("thai", "north"), ("thai", "north"), ("-", "-")]
    said = [("thai", "-"), ("thai", "south"), ("thai", "north"), ("thai", "-")]
    assert metrics.joint_goal_accuracy(said, gold) == 2 / 4
    assert metrics.slot_accuracy(said, gold) == 6 / 8
    assert metrics.slot_accuracy(said, gold, filled=True) == 4 / 5
    assert metrics.slot_accuracy([("thai",)], [("thai", "-")]) == 1  # a garbled state is filled up


def test_both_definitions_of_joint_goal_accuracy_agree() -> None:
    """EQ-JGA-1 compares states of fixed length, EQ-JGA-3 slots and values: the same where both apply."""
    draw = np.random.default_rng(0)
    gold, said = (list(map(tuple, draw.choice(["-", "thai", "north"], (60, 2)))) for _ in range(2))

    def slots(state: Sequence[str]) -> dict[str, str]:
        return {str(place): value for place, value in enumerate(state) if value != "-"}

    each = [joint_goal(slots(a), [Value(slot, (value,)) for slot, value in slots(b).items()])
            for a, b in zip(said, gold, strict=True)]
    assert 0 < metrics.joint_goal_accuracy(said, gold) == sum(each) / 60 < 1


def test_ones_own_state_is_carried_and_the_gold_one_is_not() -> None:
    """EQ-JGA-2: an error stays until the user says it again."""
    def answer(turn: Turn) -> tuple[str, ...]:  # takes the first word for slot 0; hears "bad" for "good" once
        new = list(turn.previous_state)
        if turn.user[0] != "-":
            new[0] = "bad" if turn.user == ("good", "loud") else turn.user[0]
        return tuple(new)

    def turn(before: str, user: tuple[str, ...], after: str) -> Turn:
        return Turn((before,), user, (after,), (), ())

    dialogue = [turn("-", ("good", "loud"), "good"), turn("good", ("-",), "good"), turn("good", ("good",), "good")]
    assert metrics.gold_states(answer, dialogue) == [("bad",), ("good",), ("good",)]
    assert metrics.own_states(answer, dialogue) == [("bad",), ("bad",), ("good",)]


def test_dontcare_written_as_empty_forgives_deafness() -> None:
    gold = metrics.call_dontcare([("thai", "any"), ("thai", "north")], ["any"])
    deaf = [("thai", "-"), ("thai", "north")]
    assert gold[0] == ("thai", "dontcare")
    assert metrics.joint_goal_accuracy(deaf, gold) == 0.5
    assert metrics.joint_goal_accuracy(*metrics.without_dontcare(deaf, gold)) == 1.0


def test_perplexity_of_batches() -> None:
    """One batch of everything is EQ-PPL-1; single turns give more where turns of the same length differ."""
    random_numbers = np.random.default_rng(0)
    nats, tokens = random_numbers.uniform(1, 20, 64), np.full(64, 6.0)
    whole, right = metrics.perplexities(nats, tokens, 64)
    assert whole == pytest.approx(right) == pytest.approx(np.exp(nats.sum() / tokens.sum()))
    single, some = (metrics.perplexities(nats, tokens, size)[0] for size in (1, 8))
    assert single > some > right

"""Every metric against cases counted by hand."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest

from metadialog_lite.metrics import (
    F1,
    bleu,
    distinct,
    entity_f1,
    joint_goal,
    mentions,
    slot_error,
    slot_f1,
    value_score,
)


class Slot(NamedTuple):
    slot: str
    forms: tuple[str, ...]
    free: bool = False


CITY = Slot("city", ("San Francisco", "SF"), free=True)
PRICE = Slot("price range", ("cheap",))


@pytest.mark.parametrize(("said", "true", "fuzzy", "score"), [
    ("san francisco", CITY, False, 1.0),
    ("sf", CITY, False, 1.0),  # every surface form counts
    ("francisco san", CITY, False, 0.0),
    ("francisco san", CITY, True, 1.0),  # token *sort*: the order of words does not count
    ("san francisc", CITY, True, 0.96),  # 2 * 12 / (13 + 12), by hand
    ("6:30 pm", Slot("time", ("6 30 pm",), free=True), True, 1.0),  # a colon counts as a blank
    ("6:30 pm", Slot("time", ("6 30 pm",), free=True), False, 0.0),
    ("cheep", PRICE, True, 0.0),  # a categorical value is right or wrong
    ("Cheap", PRICE, True, 1.0),
])
def test_a_value(said: str, true: Slot, fuzzy: bool, score: float) -> None:
    assert value_score(said, true, fuzzy) == pytest.approx(score)


def test_token_sort_is_not_token_set() -> None:
    """With the token-set ratio "francisco" alone would be wholly right."""
    assert value_score("francisco", Slot("city", ("san francisco",), free=True), True) == 0.82  # 18 / 22


def test_joint_goal_accuracy() -> None:
    """EQ-JGA-3."""
    right = {"city": "sf", "price range": "cheap"}
    assert joint_goal(right, [CITY, PRICE]) == 1
    assert joint_goal({**right, "name": "x"}, [CITY, PRICE]) == 0  # invented
    assert joint_goal({"city": "sf"}, [CITY, PRICE]) == 0  # missing
    assert joint_goal({}, []) == 1
    near = {**right, "city": "san francisc"}
    assert joint_goal(near, [CITY, PRICE]) == 0
    assert joint_goal(near, [CITY, PRICE], fuzzy=True) == pytest.approx(0.96)
    twice = [CITY, Slot("to", ("san francisco",), free=True)]
    assert joint_goal({"city": "san francisc", "to": "san francisc"}, twice, fuzzy=True) == pytest.approx(0.96**2)


def test_slot_f1_is_counted_over_all_turns_together() -> None:
    one = slot_f1({"city": "sf", "name": "x"}, [CITY, PRICE])  # 1 hit of 2 said and 2 true
    two = slot_f1({}, [PRICE])
    assert (one, two) == (F1(1, 2, 2), F1(0, 0, 1))
    both = one + two
    assert both.precision == 1 / 2
    assert both.recall == 1 / 3
    assert both.f1 == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert F1().f1 is None


@pytest.mark.parametrize(("text", "value", "there"), [
    ("The party starts.", "art", False), ("at 10:30", "10", False), ("at 10 .", "10", True), ("at 10.", "10", True),
    ("costs 10.5", "10", False), ("In SF!", "sf", True), ("我想去故宫看看", "故宫", True), ("anything", "", False),
])
def test_a_value_is_mentioned_as_whole_words(text: str, value: str, there: bool) -> None:
    assert mentions(text, value) is there


def test_slot_error_rate_counts_missing_and_redundant() -> None:
    """EQ-ERR-1."""
    assert slot_error("Mezzo in SF is cheap", ["Mezzo", "SF", "noon"], known=["cheap", "sf"]) == (2, 3)
    assert slot_error("hello", []) == (0, 0)
    assert slot_error("at noon noon", ["noon", "Noon"]) == (0, 1)  # the same value once


def test_entity_f1() -> None:
    assert entity_f1("Mezzo at noon", "Mezzo at six", ["mezzo", "noon", "six", "SF"]) == F1(1, 2, 2)


def test_bleu_names_its_variant() -> None:
    score, signature = bleu(["the cat sat on the mat"], ["the cat sat on the mat"])
    assert score == pytest.approx(100)
    assert "tok:13a" in signature
    # 5 of 6 words, 4 of 5 pairs, 3 of 4 triples, 2 of 3 quadruples; no brevity penalty
    score, _ = bleu(["the cat sat on the rug"], ["the cat sat on the mat"])
    assert score == pytest.approx(100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


def test_chinese_bleu_is_by_character() -> None:
    score, signature = bleu(["我想去故宫"], ["我想去长城"], "zh")
    assert "tok:zh" in signature
    # 3 of 5 characters, 2 of 4 pairs, 1 of 3 triples, 0 of 2 quadruples: smoothed to half of 1/2 (exp smoothing)
    assert score == pytest.approx(100 * math.exp(sum(math.log(p) for p in (3 / 5, 2 / 4, 1 / 3, 1 / 4)) / 4))


def test_distinct_n() -> None:
    said = [["a", "b", "a"], ["a", "b"]]
    assert distinct(said, 1) == 2 / 5
    assert distinct(said, 2) == 2 / 3  # ab, ba, ab
    assert distinct([["a"]], 2) is None

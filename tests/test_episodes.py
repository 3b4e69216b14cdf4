"""Vocabulary, the sequence of a turn, padding and stacking."""

from __future__ import annotations

import pytest
import torch
from tiny import VOCABULARY, make_tasks, make_turn

from metadialog_lite.episodes import SPECIALS, Vocabulary, draw_episodes, encode_turns, prompt_ids, stack_tasks
from metadialog_lite.turns import Turn

TURN = Turn(("-", "w1"), ("w2", "w3", "w4"), ("w5", "w1"), ("w6",), ("w7", "w8"))


class Source:
    """A source whose tasks are made of numbered turns."""

    name = "numbers"
    capabilities = ("state", "act", "response")
    tokens = VOCABULARY.tokens[len(SPECIALS) :]

    class Numbered:
        def __init__(self, name: str, index: int) -> None:
            self.name, self.index = name, index

        def support(self, shots: int) -> list[Turn]:
            return [make_turn(1000 * self.index + i) for i in range(shots)]

        def query(self, turns: int) -> list[Turn]:
            return [make_turn(1000 * self.index + 500 + i) for i in range(turns)]

        def dialogues(self, count: int) -> list[list[Turn]]:
            return [self.query(2)] * count

    def task(self, split: str, seed: int, index: int) -> Numbered:
        return self.Numbered(f"{split}/{seed}/{index}", index)

    def text(self, tokens) -> str:
        return " ".join(tokens)


def test_sequence_and_segments():
    batch = encode_turns([TURN], VOCABULARY)
    words = " ".join(VOCABULARY.decode(batch.tokens[0].tolist()))
    assert words == "<state> - w1 <usr> w2 w3 w4 <state> w5 w1 <act> w6 <sys> w7 w8 <eos>"
    assert batch.segment[0].tolist() == [0] * 8 + [1, 1, 1, 2, 2, 3, 3, 3]
    assert batch.where[0].tolist() == [7, 8, 9, 10, 11, 12, 13, 14]  # each predicts the token behind it
    prompt = VOCABULARY.decode(prompt_ids(TURN, VOCABULARY))
    assert prompt == ["<state>", "-", "w1", "<usr>", "w2", "w3", "w4", "<state>"]


def test_a_source_without_state_and_act_has_the_response_alone():
    turn = Turn((), ("w2", "w3"), (), (), ("w4",))
    batch = encode_turns([turn], VOCABULARY)
    assert VOCABULARY.decode(batch.tokens[0].tolist()) == ["<usr>", "w2", "w3", "<sys>", "w4", "<eos>"]
    assert batch.segment[0].tolist() == [0, 0, 0, 0, 3, 3]


def test_where_names_exactly_the_targets():
    batch = encode_turns(make_tasks(1, 20)[0], VOCABULARY, length=24)
    for segment, where in zip(batch.segment, batch.where):
        targets = [i for i, s in enumerate(segment.tolist()) if s]
        named = [i + 1 for i in where.tolist()]
        assert named[: len(targets)] == targets
        assert all(segment[i] == 0 for i in named[len(targets) :])  # padding points at what is no target


def test_unknown_words_become_unk_and_are_reported():
    assert VOCABULARY.decode(VOCABULARY.encode(["w1", "pizza"])) == ["w1", "<unk>"]
    assert VOCABULARY.unknown(["w1", "pizza", "soup", "pizza"]) == ["pizza", "soup"]


def test_vocabulary_refuses_doubles_and_missing_specials():
    with pytest.raises(ValueError, match=r"twice.*soup"):
        Vocabulary((*SPECIALS, "soup", "soup"))
    with pytest.raises(ValueError, match="special tokens"):
        Vocabulary(("soup",))
    assert Vocabulary.of(Source()).tokens == VOCABULARY.tokens
    assert len(VOCABULARY) == len(VOCABULARY.tokens)


def test_too_long_a_turn_is_named():
    with pytest.raises(ValueError, match=r"16 tokens does not fit into length 10.*w2 w3 w4"):
        encode_turns([TURN], VOCABULARY, length=10)


def test_no_turns_are_legal():
    assert encode_turns([], VOCABULARY).tokens.shape[0] == 0
    assert stack_tasks([[], []], VOCABULARY).tokens.shape[:2] == (2, 0)


def test_stacked_is_the_same_as_one_by_one():
    tasks = make_tasks(3, 4)
    stacked = stack_tasks(tasks, VOCABULARY)
    for i, turns in enumerate(tasks):
        alone = encode_turns(turns, VOCABULARY, length=stacked.tokens.shape[-1])
        assert torch.equal(stacked.tokens[i], alone.tokens)
        assert torch.equal(stacked.segment[i], alone.segment)
    with pytest.raises(ValueError, match="same number of turns"):
        stack_tasks([tasks[0], tasks[1][:2]], VOCABULARY)


def test_episodes_are_a_pure_function_and_nested():
    few = draw_episodes(Source(), "test", 0, first=5, tasks=3, shots=2, query_turns=3)
    more = draw_episodes(Source(), "test", 0, first=5, tasks=3, shots=4, query_turns=3)
    for a, b in zip(few, more):
        assert a.task.name == b.task.name
        assert b.support[:2] == a.support
        assert a.query == b.query

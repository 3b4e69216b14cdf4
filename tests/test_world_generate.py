"""Tasks and dialogues: pure functions of their name, rendered so that they can be read back, frozen by example."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from read_turn import read, templates_of, user_kinds

from metadialog_lite.turns import CAPABILITIES, EMPTY, Task, TaskSource, Turn
from metadialog_lite.world import ACTS, World, load_world
from metadialog_lite.world.dialogues import CORRECT

HERE = Path(__file__).parent / "worlds"
EN, ZH, TRAVEL, CLINIC = map(load_world, ("restaurants.en", "restaurants.zh", "travel.en", "clinic.en"))
SMALL = [load_world(HERE / f"{name}.yaml") for name in ("brute", "brute_three", "brute_five", "instructor_40_lines")]
NOISY = EN.with_knobs(word_noise=0.3)
CORRECTING = [TRAVEL.with_knobs(correct=0.7), TRAVEL.with_knobs(correct=1.0, word_noise=0.3),
              SMALL[0].with_knobs(correct=0.8)]
WORLDS = [EN, ZH, TRAVEL, CLINIC, NOISY, *CORRECTING, *SMALL, EN.with_knobs(volunteer=0.0, greet=1.0, thank=1.0),
          EN.with_knobs(volunteer=0.95)]
tasks = st.builds(lambda world, split, seed, index: world.task(split, seed, index), st.sampled_from(WORLDS),
                  st.sampled_from(["train", "valid", "test"]), st.integers(0, 10**9), st.integers(0, 10**9))


def starts_dialogue(turn: Turn, earlier: Turn | None) -> bool:
    """Whether ``turn`` opens a dialogue (only a greeting may come before with the state still empty)."""
    return set(turn.previous_state) == {EMPTY} and (earlier is None or earlier.act != ("greet",))


@settings(max_examples=80, deadline=None)
@given(tasks, st.integers(0, 12), st.integers(0, 12))
def test_support_and_query_are_nested_and_query_knows_no_shots(task, few, more):
    few, more = sorted((few, more))
    assert task.support(more)[:few] == task.support(few)
    query = task.query(more)
    task.support(few)
    task.dialogues(2)
    assert task.query(more) == query
    assert task.query(few) == query[:few]
    assert task.dialogues(3)[:1] == task.dialogues(1)


@settings(max_examples=50, deadline=None)
@given(tasks)
def test_a_task_is_a_pure_function_of_its_name(task):
    world = task.world
    _, split, seed, index = task.name.rsplit("/", 3)
    random.seed(1)
    world.task("train", 5, 6).support(9)
    state = random.getstate()
    again = world.task(split, int(seed), int(index))
    for latent in ("lexicon", "order", "persona", "style"):
        assert getattr(again, latent) == getattr(task, latent)
    assert again.query(5) == task.query(5)
    assert again.support(9) == task.support(9)
    assert random.getstate() == state  # no global random state is read or moved


@settings(max_examples=80, deadline=None)
@given(tasks)
def test_what_is_rendered_reads_back_as_what_was_meant(task):
    """An independent parser finds one reading of each turn: the meaning that Bayes is told."""
    world = task.world
    for turn in (*task.support(12), *task.query(6)):
        assert len(user_kinds(world.spec, turn)) == 1
        assert len(templates_of(world.spec, turn)) == 1
        assert tuple(turn.meaning) == (*read(world.spec, turn), world.name, ())  # nothing is replaced


@settings(max_examples=80, deadline=None)
@given(tasks)
def test_dialogues_follow_the_plan(task):
    world = task.world
    for dialogue in task.dialogues(4):
        acts = [turn.act[0] for turn in dialogue]
        middle = acts[acts[0] == "greet":len(acts) - (acts[-1] == "bye")]
        assert middle[-2:] == ["confirm", "offer"]
        again = middle[-3:-2] == ["confirm"]
        assert set(middle[:-2 - again]) <= {"request"}
        assert again == any(turn.meaning.kind == CORRECT for turn in dialogue)
        assert dialogue[0].previous_state == (EMPTY,) * len(world.slots)
        for earlier, later in pairwise(dialogue):
            assert later.previous_state == earlier.state
            if earlier.act[0] == "request":  # the user answers first what was asked
                asked = world.slots.index(earlier.act[1])
                assert later.meaning.mentions[0][0] == asked
                assert earlier.state[asked] == EMPTY
            changed = [i for i, (a, b) in enumerate(zip(later.previous_state, later.state, strict=True))
                       if EMPTY != a != b]  # only a correction changes a slot that is filled
            assert changed == ([later.meaning.correction.slot] if later.meaning.correction else [])
        for turn in dialogue:
            if turn.act[0] == "request":
                assert turn.act[1] == next(s for s in task.order if turn.state[world.slots.index(s)] == EMPTY)
            for slot, word, value in turn.meaning.mentions:
                heard, wanted = world.words[slot][word], turn.state[slot]
                assert wanted == world.values[slot][value]
                if not world.spec.knobs.word_noise:
                    assert task.lexicon[world.slots[slot]][heard] == wanted
            if (fix := turn.meaning.correction) and not world.spec.knobs.word_noise:
                assert task.meaning_of[fix.slot][fix.word] == fix.value != fix.old
                assert fix.old_word == -1 or task.meaning_of[fix.slot][fix.old_word] == fix.old


@settings(max_examples=60, deadline=None)
@given(tasks, st.integers(1, 15))
def test_support_starts_with_a_dialogue_and_is_consecutive(task, shots):
    support = task.support(shots)
    assert starts_dialogue(support[0], None)
    for earlier, later in pairwise(support):
        if not starts_dialogue(later, earlier):
            assert later.previous_state == earlier.state
        else:
            assert earlier.act[0] in ("offer", "bye")  # the one before was whole


@settings(max_examples=60, deadline=None)
@given(tasks)
def test_every_token_is_in_the_closed_vocabulary(task):
    world = task.world
    tokens = set(world.tokens)
    assert len(tokens) == len(world.tokens)
    for turn in (*task.support(10), *task.query(5)):
        for part in turn[:5]:
            assert set(part) <= tokens
        assert len(turn.state) == len(turn.previous_state) == len(world.slots)
        assert turn.act[0] in ACTS
        assert all(turn[:1] + turn[1:5])  # no part is empty


def test_vocabularies_are_frozen():
    assert len(EN.tokens) == 166
    assert EN.tokens[:6] == (EMPTY, *ACTS)
    assert not any(token.startswith(("<", "{")) for world in WORLDS for token in world.tokens)


def test_worlds_and_tasks_are_what_turns_py_promises():
    source: TaskSource = EN
    task: Task = source.task("train", 0, 0)
    assert source.capabilities == CAPABILITIES
    assert task.name == "restaurants.en/train/0/0"
    assert task.support(0) == task.query(0) == []
    assert set(task.lexicon) == set(EN.slots)
    assert sorted(task.order) == sorted(EN.slots)
    assert all(sum(p) == pytest.approx(1) for p in task.style.values())


def test_splits_seeds_and_indices_give_different_tasks():
    seen = {(t.order, str(t.lexicon)) for split in ("train", "valid", "test") for seed in range(3)
            for t in (EN.task(split, seed, i) for i in range(30))}
    assert len(seen) == 270


def test_the_same_in_another_process_whatever_its_hash_seed():
    code = ("from metadialog_lite.world import load_world; t = load_world('restaurants.en').task('test', 3, 7);"
            "print(t.lexicon, t.order, t.persona, t.support(9), t.query(4))")
    outputs = {subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
                              cwd=Path(__file__).parents[1], capture_output=True, check=True).stdout
               for seed in ("0", "1")}
    assert len(outputs) == 1
    assert b"restaurants" not in outputs.pop()[:1]


# ---------------------------------------------------------------- frequencies of the process

def test_latents_and_knobs_have_the_stated_frequencies():
    """3,000 tasks; five standard deviations of room each."""
    count, orders, first_value, names = 3000, Counter(), Counter(), Counter()
    opening, asked_again, greeted, thanked, heard, misheard = Counter(), Counter(), 0, 0, 0, 0
    for index in range(count):
        task = NOISY.task("train", 1, index)
        orders[task.order] += 1
        first_value[task.lexicon["food"]["zesty"]] += 1
        names[task.persona["name"]] += 1
        (dialogue,) = task.dialogues(1)
        greeted += dialogue[0].act == ("greet",)
        thanked += dialogue[-1].act == ("bye",)
        begin = dialogue[1 if dialogue[0].act == ("greet",) else 0]
        opening[begin.meaning.mentions[0][0]] += 1
        asked_again[len(begin.meaning.mentions) - 1] += 1
        for slot, word, value in begin.meaning.mentions:
            heard += 1
            misheard += task.meaning_of[slot][word] != value

    def near(hits: int, of: int, p: float) -> bool:
        return abs(hits - of * p) < 5 * (of * p * (1 - p)) ** 0.5

    assert len(orders) == 24
    assert all(near(n, count, 1 / 24) for n in orders.values())
    assert all(near(n, count, 1 / 5) for n in first_value.values())
    assert all(near(n, count, 1 / 6) for n in names.values())
    assert all(near(n, count, 1 / 4) for n in opening.values())
    assert near(asked_again[0], count, (1 - 0.22) ** 3)
    assert near(greeted, count, 0.05)
    assert near(thanked, count, 0.2)
    assert near(misheard, heard, 0.3)


def test_corrections_have_the_stated_frequencies():
    """3,000 tasks; five standard deviations of room each."""
    world, count = TRAVEL.with_knobs(correct=0.3, volunteer=0.0, word_noise=0.2), 3000
    inline, alone, slots, shifts, named, old_misheard, new_misheard = 0, 0, Counter(), Counter(), 0, 0, 0
    for index in range(count):
        task = world.task("train", 2, index)
        (dialogue,) = task.dialogues(1)
        second = dialogue[1 + (dialogue[0].act == ("greet",))]
        inline += second.meaning.correction is not None
        alone += any(turn.meaning.kind == CORRECT for turn in dialogue)
        fixes = [turn.meaning.correction for turn in dialogue if turn.meaning.kind == CORRECT]
        for slot, old_word, old, word, value in fixes:
            slots[slot] += 1
            shifts[(value - old) % 5] += 1
            named += old_word >= 0
            new_misheard += task.meaning_of[slot][word] != value
            old_misheard += old_word >= 0 and task.meaning_of[slot][old_word] != old

    def near(hits: int, of: int, p: float) -> bool:
        return abs(hits - of * p) < 5 * (of * p * (1 - p)) ** 0.5

    assert near(inline, count, 0.3)
    assert near(alone, count, 0.3)
    assert all(near(n, alone, 1 / 4) for n in slots.values())
    assert set(shifts) == {1, 2, 3, 4}
    assert all(near(n, alone, 1 / 4) for n in shifts.values())
    assert near(named, alone, 2 / 3)
    assert near(new_misheard, alone, 0.2)
    assert near(old_misheard, named, 0.2)


def test_a_query_turn_is_a_uniformly_chosen_turn_of_a_new_dialogue():
    world, count = EN.with_knobs(volunteer=0.95, greet=1.0, thank=1.0), 4000
    # greet, (mostly one) inform, offer, bye: about a quarter each
    kinds = Counter(turn.act[0] for i in range(count) for turn in world.task("train", 0, i).query(1))
    assert abs(kinds["greet"] / count - 0.245) < 0.03
    assert abs(kinds["bye"] - kinds["greet"]) < 5 * (count / 2) ** 0.5
    assert abs(kinds["offer"] - kinds["greet"]) < 5 * (count / 2) ** 0.5


def test_text_is_what_a_person_reads():
    assert EN.text(("hi", ",", "we", "want", "it", "!")) == "hi, we want it!"
    assert ZH.text(("你好", "，", "川菜")) == "你好，川菜"
    assert EN.text(()) == ZH.text(()) == ""


def test_with_knobs_changes_nothing_else():
    noisy = EN.with_knobs(word_noise=0.2)
    assert noisy.spec.knobs.word_noise == 0.2
    assert EN.spec.knobs.word_noise == 0.0
    assert (noisy.tokens, noisy.slots, noisy.name) == (EN.tokens, EN.slots, EN.name)
    assert noisy.task("train", 0, 0).lexicon == EN.task("train", 0, 0).lexicon
    assert isinstance(noisy, World)

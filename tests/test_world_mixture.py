"""Several worlds as one source: tasks of each in turn, the union of their words, each task's own reference."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from small import config, small

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.evaluation import evaluate
from metadialog_lite.training import meta_train
from metadialog_lite.turns import TaskSource
from metadialog_lite.world import BayesReference, World, WorldError, Worlds, load_world, training_reference

EN, TRAVEL, CLINIC = (load_world(name) for name in ("restaurants.en", "travel.en", "clinic.en"))
ALL = load_world("restaurants.en,travel.en,clinic.en")


def test_tasks_are_those_of_the_worlds_in_turn():
    source: TaskSource = ALL
    assert isinstance(ALL, Worlds)
    assert source.name == "restaurants.en,travel.en,clinic.en"
    assert load_world("restaurants.en, travel.en,clinic.en").name == source.name
    for index in range(9):
        own = (EN, TRAVEL, CLINIC)[index % 3].task("test", 5, index // 3)
        task = ALL.task("test", 5, index)
        assert task.name == own.name
        assert (task.support(7), task.query(3)) == (own.support(7), own.query(3))


def test_words_are_the_union_and_each_world_brings_its_own():
    assert set(ALL.tokens) == {*EN.tokens, *TRAVEL.tokens, *CLINIC.tokens}
    assert len(set(ALL.tokens)) == len(ALL.tokens)
    assert ALL.tokens[:len(EN.tokens)] == EN.tokens
    assert ALL.text(("hi", ",", "you", "!")) == "hi, you!"
    vocabulary = Vocabulary.of(ALL)
    for index in range(6):
        for turn in ALL.task("train", 0, index).support(30):
            assert not vocabulary.unknown([token for part in turn[:5] for token in part])


def test_a_world_can_bring_its_words_alone():
    source = load_world("restaurants.en,words:clinic.en")
    assert source.name == "restaurants.en,words:clinic.en"
    assert set(source.tokens) == {*EN.tokens, *CLINIC.tokens}
    assert [source.task("train", 0, i).name for i in range(2)] == [EN.task("train", 0, i).name for i in range(2)]
    task = source.task("test", 0, 0)
    assert BayesReference(source).posterior([]).nll(task.query(1)[0]) == \
        BayesReference(EN).posterior([]).nll(task.query(1)[0])


def test_the_reference_of_a_task_is_that_of_its_own_world():
    mixed, own = BayesReference(ALL), [BayesReference(world) for world in (EN, TRAVEL, CLINIC)]
    for index in range(30):
        task = ALL.task("test", 0, index)
        for shots in (0, 6):
            ours, theirs = mixed.posterior(task.support(shots)), own[index % 3].posterior(task.support(shots))
            for turn in task.query(3):
                assert ours.nll(turn) == theirs.nll(turn)
                assert ours.predict(turn) == theirs.predict(turn)
            assert ours.lexicon().items() >= theirs.lexicon().items()
    with pytest.raises(ValueError, match=r"knows restaurants\.en, travel\.en, clinic\.en"):
        mixed.posterior(load_world("restaurants.zh").task("test", 0, 0).support(1))


def test_every_prompt_shows_its_world():
    """So the mixture's exact reference knows no more than a learner: no prompt of one world could be of another."""
    prompts = [{(turn.previous_state, turn.user) for i in range(300)
                for turn in world.with_knobs(greet=1.0, volunteer=0.8).task("prompt", 0, i).query(6)}
               for world in (EN, TRAVEL, CLINIC)]
    assert all(len(seen) > 500 for seen in prompts)
    assert not any(a & b for a, b in combinations(prompts, 2))


def test_shifts_of_several_worlds():
    source = load_world("restaurants.en+style=1.0,travel.en")
    believed = training_reference(source)
    assert believed is not None
    for index in range(6):
        task = source.task("test", 0, index)
        support, (turn,) = task.support(6), task.query(1)
        world = (EN, TRAVEL)[index % 2]
        assert task.world.name == ("restaurants.en+style=1.0", "travel.en")[index % 2]
        assert believed.posterior(support).nll(turn) == BayesReference(world).posterior(support).nll(turn)
        assert believed.posterior([]).nll(turn) == BayesReference(world).posterior([]).nll(turn)
    assert training_reference(load_world("restaurants.en+lexicon,travel.en")) is None
    with pytest.raises(WorldError, match="differ in their number"):
        BayesReference(source, prior=EN)


def test_knobs_are_turned_in_all_of_them():
    noisy = ALL.with_knobs(word_noise=0.1)
    assert noisy.name == ALL.name
    assert [world.spec.knobs.word_noise for world in noisy.members] == [0.1] * 3
    assert noisy.spec.knobs.word_noise == 0.1


@pytest.mark.parametrize(("names", "part"), [
    ("restaurants.en,restaurants.zh", "languages en and zh; give worlds of one language"),
    ("restaurants.en,restaurants.en", "both have the word 'birthday' for a value; the words of a turn must show"),
    ("restaurants.en,", "a name is missing beside a comma"), (",", "a name is missing beside a comma"),
    ("restaurants.en,travel", "world 'travel': neither a file nor a shipped world; did you mean 'travel.en'?"),
    ("words:restaurants.en,words:travel.en", "at least one is needed that is not only words"),
])
def test_what_can_not_be_mixed(names, part):
    with pytest.raises(WorldError) as caught:
        load_world(names)
    assert part in str(caught.value)


def test_worlds_that_look_alike_in_a_greeting_or_in_their_values_are_refused():
    def changed(**user: tuple[str, ...]) -> World:
        return World(TRAVEL.spec.model_copy(update={"user": TRAVEL.spec.user.model_copy(update=user)}))

    with pytest.raises(WorldError, match="the user's greeting 'good evening'"):
        Worlds([EN, changed(greet=("good evening",))])
    values = {a: TRAVEL.spec.slots[a].model_copy(update={"values": slot.values})
              for a, slot in zip(TRAVEL.slots, EN.spec.slots.values(), strict=True)}
    with pytest.raises(WorldError, match="values in common in every slot"):
        Worlds([EN, World(TRAVEL.spec.model_copy(update={"slots": values}))])


def test_training_and_evaluation_take_them_as_one_source():
    source = load_world("restaurants.en,travel.en")
    learner = small("maml", source)
    records = list(meta_train(learner, source, config("maml", steps=2)))
    assert all(math.isfinite(record.loss["total"]) and record.bayes["total"] > 0 for record in records)
    result = evaluate(learner, source, shots=(0, 2), tasks=4, query_turns=2)
    assert result.world == "restaurants.en,travel.en"
    assert all(row.regret is not None and row.regret > 0 for row in result.rows if row.capability == "total")
    bayes = small("bayes", source, reference=BayesReference(source))
    exact = evaluate(bayes, source, shots=(0, 2), tasks=4, query_turns=2)
    assert all(row.regret == pytest.approx(0, abs=1e-6) for row in exact.rows)

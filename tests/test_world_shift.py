"""Shifted worlds and their two references: the informed optimum, and Bayes that believes in the training world."""

from __future__ import annotations

from pathlib import Path

import pytest
from brute_force import BruteForce
from no_learner_beats_bayes import LIMIT, highest_lead

from metadialog_lite.turns import CAPABILITIES
from metadialog_lite.world import BayesReference, WorldError, load_world, shifted, shipped_worlds, training_reference

HERE = Path(__file__).parent / "worlds"
BRUTE, EN, TRAVEL = load_world(HERE / "brute.yaml"), load_world("restaurants.en"), load_world("travel.en")
#: Words that only the system of brute.yaml says.
OTHER_WORDS = {"food": ("ana", "ben"), "area": ("oslo", "how"), "price": ("are", "from"), "meal": ("asks", "done")}


@pytest.mark.parametrize("name", shipped_worlds())
@pytest.mark.parametrize("kind", ["lexicon", "style=1.0", "style=0.1"])
def test_a_shift_changes_one_thing(name, kind):
    world = load_world(name)
    other = shifted(world, kind)
    assert other.name == f"{name}+{kind}"
    assert load_world(other.name).spec == other.spec
    assert other.training is world
    assert other.tokens == world.tokens  # a model of the world can read it
    task = other.task("test", 0, 3)
    assert task.name == f"{name}+{kind}/test/0/3"
    for turn in (*task.support(20), *task.query(4)):
        assert {token for part in turn[:5] for token in part} <= set(world.tokens)
    if kind == "lexicon":
        old, new = ({word for slot in w.words for word in slot} for w in (world, other))
        assert not old & new
        assert len(old) == len(new)
        assert other.values == world.values
        assert other.spec.knobs == world.spec.knobs
    else:
        assert other.spec.knobs == world.spec.knobs.model_copy(update={"style": float(kind[6:])})
        assert (other.spec.slots, other.spec.user) == (world.spec.slots, world.spec.user)


def test_names_are_canonical_and_shifts_can_follow_each_other():
    assert load_world("restaurants.en+style=1").name == "restaurants.en+style=1.0"
    both = load_world("restaurants.en+style=0.1+lexicon")
    assert (both.spec.knobs.style, both.words[0][0]) == (0.1, "lisbon")
    assert both.training.name == "restaurants.en"
    assert EN.training is None


def test_a_shift_of_the_domain_is_the_other_world():
    other = shifted(EN, "domain=travel.en")
    assert other.name == "travel.en"
    assert other.task("test", 0, 0).query(3) == TRAVEL.task("test", 0, 0).query(3)
    assert training_reference(other, EN) is None


def test_knobs_of_a_shifted_world_are_those_of_its_training_world():
    noisy = shifted(EN, "style=1.0").with_knobs(word_noise=0.1)
    assert noisy.name == "restaurants.en+style=1.0"
    assert noisy.training.spec.knobs == EN.spec.knobs.model_copy(update={"word_noise": 0.1})


# ---------------------------------------------------------------- the two references, exactly

@pytest.mark.parametrize(("knobs", "kind"), [({}, "style=1.0"), ({"correct": 0.3}, "style=0.1"), ({}, "lexicon")])
def test_both_references_equal_brute_force(knobs, kind):
    """EQ-BAYES-1 with the prior of the shifted and of the training world, on the same turns, to 1e-10."""
    world = BRUTE.with_knobs(**knobs)
    other = shifted(world, kind, OTHER_WORDS if kind == "lexicon" else None)
    pairs = [(BruteForce(other.spec), BayesReference(other))]
    if kind != "lexicon":
        believed = training_reference(other)
        assert believed is not None
        pairs.append((BruteForce(world.spec), believed))
    differ = 0.0
    for index, shots in enumerate((0, 2, 5)):
        task = other.task("shift", 0, index)
        support = task.support(shots)
        for turn in task.query(3):
            found = []
            for brute, bayes in pairs:
                exact = brute.nll(brute.joint(support, turn), turn)
                found.append(bayes.posterior(support).nll(turn))
                assert found[-1] == pytest.approx(exact, rel=0, abs=1e-10)
            differ = max(differ, abs(found[0][2] - found[-1][2]))
    assert (differ > 0.05) == (kind != "lexicon")


@pytest.mark.parametrize("kind", ["style=1.0", "style=0.1"])
def test_nobody_beats_the_informed_one_and_on_average_the_training_prior_loses(kind):
    """State and act don't depend on the style at all; responses do, and the informed reference wins there."""
    world = shifted(EN, kind)
    informed, believed = BayesReference(world), training_reference(world)
    assert believed is not None
    for capability in (None, 2):
        assert highest_lead(world, lambda support, turn: believed.posterior(support).nll(turn), tasks=600,
                            capability=capability) < LIMIT
    excess = dict.fromkeys(CAPABILITIES, 0.0)
    for index in range(1500):
        task = world.task("average", 0, index)
        support, (turn,) = task.support(4), task.query(1)
        for name, a, b in zip(CAPABILITIES, believed.posterior(support).nll(turn),
                              informed.posterior(support).nll(turn), strict=True):
            excess[name] += a - b
    assert (excess["state"], excess["act"]) == (0.0, 0.0)
    assert excess["response"] > 50  # nats in 1500 turns


def test_red_when_the_query_turn_is_among_the_support_of_a_shifted_world():
    for kind in ("lexicon", "style=1.0"):
        world = shifted(EN, kind)
        bayes = BayesReference(world)
        assert highest_lead(world, lambda support, turn, bayes=bayes: bayes.posterior([*support, turn]).nll(turn),
                            tasks=600) >= LIMIT


def test_the_lexicon_shift_costs_the_informed_one_nothing():
    """Other words, the same process: the floor is as high as before, up to sampling."""
    floors = []
    for world in (EN, shifted(EN, "lexicon")):
        bayes = BayesReference(world)
        tasks = [world.task("floor", 0, i) for i in range(600)]
        floors.append(sum(sum(bayes.posterior(t.support(8)).nll(q)) for t in tasks for q in t.query(4)) / 2400)
    assert floors[0] == pytest.approx(floors[1], abs=0.12)


def test_where_the_training_prior_is_undefined():
    other = shifted(EN, "lexicon")
    assert training_reference(other) is None
    with pytest.raises(WorldError, match=r"prior of 'restaurants\.en' is undefined for turns of "
                                         r"'restaurants\.en\+lexicon': these worlds differ in slots"):
        BayesReference(other, EN)
    with pytest.raises(WorldError, match="differ in slots"):
        BayesReference(TRAVEL, prior=EN)
    same = training_reference(EN)  # no shift: the world is its own training world
    assert same is not None
    task = EN.task("test", 0, 0)
    assert same.posterior(task.support(5)).nll(task.query(1)[0]) == \
        BayesReference(EN).posterior(task.support(5)).nll(task.query(1)[0])


# ---------------------------------------------------------------- bad input

@pytest.mark.parametrize(("name", "part"), [
    ("restaurants.en+stile=1", "shift 'stile=1' of 'restaurants.en': no such shift; there are lexicon, style=1.0"),
    ("restaurants.en+style", "no such shift"), ("restaurants.en+", "shift '' of 'restaurants.en': no such shift"),
    ("restaurants.en+style=much", "a number expected, such as style=1.0"),
    ("restaurants.en+style=1000", "knob style: got 1000.0: should be less than or equal to 100"),
    ("restaurants.en+style=nan", "knob style: got nan"),
    ("restaurants.en+domain=mars", "world 'mars': neither a file nor a shipped world"),
    ("restaurant.en+lexicon", "did you mean 'restaurants.en'?"),
    (f"{HERE / 'brute.yaml'}+lexicon", "cannot be read; write lines such as 'food: [mild, hot]' there"),
])
def test_bad_shifts_get_a_clear_word(name, part):
    with pytest.raises(WorldError) as caught:
        load_world(name)
    assert part in str(caught.value)


@pytest.mark.parametrize(("change", "part"), [
    ({"food": ("ana", "hot")}, "food: 'hot' is a word of the world itself"),
    ({"food": ("ana", "zebra")}, "food: 'zebra' is not in the world's vocabulary"),
    ({"food": ("ana",)}, "slots.food.words: 1 words for 2 values"),
    ({"food": ("ana", "oslo")}, "'oslo' is also a word of slot 'food'"),
    ({"food": ("ana", "hello")}, "contains 'hello', a word of slot 'food'"),
    ({"foot": ("ana", "ben")}, "slots food, area, price, meal, foot; expected food, area, price, meal"),
])
def test_words_that_do_not_suit(change, part):
    with pytest.raises(WorldError) as caught:
        shifted(BRUTE, "lexicon", OTHER_WORDS | change)
    assert part in str(caught.value)


@pytest.mark.parametrize(("text", "part"), [
    ("food: [ana", "is not YAML"), ("- ana", "expected lines such as 'food: [mild, hot]'"),
    ("food: ana", "expected lines"), ("food: [1, 2]", "expected lines such as"),
    ("food: [ana, ben]", "slots food; expected food, area, price, meal"),
])
def test_an_own_world_has_its_other_words_beside_it(tmp_path, text, part):
    (tmp_path / "mine.yaml").write_text((HERE / "brute.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "shifts").mkdir()
    (tmp_path / "shifts" / "mine.yaml").write_text(text)
    with pytest.raises(WorldError, match=r".") as caught:
        load_world(f"{tmp_path / 'mine.yaml'}+lexicon")
    assert part in str(caught.value)
    lines = "\n".join(f"{slot}: [{', '.join(words)}]" for slot, words in OTHER_WORDS.items())
    (tmp_path / "shifts" / "mine.yaml").write_text(lines)
    assert load_world(f"{tmp_path / 'mine.yaml'}+lexicon").words == tuple(OTHER_WORDS.values())

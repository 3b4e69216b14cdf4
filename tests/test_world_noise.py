"""Noise in the support: what is replaced, and that its floor is exact for one who is told (EQ-NOISE-1)."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from brute_noise import PARTS, NotTold, Told
from hypothesis import example, given, settings
from hypothesis import strategies as st
from no_learner_beats_bayes import LIMIT, highest_lead

from metadialog_lite.turns import EMPTY
from metadialog_lite.world import BayesReference, WorldError, Worlds, load_world, shipped_worlds, training_reference
from metadialog_lite.world.noise import TOLD, remaining

HERE = Path(__file__).parent / "worlds"
SMALL, EN = load_world(HERE / "brute_noise.yaml"), load_world("restaurants.en")
NOISY = load_world("restaurants.en+noise=0.2")


# ---------------------------------------------------------------- what is replaced

@settings(max_examples=60, deadline=None)
@given(st.sampled_from(shipped_worlds()), st.sampled_from([0.05, 0.3, 0.95]), st.integers(0, 10**6), st.integers(0, 24))
def test_only_marked_segments_of_the_support_differ(name, rate, index, shots):
    """Speakers, users, true dialogues and the query are those of the world without noise."""
    clean, noisy = load_world(name).task("test", 0, index), load_world(f"{name}+noise={rate}").task("test", 0, index)
    assert noisy.name == clean.name
    assert (noisy.lexicon, noisy.order, noisy.persona, noisy.style) == (
        clean.lexicon, clean.order, clean.persona, clean.style)
    assert [turn[:5] for turn in noisy.query(6)] == [turn[:5] for turn in clean.query(6)]
    assert [[turn[:5] for turn in d] for d in noisy.dialogues(2)] == [[t[:5] for t in d] for d in clean.dialogues(2)]
    support = noisy.support(shots)
    assert noisy.support(shots // 2) == support[:shots // 2]
    for given_, true in zip(support, clean.support(shots), strict=True):
        assert given_.user == true.user
        assert given_.meaning._replace(replaced=(), world="") == true.meaning._replace(world="")
        for part in PARTS:
            if part not in given_.meaning.replaced:
                assert getattr(given_, part) == getattr(true, part)


def test_a_previous_state_is_what_the_turn_before_was_given():
    wrong = 0
    for index in range(40):
        task = NOISY.task("chain", 0, index)
        stream = task.stream()
        for _ in range(4):
            dialogue = next(stream)
            assert set(dialogue[0].previous_state) == {EMPTY}
            for one, other in itertools.pairwise(dialogue):
                assert other.previous_state == one.state
                wrong += "state" in one.meaning.replaced
    assert wrong > 20


def test_segments_are_replaced_independently_at_the_known_rate():
    rate, tasks, shots = 0.2, 400, 10
    turns = [turn for i in range(tasks) for turn in NOISY.task("rate", 0, i).support(shots)]
    hit = np.array([[part in turn.meaning.replaced for part in PARTS] for turn in turns])
    error = math.sqrt(rate * (1 - rate) / len(turns))
    assert hit.mean(0) == pytest.approx([rate] * 3, abs=4 * error)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (hit[:, a] & hit[:, b]).mean() == pytest.approx(rate**2, abs=4 * rate / math.sqrt(len(turns)))
    assert (hit[1:] & hit[:-1]).mean() == pytest.approx(rate**2, abs=4 * rate / math.sqrt(3 * len(turns)))


def test_what_is_replaced_at_a_low_rate_is_replaced_at_a_high_one_by_the_same():
    low, high = (load_world(f"restaurants.en+noise={rate}") for rate in (0.1, 0.4))
    more = 0
    for index in range(20):
        few, many = (world.task("nested", 0, index).support(16) for world in (low, high))
        for a, b in zip(few, many, strict=True):
            assert set(a.meaning.replaced) <= set(b.meaning.replaced)
            more += len(b.meaning.replaced) - len(a.meaning.replaced)
            assert all(getattr(a, part) == getattr(b, part) for part in a.meaning.replaced)
    assert more > 100


def test_strangers_say_what_the_world_says_and_know_nothing_of_the_speaker():
    """Replaced acts are distributed as enumeration says, whatever the true act is."""
    world = SMALL.with_knobs(support_noise=0.5)
    expected = NotTold(world.spec).strangers
    for part in PARTS:
        assert sum(expected[part].values()) == pytest.approx(1)
    counts: dict[bool, dict[tuple[str, ...], int]] = {True: {}, False: {}}
    for index in range(2500):
        for turn in world.task("strangers", 0, index).support(4):
            if "act" in turn.meaning.replaced:
                row = counts[turn.meaning.asked >= 0]
                row[turn.act] = row.get(turn.act, 0) + 1
    for row in counts.values():
        total = sum(row.values())
        for act, p in expected["act"].items():
            assert row.get(act, 0) / total == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / total))


# ---------------------------------------------------------------- the floor, exactly

@settings(max_examples=60, deadline=None)
@given(st.sampled_from([{}, {"correct": 0.5}, {"word_noise": 0.25}]), st.sampled_from([0.2, 0.5, 0.9]),
       st.integers(0, 10**6), st.integers(0, 8))
@example({"correct": 0.9}, 0.5, 7, 8)
def test_the_floor_equals_enumeration_for_one_who_is_told(knobs, rate, index, shots):
    """EQ-NOISE-1 to 1e-10, over whole dialogues that agree with what is left, wherever they begin and end."""
    world = SMALL.with_knobs(support_noise=rate, **knobs)
    task = world.task("told", 0, index)
    support = task.support(shots)
    posterior, brute = BayesReference(world).posterior(support), _told(world)
    for turn in task.query(2):
        assert posterior.nll(turn) == pytest.approx(brute.losses(support, turn), rel=0, abs=1e-10)


BRUTE: dict[str, Told] = {}


def _told(world):
    knobs = world.spec.knobs.model_copy(update={"support_noise": 0.5})  # told: the rate does not matter
    return BRUTE.setdefault(repr(knobs), Told(world.spec))


def test_what_remains_is_used():
    """The test above is worth something: without each of these pieces of evidence the floor is another one."""
    world = SMALL.with_knobs(support_noise=0.5)
    bayes = BayesReference(world)
    used = dict.fromkeys(("later state", "response for the state", "next answer", "response for the act"), 0)
    for index in range(300):
        support = world.task("evidence", 0, index).support(5)
        posterior = bayes.posterior(support)
        for turn, after in itertools.pairwise(support):
            m = turn.meaning
            if "state" in m.replaced and m.mentions and after.meaning.before:
                slot, word, value = m.mentions[0]
                known = posterior.counts[slot][word][value] > 0
                used["later state"] += known and "state" not in after.meaning.replaced
            if "act" in m.replaced and m.asked >= 0:
                assert posterior.alive & ~bayes._masks[m.after, m.asked] == 0
                used["next answer"] += "response" in m.replaced
                used["response for the act"] += "response" not in m.replaced
        last = support[-1].meaning
        if "state" in last.replaced and last.mentions and last.asked < 0 and "response" not in last.replaced:
            used["response for the state"] += any(
                posterior.counts[s][w][v] > 0 for s, w, v in last.mentions)
    assert all(used.values()), used


def test_without_noise_it_is_the_ordinary_reference():
    none = load_world("restaurants.en+noise=0")
    assert (none.name, none.told, NOISY.told, EN.told) == ("restaurants.en+noise=0.0", None, TOLD, None)
    for index in range(30):
        task, same = EN.task("none", 0, index), none.task("none", 0, index)
        assert [turn[:5] for turn in same.support(9)] == [turn[:5] for turn in task.support(9)]
        for turn in task.query(2):
            floor = BayesReference(EN).posterior(task.support(9)).nll(turn)
            assert BayesReference(none).posterior(same.support(9)).nll(turn) == floor
            assert BayesReference(NOISY).posterior(task.support(9)).nll(turn) == floor  # nothing of this is replaced


def test_when_everything_is_replaced_users_still_tell_the_order_and_no_more():
    world = SMALL.with_knobs(support_noise=0.5)
    bayes = BayesReference(world)
    for index in range(30):
        task = world.task("all", 0, index)
        support = [turn._replace(meaning=turn.meaning._replace(replaced=PARTS)) for turn in task.support(6)]
        posterior, nobody = bayes.posterior(support), bayes.posterior([])
        assert (posterior.counts, posterior.used, posterior.known) == (nobody.counts, nobody.used, {})
        expected = bayes.every_order
        for m in (turn.meaning for turn in support[:-1]):
            if m.asked >= 0:
                expected &= bayes._masks[m.after, m.asked]
        assert posterior.alive == expected  # what the last turn asked for, nobody says


# ---------------------------------------------------------------- a bound for everybody who knows less

def test_nobody_who_knows_less_beats_the_floor():
    """Dropping every turn with a replaced segment is honest and knows less; so does knowing nothing at all."""
    bayes = BayesReference(NOISY)

    def careful(support, turn):
        return bayes.posterior([s for s in support if not s.meaning.replaced]).nll(turn)

    for loss in (careful, lambda support, turn: bayes.posterior([]).nll(turn)):
        assert highest_lead(NOISY, loss, tasks=500) < LIMIT
    for capability in (0, 1, 2):
        assert highest_lead(NOISY, careful, tasks=500, capability=capability) < LIMIT


def test_the_best_of_those_who_are_not_told_is_above_the_floor():
    """By enumeration of everything that may have been replaced. And it is better than having no support."""
    world = SMALL.with_knobs(support_noise=0.4)
    bayes, best = BayesReference(world), NotTold(world.spec)
    told = not_told = nothing = 0.0
    lead = highest = 0.0
    for index in range(150):
        task = world.task("best", 0, index)
        support, (turn,) = task.support(1 + index % 2), task.query(1)
        floor, loss = sum(bayes.posterior(support).nll(turn)), sum(best.losses(support, turn))
        told, not_told, nothing = told + floor, not_told + loss, nothing + sum(bayes.posterior([]).nll(turn))
        lead += floor - loss
        highest = max(highest, lead)
    assert highest < LIMIT
    assert told + 2 < not_told < nothing - 2  # nats in 150 turns


def test_red_when_somebody_sees_what_was_replaced():
    """The support before anything was replaced: such a cheat is far below the floor."""
    world = load_world("restaurants.en+noise=0.5")
    bayes = BayesReference(world)

    def peeking(support, turn):
        task = EN.task("test", 0, next(numbers))
        return bayes.posterior(task.support(len(support))).nll(turn)

    numbers = itertools.count()
    assert highest_lead(world, peeking, tasks=400) >= LIMIT


def test_red_when_the_floor_reads_each_turn_alone():
    """Such a "floor" forgets what later turns say about a replaced segment: an honest learner is far below it."""
    world = load_world("restaurants.en+noise=0.5")
    bayes, lead = BayesReference(world), 0.0
    for index in range(150):
        task = world.task("alone", 0, index)
        support, (turn,) = task.support(8), task.query(1)
        alone = [s._replace(meaning=remaining(world, [s.meaning])[0]._replace(replaced=())) for s in support]
        lead += sum(bayes.posterior(alone).nll(turn)) - sum(bayes.posterior(support).nll(turn))
    assert lead > LIMIT


# ---------------------------------------------------------------- names, combinations, bad input

def test_noise_combines_with_shifts_and_with_other_worlds():
    world = load_world("restaurants.en+style=1+noise=0.2")
    assert world.name == "restaurants.en+style=1.0+noise=0.2"
    assert world.task("test", 0, 0).name == "restaurants.en+style=1.0/test/0/0"
    assert (world.spec.knobs.style, world.spec.knobs.support_noise) == (1.0, 0.2)
    believed = training_reference(world)
    assert believed is not None
    assert believed.world.spec.knobs.style == EN.spec.knobs.style
    same = load_world("restaurants.en+noise=0.2+style=1.0")
    assert same.training is not None
    assert same.task("test", 0, 0).name == "restaurants.en+style=1.0/test/0/0"
    several = load_world("restaurants.en+noise=0.2,travel.en+noise=0.2")
    assert isinstance(several, Worlds)
    assert several.told == TOLD
    bayes = BayesReference(several)
    for index in range(4):
        task = several.task("test", 0, index)
        assert all(math.isfinite(x) for turn in task.query(2) for x in bayes.posterior(task.support(9)).nll(turn))
    assert NOISY.training is None


@pytest.mark.parametrize(("name", "part"), [
    ("restaurants.en+noise=much", "a number expected, such as noise=0.2"),
    ("restaurants.en+noise=1", "knob support_noise: got 1.0: should be less than or equal to 0.95"),
    ("restaurants.en+noise=-0.1", "knob support_noise: got -0.1"), ("restaurants.en+noise=nan", "knob support_noise"),
    ("restaurants.en+noise", "no such shift; there are lexicon, style=1.0, style=0.1, domain=travel.en, noise=0.2"),
    ("restaurants.en+noise=0.1+noise=0.2", "there is noise already; give it once"),
])
def test_bad_names_get_a_clear_word(name, part):
    with pytest.raises(WorldError) as caught:
        load_world(name)
    assert part in str(caught.value)


def test_worlds_in_which_the_floor_would_not_be_exact_are_refused():
    with pytest.raises(WorldError, match=r"support_noise: 0\.1 with word_noise 0\.1 and correct 0\.2: the floor"):
        SMALL.with_knobs(support_noise=0.1, word_noise=0.1, correct=0.2)
    slots = dict(SMALL.spec.slots)
    slots["price"] = slots["price"].model_copy(update={"ask": slots["area"].ask})
    from metadialog_lite.world import World

    alike = World(SMALL.spec.model_copy(update={"slots": slots}))
    with pytest.raises(WorldError, match=r"slots\.price\.ask: 'area' can't be told apart from that of slot 'area'"):
        alike.with_knobs(support_noise=0.1)

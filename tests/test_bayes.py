"""EQ-BAYES-1 and EQ-BAYES-2: the exact reference against plain enumeration, frequencies, and cheaters."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import pytest
from brute_force import BruteForce
from no_learner_beats_bayes import LIMIT, highest_lead
from read_turn import read
from responses import response_event

from metadialog_lite.turns import Turn
from metadialog_lite.world import BayesReference, Meaning, World, load_world

HERE = Path(__file__).parent / "worlds"
BRUTE, THREE, FIVE = (load_world(HERE / f"{name}.yaml") for name in ("brute", "brute_three", "brute_five"))
EN, ZH, TRAVEL = load_world("restaurants.en"), load_world("restaurants.zh"), load_world("travel.en")


def with_tokens(world: World, prompt: Turn, outcome: tuple[tuple[str, ...], ...]) -> Turn:
    """The prompt with another state, act and response, its meaning read from the tokens."""
    turn = Turn(prompt.previous_state, prompt.user, *outcome)
    return turn._replace(meaning=Meaning(*read(world.spec, turn)))


# ---------------------------------------------------------------- against brute force

CASES = [  # world, knobs, support lengths: nothing, cut-off dialogues, one or two whole ones
    (BRUTE, {}, (0, 1, 2, 3, 5, 8) * 2),
    (BRUTE, {"volunteer": 0.1, "word_noise": 0.0}, (0, 1, 2, 3, 5, 8) * 2),
    (BRUTE, {"volunteer": 0.0, "greet": 0.0, "thank": 1.0}, (0, 2, 4, 7) * 2),
    (BRUTE, {"volunteer": 0.4, "word_noise": 0.4, "style": 5.0}, (0, 2, 4, 6) * 2),
    (THREE, {}, (0, 1, 2, 4, 7)),
    (BRUTE, {"correct": 0.3}, (0, 1, 2, 3, 5, 8) * 2),  # every knob on
    (BRUTE, {"correct": 0.9, "word_noise": 0.0, "volunteer": 0.1}, (0, 2, 4, 7)),
    (THREE, {"correct": 0.5}, (0, 1, 2, 4, 7) * 2),
    (THREE, {"correct": 0.5, "word_noise": 0.0, "volunteer": 0.2}, (0, 1, 4, 7)),
]


def telling_queries(task, count: int) -> list[Turn]:
    """Query turns, the ones whose act is uncertain and whose prompt says something about the order first.

    Where there are corrections, all but one of them have one whose new value is one of several.
    """
    def tells_order(turn: Turn) -> bool:
        return bool(turn.meaning.before) and turn.state.count("-") >= 2

    def tells_value(turn: Turn) -> bool:
        fix = turn.meaning.correction
        return fix is not None and len(task.world.values[fix.slot]) > 2

    turns = sorted(task.query(4 * count), key=tells_order, reverse=True)
    fixes = [turn for turn in turns if tells_value(turn)][:count - 1]
    return (fixes + [turn for turn in turns if turn not in fixes])[:count]


@pytest.mark.parametrize(("world", "knobs", "shots"), CASES)
def test_every_probability_equals_brute_force_over_latents_and_whole_dialogues(world, knobs, shots):
    """EQ-BAYES-1, EQ-BAYES-2: each possible state, act and response of a prompt, to 1e-10."""
    world = world.with_knobs(**knobs)
    brute, bayes = BruteForce(world.spec), BayesReference(world)
    worst, compared, uncertain_acts, corrected = 0.0, 0, 0, 0
    for index, k in enumerate(shots):
        task = world.task("brute", 0, index)
        support = task.support(k)
        posterior = bayes.posterior(support)
        for turn in telling_queries(task, 3):
            joint = brute.joint(support, turn)
            exact = brute.nll(joint, turn)
            worst = max(worst, *(abs(a - b) for a, b in zip(exact, posterior.nll(turn), strict=True)))
            uncertain_acts += exact[1] > 1e-6
            corrected += turn.meaning.correction is not None
            compared += 1
        total = sum(joint.values())  # the last turn of each task: everything that could follow its prompt
        for outcome, mass in joint.items():
            p = math.exp(-sum(posterior.nll(with_tokens(world, turn, outcome))))
            assert p == pytest.approx(mass / total, rel=0, abs=1e-10)
    assert worst < 1e-10
    assert compared == 3 * len(shots)
    assert uncertain_acts >= 2
    assert (corrected >= len(shots) / 2) == bool(knobs.get("correct"))


def test_every_kind_of_prompt_and_support_was_among_them():
    seen = set()
    for index, k in enumerate(CASES[0][2]):
        task = BRUTE.task("brute", 0, index)
        if k and task.support(k)[-1].act[0] in ("greet", "request", "confirm"):
            seen.add("cut-off")
        seen |= {f"{turn.act[0]} {'later' if turn.meaning.before else 'first'}" for turn in telling_queries(task, 3)}
    assert {"cut-off", "greet first", "request first", "request later", "confirm later", "offer later",
            "bye later"} <= seen


def test_brute_force_would_notice_a_reference_that_ignores_the_prompt():
    """The comparison can fail: without the prompt's evidence some act probabilities differ by more than 0.05."""
    world = BRUTE.with_knobs(volunteer=0.1)
    right, wrong, differences = BruteForce(world.spec), BruteForce(world.spec, use_prompt=False), []
    for index in range(10):
        task = world.task("mistake", 1, index)
        for turn in telling_queries(task, 1):
            support = task.support(1 + index % 3)
            a, b = (brute.nll(brute.joint(support, turn), turn)[1] for brute in (right, wrong))
            differences.append(abs(math.exp(-a) - math.exp(-b)))
    assert max(differences) > 0.05


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_old_value_and_its_word_are_evidence(noise):
    """EQ-BAYES-3: forgetting either shifts the probability of a corrected value by more than 0.05."""
    world = THREE.with_knobs(correct=0.5, word_noise=noise)
    bayes, without_value, without_word = BayesReference(world), [], []
    for index in range(200):
        task = world.task("correction", 0, index)
        posterior = bayes.posterior(task.support(index % 3))
        for fix in (turn.meaning.correction for turn in task.query(4)):
            if fix is not None and fix.slot == 0:
                exact = posterior._corrected(fix)[fix.value]
                without_value.append(abs(exact - posterior._value(0, fix.word)[fix.value]))
                without_word.append(abs(exact - posterior._corrected(fix._replace(old_word=-1))[fix.value]))
    assert max(without_value) > 0.05
    assert (max(without_word) > 0.05) == (noise > 0)  # without noise the old value alone says the same


def test_corrections_lengthen_dialogues_that_nobody_sees():
    """With five slots the correction after ``confirm`` is part of E[1/length] (EQ-BAYES-2); see the next test.

    Those within an inform turn would make too many plans; no turn here has one, and they change no length.
    """
    world = FIVE.with_knobs(correct=0.6)
    brute, shifts = BruteForce(world.spec, inline=False), []
    for index, shots, number in ((1131, 2, 1), (1102, 3, 6)):
        task = FIVE.task("length", 0, index)
        support, turn = task.support(shots), task.query(8)[number]
        exact = brute.nll(brute.joint(support, turn), turn)
        assert BayesReference(world).posterior(support).nll(turn) == pytest.approx(exact, rel=0, abs=1e-10)
        shifts.append(abs(exact[1] - BayesReference(FIVE).posterior(support).nll(turn)[1]))
    assert max(shifts) > 1e-5


def test_five_slots_where_even_the_length_of_an_unseen_dialogue_is_evidence():
    """With four slots an uncertain act is at most the second; from five on, 1/length and reachability count.

    The pairs are those of 1,500 tasks where they count most: 0.004 and 0.038 in probability.
    """
    right, wrong = BruteForce(FIVE.spec), BruteForce(FIVE.spec, use_length=False)
    for index, shots, number in ((1131, 2, 1), (1102, 3, 6)):
        task = FIVE.task("length", 0, index)
        support, turn = task.support(shots), task.query(8)[number]
        exact = right.nll(right.joint(support, turn), turn)
        assert BayesReference(FIVE).posterior(support).nll(turn) == pytest.approx(exact, rel=0, abs=1e-10)
        mistaken = wrong.nll(wrong.joint(support, turn), turn)[1]
        assert abs(math.exp(-mistaken) - math.exp(-exact[1])) > 1e-3


def test_the_prompt_matters_in_the_shipped_world_too():
    """DESIGN §2: with 4 slots, ignoring the prompt's evidence shifts act probabilities by up to about 0.25."""
    bayes, shifts = BayesReference(EN), []
    for index in range(400):
        task = EN.task("prompt", 0, index)
        posterior = bayes.posterior(task.support(1))
        for turn in task.query(3):
            m = turn.meaning
            if m.asked < 0:
                continue
            exact = bayes.asked(posterior.alive, m.before, m.mentions[0][0], m.after)
            alive = [o for i, o in enumerate(bayes.orders) if posterior.alive >> i & 1]
            naive = [next(s for s in order if not m.after >> s & 1) for order in alive]
            shifts.append(abs(exact[m.asked] - naive.count(m.asked) / len(naive)))
    assert max(shifts) > 0.1


# ---------------------------------------------------------------- against frequencies

CALIBRATION = [(EN, 0.0), (EN, 0.12), (TRAVEL, 0.0), (TRAVEL, 0.12), (load_world("restaurants.en+style=1.0"), 0.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("world", "noise"), CALIBRATION)
def test_predicted_probabilities_are_frequencies(world, noise):
    """Calibration over 20,000 tasks, one query turn each (so that the turns are independent).

    In every bin of predicted probability p, hits − Σp is within 4.5 standard deviations; the two-sided chance of
    one such bin is 7e-6 (the seed is fixed: it passes or fails for good).
    """
    world = world.with_knobs(word_noise=noise)
    bayes = BayesReference(world)
    bins: dict[tuple[str, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0, 0.0])  # n, hits, Σp, variance
    for index in range(20_000):
        task = world.task("calibration", 0, index)
        (turn,) = task.query(1)
        posterior = bayes.posterior(task.support(index % 17))
        m = turn.meaning
        events = [("state", list(posterior._value(s, w)), v) for s, w, v in m.mentions]
        if m.correction is not None:
            events.append(("correction", list(posterior._corrected(m.correction)), m.correction.value))
        if m.asked >= 0:
            chances = bayes.asked(posterior.alive, m.before, m.mentions[0][0], m.after)
            events.append(("act", list(chances.values()), list(chances).index(m.asked)))
        events.append(response_event(world, posterior, turn))
        for capability, chances, outcome in events:
            assert sum(chances) == pytest.approx(1.0)
            in_bin: dict[int, float] = defaultdict(float)
            for p in chances:
                in_bin[min(9, int(p * 10))] += p
            for number, p in in_bin.items():
                row = bins[capability, number]
                hit = min(9, int(chances[outcome] * 10)) == number
                for i, x in enumerate((1, hit, p, p * (1 - p))):
                    row[i] += x
    for name, (count, hits, expected, variance) in bins.items():
        assert abs(hits - expected) <= 4.5 * math.sqrt(variance) + 1e-6, (name, count, hits, expected)
    assert {name for name, _ in bins} - {"correction"} == {"state", "act", "response"}
    assert (sum(bins["correction", i][0] for i in range(10)) > 1000) == (world.spec.knobs.correct > 0)
    # The bound of restaurants.en is that of the frozen world; the younger worlds fill a few bins less.
    assert sum(count > 500 for count, *_ in bins.values()) >= (20 if world.name == "restaurants.en" else 18)


# ---------------------------------------------------------------- nobody beats it

@pytest.mark.parametrize("world", [EN, TRAVEL])
def test_honest_learners_stay_below_the_limit(world):
    """Bayes without the first support turn, and a prior that never adapts, are honest and worse."""
    bayes = BayesReference(world)
    assert highest_lead(world, lambda support, turn: bayes.posterior(support[1:] if len(support) < 2 else support)
                        .nll(turn), tasks=600) < LIMIT
    assert highest_lead(world, lambda _, turn: bayes.posterior([]).nll(turn), tasks=600) < LIMIT


@pytest.mark.parametrize("world", [EN, TRAVEL])
@pytest.mark.parametrize("capability", [None, 0, 1, 2])
def test_red_when_the_query_turn_is_among_the_support(world, capability):
    bayes = BayesReference(world)
    assert highest_lead(world, lambda support, turn: bayes.posterior([*support, turn]).nll(turn), tasks=600,
                        capability=capability) >= LIMIT


def test_red_when_probabilities_do_not_sum_to_one():
    bayes = BayesReference(EN)
    assert highest_lead(EN, lambda support, turn: [0.97 * x for x in bayes.posterior(support).nll(turn)],
                        tasks=600) >= LIMIT


# ---------------------------------------------------------------- what there is to learn

def test_sixteen_turns_are_worth_two_nats_and_in_the_state_one_point_two():
    bayes, drop = BayesReference(EN), [0.0, 0.0, 0.0]
    for index in range(2000):
        task = EN.task("gap", 0, index)
        before, after = bayes.posterior([]), bayes.posterior(task.support(16))
        for turn in task.query(2):
            for i, (a, b) in enumerate(zip(before.nll(turn), after.nll(turn), strict=True)):
                drop[i] += (a - b) / 4000
    assert sum(drop) >= 2.0
    assert drop[0] >= 1.2
    assert min(drop) > 0.1


@pytest.mark.parametrize("world", [EN, ZH, TRAVEL, EN.with_knobs(word_noise=0.2), BRUTE, THREE,
                                   TRAVEL.with_knobs(correct=0.6, word_noise=0.2)])
def test_more_support_never_hurts_on_average(world):
    bayes, means = BayesReference(world), []
    for shots in (0, 2, 8, 32):
        tasks = [world.task("curve", 0, i) for i in range(150)]
        means.append(sum(sum(bayes.posterior(t.support(shots)).nll(q)) for t in tasks for q in t.query(4)) / 600)
    assert means == sorted(means, reverse=True)

"""The panels of notebook 02 without a browser, at min, default and max; its parameters and its checks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from metadialog_lite.lab import GuessPanel, SamplerPanel, check
from metadialog_lite.lab.check import exercises
from metadialog_lite.lab.guess_panel import EACH, ONE
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_02 import WorldParameters
from metadialog_lite.lab.world_game import DOUBT, sure
from metadialog_lite.world import load_world

WORLD, TRAVEL = load_world("restaurants.en"), load_world("travel.en")

# The panels, without a browser --------------------------------------------------------------------------------------


def finish(panel: GuessPanel, play: Callable[[], None]) -> None:
    for _ in range(70):
        if panel.game.done:
            return
        play()
        assert panel.error.layout.display == "none", panel.error.value
    raise AssertionError("the game has no end")


@pytest.mark.parametrize("shots", [1, 16, 64])
@pytest.mark.parametrize("world", [WORLD, TRAVEL, load_world("restaurants.zh")])
def test_a_whole_game_in_the_panel(world: Any, shots: int) -> None:
    panel = GuessPanel(world, seed=4, shots=shots)
    panel._seen()
    assert panel.figure is not None
    finish(panel, panel.play_optimum)
    assert "The support is over" in panel.prompt.value
    assert panel.commit_button.disabled
    panel.commit_button.click()  # nothing more to happen
    x, paid = panel.picture()[0][0]["x"], panel.picture()[0][0]["y"]
    assert len(x) == len(paid) == len(panel.game.rounds) + 1
    if panel.game.rounds:
        assert paid[-1] == pytest.approx(panel.game.paid("you"), rel=1e-5)
    panel.reset_button.click()
    assert panel.game.rounds == []
    assert not panel.commit_button.disabled or panel.game.done


def test_betting_with_the_controls() -> None:
    panel = GuessPanel(WORLD, shots=8)
    panel.commit_button.click()
    assert "Choose what" in panel.error.value
    for sureness in (0.0, 0.3, 0.6, 0.999):  # min, default, max
        for bet in panel.bets:
            bet.value.value, bet.sure.value = bet.question.value, sureness
        expected = [sure(b.question.value, sureness, len(b.values)) if sureness else [1 / len(b.values)] * len(b.values)
                    for b in panel.bets]
        panel.commit_button.click()
        assert panel.error.layout.display == "none"
        said = panel.game.rounds[-1].said["you"]
        for mine, theirs in zip(said, expected, strict=True):
            assert mine == pytest.approx(theirs, abs=2 * DOUBT)
    panel.mode_choice.value = EACH
    for bet in panel.bets:
        for weight, value in zip(bet.weights, (0, 100, 50, 0, 0)):
            weight.value = value
    panel.commit_button.click()
    assert panel.game.rounds[-1].said["you"][0][1] == pytest.approx(2 / 3, abs=2 * DOUBT)
    for bet in panel.bets:  # all weights 0: no idea
        for weight in bet.weights:
            weight.value = 0
    panel.commit_button.click()
    assert panel.game.rounds[-1].said["you"][0] == pytest.approx([0.2] * 5)
    panel.mode_choice.value = ONE
    assert "you have paid" in panel.says.value


def test_a_correction_cannot_mean_the_old_value() -> None:
    panel = GuessPanel(TRAVEL.with_knobs(correct=1.0), shots=40)
    while panel.bets[0].question.old < 0:
        panel.play_optimum()
    bet = panel.bets[0]
    assert bet.question.old not in [value for _, value in bet.value.options]
    assert bet.weights[bet.question.old].disabled
    bet.value.value = bet.question.value
    for other in panel.bets[1:]:
        other.value.value = other.question.value
    panel.commit()
    assert panel.game.rounds[-1].said["you"][0][bet.question.old] == 0


def test_looking_at_the_answers_is_allowed_and_said() -> None:
    panel = GuessPanel(WORLD, shots=10)
    panel.play_optimum()
    assert "looked" not in panel.says.value
    panel.beliefs_button.value = True
    assert panel.beliefs.value.count("<table") == len(WORLD.slots)
    panel.play_optimum()
    assert "looked at the answers" in panel.says.value
    panel.lexicon_button.value = True
    assert panel.game.task.lexicon["food"]["zesty"] in panel.lexicon.value
    panel.notes_button.value = False
    assert panel.notes.value == ""
    before = panel.game.task.lexicon
    panel.speaker_button.click()
    assert panel.game.task.lexicon != before
    assert "looked" not in panel.says.value
    assert panel.lexicon.value == panel.beliefs.value == ""


@pytest.mark.parametrize(("values", "words"), [({"shots": 0}, "shots: got 0"), ({"shots": True}, "shots: got True")])
def test_the_panel_says_what_is_wrong(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GuessPanel(WORLD, **values)


def test_the_sampler_at_min_default_and_max() -> None:
    panel = SamplerPanel(TRAVEL, seed=2)
    assert panel.knobs() == {}
    for knob, slider in panel.sliders.items():
        own, values = slider.value, [value for _, value in slider.options]
        for value in (values[0], values[-1], own):
            slider.value = value
            assert panel.error.layout.display == "none", panel.error.value
            assert "<table" in panel.dialogue.value
            assert panel.knobs() == ({knob: value} if value != own else {})
    for speaker in (99, 0):
        panel.speaker_slider.value = speaker
        assert f"Speaker {speaker}" in panel.says.value
    first = panel.dialogue.value
    panel.another_button.click()
    assert panel.dialogue.value != first
    panel.hidden_button.value = True
    assert "asks in this order" in panel.hidden.value
    panel.sliders["style"].value = 3.0
    assert panel.command() == ("papermill notebooks/02_dialogue_world.ipynb out.ipynb -p world travel.en -p style 3 "
                               "-p seed 2")
    panel.reset_button.click()
    assert panel.dialogue.value == first
    assert panel.hidden.value == ""


def test_the_sampler_changes_worlds_and_survives_a_knob_without_sentences() -> None:
    panel = SamplerPanel(WORLD)
    panel.world_choice.value = "restaurants.zh"
    assert "中" in panel.dialogue.value or "，" in panel.dialogue.value
    panel.sliders["correct"].value = 0.3  # this world has no sentences for corrections
    assert "user.correct" in panel.error.value
    assert panel.dialogue.value == ""
    panel.sliders["correct"].value = 0.0
    assert panel.error.value == ""
    assert "<table" in panel.dialogue.value
    panel.copy_button.click()
    assert panel.command_field.value.startswith("papermill")
    with pytest.raises(ValueError, match="several worlds"):
        SamplerPanel(load_world("restaurants.en,travel.en"))


# Parameters and checks ----------------------------------------------------------------------------------------------


def test_parameters_of_this_notebook() -> None:
    p = parameters(None, WorldParameters)
    assert p.eval_shots == (0, 1, 2, 4, 8, 16)
    assert str(p).startswith("world restaurants.en (its own knobs): 16 support turns")
    p = parameters(None, WorldParameters, world="travel.en", word_noise=0.1, style=1, shots=5)
    assert (p.source.spec.knobs.word_noise, p.source.spec.knobs.style, p.source.spec.knobs.correct) == (0.1, 1, 0.15)
    assert p.eval_shots == (0, 1, 2, 4, 5)
    for values, words in (({"learner": "maml"}, "learner: there is no such parameter"),
                          ({"correct": 0.5}, "user.correct"), ({"word_noise": 0.7}, "word_noise: got 0.7"),
                          ({"world": "resturants.en"}, "did you mean 'restaurants.en'"), ({"style": 0.01}, "style")):
        with pytest.raises(ParameterError, match=words):
            parameters(None, WorldParameters, **values)


def known(heard_pairs: Any, word: int, size: int) -> list[float]:
    lexicon = dict(heard_pairs)
    if word in lexicon:
        return [1.0 * (v == lexicon[word]) for v in range(size)]
    free = [v for v in range(size) if v not in lexicon.values()]
    return [(v in free) / len(free) for v in range(size)]


MEANINGS: dict[str, Callable[..., Any]] = {
    "passed": known,
    "no elimination": lambda h, w, n: known([pair for pair in h if pair[0] == w], w, n),
    "add-one counting": lambda h, w, n: [(1 + list(h).count((w, v))) / (n + sum(x == w for x, _ in h))
                                         for v in range(n)],
    "values instead of meanings": lambda h, w, n: [sum(x == v for _, x in h) / len(h) for v in range(n)],
    "forgets what it heard": lambda h, w, n: known([(-1 - i, v) for i, (_, v) in enumerate(h)], w, n),
    "rules out the wrong ones": lambda h, w, n: [(v in dict(h).values()) / len(set(dict(h).values()))
                                                 for v in range(n)],
    "nothing learned": lambda h, w, n: [1 / n] * n,
    "unnamed": lambda h, w, n: [1.0, *[0.0] * (n - 1)],
}
URNS: dict[str, Callable[..., Any]] = {
    "passed": lambda used, c: [(n + c) / sum(m + c for m in used) for n in used],
    "frequencies": lambda used, c: [n / sum(used) for n in used],
    "prior only": lambda used, c: [1 / len(used) for _ in used],
    "add-one counting": lambda used, c: [(n + 1) / (sum(used) + len(used)) for n in used],
    "not normalised": lambda used, c: [(n + c) / (sum(used) + c) for n in used],
    "one shared head start": lambda used, c: [(n + c / len(used)) / (sum(used) + c) for n in used],
    "unnamed": lambda used, c: [0.5] + [0.5 / (len(used) - 1)] * (len(used) - 1),
}
REGRETS: dict[str, Callable[..., Any]] = {
    "passed": lambda b, p: sum(x * (math.log(x) - math.log(y)) for x, y in zip(b, p)),
    "the other way round": lambda b, p: sum(y * math.log(y / x) for x, y in zip(b, p)),
    "loss instead of regret": lambda b, p: sum(-x * math.log(y) for x, y in zip(b, p)),
    "what the optimum pays": lambda b, p: sum(-x * math.log(x) for x in b),
    "bits": lambda b, p: sum(x * math.log2(x / y) for x, y in zip(b, p)),
    "wrong sign": lambda b, p: sum(x * math.log(y / x) for x, y in zip(b, p)),
    "differences of probabilities": lambda b, p: sum(abs(x - y) for x, y in zip(b, p)),
    "not weighted": lambda b, p: sum(math.log(x / y) for x, y in zip(b, p)) / len(b),
    "constant": lambda b, p: 0.1,
}


@pytest.mark.parametrize(("id_", "answers"), [("02.1", MEANINGS), ("02.2", URNS), ("02.3", REGRETS)])
def test_checkers_pass_what_is_right_and_name_what_is_wrong(id_: str, answers: dict[str, Callable[..., Any]]) -> None:
    for label, answer in answers.items():
        for _ in range(5):  # new random problems each time
            verdict = check(id_, answer)
            assert verdict.passed == (label == "passed"), (label, verdict)
            if label not in ("passed", "unnamed"):
                assert verdict.misconception == label, verdict

    def raises(*_: Any) -> None:
        raise NotImplementedError

    for stub in (None, ..., 3.0, lambda *_: None, raises):
        assert not check(id_, stub).passed
    assert exercises("02") == ["02.1", "02.2", "02.3"]

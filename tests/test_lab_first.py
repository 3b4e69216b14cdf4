"""What notebooks 00 and 01 begin with: the first chat, the map, the glossary, the step panel, the checks of 00."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from metadialog_lite.decoding import Reply
from metadialog_lite.lab import StepPanel, check
from metadialog_lite.lab.check import exercises
from metadialog_lite.lab.course_map import COURSE, course_map, map_table
from metadialog_lite.lab.first_chat import understood_words
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_00 import StartParameters
from metadialog_lite.lab.step_panel import OUTER_RATE, QUERY_CURVATURE, QUERY_MINIMUM, StepState
from metadialog_lite.paths import notebooks_dir
from metadialog_lite.world import asked, load_world

WORLD = load_world("restaurants.en")

# The first chat -----------------------------------------------------------------------------------------------------


class Bot:
    """Says whatever ``state`` makes of a prompt."""

    def __init__(self, state: Callable[[Any], tuple[str, ...]]) -> None:
        self.state = state

    def replies(self, prompts: Any) -> list[Reply]:
        return [Reply(self.state(turn), (), ()) for turn in prompts]


def test_understood_words_counts_what_the_speaker_meant() -> None:
    turns = WORLD.task("test", 0, 0).query(12)
    total = sum(len(asked(turn)) for turn in turns)
    assert total > 5
    assert understood_words(WORLD, Bot(lambda turn: turn.state), turns) == (total, total)  # type: ignore[arg-type]
    assert understood_words(WORLD, Bot(lambda turn: turn.previous_state), turns)[0] == 0  # type: ignore[arg-type]
    assert understood_words(WORLD, Bot(lambda turn: ()), turns) == (0, total)  # type: ignore[arg-type]


def test_parameters_of_the_first_notebook() -> None:
    p = parameters(None, StartParameters)
    assert str(p) == "chat with meta_sgd on restaurants.en: 16 support turns, 20 speakers, seed 0"
    for values, words in (({"learner": "maml"}, "learner: got 'maml': unknown learner"),
                          ({"world": "travel.en"}, "world: there is no such parameter"),
                          ({"shots": 0}, "shots: got 0")):
        with pytest.raises(ParameterError, match=words):
            parameters(None, StartParameters, **values)


# The map and the glossary -------------------------------------------------------------------------------------------


def test_the_map_knows_every_notebook_and_its_minutes() -> None:
    stops = {stop.number: stop for stop in course_map()}
    for path in sorted(notebooks_dir().glob("[0-9][0-9]_*.ipynb")):
        assert stops[path.name[:2]].file == path.name
        assert stops[path.name[:2]].minutes, f"{path.name}: its first cell has no '**Minutes:** number'"
    assert [stop.number for stop in course_map()] == [number for number, _, _ in COURSE]


def test_the_map_of_a_folder_with_little_in_it(tmp_path: Path) -> None:
    (tmp_path / "02_x.ipynb").write_text(json.dumps({"cells": [{"source": ["**Min", "utes:** 30 (much)"]}]}))
    (tmp_path / "03_x.ipynb").write_text("no notebook")
    stops = {stop.number: stop for stop in course_map(tmp_path)}
    assert stops["02"].minutes == 30
    assert (stops["03"].file, stops["03"].minutes) == ("03_x.ipynb", None)
    text = map_table(tmp_path).data
    assert "[02 The dialogue world](02_x.ipynb)" in text
    assert "12 Open questions (not here yet)" in text
    assert "**30** (0 hours)" in text


def test_every_term_that_the_notebooks_translate_is_in_the_glossary() -> None:
    """A term is introduced as "English (中文)"."""
    cells = {path.name: json.loads(path.read_text(encoding="utf-8"))["cells"]
             for path in notebooks_dir().glob("[0-9][0-9]_*.ipynb")}
    text = {name: "".join("".join(cell["source"]) for cell in some if cell["cell_type"] == "markdown")
            for name, some in cells.items()}
    glossary = text["00_start_here.ipynb"]
    missing = {(term, name) for name, page in text.items()
               for group in re.findall(r"[A-Za-z*] ?[（(]([一-鿿][一-鿿、/ ]*)[)）]", page)
               for term in re.split(r"[、/ ]+", group) if term and term not in glossary}
    assert missing == set()


# The step panel -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [(-2.0, 0.4, 1.0, 0.0), (1.3, 1.9, 1.7, -1.2), (0.0, 0.0, 0.2, 2.0)])
def test_the_step_by_hand_is_the_step_by_autograd(values: tuple[float, ...]) -> None:
    """EQ-MAML-1 and EQ-MAML-2 with one number."""
    state = StepState(*values)
    theta = torch.tensor(state.theta, dtype=torch.float64, requires_grad=True)
    loss = 0.5 * state.curvature * (theta - state.minimum) ** 2
    (slope,) = torch.autograd.grad(loss, theta, create_graph=True)
    after = theta - state.alpha * slope
    (through,) = torch.autograd.grad(0.5 * QUERY_CURVATURE * (after - QUERY_MINIMUM) ** 2, theta)
    assert state.after == pytest.approx(float(after.detach()))
    assert state.through == pytest.approx(float(through))


def test_the_step_panel_at_min_default_and_max() -> None:
    panel = StepPanel()
    panel._seen()
    begin = panel.state
    for name, slider in panel.sliders.items():
        for value in (slider.min, slider.max, getattr(begin, name)):
            slider.value = value
            changes, _ = panel.picture()
            assert len(changes) == 4
            assert all(len(change["x"]) == len(change["y"]) for change in changes)
            assert f"θ = {panel.state.theta:.2f}" in panel.says.value
    assert panel.error.layout.display == "none"
    panel.sliders["alpha"].value = 1.0
    assert "no influence" in panel.says.value  # αa = 1: every start lands in the support's minimum


def test_outer_steps_lead_to_the_best_start_and_first_order_may_lead_away() -> None:
    panel = StepPanel()
    for _ in range(80):
        panel.outer_button.click()
    assert panel.state.after == pytest.approx(QUERY_MINIMUM, abs=0.06)
    panel.reset_button.click()
    panel.sliders["alpha"].value = 1.9
    panel.order_toggle.value = True
    before = panel.state
    assert before.factor < 0
    panel.outer_button.click()
    assert panel.state.theta == pytest.approx(before.theta - OUTER_RATE * before.query_gradient, abs=0.03)
    assert abs(panel.state.after - QUERY_MINIMUM) > abs(before.after - QUERY_MINIMUM)  # away from it
    panel.order_toggle.value = False
    panel.outer_button.click()
    assert "walks the wrong way" in panel.says.value
    panel.reset_button.click()
    assert panel.state == StepPanel().state


# The checks ---------------------------------------------------------------------------------------------------------


def filled(lexicon: Any, said: Any, before: Any) -> list[int]:
    new = list(before)
    for slot, word in said:
        new[slot] = lexicon[slot][word]
    return new


STATES: dict[str, Callable[..., Any]] = {
    "passed": filled,
    "forgets the state": lambda lexicon, said, before: filled(lexicon, said, [-1] * len(before)),
    "one lexicon for all": lambda lexicon, said, before: [dict(said).get(s, v) for s, v in enumerate(before)],
    "looked up backwards": lambda lexicon, said, before: [
        lexicon[s].index(dict(said)[s]) if s in dict(said) else v for s, v in enumerate(before)],
    "never changes its mind": lambda lexicon, said, before: [
        v if v >= 0 else new for v, new in zip(before, filled(lexicon, said, before))],
    "only the first word": lambda lexicon, said, before: filled(lexicon, said[:1], before),
    "nothing changed": lambda lexicon, said, before: list(before),
    "unnamed": lambda lexicon, said, before: [0] * len(before),
}
LOSSES: dict[str, Callable[..., Any]] = {
    "passed": lambda p: sum(-math.log(x) for x in p) / len(p),
    "bits": lambda p: sum(-math.log2(x) for x in p) / len(p),
    "sum instead of mean": lambda p: sum(-math.log(x) for x in p),
    "wrong sign": lambda p: sum(math.log(x) for x in p) / len(p),
    "log of the mean": lambda p: -math.log(sum(p) / len(p)),
    "perplexity": lambda p: math.exp(sum(-math.log(x) for x in p) / len(p)),
    "share of wrong answers": lambda p: 1 - sum(p) / len(p),
    "constant": lambda p: 1.61,
}


@pytest.mark.parametrize(("id_", "answers"), [("00.1", STATES), ("00.2", LOSSES)])
def test_checkers_pass_what_is_right_and_name_what_is_wrong(id_: str, answers: dict[str, Callable[..., Any]]) -> None:
    def raises(*_: Any) -> None:
        raise NotImplementedError

    for label, answer in answers.items():
        for _ in range(10):
            verdict = check(id_, answer)
            assert verdict.passed == (label == "passed"), (label, verdict)
            if label not in ("passed", "unnamed"):
                assert verdict.misconception == label, verdict
    for stub in (None, ..., 3.0, lambda *_: None, raises):
        assert not check(id_, stub).passed
    assert exercises("00") == ["00.1", "00.2"]

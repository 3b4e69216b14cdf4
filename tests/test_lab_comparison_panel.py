"""The comparison panel of notebook 07 without a browser, at every value of its controls; the notebook's parameters."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from made_up_comparison import made_up, write_comparison

from metadialog_lite.lab import ComparisonPanel
from metadialog_lite.lab.comparison_data import MEASURES, Comparison, read_comparison
from metadialog_lite.lab.comparison_figure import MEAN, View, explorer, numbers, shown_of
from metadialog_lite.lab.comparison_plots import costs_plot
from metadialog_lite.lab.curve import PARTS
from metadialog_lite.lab.open_questions import far_off
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_07 import ComparisonParameters

WORLD = "restaurants.en"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return read_comparison(WORLD, write_comparison(tmp_path_factory.mktemp("compare")))


def settings(found: Comparison, **more: Any) -> ComparisonParameters:
    return parameters(None, ComparisonParameters, results=str(found.folder), **more)


# The panel -----------------------------------------------------------------------------------------------------------


def test_panel_begins_with_the_parameters_and_returns_to_them(found: Comparison) -> None:
    panel = ComparisonPanel(found, settings(found, learners="maml,prior", capability="act", measure="loss", shots=4,
                                            training_seed=0))
    first = View(("maml", "prior"), "act", "loss", MEAN)
    assert panel.view() == first
    panel.all_button.click()
    panel.part_choice.value, panel.measure_choice.value, panel.seed_choice.value = "state", "regret", 2
    panel.shots_slider.value, panel.band_button.value = 32, False
    assert panel.view() == View(tuple(found.learners), "state", "regret", 2, bands=False)
    panel.reset_button.click()
    assert panel.view() == first
    assert panel.shots_slider.value == 4
    assert "After 4 support turns, choice of act" in panel.says.value


def test_every_control_at_every_value(found: Comparison) -> None:
    panel = ComparisonPanel(found, settings(found))
    panel._seen()
    assert panel.figure is not None
    for who in ("best", "all", "none"):
        panel.choose(shown_of(found, who, 16) if who != "none" else ())
        for part, measure, seed, bands in itertools.product(PARTS, MEASURES, (1, 2, MEAN), (True, False)):
            panel.part_choice.value, panel.measure_choice.value = part, measure
            panel.seed_choice.value, panel.band_button.value = seed, bands
            changes, frame = panel.picture()
            assert len(changes) == len(panel.figure.traces) == 2 * len(found.learners) + 2
            low, high = frame["yaxis.range"]
            assert low <= 0 < high
            assert math.isfinite(low + high)
        for shots in (0, 16, 32):
            panel.shots_slider.value = shots
            assert "nan" not in panel.says.value + panel.table.value
    assert panel.error.value == ""


def test_families_are_shown_and_hidden_as_a_whole(found: Comparison) -> None:
    panel = ComparisonPanel(found, settings(found, learners="meta_sgd"))
    panel.family_buttons["Meta-Optimization"].click()
    assert panel.view().learners == ("maml", "meta_sgd")
    panel.family_buttons["Meta-Optimization"].click()
    assert panel.view().learners == ()
    panel.best_button.click()
    assert panel.view().learners == tuple(name for name in found.learners if name in found.shortlist(16))
    text = [box.description for column in panel.children[2].children for box in column.children]
    assert "hypernetwork ×2" in text
    assert "fast_weights –" in text


def test_floor_and_prior_are_drawn_in_every_measure(found: Comparison) -> None:
    for measure, expected in {"gap_closed": ([1.0] * 5, [0.0] * 5), "loss": (4.2, 4.2), "regret": (0.0, 0.0)}.items():
        changes, _ = numbers(found, ["maml"], View(("maml",), "total", measure))
        floor, prior = changes[1], changes[2]
        if measure == "gap_closed":
            assert (floor["y"], prior["y"]) == expected
        else:
            assert (floor["y"][0], prior["y"][0]) == pytest.approx(expected)
            assert prior["y"][-1] - floor["y"][-1] == pytest.approx(4.0)


def test_the_command_does_what_the_panel_shows(found: Comparison) -> None:
    panel = ComparisonPanel(found, settings(found, learners="maml,prior"))
    panel.part_choice.value = "state"
    panel.copy_button.click()
    assert panel.command_field.value == (
        "papermill notebooks/07_compare_families.ipynb out.ipynb -p world restaurants.en -p learners maml,prior "
        f"-p capability state -p measure gap_closed -p shots 16 -p training_seed 1 -p results {found.folder}")
    panel._copied(True)
    assert "clipboard" in panel.hint.value


def test_the_static_figure_is_the_panels(found: Comparison) -> None:
    figure, text = explorer(found, View(("maml", "hypernetwork"), "state", "loss"), "words")
    assert text == "words"
    assert [trace.name for trace in figure.data if trace.mode == "lines+markers"] == ["maml", "hypernetwork"]
    assert "state tracking" in figure.layout.title.text


# Parameters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "words"), [
    ({"shots": 5}, "shots: got 5: the comparison was made after 0, 2, 4, 8, 16, 32 support turns"),
    ({"learners": "mamel"}, "learners: got 'mamel': 'mamel' is no learner; did you mean 'maml'? (or best, or all)"),
    ({"capability": "acts"}, "capability: got 'acts': input should be 'total', 'state', 'act' or 'response'"),
    ({"measure": "gap"}, "measure: got 'gap': input should be 'loss'"),
    ({"live": "meta_sgd"}, "live: got 'meta_sgd': two different learners"),
    ({"live": "meta_sgd,hyper"}, "'hyper' is no learner"),
    ({"results": "/no/such/folder"}, "results: got '/no/such/folder': there is no such folder"),
    ({"inner_lr": 0.1}, "inner_lr: there is no such parameter"),
    ({"world": "restaurant.en"}, "did you mean 'restaurants.en'?"),
])
def test_wrong_parameters_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parameters(None, ComparisonParameters, **values)
    assert words in str(caught.value)


def test_parameters_of_this_notebook() -> None:
    p = parameters(None, ComparisonParameters)
    assert p.pair == ("meta_sgd", "hypernetwork")
    assert p.folder is None
    assert str(p).startswith("learners best on world restaurants.en: gap_closed of total after 16 shots")
    assert parameters(None, ComparisonParameters, live="").pair == ()


@pytest.mark.parametrize("measure", ["loss", "regret", "gap_closed"])
def test_who_is_hopeless_does_not_press_the_others_together(tmp_path: Path, measure: str) -> None:
    folder = write_comparison(tmp_path)
    made_up("scratch", 1, -16.0).write(folder / "restaurants.en.scratch.seed1.json")
    found = read_comparison("restaurants.en", folder)
    named, alone = (numbers(found, names, View(names, "total", measure))[1]
                    for names in (("maml", "scratch"), ("maml", "prior")))
    assert named["title.text"].endswith("<br>outside the picture: scratch")
    assert "outside" not in alone["title.text"]
    (low, high), (usual_low, usual_high) = named["yaxis.range"], alone["yaxis.range"]
    assert high - low < 2.2 * (usual_high - usual_low)
    figure, text = costs_plot(found, "parameters", 16, 1)
    assert "scratch" not in [trace.name for trace in figure.data]
    assert text.endswith("Too far below to be drawn: scratch (-16.0).")
    assert far_off(found, 16) == ["scratch"]
    assert far_off(read_comparison("clinic.en", folder), 16) == []

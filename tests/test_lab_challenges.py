"""Notebook 09's figures, panels and live measurements, over made-up experiments and a small learner."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from metadialog_lite.challenges.costs import cases
from metadialog_lite.challenges.schema import Cost, Costs, Judged, Point, Training, Trainings
from metadialog_lite.lab import CostPanel, PoolPanel, challenge_figure, cost_figure, order_error
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_09 import ChallengeParameters
from metadialog_lite.results import Row
from metadialog_lite.workbench import build_learner
from metadialog_lite.world import load_world

WORLD = "restaurants.en"
ABOUT: dict[str, Any] = {"command": "python -m …", "world": WORLD, "cpu_seconds": 1.0, "versions": {}}


def judged(regret: float) -> Judged:
    return Judged(loss=1.0 + regret, bayes=1.0, prior=3.0, tasks=10)


def run(pool: int | None, worst: float, learner: str = "meta_sgd", inner_steps: int = 1) -> Training:
    """A training whose regret on new speakers ends at ``worst``; training turns end below the floor."""
    points = [Point(step=10 * i, cpu_seconds=i, groups={
        "seen": judged(9 if i == 0 else 1.0 - i), "known": judged(9 if i == 0 else worst / 2),
        "new": judged(9 if i == 0 else worst)}) for i in range(4)]
    rows = [Row(shots=k, capability=part, loss=1 + worst, bayes=1.0, prior=3.0, regret=worst,
                gap_closed=None if k == 0 else 1 - worst / 2)
            for k in (0, 2, 8, 32) for part in ("state", "act", "response", "total")]
    return Training(learner=learner, options={"inner_steps": inner_steps}, pool=pool, seed=1, steps=30, tasks=4,
                    points=points, rows=rows, shifts={"style=1.0": judged(worst), "lexicon": judged(2 * worst)})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with all three experiments."""
    few = Trainings(kind="tasks", shots=16, runs=[run(8, 20.0), run(128, 1.5), run(None, 0.4)], **ABOUT)
    orders = Trainings(kind="orders", shots=16, **ABOUT, runs=[
        run(None, 0.5, "maml", 1), run(None, 0.7, "fomaml", 1), run(None, 0.4, "maml", 3), run(None, 5, "fomaml", 3)])
    paid = Costs(support=8, query=8, rounds=1, machine={}, **ABOUT, cases=[
        Cost(order=case.order, inner_steps=case.inner_steps, tasks=case.tasks, width=case.width, parameters=1000,
             one_pass=case.one_pass, ms=10.0 * case.order * case.inner_steps * case.tasks,
             peak_mb=3.0 * case.order * case.inner_steps * (case.tasks if case.one_pass else 8)) for case in cases()])
    for name, found in {"tasks": few, "orders": orders, "costs": paid}.items():
        (tmp_path / f"{WORLD}.{name}.json").write_text(found.to_json())
    return tmp_path


def stored(place: Path, name: str) -> Any:
    kind = Costs if name == "costs" else Trainings
    return kind.model_validate_json((place / f"{WORLD}.{name}.json").read_text())


# Figures -------------------------------------------------------------------------------------------------------------


def test_pools_by_shots(place: Path) -> None:
    found = stored(place, "tasks")
    figure, text = challenge_figure.pools_plot(found)
    assert [trace.name for trace in figure.data] == ["2 support turns", "8 support turns", "32 support turns"]
    assert list(figure.data[0].y) == [20.0, 1.5, 0.4]
    assert "8: -9.00, 128: 0.25, always new: 0.80" in text
    assert "| always new | 0.80 | 0.80 | 0.80 |" in challenge_figure.pools_table(found).data
    assert "always new" in challenge_figure.shifts_text(found)


def test_who_is_below_the_floor_is_said_to_remember(place: Path) -> None:
    points = stored(place, "tasks").runs[0].points
    _, text = challenge_figure.points_plot(points, "title")
    assert "training speakers, training turns +9.00 → -2.00" in text
    assert "Below the floor: training speakers, training turns; that is remembering" in text
    assert "remembering" not in challenge_figure.points_text(points[:2])


@pytest.mark.parametrize("against", ["step", "cpu_seconds"])
def test_orders_by_step_and_by_time(place: Path, against: str) -> None:
    figure, text = challenge_figure.orders_plot(stored(place, "orders"), against)
    assert [trace.name for trace in figure.data] == [
        "second order, 1 inner step", "first order, 1 inner step", "second order, 3 inner steps",
        "first order, 3 inner steps"]
    assert "first order, 3 inner steps: 5.00 nats above the floor (gap closed -1.50) after 3 s" in text


def test_costs_in_words_and_in_numbers(place: Path) -> None:
    found = stored(place, "costs")
    text = cost_figure.costs_text(found, "inner_steps", "ms")
    assert text == "inner steps 1 → 8 (× 8), time, CPU ms: second order 160 → 1280, × 8.0; first order 80 → 640, × 8.0."
    assert cost_figure.ratios(found, "width") == [(16, 2.0), (32, 2.0), (64, 2.0)]
    assert "time × 2.00 at 1 and × 2.00 at 8" in cost_figure.costs_text(found, "inner_steps", "ratio")
    figure, _ = cost_figure.still(found, "tasks", "peak_mb")
    assert [trace.name for trace in figure.data] == [*cost_figure.ORDERS.values(), cost_figure.ONE_PASS]
    empty = found.model_copy(update={"cases": []})
    assert {cost_figure.costs_text(empty, "tasks", measure) for measure in cost_figure.MEASURES} == {
        "Nothing was measured."}


def test_memory_that_was_not_measured_is_left_out(place: Path) -> None:
    found = stored(place, "costs")
    for case in found.cases:
        case.peak_mb = None
    assert cost_figure.costs_text(found, "tasks", "peak_mb") == "Nothing was measured."
    assert cost_figure.ratios(found, "tasks", "peak_mb") == []


# Panels --------------------------------------------------------------------------------------------------------------


def test_pool_panel_at_every_value(place: Path) -> None:
    panel = PoolPanel(WORLD, place)
    panel._seen()
    assert panel.figure is not None
    for (_, pool), zoom in itertools.product(panel.pool_slider.options, (True, False)):
        panel.pool_slider.value, panel.zoom_button.value = pool, zoom
        changes, frame = panel.picture()
        assert len(changes) == len(panel.figure.traces)
        low, high = frame["yaxis.range"]
        assert low < 0 < high
        assert math.isfinite(low + high)
        assert (high == 1.0) is zoom
    assert "always new" in frame["title.text"]
    assert "<td>0.80</td>" in panel.table.value
    panel.reset_button.click()
    assert (panel.pool_slider.value, panel.zoom_button.value) == (0, False)
    assert "Each speaker was met 15 times" in panel.says.value
    assert panel.error.value == ""


def test_cost_panel_at_every_value(place: Path) -> None:
    panel = CostPanel(WORLD, place)
    panel._seen()
    assert panel.figure is not None
    for axis, measure, logs in itertools.product(cost_figure.AXES, cost_figure.MEASURES, (True, False)):
        panel.axis_choice.value, panel.measure_choice.value, panel.log_button.value = axis, measure, logs
        changes, frame = panel.picture()
        assert len(changes) == len(panel.figure.traces)
        assert frame["xaxis.type"] == ("log" if logs else "linear")
        assert cost_figure.AXES[axis] in panel.says.value
    panel.reset_button.click()
    assert (panel.axis_choice.value, panel.measure_choice.value) == ("inner_steps", "ms")
    assert panel.error.value == ""


@pytest.mark.parametrize("kind", [PoolPanel, CostPanel])
def test_panels_without_an_experiment_say_so(tmp_path: Path, kind: Any) -> None:
    panel = kind(WORLD, tmp_path)
    panel._seen()
    panel.reset()
    assert "nobody has made this experiment yet" in panel.says.value
    assert "nobody has made this experiment yet" in repr(panel)
    assert panel.figure is None
    assert panel.error.value == ""


# First order ---------------------------------------------------------------------------------------------------------


def test_what_first_order_leaves_out_is_in_proportion_to_the_rate() -> None:
    """EQ-ORDER-1: half the rate, half the error; and with a rate of next to nothing the two agree."""
    learner = build_learner("maml", load_world(WORLD), 0, {"inner_lr": 1e-4, "inner_steps": 1}, {"width": 8, "mlp": 8})
    support, query = order_error.episodes_of(learner, load_world(WORLD), 0, 2, 2)
    rows = order_error.agreement(learner, support, query, (0.01, 0.02, 0.04))
    assert rows[1].error / rows[0].error == pytest.approx(2, rel=0.05)
    assert rows[2].error / rows[1].error == pytest.approx(2, rel=0.05)
    assert rows[0].cosine > 0.9999
    assert learner.inner_lr == 1e-4
    assert next(learner.parameters()).dtype == torch.float32
    figure, text = order_error.agreement_plot(rows, "maml")
    assert len(figure.data) == 2
    assert "× 0.01: error 0.0" in text


def test_step_times_of_both_orders() -> None:
    learner = build_learner("maml", load_world(WORLD), 0, {"inner_steps": 1}, {"width": 8, "mlp": 8})
    support, query = order_error.episodes_of(learner, load_world(WORLD), 0, 2, 2)
    times = order_error.step_times(learner, support, query, (1, 2), rounds=1)
    assert set(times) == {(order, steps) for order in (1, 2) for steps in (1, 2)}
    assert min(times.values()) > 0


@pytest.mark.parametrize(("values", "words"), [
    ({"learner": "hypernetwork"}, "learner: got 'hypernetwork': unknown learner"),
    ({"pool": 0}, "pool: got 0"),
    ({"results": "/no/such/folder"}, "results: got '/no/such/folder': there is no such folder"),
    ({"inner_lr": 0.1}, "inner_lr: there is no such parameter"),
])
def test_wrong_parameters_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parameters(None, ChallengeParameters, **values)
    assert words in str(caught.value)

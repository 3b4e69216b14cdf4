"""The bug museum: each mistake does what it is shown for, its probe finds it, and its panel works without a browser."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from metadialog_lite.lab import BugMuseum
from metadialog_lite.lab.museum import Curve, Exhibit, descend, exhibits, in_blocks
from metadialog_lite.lab.museum_figure import WITH, WITHOUT, figure, text, traces
from metadialog_lite.lab.museum_gradients import by_load_state_dict, inner_loop, noticed, overwrite, task_gradient
from metadialog_lite.lab.museum_measures import budget, reported
from metadialog_lite.lab.museum_splits import adapted, halves, test_speakers
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_10 import KEYS, MuseumParameters
from metadialog_lite.lab.toys import network, seeded

MUSEUM = exhibits()
STEPS = 20
test_speakers.__test__ = False  # a function of the museum, not a test


# The exhibits --------------------------------------------------------------------------------------------------------


def test_nine_exhibits_in_order() -> None:
    assert tuple(MUSEUM) == KEYS
    assert [one.number for one in MUSEUM.values()] == list(range(1, 10))
    assert len({one.mistake for one in MUSEUM.values()}) == 9
    for one in MUSEUM.values():
        assert all((one.report, one.seen, one.notice, one.cure, one.measures))
        assert one.mistake not in one.report  # the report does not give it away


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("one", MUSEUM.values(), ids=KEYS)
def test_the_probe_is_silent_without_the_mistake_and_loud_with_it(one: Exhibit, seed: int) -> None:
    assert one.sound(one.probe(False, seed))
    if one.key == "layernorm_vmap" and not torch.__version__.startswith("2.13"):
        return  # a mistake of this version of PyTorch; another one may have mended it
    assert one.probe(True, seed) > 1000 * one.limit


@pytest.mark.parametrize("one", MUSEUM.values(), ids=KEYS)
def test_curves_grow_and_differ(one: Exhibit) -> None:
    off, on = (list(one.run(bug, 0, STEPS)) for bug in (False, True))
    assert [len(curve.x) for curve in off] == list(range(1, len(off) + 1))
    assert list(off[-1].lines) == list(on[-1].lines)
    for curve in (off[-1], on[-1]):
        assert all(len(line) == len(curve.x) and all(map(math.isfinite, line)) for line in curve.lines.values())
    assert off[-1].lines != on[-1].lines
    assert one.curve(False, 0, STEPS).lines == off[-1].lines  # the same again: nothing but the seed decides


def test_what_the_texts_say_is_so() -> None:
    """The claims of the notebook about the curves, at a small size."""
    last = {key: {bug: MUSEUM[key].curve(bug, 0, 60) for bug in (False, True)}
            for key in ("query_inside", "same_points", "batch_statistics", "shared_tasks", "budget", "perplexity")}
    floor = MUSEUM["query_inside"].floor
    assert floor is not None
    assert last["query_inside"][True].last()["reported test loss"] < floor(0)  # nobody honest is there
    assert last["query_inside"][False].last()["reported test loss"] > floor(0)
    same = last["same_points"][True].last()
    assert same["training"] < floor(0) < 0.5 < same["new tasks"]
    company = {bug: curve.lines["test loss"] for bug, curve in last["batch_statistics"].items()}
    assert len(set(company[False])) == 1
    assert company[True][-1] < company[False][0] < company[True][0]
    shared = {bug: curve.last()["reported test loss"] for bug, curve in last["shared_tasks"].items()}
    assert shared[True] < shared[False]
    gap = {bug: curve.last()["fine-tuning"] - curve.last()["MAML"] for bug, curve in last["budget"].items()}
    assert gap[True] > 0.01 > gap[False]
    assert last["budget"][True].lines["MAML"] == last["budget"][False].lines["MAML"]
    ppl = {bug: curve.lines["reported perplexity"] for bug, curve in last["perplexity"].items()}
    assert max(ppl[False]) - min(ppl[False]) < 1e-5
    assert ppl[True][0] > ppl[True][-1] == pytest.approx(ppl[False][0], abs=1e-5)


def test_first_order_gives_the_same_adapted_network() -> None:
    theta = network((20, 40, 4), 0)
    points = torch.randn(2, 5, 20, generator=seeded(1)), torch.randn(2, 5, 4, generator=seeded(2))
    a, b = (inner_loop(theta, points, bug) for bug in (False, True))
    assert all(torch.equal(a[name], b[name]) for name in theta)


def test_pytorch_notices_load_state_dict_and_not_data() -> None:
    assert "inplace" in noticed(by_load_state_dict)
    assert noticed(overwrite) == ""


def test_the_module_comes_back_unchanged() -> None:
    model = torch.nn.Linear(3, 2)
    before = [w.detach().clone() for w in model.parameters()]
    points = torch.randn(4, 3, generator=seeded(0)), torch.randn(4, 2, generator=seeded(1))
    for bug in (False, True):
        task_gradient(model, points, points, bug)
        assert all(torch.equal(w, old) for w, old in zip(model.parameters(), before))


def test_small_parts() -> None:
    points = torch.arange(30.0).view(1, 10, 3), torch.arange(10.0).view(1, 10, 1)
    assert torch.equal(halves(points, True)[0][0], halves(points, True)[1][0])
    assert not torch.equal(halves(points, False)[0][0], halves(points, False)[1][0])
    theta = network((3, 4, 1), 0)
    support, query = halves(points, False)
    peeked, honest = (adapted(theta, support, query, bug) for bug in (True, False))
    assert not torch.equal(peeked["bias1"], honest["bias1"])
    assert budget(100, False)["MAML"] == budget(100, False)["fine-tuning"] > budget(100, True)["fine-tuning"]
    assert len(test_speakers(torch.ones(2, 3), 0, True)) == 50
    nats, tokens = torch.tensor([0.0, 2.0]), torch.tensor([1, 1])
    assert reported(nats, tokens, 1, False) == pytest.approx(math.e)  # EQ-PPL-1
    assert reported(nats, tokens, 1, True) == pytest.approx((1 + math.e**2) / 2)


def test_importing_and_running_leaves_the_readers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    for key in ("restored", "layernorm_vmap"):
        MUSEUM[key].probe(True, 0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_descend_and_blocks() -> None:
    theta = {"a": torch.tensor(3.0, requires_grad=True)}
    blocks = list(in_blocks(descend(theta, lambda t: t["a"] ** 2, 45, 0.1), 45))
    assert blocks[-1][0] == 45
    assert blocks[0][1] > blocks[-1][1]


# The figure ----------------------------------------------------------------------------------------------------------


def test_figure_and_text_say_the_same() -> None:
    one = MUSEUM["same_points"]
    curves = {False: Curve([1, 2], {"training": [0.5, 0.25], "new tasks": [0.6, 0.3]}), True: None}
    drawn, says = figure(one, curves, 0.01)
    assert [trace["name"] for trace in drawn["data"]] == [
        f"training, {WITHOUT}", f"new tasks, {WITHOUT}", "floor (best possible)"]
    assert "from 0.5 to 0.25" in says
    assert "Floor: 0.01" in says
    assert WITH not in says
    assert len(traces(one, {})) == 5
    assert text(one, {}) == "Nothing has run yet."
    assert MUSEUM["same_points"].mistake not in str(drawn["layout"])  # the picture does not give it away


# The panel -----------------------------------------------------------------------------------------------------------


def finished(panel: BugMuseum) -> BugMuseum:
    assert panel.wait(120)
    assert panel.error.value == ""
    return panel


def test_nothing_is_computed_before_somebody_presses_run() -> None:
    start = time.process_time()
    panel = BugMuseum()
    assert time.process_time() - start < 5
    assert panel.curves == {}
    assert panel.figure is None
    assert "exhibits" in repr(panel)


def test_run_toggle_diagnose_reset() -> None:
    panel = BugMuseum("perplexity", STEPS, 2)
    panel.run_button.click()
    assert list(finished(panel).curves) == [False]
    panel.bug_button.value = True
    assert list(finished(panel).curves) == [False, True]
    assert WITH in panel.says.value
    panel.check_button.click()
    assert "Choose" in panel.verdict.value
    panel.diagnosis_choice.value = "budget"
    panel.check_button.click()
    assert "Not this one" in finished(panel).verdict.value
    panel.diagnosis_choice.value = "perplexity"
    panel.check_button.click()
    assert "Right, and confirmed" in finished(panel).verdict.value
    panel.bug_button.value = False
    assert list(finished(panel).curves) == [False]
    panel.exhibit_choice.value, panel.steps_slider.value, panel.seed_slider.value = "budget", 1000, 0
    assert panel.curves == {}
    panel.reset_button.click()
    assert (panel.exhibit_choice.value, panel.steps_slider.value, panel.seed_slider.value) == ("perplexity", STEPS, 2)
    assert panel.verdict.value == ""


@pytest.mark.parametrize("key", KEYS)
def test_each_exhibit_in_the_panel(key: str) -> None:
    panel = BugMuseum(key, STEPS, 0)
    panel.bug_button.value = True  # runs both
    assert len(finished(panel).curves) == 2
    changes, _ = panel.picture()
    shown = [change for change in changes if change["visible"]]
    assert len(shown) >= 2
    assert all(len(change["x"]) == len(change["y"]) and np.isfinite(change["y"]).all() for change in shown)


def test_controls_at_both_ends() -> None:
    panel = BugMuseum("layernorm_vmap", 1000, 20)
    panel.run_button.click()
    finished(panel)
    panel.seed_slider.value = panel.seed_slider.min
    panel.steps_slider.value = panel.steps_slider.min
    panel.run_button.click()
    assert len(finished(panel).curves[False].x) == 12


def test_stop_ends_a_long_run() -> None:
    panel = BugMuseum("first_order", 1000, 0)
    panel.run_button.click()
    for _ in range(600):
        if panel.curves.get(False):
            break
        time.sleep(0.05)
    panel.stop_button.click()
    assert finished(panel).curves[False].x[-1] < 1000


def test_an_error_is_shown_in_the_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = BugMuseum("perplexity", STEPS)

    def broken(*_: object) -> None:
        raise RuntimeError("no such luck")

    panel.all = {**panel.all, "perplexity": Exhibit(**{**vars(panel.all["perplexity"]), "run": broken})}
    panel.run_button.click()
    assert panel.wait(60)
    assert "no such luck" in panel.error.value


def test_the_command_names_what_is_shown() -> None:
    panel = BugMuseum("budget", 40, 1)
    panel.copy_button.click()
    assert panel.command_field.value == (
        "papermill notebooks/10_bug_museum.ipynb out.ipynb -p exhibit budget -p steps 40 -p seed 1")


@pytest.mark.parametrize("wrong", [{"exhibit": "nothing"}, {"steps": 5}, {"steps": True}])
def test_wrong_arguments_are_named(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: got"):
        BugMuseum(**wrong)


# The notebook's parameters -------------------------------------------------------------------------------------------


def test_parameters_name_the_culprit() -> None:
    assert parameters(None, MuseumParameters).exhibit == "first_order"
    with pytest.raises(ParameterError, match="did you mean 'budget'"):
        parameters(None, MuseumParameters, exhibit="bugdet")
    with pytest.raises(ParameterError, match="steps: got 1"):
        parameters(None, MuseumParameters, steps=1)

"""The benchmarks run, agree on the gradient, and print what they promise. No test here looks at a time."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("higher")
pytest.importorskip("torchopt")
pytest.importorskip("iteryne")
pytest.importorskip("metalearn")

from benchmarks import families_step, memory, meta_step, sweeps, world_speed
from benchmarks.peers import FUNC, HIGHER, ITERYNE, NAIVE, OURS, PARALLEL, TORCHOPT
from metadialog_lite.recipes import RECIPES


@pytest.fixture(scope="module")
def quick() -> list[dict]:
    """Second and first order of the tiny case."""
    return [meta_step.measure(meta_step.Case("tiny", order, 2, 2, tasks=3, rounds=1)) for order in (2, 1)]


def test_all_ways_agree_on_the_gradient_in_float64(quick):
    for case in quick:
        assert list(case["results"]) == [OURS, NAIVE, HIGHER, TORCHOPT, ITERYNE, PARALLEL, FUNC]
        for name, result in case["results"].items():
            assert result["difference"] <= 1e-12, name


def test_first_and_second_order_are_measured_as_different_things():
    gradients = []
    for order in (2, 1):
        learner, support, query = meta_step.prepare(meta_step.Case("tiny", order, 2, 2, tasks=2))
        gradients.append(meta_step.ways(learner.double())[TORCHOPT](support, query))
    assert meta_step.difference(*gradients) > 1e-3


def test_a_wrong_gradient_is_seen_and_its_peer_is_not_compared_with():
    learner, support, query = meta_step.prepare(meta_step.Case("tiny", 2, 2, 2, tasks=2))
    step = meta_step.ways(learner.double())[NAIVE]
    right = step(support, query)
    wrong = {name: value.clone() for name, value in right.items()}
    wrong["norm_bias"][0] += 0.01 * right["norm_bias"].norm()
    assert meta_step.difference(right, right) == 0
    assert meta_step.difference(wrong, right) == pytest.approx(0.01)
    results = {
        OURS: {"ms": 2.0, "ms_runs": [2.0, 2.0, 2.0], "difference": 0.0},
        NAIVE: {"ms": 4.0, "ms_runs": [4.0, 5.0, 6.0], "difference": 0.0},
        HIGHER: {"ms": 1.0, "ms_runs": [1.0, 1.0, 1.0], "difference": 0.01},
    }
    found = meta_step.verdict(meta_step.Case("18k", 2, 4, 4, runs=3), results)
    assert found["fastest_peer"] == NAIVE
    assert found["speed_up_runs"] == [2.0, 2.5, 3.0]
    assert found["speed_up"] == 2.5
    assert found["reached"] is True
    results[OURS]["difference"] = 0.01  # fast and wrong reaches nothing
    assert meta_step.verdict(meta_step.Case("18k", 2, 4, 4, runs=3), results)["reached"] is False


def test_json_is_all_that_is_printed(capsys):
    meta_step.main(["--json", "--quick"])
    found = json.loads(capsys.readouterr().out)
    assert found["benchmark"] == "meta_step"
    assert [case["order"] for case in found["cases"]] == [2, 1]
    assert {"cpu", "cores", "load", "threads"} <= set(found["machine"])
    for case in found["cases"]:
        assert all(result["ms"] > 0 for result in case["results"].values())


def test_the_table_names_every_way(quick, capsys):
    meta_step.show({"cases": quick, "memory": {OURS: {"16": 1.5, "64": None}}, "machine": meta_step.machine()})
    text = capsys.readouterr().out
    assert all(name in text for name in (OURS, NAIVE, HIGHER, TORCHOPT, ITERYNE, PARALLEL, FUNC, "Peak growth"))


def test_sizes_are_what_they_are_called():
    for size, wanted in (("18k", 18_000), ("120k", 120_000)):
        learner, _, _ = meta_step.prepare(meta_step.Case(size, 2, 1, 1, tasks=1))
        assert sum(value.numel() for value in learner.model.theta().values()) == pytest.approx(wanted, rel=0.05)


def test_memory_is_measured_in_a_process_of_its_own():
    found = memory.growth(1, one_pass=False)
    assert found is None or 0 <= found < 500


def test_impossible_numbers_are_refused(capsys):
    with pytest.raises(SystemExit):
        meta_step.main(["--runs", "0"])
    assert "at least 1" in capsys.readouterr().err


def test_world_speed_prints_json(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["world_speed", "--json", "--rounds", "1"])
    world_speed.main()
    assert json.loads(capsys.readouterr().out)["benchmark"] == "world_speed"


def test_every_learner_of_the_comparison_has_an_outer_step_and_an_adaptation(capsys):
    families_step.main(["--json", "--quick"])
    found = json.loads(capsys.readouterr().out)["learners"]
    assert set(found) == set(RECIPES)
    assert found["maml"]["outer_ratio"] == found["maml"]["adapt_ratio"] == 1
    assert all(row["outer_ms"] > 0 and row["adapt_ms"] > 0 and row["numbers"] > 1000 for row in found.values())


@pytest.mark.parametrize("part", ["report", "scheduler"])
def test_what_sweeps_cost(capsys, monkeypatch, part):
    monkeypatch.setattr("sys.argv", ["sweeps", "--json", "--part", part, "--runs", "50"])
    sweeps.main()
    found = json.loads(capsys.readouterr().out)
    assert (found["part"], found["runs"]) == (part, 50)
    if part == "report":
        assert found["settings"] == 50
        assert found["notebook_kb"] > 1
    else:
        assert found["engine_1_s"] > 0 < found["store_s"]

"""The experiments of the three challenges: they measure what they say, can be repeated, and what is shipped loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from metadialog_lite.challenges import __main__ as command
from metadialog_lite.challenges import costs, trainings
from metadialog_lite.challenges.schema import Cost, Costs, Judged, Training, Trainings, folder, read
from metadialog_lite.checkpoints import load_checkpoint
from metadialog_lite.evaluation import task_losses
from metadialog_lite.world import load_world

WORLD = "restaurants.en"
SMALL = {"tasks": 2, "judges": 3, "table": 2, "say": lambda text: None}


def test_a_group_is_judged_like_every_evaluation() -> None:
    world, learner = load_world(WORLD), load_checkpoint(f"{WORLD}.meta_sgd").learner
    new = trainings.groups(learner, world, 2, 1, judges=5)["new"].judge(learner)
    losses = task_losses(learner, world, (trainings.SHOTS,), 5, trainings.QUERY)
    assert losses.loss is not None
    assert losses.bayes is not None
    assert losses.prior is not None
    assert new.loss == pytest.approx(losses.loss.sum(-1).mean(), abs=1e-4)
    assert (new.bayes, new.prior) == pytest.approx((losses.bayes.sum(-1).mean(), losses.prior.sum(-1).mean()))
    assert new.gap_closed == pytest.approx((new.prior - new.loss) / (new.prior - new.bayes))  # EQ-GAP-1


def test_groups_tell_turns_people_and_strangers_apart() -> None:
    world, learner = load_world(WORLD), load_checkpoint(f"{WORLD}.joint").learner
    made = trainings.groups(learner, world, 2, 1, judges=3)
    assert [made[name].query.tokens.shape[0] for name in ("seen", "known", "new")] == [2, 2, 3]
    width = min(made["seen"].support.tokens.shape[-1], made["known"].support.tokens.shape[-1])
    assert (made["seen"].support.tokens[..., :width] == made["known"].support.tokens[..., :width]).all()
    speakers = [world.task("train", 1, index) for index in range(2)]
    assert all(one.query(16)[:8] == one.query(8) != one.query(16)[8:] for one in speakers)


def test_a_training_is_repeated_exactly_and_watched_on_the_way() -> None:
    world = load_world(WORLD)
    options = {"inner_steps": 1}
    first, again = (trainings.training(world, "meta_sgd", options, 2, 4, 1, 2, shifts=("style=1.0",), **SMALL)
                    for _ in range(2))
    assert [point.step for point in first.points] == [0, 2, 4]
    assert first.points[-1].groups["seen"].loss < first.points[0].groups["seen"].loss
    assert [p.groups for p in first.points] == [p.groups for p in again.points]
    assert first.rows == again.rows
    assert set(first.shifts) == {"style=1.0"}
    assert {row.shots for row in first.rows} == set(trainings.TABLE_SHOTS)


def test_both_orders_are_trained_alike() -> None:
    runs = trainings.orders(load_world(WORLD), steps=1, points=1, **SMALL)
    assert [run.learner for run in runs] == ["maml", "fomaml"] * 2
    for a, b in ((0, 1), (2, 3)):
        assert runs[a].options == runs[b].options
        assert runs[a].points[0].groups == runs[b].points[0].groups  # one start
    assert [run.options["inner_steps"] for run in runs] == [1, 1, 3, 3]


def test_costs_of_two_cases() -> None:
    todo = [costs.Case(order=order, inner_steps=1, tasks=2, width=8) for order in (2, 1)]
    found = costs.measure(todo, rounds=1, memory=False)
    assert [one.order for one in found] == [2, 1]
    assert all(one.ms > 0 for one in found)
    assert found[0].parameters == found[1].parameters
    assert {one.peak_mb for one in found} == {None}


def test_cases_vary_one_thing_at_a_time() -> None:
    usual = vars(costs.Case())
    for case in costs.cases():
        different = [name for name in costs.VARIED if vars(case)[name] != usual[name]]
        assert len(different) <= 1
    assert len(set(costs.cases())) == len(costs.cases())


def test_memory_grows_with_the_speakers_of_one_graph() -> None:
    """In a fresh process: here torch may have gone backward already, and then no fork may."""
    code = ("from metadialog_lite.challenges.costs import Case, growth; print(*[growth(Case(width=8, inner_steps=1, "
            "tasks=tasks, one_pass=True).prepare(), tasks) for tasks in (2, 12)])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    few, many = done.stdout.split()
    if few == "None":
        pytest.skip("this system does not tell a process's peak")
    assert float(many) > 2 * float(few) > 0


def test_the_command_writes_what_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [costs.Case(order=1, inner_steps=1, tasks=2, width=8)]
    monkeypatch.setattr(costs, "cases", lambda: few)
    monkeypatch.setattr(costs, "growth", lambda prepared, chunk: None)
    command.main(command.Experiment.costs, out=tmp_path)
    found, why = read(f"{WORLD}.costs", Costs, tmp_path)
    assert why == ""
    assert found is not None
    assert found.command == f"python -m metadialog_lite.challenges costs --world {WORLD}"
    assert [case.peak_mb for case in found.cases] == [None]


def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path: Path) -> None:
    nothing = "no.tasks.json is not there: nobody has made this experiment yet."
    assert read("no.tasks", Trainings, tmp_path) == (None, nothing)
    (tmp_path / "bad.tasks.json").write_text('{"schema": 1, "kind": "tasks"}')
    found, why = read("bad.tasks", Trainings, tmp_path)
    assert found is None
    assert "bad.tasks.json: command: Field required; delete it" in why
    (tmp_path / "worse.tasks.json").write_bytes(b"\xff\xfe")
    assert "worse.tasks.json" in read("worse.tasks", Trainings, tmp_path)[1]


def test_nan_is_refused() -> None:
    with pytest.raises(ValidationError):
        Judged(loss=float("nan"), bayes=1.0, prior=2.0, tasks=1)
    with pytest.raises(ValidationError):
        Cost(order=1, inner_steps=1, tasks=1, width=8, parameters=1, ms=float("inf"), peak_mb=None)
    assert Judged(loss=1.0, bayes=1.0, prior=1.0, tasks=1).gap_closed is None


@pytest.mark.parametrize("path", sorted(folder().glob("*.json")), ids=lambda path: path.stem)
def test_every_shipped_experiment_loads_and_says_how_it_was_made(path: Path) -> None:
    kind = Costs if json.loads(path.read_text(encoding="utf-8"))["kind"] == "costs" else Trainings
    found, why = read(path.stem, kind)
    assert why == ""
    assert found is not None
    assert found.command.startswith(f"python -m metadialog_lite.challenges {found.kind} --world {found.world}")
    assert path.stem == f"{found.world}.{found.kind}"
    if isinstance(found, Trainings):
        assert all(isinstance(run, Training) and run.points[-1].step == run.steps for run in found.runs)
        for run in found.runs:
            for row in run.rows:
                assert row.loss is not None
                assert row.loss > (row.bayes or 0) - 0.5

"""Notebook 08's claims, live measurements and panel: they say what the numbers say, and nothing else."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_comparison import made_up, write_comparison

from metadialog_lite.episodes import draw_episodes, stack_tasks
from metadialog_lite.evaluation import task_losses
from metadialog_lite.lab import CapabilityPanel, capability_live
from metadialog_lite.lab.capability_claims import (
    OPEN,
    ORDER,
    PARTLY,
    REFUTED,
    SUPPORTED,
    ahead,
    claim,
    claims,
    claims_markdown,
    claims_text,
    helps,
)
from metadialog_lite.lab.capability_figure import choices, members, says, still
from metadialog_lite.lab.comparison_data import FOUR, MEASURES, Comparison, Value, read_comparison
from metadialog_lite.lab.comparison_figure import MEAN, View
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_08 import CapabilityParameters
from metadialog_lite.turns import CAPABILITIES
from metadialog_lite.workbench import build_learner
from metadialog_lite.world import load_world

WORLD = "restaurants.en"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return read_comparison(WORLD, write_comparison(tmp_path_factory.mktemp("compare")))


# Claims --------------------------------------------------------------------------------------------------------------


def test_help_needs_every_training_seed() -> None:
    good, bad, unknown = Value(0.9, 0.8, 0.95), Value(0.1, -0.1, 0.3), Value(0.9)
    assert helps([good, good]) is True
    assert helps([good, bad]) is False
    assert helps([good, unknown]) is None
    assert helps([]) is None
    assert ahead([good], [bad]) is True
    assert ahead([good, bad], [bad, bad]) is False
    assert ahead([unknown], [bad]) is None


def test_claims_of_the_made_up_comparison(found: Comparison) -> None:
    cells = {(cell.family, cell.part): cell for cell in claims(found, 16)}
    assert len(cells) == len(FOUR) * len(ORDER)
    networks = cells["Meta-Networks", "response"]
    assert not networks.claimed
    assert networks.verdict == SUPPORTED
    assert networks.helping == networks.ahead == ("hypernetwork",)
    assert set(networks.missing) == {"fast_weights", "in_context"}
    text = claims_text(list(cells.values()))
    assert "11 of 11 claims: supported" in text
    assert "Meta-Networks: response" in text
    assert "fast_weights" in text
    table = claims_markdown(list(cells.values())).data
    assert table.count("**supported**") == 12
    assert table.count("(not claimed)") == 1


@pytest.mark.parametrize(("levels", "verdict"), [
    ({}, OPEN), ({"maml": -0.5}, REFUTED), ({"maml": -0.5, "anil": 0.5}, PARTLY), ({"maml": 0.5}, SUPPORTED)])
def test_every_verdict(tmp_path: Path, levels: dict[str, float], verdict: str) -> None:
    for name, level in levels.items():
        made_up(name, 1, level).write(tmp_path / f"{WORLD}.{name}.seed1.json")
    cell = claim(read_comparison(WORLD, tmp_path), "Meta-Optimization", "state", 16)
    assert cell.verdict == verdict
    assert verdict in cell.cell()
    assert verdict in claims_text([cell])


def test_a_run_without_intervals_is_not_counted(tmp_path: Path) -> None:
    result = made_up("maml", 1, 0.5)
    for row in result.rows:
        row.gap_low = row.gap_high = None
    result.write(tmp_path / f"{WORLD}.maml.seed1.json")
    cell = claim(read_comparison(WORLD, tmp_path), "Meta-Optimization", "state", 16)
    assert cell.verdict == OPEN
    assert "maml" in cell.missing


# Live ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learner() -> Any:
    return build_learner("maml", load_world(WORLD), 0, {"inner_lr": 0.001, "inner_steps": 1}, {"width": 16})


def test_what_is_bought_is_the_difference_of_the_losses(learner: Any) -> None:
    losses = task_losses(learner, load_world(WORLD), (0, 4), 6, 4, 3)
    assert losses.loss is not None
    rows = capability_live.bought(losses)
    assert [row.part for row in rows] == list(CAPABILITIES)
    for i, row in enumerate(rows):
        gain = losses.loss[:, 0, i] - losses.loss[:, 1, i]
        assert row.before - row.after == pytest.approx(gain.mean())
        assert row.low <= gain.mean() <= row.high
        assert row.prior >= row.bayes - 0.5
    figure, text = capability_live.bought_plot(rows, "maml", 4)
    assert len(figure.data) == 4
    assert f"{rows[0].before:.2f}" in text
    with pytest.raises(ValueError, match="0 among the shots"):
        capability_live.bought(task_losses(learner, load_world(WORLD), (4,), 2, 2))


def test_only_one_part_of_the_support_counts(learner: Any) -> None:
    world = load_world(WORLD)
    support = stack_tasks([world.task("test", 0, 0).support(3)], learner.vocabulary)
    for i, part in enumerate(CAPABILITIES):
        masked = capability_live.only(support, part)
        assert set(masked.segment.unique().tolist()) == {0, i + 1}
        assert (masked.tokens == support.tokens).all()
        nats = learner.model.nll(learner.theta_0(learner.phi(), masked), masked)
        assert (nats[..., [j for j in range(3) if j != i]] == 0).all()
        assert (nats[..., i] > 0).all()
    assert capability_live.only(support, "all") is support


def test_taught_all_is_the_ordinary_evaluation(learner: Any) -> None:
    world = load_world(WORLD)
    shares = capability_live.taught(learner, world, draw_episodes(world, "test", 3, 0, 6, 4, 4))
    assert shares.shape == (4, 3)
    losses = task_losses(learner, world, (4,), 6, 4, 3)
    assert losses.loss is not None
    assert losses.bayes is not None
    assert losses.prior is not None
    prior, bayes, loss = (part[:, 0].mean(0) for part in (losses.prior, losses.bayes, losses.loss))
    assert shares[3] == pytest.approx((prior - loss) / (prior - bayes), abs=1e-4)
    assert not np.allclose(shares[0], shares[3])
    figure, text = capability_live.taught_plot(shares, "maml")
    assert len(figure.data) == 4
    assert "all three taught together" in text


def test_the_tokens_of_a_turn_are_its_whole_loss(learner: Any) -> None:
    task = load_world(WORLD).task("test", 0, 1)
    turn = task.query(3)[2]
    before, after = learner.adapt([]), learner.adapt(task.support(4))
    old, new = (capability_live.token_costs(model, turn, learner) for model in (before, after))
    assert sum(cost for *_, cost in new) == pytest.approx(float(after.nll([turn]).sum()), abs=1e-4)
    assert [part for _, part, _ in old] == sorted((part for _, part, _ in old), key=CAPABILITIES.index)
    assert tuple(word for word, part, _ in old if part == "state")[:-1] == turn.state
    figure, text = capability_live.token_plot(old, new)
    assert len(figure.data[0].x) == len(old)
    assert "Most was bought at" in text


# The panel -----------------------------------------------------------------------------------------------------------


def settings(found: Comparison, **more: Any) -> CapabilityParameters:
    return parameters(None, CapabilityParameters, results=str(found.folder), **more)


def test_every_control_at_every_value(found: Comparison) -> None:
    panel = CapabilityPanel(found, settings(found))
    panel._seen()
    assert panel.figure is not None
    for _, who in choices(found):
        panel.who_choice.value = who
        for measure, seed, bands in itertools.product(MEASURES, (1, 2, MEAN), (True, False)):
            panel.measure_choice.value, panel.seed_choice.value = measure, seed
            panel.band_button.value = bands
            changes, frame = panel.picture()
            assert len(changes) == len(panel.figure.traces) == 3 * (2 * len(found.learners) + 2)
            for axis in ("yaxis", "yaxis2", "yaxis3"):
                low, high = frame[f"{axis}.range"]
                assert math.isfinite(low + high)
        for shots in (0, 16, 32):
            panel.shots_slider.value = shots
            assert "nan" not in panel.says.value + panel.table.value
    assert panel.error.value == ""


def test_it_begins_with_the_parameters_and_returns_to_them(found: Comparison) -> None:
    panel = CapabilityPanel(found, settings(found, who="Meta-Optimization", measure="loss", shots=4, training_seed=0))
    first = View(("maml", "meta_sgd"), "total", "loss", MEAN)
    assert panel.view() == first
    panel.who_choice.value, panel.measure_choice.value, panel.seed_choice.value = "all", "regret", 2
    panel.shots_slider.value, panel.band_button.value = 32, False
    assert panel.view() == View(tuple(found.learners), "total", "regret", 2, bands=False)
    panel.reset_button.click()
    assert panel.view() == first
    assert "After 4 support turns" in panel.says.value


def test_the_command_does_what_the_panel_shows(found: Comparison) -> None:
    panel = CapabilityPanel(found, settings(found))
    panel.who_choice.value = "Meta-Networks"
    panel.copy_button.click()
    assert panel.command_field.value == (
        "papermill notebooks/08_three_capabilities.ipynb out.ipynb -p world restaurants.en -p who Meta-Networks "
        f"-p measure gap_closed -p shots 16 -p training_seed 1 -p results {found.folder}")
    panel._copied(True)
    assert "clipboard" in panel.hint.value


def test_the_still_figure_and_its_words(found: Comparison) -> None:
    shown = members(found, "best", 16)
    assert set(shown) == set(found.shortlist(16))
    view = View(shown, "total", "gap_closed", 1)
    figure, text = still(found, view, says(found, view, 16))
    assert len([trace for trace in figure.data if trace.mode == "lines+markers"]) == 3 * len(shown)
    assert text.count("parameters 0.950") == 3
    assert says(found, View(()), 16).startswith("No run")


@pytest.mark.parametrize(("values", "words"), [
    ({"shots": 5}, "shots: got 5: the comparison was made after 2, 4, 8, 16, 32 support turns"),
    ({"learner": "prior"}, "learner: got 'prior': unknown learner"),
    ({"who": "best of all"}, "who: got 'best of all': best, all or a family is needed"),
    ({"results": "/no/such/folder"}, "results: got '/no/such/folder': there is no such folder"),
    ({"meta_steps": 3}, "meta_steps: there is no such parameter"),
])
def test_wrong_parameters_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parameters(None, CapabilityParameters, **values)
    assert words in str(caught.value)

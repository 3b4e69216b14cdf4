"""What notebook 07 reads and says: stored runs, what is missing or damaged, numbers, words and plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_comparison import LEVELS, made_up, write_comparison, write_shifts

from metadialog_lite.lab import ComparisonPanel, comparison_plots
from metadialog_lite.lab.comparison_data import (
    FAMILIES,
    FLOOR_RUN,
    Comparison,
    family_of,
    read_comparison,
    state_of,
)
from metadialog_lite.lab.comparison_figure import MEAN, View, look_of, shown_of
from metadialog_lite.lab.comparison_shifts import read_shifts, shifts_markdown, shifts_plot
from metadialog_lite.lab.comparison_text import (
    budget_text,
    says,
    table,
    table_html,
    table_markdown,
    trials_markdown,
    trials_text,
    verdicts,
)
from metadialog_lite.lab.parameters import parameters
from metadialog_lite.lab.parameters_07 import ComparisonParameters
from metadialog_lite.recipes import BASELINES, RECIPES

WORLD = "restaurants.en"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return read_comparison(WORLD, write_comparison(tmp_path_factory.mktemp("compare")))


def settings(found: Comparison, **more: Any) -> ComparisonParameters:
    return parameters(None, ComparisonParameters, results=str(found.folder), **more)


# Reading -------------------------------------------------------------------------------------------------------------


def test_everybody_in_the_comparison_has_a_family_and_a_look_of_its_own() -> None:
    known = {name for members in FAMILIES.values() for name in members}
    assert {*RECIPES, *BASELINES} <= {*known, FLOOR_RUN}
    assert len({look_of(name) for name in known}) == len(known)
    with pytest.raises(KeyError, match="'mamel' belongs to no family"):
        family_of("mamel")


def test_what_is_there_and_what_is_missing_is_said(found: Comparison) -> None:
    assert set(found.learners) == {*LEVELS, "retrieval"}
    assert found.seeds("hypernetwork") == [1, 2]
    assert found.shots == [0, 2, 4, 8, 16, 32]
    assert not found.faults
    text = state_of(found)
    assert "11 runs on restaurants.en are stored: hypernetwork (training seeds 1, 2), parameters" in text
    assert "Not run yet, so without a row: fast_weights, in_context, structure" in text
    assert "scratch" in text.splitlines()[-1]


def test_a_control_is_shown_and_never_the_best_of_its_family(tmp_path: Path) -> None:
    write_comparison(tmp_path)
    control = made_up("structure_parameters", 1, 0.99)
    control.options["recipe"] = "structure_off"  # the learner is another one
    control.write(tmp_path / "restaurants.en.structure_off.seed1.json")
    found = read_comparison(WORLD, tmp_path)
    assert found.faults == ()
    assert "structure_off" in found.learners
    assert found.best("Meta-Neural Networks", 16) == "parameters"


def test_an_empty_folder_is_no_failure(tmp_path: Path) -> None:
    nobody = read_comparison(WORLD, tmp_path)
    assert f"No run on restaurants.en is stored in {tmp_path}" in state_of(nobody)
    assert nobody.shortlist(16) == []
    for figure, text in every_plot(nobody):
        assert figure is not None
        assert text
    panel = ComparisonPanel(nobody, settings(nobody))
    panel._seen()
    panel.all_button.click()
    panel.reset_button.click()
    assert panel.error.value == ""
    assert panel.says.value == "No run on restaurants.en is stored yet."


def damage(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


@pytest.mark.parametrize(("change", "words"), [
    (lambda path: path.write_text("{ half a fi", encoding="utf-8"), "Invalid JSON"),
    (lambda path: path.write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    (lambda path: damage(path, rows=[]), "has no rows"),
    (lambda path: damage(path, rows="none"), "rows: "),
    (lambda path: damage(path, learner="anil"), "learner is 'anil' in the file, but 'maml' in its name"),
    (lambda path: damage(path, world="clinic.en"), "world is 'clinic.en' in the file"),
    (lambda path: damage(path, options={}), "training_seed is 'None' in the file, but '1' in its name"),
    (lambda path: damage(path, tasks=7), "was judged on 7 test tasks of seed 0"),
], ids=["half", "bytes", "empty", "schema", "learner", "world", "seed", "tasks"])
def test_a_damaged_file_is_named_and_passed_over(tmp_path: Path, change: Any, words: str) -> None:
    path = write_comparison(tmp_path) / "restaurants.en.maml.seed1.json"
    change(path)
    found = read_comparison(WORLD, tmp_path)
    assert ("maml", 1) not in found.runs
    assert len(found.runs) == 10
    (fault,) = found.faults
    assert fault.startswith(str(path))
    assert words in fault
    assert f"Passed over: {path}" in state_of(found)
    panel = ComparisonPanel(found, settings(found))
    assert panel.boxes["meta_sgd"].value
    assert "maml" not in panel.boxes


def test_strange_files_are_named_or_left_alone(tmp_path: Path) -> None:
    write_comparison(tmp_path)
    (tmp_path / "trials" / "restaurants.en.maml.json").write_text("[]")
    made_up("nobody", 1, 0.5).write(tmp_path / "restaurants.en.nobody.seed1.json")
    made_up("maml", 1, 0.5, "restaurants.en.noisy").write(tmp_path / "restaurants.en.noisy.maml.seed1.json")
    found = read_comparison(WORLD, tmp_path)
    assert len(found.runs) == 11
    assert set(found.trials) == {"meta_sgd"}
    assert len(found.faults) == 2
    assert "learner 'nobody' belongs to no family" in found.faults[0]
    assert "trials/restaurants.en.maml.json" in found.faults[1]


# Numbers and words ---------------------------------------------------------------------------------------------------


def test_the_best_of_a_family_is_computed(found: Comparison) -> None:
    assert found.champions(16) == {"Meta-Networks": "hypernetwork", "Meta-Neural Networks": "parameters",
                                   "Meta-Optimization": "meta_sgd", "Meta-Data Generation": "augmentation"}
    assert found.shortlist(16) == ["hypernetwork", "parameters", "meta_sgd", "augmentation", "finetune"]
    assert shown_of(found, "best", 16) == tuple(found.shortlist(16))
    assert set(shown_of(found, "all", 16)) == set(found.learners)
    assert shown_of(found, "maml, hypernetwork,anil", 16) == ("hypernetwork", "maml")


def test_a_mean_of_seeds_has_a_range_and_one_seed_has_none(found: Comparison) -> None:
    assert found.spread("hypernetwork", 16, "total", "gap_closed") == pytest.approx((0.875, 0.85, 0.9))
    assert found.spread("maml", 16, "total", "gap_closed")[1:] == (None, None)
    assert found.spread("maml", 16, "total", "gap_closed").value == pytest.approx(0.6)
    assert found.spread("retrieval", 16, "total", "gap_closed") == (None, None, None)


def test_the_sentence_names_the_best_first(found: Comparison) -> None:
    text = says(found, View(("maml", "parameters", "retrieval")), 16)
    assert "training seed 1, share of the gap closed: parameters 0.950 [0.930, 0.970]; maml 0.600" in text
    assert "95 % interval over speakers" in text
    assert "no number for retrieval" in text
    assert "The Bayes floor is 2.200 nats/turn, the optimum without any support 4.200" in text
    loss = says(found, View(("maml", "parameters"), "act", "loss", MEAN), 1)
    assert "choice of act, mean of the training seeds, nats/turn: no number is stored" in loss
    regret = says(found, View(("maml", "parameters"), "state", "regret"), 32)
    assert "nats/turn above the floor: parameters 0.100; maml 0.800" in regret
    assert says(found, View(()), 16) == "No learner is chosen."


def test_the_table_is_sorted_and_the_optimum_is_on_top(found: Comparison) -> None:
    rows = table(found, View(tuple(found.learners)), 16)
    assert [row[0] for row in rows[:3]] == ["**Bayes floor**", "parameters", "hypernetwork"]
    assert rows[-1][0] == "retrieval"
    assert rows[-1][3:5] == ("–", "–")
    assert len({len(row) for row in rows}) == 1
    assert "0.960" in rows[0]
    assert "95 % interval" in table_markdown(found, View(("maml",)), 16).data
    assert table_html(found, View(("maml",)), 16).count("<tr>") == 3


def test_distinct_n_is_shown_where_it_is_stored(tmp_path: Path) -> None:
    if "distinct" not in type(made_up("maml", 1, 0.5)).model_fields:
        pytest.skip("no distinct-n in the schema")
    made_up("maml", 1, 0.5, distinct={"1": 0.125, "2": 0.25}).write(tmp_path / "restaurants.en.maml.seed1.json")
    assert "0.125 / 0.250" in table(read_comparison(WORLD, tmp_path), View(("maml",)), 16)[1]


def test_verdicts_come_from_the_stored_losses(found: Comparison) -> None:
    lines = verdicts(found, [*found.shortlist(16), "retrieval"], 16)
    assert len(lines) == 5
    assert lines[0].startswith("hypernetwork − finetune after 16 turns: -1.2")
    assert lines[0].endswith("2 training seeds: hypernetwork wins")
    assert "no losses per task" in lines[-1]
    assert verdicts(found, ["finetune"], 16) == ["Nobody to compare with finetune yet."]


def test_trials_and_budget_are_told(found: Comparison, tmp_path: Path) -> None:
    assert "0.002: 2.000, **0.005: 1.500**, 0.0125: diverged" in trials_markdown(found).data
    assert "at the end of the range for nobody" in trials_text(found)
    assert "diverged for maml" in trials_text(found)
    assert budget_text(found) == "Training took 300 to 300 CPU seconds, the same for everybody."
    write_comparison(tmp_path)
    damage(tmp_path / "restaurants.en.maml.seed1.json", seconds={"train": 480.0, "adapt": 0.1})
    assert "another budget than most: maml (seed 1): 480" in budget_text(read_comparison(WORLD, tmp_path))


def test_paired_intervals_are_narrower_when_speakers_are_shared() -> None:
    random = np.random.default_rng(1)
    hard = random.normal(3, 1, 200)
    pairs, apart = comparison_plots.two_intervals(hard + random.normal(0, 0.1, 200), hard)
    assert pairs.high - pairs.low < 0.3 * (apart.high - apart.low)
    assert apart.low < pairs.mean < apart.high


def test_the_luck_of_the_seed_is_measured_in_intervals(found: Comparison) -> None:
    luck = comparison_plots.seed_luck(found, 16)
    assert set(luck) == {"hypernetwork", "meta_sgd", "finetune"}
    assert luck["hypernetwork"] == pytest.approx(0.05 / 0.04)


def test_who_is_ahead_is_said_only_when_intervals_are_apart(found: Comparison) -> None:
    clear = comparison_plots.capability_text(found, ["parameters", "maml"], 16, 1, "act")
    assert clear.endswith("no other interval reaches it.")
    near = comparison_plots.capability_text(found, ["parameters", "hypernetwork", "maml"], 16, 1, "act")
    assert near.endswith("no other interval reaches it.")
    open_ = comparison_plots.capability_text(found, ["meta_sgd", "hypernetwork"], 16, 2, "act")
    assert open_.endswith("but the intervals of meta_sgd reach into its own: the order is open.")
    assert "nothing is stored" in comparison_plots.capability_text(found, ["maml"], 0, 1, "act")


def every_plot(found: Comparison) -> list[tuple[Any, str]]:
    best = found.shortlist(16)
    return [comparison_plots.forest(found, best, 16), comparison_plots.pair_plot(found, "maml", "finetune", 16, 1),
            comparison_plots.seeds_plot(found, 16), comparison_plots.capabilities_plot(found, best, 16, 1),
            comparison_plots.costs_plot(found, "adapt", 32, 1), comparison_plots.costs_plot(found, "parameters", 32, 1)]


def test_every_plot_has_marks_and_words(found: Comparison) -> None:
    for figure, text in every_plot(found):
        assert len(figure.data) >= 2
        assert "nan" not in text
        assert "Nothing is stored" not in text
    assert "Below zero with the whole interval in every training seed that both have: hypernetwork" in (
        comparison_plots.forest(found, found.shortlist(16), 16)[1])
    assert "not so: nobody" in comparison_plots.forest(found, found.shortlist(16), 16)[1]


def test_families_are_ordered_by_their_best_member(found: Comparison) -> None:
    rows = comparison_plots.family_gaps(found, 16, 1)
    assert [row[0] for row in rows] == ["Meta-Neural Networks", "Meta-Networks", "Meta-Optimization",
                                        "Meta-Data Generation", "fine-tuning"]
    assert comparison_plots.family_gaps(found, 0, 1) == []


def test_shifts_are_read_when_they_are_there(tmp_path: Path) -> None:
    assert read_shifts(WORLD, tmp_path) == ([], [])
    assert "No results under a shift" in shifts_markdown([], WORLD, 16).data
    (write_shifts(tmp_path) / "broken.json").write_text("{")
    made_up("maml", 1, 0.3).write(tmp_path / "no_shift.json")
    results, faults = read_shifts(WORLD, tmp_path)
    assert len(results) == 4
    assert "broken.json" in faults[0]
    text = shifts_markdown(results, WORLD, 16).data
    assert "| lexicon | meta_sgd | 1 |" in text
    assert "undefined" in text
    figure, words = shifts_plot(results, WORLD, 16)
    assert len(figure.data) == 2
    assert "lexicon: meta_sgd 0.40" in words
    assert "No gap closed" in shifts_plot([], WORLD, 16)[1]
    lost = made_up("hypernetwork", 1, -70.0, f"{WORLD}+style=1.0")
    figure, words = shifts_plot([*results, lost], WORLD, 16)
    assert words.endswith("Too far below to be drawn: style=1.0 hypernetwork (-70).")
    assert all(share > -1 for trace in figure.data for share in trace.y)

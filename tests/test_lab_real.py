"""What notebook 11 shows of stored runs on real corpora: verdicts, plots, tables, the panel and the parameters."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from made_up_comparison import write_comparison
from made_up_real import SHOTS, TASKS, made_up, write_real
from small import Corpus

from metadialog_lite.lab import RealPanel
from metadialog_lite.lab.comparison_data import read_comparison
from metadialog_lite.lab.parameters import ParameterError, parameters
from metadialog_lite.lab.parameters_11 import RealParameters
from metadialog_lite.lab.real_data import RealRuns, fine_tuned, halves, read_real, stored_corpora, unusual, verdict
from metadialog_lite.lab.real_people import people_plot, people_table, read_people, trend
from metadialog_lite.lab.real_plots import MEASURES, over_shots, points, similarity, toy_and_real
from metadialog_lite.lab.real_text import costs, replies, side_by_side, spoken_table, verdict_table
from metadialog_lite.workbench import build_learner


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_real(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def found(folder: Path) -> RealRuns:
    return read_real("chitchat", folder)


def test_a_damaged_file_is_passed_over(folder: Path, found: RealRuns) -> None:
    assert set(found.learners) == {"hypernetwork", "anil", "finetune", "prior"}
    assert stored_corpora(folder) == [("chitchat", "tiny")]
    assert read_real("sgd", folder).learners == []
    assert found.shots == list(SHOTS)


def test_a_winner_wins_in_every_seed(found: RealRuns) -> None:
    pairs = found.against("hypernetwork", 16)
    assert [round(d.mean) for d in pairs.values()] == [-1, -1]
    assert all(d.high < 0 for d in pairs.values())
    assert verdict(found, "hypernetwork", 16).endswith("hypernetwork wins")
    assert verdict(found, "hypernetwork", 0).endswith("no difference shown")
    assert verdict(found, "anil", 16).endswith("no difference shown")  # better in one seed only
    assert verdict(found, "prior", 16).endswith("finetune wins")
    assert "nothing to pair" in verdict(found, "maml", 16)


def test_intervals_draw_people_and_not_tasks(found: RealRuns) -> None:
    """Two tasks of each person: with the same numbers twice, the interval must not become narrower."""
    one = found.against("anil", 16)[0]
    alone = RealRuns("x", runs={
        key: run.model_copy(update={"options": {**run.options, "people": None}}) for key, run in found.runs.items()})
    assert alone.against("anil", 16)[0].mean == pytest.approx(one.mean)
    assert (alone.against("anil", 16)[0].high, one.high) != (one.high, one.high)


def test_best_of_each_family_and_the_rival(found: RealRuns) -> None:
    assert found.best(16) == ["hypernetwork", "anil", "finetune"]


@pytest.mark.parametrize("measure", list(MEASURES))
def test_points_are_means_over_seeds(found: RealRuns, measure: str) -> None:
    at = {k: value for k, value, _, _ in points(found, "hypernetwork", measure)}
    expected = {"difference": -1.1, "gain": 2.1, "perplexity": 57.9}[measure]
    assert at[16] == pytest.approx(expected, abs=0.25)
    figure, text = over_shots(found, found.learners, measure)
    assert len(figure.data) == 2 * len(found.learners)
    assert "hypernetwork" in text
    assert "Nothing is stored" in over_shots(RealRuns("none"), (), measure)[1]


def test_similarity_splits_the_tasks_in_halves(found: RealRuns) -> None:
    by = np.arange(TASKS)
    parts = halves(found, "hypernetwork", 0, 16, by)
    gap = found.per_task("hypernetwork", 0, 16) - found.per_task("finetune", 0, 16)
    assert parts["usual"].mean == pytest.approx(gap[: TASKS // 2].mean())
    assert parts["unusual"].mean == pytest.approx(gap[TASKS // 2 :].mean())
    figure, text = similarity(found, "hypernetwork", 16, list(by))
    assert len(figure.data[0].x) == TASKS
    assert "rank correlation" in text
    assert "not stored" in similarity(found, "hypernetwork", 16, [1.0])[1]


def test_who_speaks_like_nobody_is_unusual() -> None:
    class Odd(Corpus):
        def task(self, split, seed, index):  # type: ignore[no-untyped-def]
            person = super().task(split, seed, index)
            if split == "test" and index == 1:
                old = person.support
                person.support = lambda shots: [t._replace(response=("zz",) * 3) for t in old(shots)]
            return person

    found = unusual(Odd(), 3, 2)
    assert found.argmax() == 1
    assert found.shape == (3,)


def test_toy_and_real_beside_each_other(found: RealRuns, tmp_path: Path) -> None:
    toy = read_comparison("restaurants.en", write_comparison(tmp_path))
    figure, text = toy_and_real(toy, found, ["hypernetwork", "meta_sgd", "anil", "finetune"])
    assert {trace.xaxis for trace in figure.data} == {"x", "x2"}
    assert "restaurants.en after 16 turns, against finetune: hypernetwork: hypernetwork wins" in text
    assert "chitchat after 16 turns, against finetune: hypernetwork: hypernetwork wins" in text


def test_tables_and_replies(found: RealRuns) -> None:
    table = verdict_table(found, [0, 16]).data
    assert table.count("**hypernetwork wins**") == 1
    assert "No run" in verdict_table(RealRuns("none"), [0]).data
    assert "1.5" in spoken_table(found).data
    assert "1006" in spoken_table(found).data
    assert "0.600" in spoken_table(found).data
    assert "Nothing decoded" in spoken_table(RealRuns("none")).data
    assert "finetune" in costs(found)
    corpus = Corpus()
    assert "person 0" in side_by_side(corpus, turns=2).data
    learner = build_learner("anil", corpus, options={"inner_lr": 0.01})
    said = replies(learner, corpus, 2, prompts=2).data
    assert said.count("\n|") == 4  # head, line, two prompts


def test_fine_tuning_uses_the_settings_of_the_next_lower_number_of_turns(found: RealRuns) -> None:
    corpus = Corpus()
    start = build_learner("prior", corpus)
    judged = fine_tuned(found, start, corpus, (0, 4, 8, 16))
    assert [judged[k].optimizer for k in (0, 4, 8, 16)] == ["adam", "adam", "adam", "sgd"]
    assert judged[16].inner_steps == 5
    usual = fine_tuned(RealRuns("none"), start, corpus, (4,))
    assert usual[4].optimizer == "adam"


# The panel -----------------------------------------------------------------------------------------------------------


def test_every_control_at_every_value(folder: Path) -> None:
    write_real(folder, "sgd")
    panel = RealPanel("chitchat", folder, 16)
    panel._seen()
    assert panel.figure is not None
    assert panel.shots_slider.value == 16
    assert "hypernetwork wins" in panel.says.value
    for title, measure, shots in itertools.product(panel.found, MEASURES, SHOTS):
        panel.corpus_choice.value, panel.measure_choice.value, panel.shots_slider.value = title, measure, shots
        changes, frame = panel.picture()
        assert len(changes) == len(panel.figure.traces) == 2 * len(panel.members)
        assert frame["xaxis.ticktext"] == [str(k) for k in SHOTS]
        assert panel.error.value == ""
    for box in panel.boxes.values():
        box.value = False
    assert "Nothing is stored" in panel.says.value
    assert all(not change["visible"] for change in panel.picture()[0])
    panel.copy_button.click()
    assert "-p shots 16" in panel.command_field.value
    assert str(folder) in panel.command_field.value
    panel.reset_button.click()
    assert panel.shown == panel.members
    assert (panel.measure_choice.value, panel.shots_slider.value) == ("difference", 16)
    assert panel.corpus_choice.value == "chitchat (tiny model)"


def test_without_any_run_the_panel_says_so(tmp_path: Path) -> None:
    panel = RealPanel("chitchat", tmp_path)
    panel._seen()
    assert "Nothing is stored" in panel.says.value
    assert panel.error.value == ""
    assert "open in JupyterLab" in repr(panel)


# The parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "words"), [
    ({"folder": "/no/such/folder", "corpus": "sgd"}, "folder: got '/no/such/folder': there is no such folder"),
    ({"size": "huge"}, "it must be one of tiny, small, full"),
    ({"results": "/nowhere"}, "results: got '/nowhere'"),
    ({"learner": "finetune"}, "unknown learner"),
    ({"world": "restaurants.en"}, "world: there is no such parameter"),
    ({"corpus": "gossip"}, "corpus: got 'gossip'"),
    ({"corpus": ""}, "corpus is empty"),
    ({"folder": "."}, "folder belongs to another corpus than chitchat"),
])
def test_a_wrong_parameter_is_named(given: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        parameters(None, RealParameters, **given)


def test_where_a_corpus_is() -> None:
    assert RealParameters().where == "chitchat"
    assert RealParameters(corpus="sgd", folder=".").where == "sgd:."
    assert RealParameters(corpus="auto", folder=".").where == "."
    assert RealParameters(learner="maml").options["learned_rates"] is True
    assert RealParameters(learner="reptile").options == {}


def test_numbers_of_training_people_stand_side_by_side(tmp_path: Path) -> None:
    for label in ("chitchat", "chitchat+people=10", "chitchat+people=30", "sgd+people=3"):
        write_real(tmp_path, label)
    (tmp_path / "chitchat+people=10.tiny.anil.seed1.json").unlink()
    (tmp_path / "chitchat+people=10.tiny.hypernetwork.seed1.json").unlink()
    (tmp_path / "chitchat+people=10.tiny.finetune.seed1.json").unlink()
    found = read_people("chitchat", 86, tmp_path)
    assert list(found) == [10, 30, 86]
    assert {seed for runs in found.values() for _, seed in runs.runs} == {0}  # the one that all of them have
    figure, text = people_plot(found, 16)
    assert {trace.name: list(trace.x) for trace in figure.data}["anil"] == [10, 30, 86]
    assert "with 10, 30, 86 training people" in text
    assert text.count("hypernetwork -1.") == 1
    table = people_table(found, 16).data
    assert "| 30 | " in table
    assert table.count("\n| ") == 4
    same, words = trend(found, 16) or (None, "")
    assert same == 1
    assert words == "The intervals of hypernetwork with 10 and 86 people overlap."
    for name in ("hypernetwork", "anil"):  # now it is far behind with 10 people
        made_up("x", name, 0, -30.0).write(tmp_path / f"chitchat+people=10.tiny.{name}.seed0.json")
    assert trend(read_people("chitchat", 86, tmp_path), 16) == (0, words.replace("overlap", "do not overlap"))
    alone = read_people("chitchat", 86, tmp_path / "nowhere")
    assert trend(alone, 16) is None
    assert people_plot(alone, 16)[1] == people_table(alone, 16).data.strip("*")

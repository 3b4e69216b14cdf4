"""The store and the report over it: ids, whole folders or none, settings summed up, failures, damaged runs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from fakes import tiny

from benchmarks.sweeps import synthetic
from metadialog_lite.runs import figures
from metadialog_lite.runs.notebook import load_notebook
from metadialog_lite.runs.report import (
    best_row,
    csv_text,
    failures,
    read_runs,
    same_everywhere,
    settings_of,
    usable_metric,
    varied,
)
from metadialog_lite.runs.store import PARTIAL, Status, Store, StoreError, read_result, run_id
from metadialog_lite.runs.sweep import plan


def status(number: int, state: str = "done", **parameters: object) -> Status:
    return Status(id=f"{number:012x}", state=state, error=None if state == "done" else "lost",  # type: ignore[arg-type]
                  notebook="n.ipynb", version="0", parameters=parameters, seconds=1.0)


def result(loss: float, gap: float | None = None, bayes: float | None = None) -> str:
    rows = [{"shots": k, "capability": "total", "loss": loss + 1 / (1 + k), "low": loss, "high": loss + 2,
             "bayes": bayes, "gap_closed": gap} for k in (0, 8)]
    return json.dumps({"schema": 1, "learner": "maml", "seed": 0, "split": "test", "tasks": 2, "query_turns": 2,
                       "rows": rows})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """2 learners × 2 rates × 3 seeds; the best is b at 0.1; one run failed."""
    store, number = Store(tmp_path), 0
    for learner, plus in (("a", 1.0), ("b", 0.0)):
        for rate in (0.1, 0.2):
            for seed in range(3):
                number += 1
                bad = (learner, rate, seed) == ("a", 0.2, 1)
                told = status(number, "failed" if bad else "done", learner=learner, inner_lr=rate, seed=seed, shots=8)
                files = {} if bad else {"result.json": result(1 + plus + rate + seed / 100, 0.9 - plus / 2 - rate, 0.5)}
                store.write(told, files)
    return tmp_path


def test_an_id_depends_on_parameters_cells_and_version_alone(tmp_path: Path) -> None:
    notebook = load_notebook(str(tiny(tmp_path)))
    first = run_id(notebook, {"seed": 0})
    assert len(first) == 12
    assert first == run_id(notebook, {}) == run_id(notebook, {"seed": 0, "result_path": "elsewhere"})
    assert first != run_id(notebook, {"seed": 1})
    assert first != run_id(notebook, {}, version="9.9.9")
    notebook.node.cells[1].outputs = [{"output_type": "stream", "name": "stdout", "text": "ran"}]
    assert first == run_id(notebook, {})
    notebook.node.cells[1].source += "\n# changed"
    assert first != run_id(notebook, {})
    assert len({job.id for job in plan(notebook, [{"words": w} for w in ("a", "a ", "ä", "\ud800", "a\n")])}) == 5


def test_a_run_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.write(status(1, "failed"), {"log.txt": "old"})

    def no_space(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", no_space)
        with pytest.raises(StoreError, match="No space left on device"):
            store.write(status(2), {"log.txt": "new"})
    assert store.states() == {f"{1:012x}": "failed"}
    assert not list(tmp_path.glob(f"{PARTIAL}*"))
    store.write(status(1), {"log.txt": "new", "result.json": result(1)})  # tried again, and done
    assert store.states() == {f"{1:012x}": "done"}
    (tmp_path / f"{PARTIAL}left-by-a-killed-sweep").mkdir()
    with store.locked():
        assert not list(tmp_path.glob(f"{PARTIAL}*"))
        with pytest.raises(StoreError, match="another sweep is writing"), Store(tmp_path).locked():
            pass


@pytest.mark.parametrize(("text", "words"), [
    (result(1).replace("2.0", "NaN", 1), "NaN"), (result(1).replace('"schema": 1', '"schema": 2'), "schema"),
    ('{"schema": 1}', "learner: Field required"), ("{", "Expecting"), ("[]", "dictionary"),
    (result(1).replace('"shots": 8', '"shots": "many"'), "rows.1.shots"),
])
def test_a_result_that_is_none_names_the_field(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_result(text)
    assert read_result(result(1)).row(8).loss == pytest.approx(1 + 1 / 9)


def test_settings_are_summed_up_over_seeds_with_the_best_first(folder: Path) -> None:
    rows = read_runs(folder)
    assert varied(rows) == ["learner", "inner_lr", "seed"]
    assert same_everywhere(rows) == {"shots": 8}
    for metric in ("gap_closed", "loss"):
        settings = settings_of(rows, metric)
        assert [each.name for each in settings] == ["b, inner_lr 0.1", "b, inner_lr 0.2", "a, inner_lr 0.1",
                                                    "a, inner_lr 0.2"]
        assert [each.failed for each in settings] == [0, 0, 0, 1]
        assert [len(each.scores) for each in settings] == [3, 3, 3, 2]
    assert settings[0].mean == pytest.approx(1.1 + 0.01 + 1 / 9)
    assert settings_of(rows, "loss", 0)[0].scores == settings_of(rows, "loss", 8)[0].scores
    assert settings_of(rows, "loss", 5)[0].mean is None
    best = best_row(rows, "loss")
    assert best is not None
    assert best.parameters == {"learner": "b", "inner_lr": 0.1, "seed": 0, "shots": 8}
    assert failures(rows) == [("lost", [row for row in rows if not row.done])]
    assert usable_metric(rows) == "gap_closed"
    assert usable_metric([row for row in rows if not row.done]) == "loss"


def test_figures_say_what_they_show(folder: Path) -> None:
    settings = settings_of(read_runs(folder))
    figure, text = figures.best_curves(settings)
    assert [trace.name for trace in figure.data if trace.name] == ["b, inner_lr 0.1", "a, inner_lr 0.1",
                                                                   "Bayes floor (best possible)"]
    assert text.startswith("b, inner_lr 0.1: 1.22 nats/turn after 8 support turns; a, inner_lr 0.1: 2.22")
    figure, text = figures.by_parameter(settings, "inner_lr", "gap_closed")
    assert text == "b is best at 0.1 (0.800); a is best at 0.1 (0.300)."
    assert list(figure.data[0].x) == [0.1, 0.2]
    assert figures.numeric(settings) == ["inner_lr"]
    assert "Their seeds overlap" not in figures.verdict(settings, "gap_closed")
    table = figures.settings_table(settings, "gap_closed").data
    assert "| 1 | b, inner_lr 0.1 | 0.800 | 0.800 … 0.800 | 3 | 0 |" in table
    assert "| 1 | lost |" in figures.failures_table(read_runs(folder)).data


def test_a_verdict_looks_at_the_seeds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number, (rate, seed, loss) in enumerate([(0.1, 0, 1.0), (0.1, 1, 1.3), (0.2, 0, 1.1), (0.2, 1, 1.25)]):
        store.write(status(number, inner_lr=rate, seed=seed), {"result.json": result(loss)})
    overlapping = settings_of(read_runs(tmp_path), "loss")
    assert "Their seeds overlap" in figures.verdict(overlapping, "loss")
    one_seed = settings_of([row for row in read_runs(tmp_path) if row.parameters["seed"] == 0], "loss")
    assert "nobody knows how much of this is luck" in figures.verdict(one_seed, "loss")
    assert figures.verdict([], "loss") == "No run has a result yet."


def test_a_damaged_run_is_reported_and_not_overlooked(folder: Path) -> None:
    (folder / f"{1:012x}" / "result.json").write_text("{", encoding="utf-8")
    (folder / f"{2:012x}" / "status.json").write_text('{"id": 3}', encoding="utf-8")
    (folder / f"{3:012x}" / "result.json").unlink()
    rows = read_runs(folder)
    assert sum(not row.done for row in rows) == 4
    assert sum("damaged" in (row.error or "") for row in rows) == 3
    with pytest.raises(StoreError, match="is damaged"):
        Store(folder).states()


def test_the_table_has_a_line_for_every_run(folder: Path) -> None:
    table = list(csv.DictReader(io.StringIO(csv_text(read_runs(folder)))))
    assert len(table) == 12
    assert {row["state"] for row in table} == {"done", "failed"}
    assert table[0]["learner"] == "a"
    assert float(table[0]["loss"]) == pytest.approx(2.1 + 1 / 9)
    assert table[0]["after_shots"] == "8"


def test_synthetic_runs_of_the_benchmark_are_ordinary_ones(tmp_path: Path) -> None:
    synthetic(tmp_path, 60)
    rows = read_runs(tmp_path)
    assert (len(rows), sum(row.done for row in rows)) == (60, 58)
    assert len(settings_of(rows)) == 50


def test_the_live_table_says_how_far_how_long_and_the_best(folder: Path) -> None:
    from types import SimpleNamespace

    from rich.console import Console

    from metadialog_lite.runs.sweep import Progress
    from metadialog_lite.runs.table import LiveTable, clock

    rows = read_runs(folder)
    progress = Progress(total=20, skipped=2, kept=1, rows=rows)
    progress.started -= 120
    console = Console(width=120, file=io.StringIO(), force_terminal=True, color_system=None)
    table = LiveTable(progress, ["learner", "inner_lr", "seed"], SimpleNamespace(workers=2), "gap_closed",  # type: ignore[arg-type]
                      console)
    console.print(table.drawn())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "13 done, 2 failed, 5 to go of 20; 2 at a time; about 0:50 to go" in text
    assert "best so far: b, inner_lr 0.1, seed 0  loss 1.211, gap closed 0.800" in text
    assert rows[-1].id in text  # the last eight
    assert rows[0].id not in text
    assert clock(3700) == "1:01:40"
    quiet = Console(width=120, file=io.StringIO())
    LiveTable(progress, ["seed"], SimpleNamespace(workers=2), "loss", quiet).finished(rows[4])  # type: ignore[arg-type]
    assert quiet.file.getvalue() == f"15/20  {rows[4].id}  seed 1  failed: lost\n"  # type: ignore[attr-defined]

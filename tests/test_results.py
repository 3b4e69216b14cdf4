from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from metadialog_lite.paths import data_dir
from metadialog_lite.results import Result, Row, Seconds, commit, peak_mb, versions, write_text

FIELDS = ["schema", "learner", "world", "corpus", "seed", "split", "tasks", "query_turns", "rows", "jga",
          "act_accuracy", "bleu", "bleu_signature", "distinct", "perplexity", "vocabulary",
          "reference_label", "shift_of", "reference", "seconds", "parameters", "peak_mb", "versions", "commit",
          "options"]


def result(**more: Any) -> Result:
    rows = [Row(shots=k, capability="total", loss=3.0 - k / 10) for k in (0, 4)]
    return Result(**{"learner": "maml", "world": "w", "seed": 0, "split": "test", "tasks": 2, "query_turns": 3,
                     "rows": rows, **more})


def test_json_is_the_schema_of_version_1_and_reads_back() -> None:
    text = result(options={"inner_lr": 0.1}).to_json()
    fields = json.loads(text)
    assert list(fields) == FIELDS
    assert fields["schema"] == 1
    assert fields["jga"] is None
    assert list(fields["rows"][0]) == ["shots", "capability", "loss", "bayes", "prior", "regret", "low", "high",
                                       "gap_closed", "gap_low", "gap_high", "bayes_training_prior"]
    assert Result.model_validate_json(text).to_json() == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_nan_is_refused_wherever_it_stands(number: float) -> None:
    for make in (lambda: Row(shots=1, capability="act", loss=number), lambda: result(bleu=number),
                 lambda: result(perplexity={"4": number}), lambda: result(reference={"jga": number}),
                 lambda: Seconds(adapt=number)):
        with pytest.raises(ValidationError, match="write null"):
            make()


def test_unknown_fields_and_other_schemas_are_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        result(colour="blue")
    with pytest.raises(ValidationError, match="schema"):
        result(schema=2)
    with pytest.raises(ValidationError, match="capability"):
        Row(shots=1, capability="humour")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", sorted((data_dir() / "results").rglob("*.json")), ids=lambda path: path.stem)
def test_every_stored_result_still_loads(path: Path) -> None:
    """Fields are only ever added: a result that was written before one of them has null there."""
    text = path.read_text(encoding="utf-8")
    if "rows" not in json.loads(text):
        pytest.skip("no result of an evaluation")
    stored = Result.model_validate_json(text)
    assert stored.rows
    if stored.shift_of is None:
        assert {row.bayes_training_prior for row in stored.rows} == {None}


def test_a_result_of_before_the_latest_fields_loads() -> None:
    fields = json.loads(result().to_json())
    for name in ("reference_label", "shift_of"):
        del fields[name]
    for row in fields["rows"]:
        del row["bayes_training_prior"]
    assert Result.model_validate(fields) == result()


def test_row_by_shots() -> None:
    assert result().row(4).loss == pytest.approx(2.6)
    with pytest.raises(KeyError, match=r"no row for 5 shots.*\[0, 4\]"):
        result().row(5)


def test_write_is_atomic_and_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = result().write(tmp_path / "ordner ü" / "result 中.json")
    assert Result.model_validate_json(path.read_text(encoding="utf-8")).learner == "maml"
    other = path.with_name("other")
    other.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
    other.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    before = path.read_text(encoding="utf-8")
    with pytest.raises(OSError, match=r"result 中.json: cannot be written \(No space left on device\)"):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == before
    assert os.listdir(path.parent) == [path.name]
    with pytest.raises(OSError, match="cannot be written"):
        write_text(path / "below a file", "new")


def test_where_numbers_come_from() -> None:
    assert set(versions()) == {"metadialog_lite", "python", "torch"}
    assert (commit() or "a").isalnum()
    assert (peak_mb() or 1) > 0

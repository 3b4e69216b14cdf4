"""``metadialog-lite corpus check``, and the cache behind it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metadialog_lite.cli import app
from metadialog_lite.corpora import cache
from metadialog_lite.corpora.dialogues import ReadingReport
from metadialog_lite.corpora.load import find_corpus, read_dialogues
from tests import tiny_corpora as tiny

run = CliRunner()


@pytest.fixture
def sgd(tmp_path) -> Path:
    return tiny.write(tmp_path / "sgd", tiny.sgd())


def check(*arguments: str) -> tuple[int, dict]:
    done = run.invoke(app, ["corpus", "check", *arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_a_sound_corpus(sgd):
    code, found = check(str(sgd))
    assert code == 0
    assert (found["corpus"], found["task"], found["ok"], found["usable"]) == ("sgd", "service", True, True)
    assert found["dialogues"] == {"read": 88, "sound": 88, "left_out": 0}
    assert found["turns"] == 88 * 6
    assert found["tasks"]["ServiceA_1"] == 16 * 6
    assert found["slots"] == 2
    assert found["tasks_with_enough"] == {"4": 8, "8": 8, "16": 8, "32": 8}
    assert found["splits"]["test"] == ["ServiceE_1", "ServiceF_1", "ServiceG_1"]
    assert (found["official_split"], found["faults"]) == (True, [])


@pytest.mark.parametrize("kind", list(tiny.LAYOUTS))
def test_every_layout_is_recognised_and_shown(kind, tmp_path):
    folder = tiny.write(tmp_path, tiny.LAYOUTS[kind]())
    done = run.invoke(app, ["corpus", "check", str(folder)])
    assert done.exit_code == 0, done.output
    assert f"{kind} in " in done.stdout.replace("\n", " ")
    assert "nothing is damaged" in done.stdout
    assert check(f"{kind}:{folder}")[1]["corpus"] == kind


def test_damage_is_listed_and_the_exit_code_is_2(sgd):
    path = sgd / "train" / "dialogues_001.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content[1]["turns"][2]["frames"] = 3
    content[4]["turns"][0]["speaker"] = "[bold]ROBOT"
    path.write_text(json.dumps(content), encoding="utf-8")
    (sgd / "dev" / "dialogues_001.json").write_bytes(b"[")
    code, found = check(str(sgd))
    assert code == 2
    assert found["damaged"] == 3
    assert [(f["file"], f["dialogue"], f["field"]) for f in found["faults"]] == [
        ("train/dialogues_001.json", "ServiceA_1_00002", "turns.2.frames"),
        ("train/dialogues_001.json", "ServiceB_1_00000", "turns.0.speaker"), ("dev/dialogues_001.json", "", "")]
    done = run.invoke(app, ["corpus", "check", str(sgd)])
    assert done.exit_code == 2
    assert "damaged, and left out: 3" in done.stdout
    assert "ServiceB_1_00000: turns.0.speaker" in done.stdout
    assert "[bold]ROBOT" in done.stdout


def test_too_little_to_use_is_said_with_exit_code_2(tmp_path):
    code, found = check(str(tiny.write(tmp_path, tiny.sgd(dialogues=1, turns=2))))
    assert (code, found["ok"], found["usable"], found["shots"]) == (2, True, False, None)
    done = run.invoke(app, ["corpus", "check", str(tmp_path)])
    assert "too little for a train, a valid and a test service" in " ".join(done.stdout.split())


@pytest.mark.parametrize("path", ["/no/such/folder", ".", "sgd", "chitchat"])
def test_nothing_to_check_is_exit_code_2_with_one_message(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run.invoke(app, ["corpus", "check", path])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "Traceback" not in done.output


# The cache


@pytest.fixture
def cached(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("METADIALOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SMALLEST", 0)
    return tmp_path / "cache"


def read(path: Path) -> tuple[list, ReadingReport]:
    report = ReadingReport()
    kind, files = find_corpus(str(path))
    return list(read_dialogues(kind, files, report)), report


@pytest.mark.parametrize("kind", list(tiny.LAYOUTS))
def test_the_cache_gives_the_same_dialogues_and_the_same_report(kind, cached, tmp_path):
    folder = tiny.write(tmp_path / kind, tiny.LAYOUTS[kind]())
    (folder / "train").mkdir(exist_ok=True)
    (folder / "train" / "data.json.zip").write_bytes(b"no archive")  # a fault that must not be forgotten
    first, report = read(folder)
    (kept,) = cached.glob("*.jsonl.gz")
    again, second = read(folder)
    assert again == first
    assert (second.faults, second.damaged, second.entries) == (report.faults, report.damaged, report.entries)
    assert len(second.faults) == 1
    assert kept.name.startswith(kind)


def test_the_cache_is_really_read(sgd, cached):
    read(sgd)
    (kept,) = cached.glob("*.jsonl.gz")
    lines = gzip.decompress(kept.read_bytes()).decode().replace("I want", "I now want")
    kept.write_bytes(gzip.compress(lines.encode()))
    assert "I now want" in read(sgd)[0][0].exchanges[0].user


@pytest.mark.parametrize("damage", [b"", b"no gzip", None])
def test_a_damaged_cache_is_passed_over(damage, sgd, cached):
    first, _ = read(sgd)
    (kept,) = cached.glob("*.jsonl.gz")
    if damage is None:  # the last line is missing, as after a crash
        lines = gzip.decompress(kept.read_bytes()).splitlines(keepends=True)
        damage = gzip.compress(b"".join(lines[:-1]))
    kept.write_bytes(damage)
    assert read(sgd)[0] == first
    assert len(list(cached.iterdir())) == 1


def test_a_changed_file_is_read_again(sgd, cached):
    read(sgd)
    path = sgd / "train" / "dialogues_001.json"
    path.write_text(path.read_text(encoding="utf-8").replace("I want", "I seek"), encoding="utf-8")
    assert any("I seek" in dialogue.exchanges[0].user for dialogue in read(sgd)[0])


def test_an_interrupted_reading_leaves_no_cache(sgd, cached):
    kind, files = find_corpus(str(sgd))
    dialogues = iter(read_dialogues(kind, files, ReadingReport()))
    next(dialogues)
    dialogues.close()  # type: ignore[attr-defined]
    assert list(cached.iterdir()) == []


def test_old_caches_are_cleared_away_and_a_folder_that_cannot_be_made_costs_nothing(sgd, cached, monkeypatch, tmp_path):
    monkeypatch.setattr(cache, "KEPT", 2)
    for number in range(4):
        (sgd / "note.txt").write_text(str(number) * (number + 1))
        read(sgd)
    assert len(list(cached.glob("*.jsonl.gz"))) == 2
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("METADIALOG_CACHE", str(tmp_path / "file" / "cache"))
    assert len(read(sgd)[0]) == 88


def test_small_corpora_are_not_kept_and_the_usual_folder_is_the_users(sgd, tmp_path, monkeypatch):
    monkeypatch.setenv("METADIALOG_CACHE", str(tmp_path / "cache"))
    read(sgd)
    assert not (tmp_path / "cache").exists()
    monkeypatch.delenv("METADIALOG_CACHE")
    folder = cache.cache_folder()
    assert folder is not None
    assert "metadialog-lite" in folder.parts

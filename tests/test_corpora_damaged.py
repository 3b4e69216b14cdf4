"""Damaged, empty, huge and hostile files: a clear error or a counted fault, never a crash, and nothing is written."""

from __future__ import annotations

import json
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metadialog_lite.corpora import CorpusError, files, records
from metadialog_lite.corpora.check import summary
from metadialog_lite.corpora.dialogues import ReadingReport, printable
from metadialog_lite.corpora.files import CorpusFiles
from metadialog_lite.corpora.load import DamagedCorpusWarning, find_corpus, load_corpus, read_dialogues
from tests import tiny_corpora as tiny

ONE = {"sgd": "train/dialogues_001.json", "multiwoz": "data.json", "crosswoz": "train.json",
       "personachat": "train_self_original.txt"}


def read(path: Path | str) -> tuple[list[Any], ReadingReport]:
    report = ReadingReport()
    kind, found = find_corpus(str(path))
    return list(read_dialogues(kind, found, report)), report


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))}


@pytest.fixture
def sgd(tmp_path) -> Path:
    return tiny.write(tmp_path / "sgd", tiny.sgd())


def change(folder: Path, edit: Callable[[list[Any]], None]) -> None:
    path = folder / ONE["sgd"]
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")


# Fields of a dialogue


def _set(*where: Any, to: Any) -> Callable[[list[Any]], None]:
    def edit(content: list[Any]) -> None:
        target = content[2]
        for step in where[:-1]:
            target = target[step]
        target[where[-1]] = to

    return edit


@pytest.mark.parametrize(
    ("edit", "field", "problem"),
    [
        (_set("turns", 1, "utterance", to=None), "turns.1.utterance", "valid string, not None"),
        (_set("turns", 1, "utterance", to=float("nan")), "", "cannot be read to its end"),
        (_set("turns", 0, "speaker", to="ROBOT"), "turns.0.speaker", "pattern"),
        (_set("turns", to=[]), "turns", "at least 2 items"),
        (_set("turns", to={}), "turns", "valid list"),
        (_set("dialogue_id", to=""), "dialogue_id", "at least 1 character"),
        (_set("dialogue_id", to=7), "dialogue_id", "valid string"),
        (_set("turns", 0, "frames", 0, "state", "slot_values", to={"city": "no list"}),
         "turns.0.frames.0.state.slot_values.city", "valid list"),
        (_set("turns", 3, "utterance", to="x" * 20_001), "turns.3.utterance", "at most 20000 characters"),
        (_set("turns", to=[{}] * 1001), "turns", "at most 1000 items"),
    ],
)
def test_a_wrong_field_costs_one_dialogue_and_is_named(sgd, edit, field, problem):
    whole, _ = read(sgd)
    change(sgd, edit)
    found, report = read(sgd)
    fault = report.faults[0]
    assert fault.file == ONE["sgd"]
    assert fault.field == field
    assert problem in fault.problem
    if field:
        assert len(found) == len(whole) - 1 == report.entries - 1
        assert report.damaged == 1
        assert fault.dialogue == ("number 2" if field == "dialogue_id" else "ServiceA_1_00004")


def test_a_dialogue_that_is_no_object_and_one_that_stands_there_twice(sgd):
    change(sgd, lambda content: content.extend([17, None, content[0], content[0]]))
    _, report = read(sgd)
    assert [fault.dialogue for fault in report.faults] == ["number 16", "number 17"] + ["ServiceA_1_00000"] * 2
    assert "twice" in report.faults[2].problem


def test_loading_goes_on_without_the_damaged_and_says_so(sgd):
    change(sgd, _set("turns", to=3))
    with pytest.warns(DamagedCorpusWarning, match=r"sgd: 1 damaged entries of .* 'metadialog-lite corpus check'"):
        corpus = load_corpus(f"sgd:{sgd}")
    assert corpus.report.skipped["damaged"] == 1
    assert "turns: Input should be a valid list" in str(corpus.report)


def test_every_fault_is_listed_not_just_the_first(sgd):
    def edit(content: list[Any]) -> None:
        for place, dialogue in enumerate(content[:10]):
            dialogue["turns"][place % 3]["utterance"] = place

    change(sgd, edit)
    assert read(sgd)[1].damaged == 10


def test_a_flood_of_faults_is_counted_and_not_kept(sgd, monkeypatch):
    monkeypatch.setattr("metadialog_lite.corpora.dialogues.FAULTS_KEPT", 5)
    change(sgd, lambda content: content.extend([0] * 50))
    report = read(sgd)[1]
    assert (report.damaged, len(report.faults)) == (50, 5)


# Whole files


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"), (b" \n ", "is empty"), (b"<html>", "is no JSON"), (b"\x00" * 100, "is not in UTF-8"),
        ('[{"dialogue_id": "a"}]'.encode("utf-16"), "is not in UTF-8"), (b'[{"dialogue_id": "\xff\xfe"}]', "cannot be"),
        (b"[" * 200_000, "cannot be read"), (b'[{"turns":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", ""),
        (b'[{"turns": NaN}]', "cannot be read"), (b'[{"dialogue_id": 1' + b"0" * 5000 + b"}]", ""), (b"[1, 2", ""),
    ],
)
@pytest.mark.parametrize("kind", ["sgd", "multiwoz", "crosswoz"])
def test_a_file_that_is_none_of_this_kind(content, problem, kind, tmp_path):
    folder = tiny.write(tmp_path, tiny.LAYOUTS[kind]())
    (folder / ONE[kind]).write_bytes(content)
    _, report = read(f"{kind}:{folder}")
    assert report.damaged
    assert problem in report.faults[0].problem
    assert report.faults[0].file == ONE[kind]


@pytest.mark.parametrize("kind", list(tiny.LAYOUTS))
def test_a_truncated_file_keeps_what_stands_before_the_damage(kind, tmp_path):
    folder = tiny.write(tmp_path, tiny.LAYOUTS[kind]())
    whole, _ = read(folder)
    path = folder / ONE[kind]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    found, report = read(folder)
    assert len(whole) / 2 < len(found) < len(whole)
    assert {dialogue.id for dialogue in found} < {dialogue.id for dialogue in whole}
    if kind != "personachat":  # cut text is still text
        assert report.faults[-1].problem.startswith("cannot be read to its end, what stood before is kept")


def test_a_byte_order_mark_is_no_damage(sgd):
    path = sgd / ONE["sgd"]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(sgd)[1].damaged == 0


def test_personachat_lines(tmp_path):
    folder = tiny.write(tmp_path, tiny.personachat())
    path = folder / ONE["personachat"]
    text = path.read_bytes()
    path.write_bytes(b"no number\n1 no tab\n2 \t\n" + b"3 \xff\xfe\tx\n" + b"1 hi\tthere\n" + b"99999 x\n" + text)
    found, report = read(folder)
    problems = [(fault.field, fault.problem) for fault in report.faults]
    assert problems[:4] == [("line 1", "does not begin with a number"), ("line 2", "holds no user text, tab, response"),
                            ("line 3", "holds no user text, tab, response"), ("line 4", "is not in UTF-8")]
    assert ("your persona", "has no such line") in problems
    assert len(found) == 16 * 6 * 2


def test_a_line_without_end_does_not_fill_the_memory(tmp_path):
    folder = tiny.write(tmp_path, tiny.personachat())
    with (folder / ONE["personachat"]).open("ab") as file:
        file.write(b"1 " + b"x" * 3_000_000)
    _, report = read(folder)
    assert report.damaged
    assert max(len(line) for line in records.lines(CorpusFiles(folder), ONE["personachat"], report)) <= 2**20


# Archives and folders


def test_names_that_lead_outside_of_an_archive_are_refused(tmp_path):
    path = tiny.write_zip(tmp_path / "evil.zip", tiny.sgd())
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../../evil.json", "/etc/evil.json", "C:/evil.json", "train\\..\\..\\dialogues_9.json"):
            archive.writestr(name, "[]")
    _, report = read(path)
    assert [fault.problem for fault in report.faults] == ["has a name that leads outside of the archive"] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["evil.zip"]


def test_a_zip_bomb_is_refused_by_its_numbers(tmp_path):
    path = tiny.write_zip(tmp_path / "bomb.zip", tiny.sgd() | {"train/dialogues_003.json": "[" + " " * 20_000_000})
    _, report = read(path)
    assert "looks like a zip bomb" in report.faults[0].problem


def test_a_zip_bomb_that_lies_about_its_size_is_stopped(tmp_path):
    path = tmp_path / "liar.zip"
    tiny.write_zip(path, tiny.sgd() | {"train/dialogues_003.json": "[" + " " * 20_000_000 + "]"})
    size = struct.pack("<I", 20_000_002)
    data = path.read_bytes()
    assert data.count(size) == 2
    path.write_bytes(data.replace(size, struct.pack("<I", 1000)))
    _, report = read(path)
    assert any(fault.file == "train/dialogues_003.json" for fault in report.faults)


def test_more_than_is_allowed_is_refused(sgd, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 5000)
    path = tiny.write_zip(sgd.parent / "big.zip", tiny.sgd())
    for place in (sgd, path):
        found = CorpusFiles(place)
        assert any("at most 5000 are read" in why for _, why in found.refused)
    monkeypatch.setattr(files, "MOST_FILES", 3)
    with pytest.raises(CorpusError, match=r"more than 3 files; name the corpus's own folder"):
        CorpusFiles(tiny.write(sgd.parent / "many", {f"{i}.json": [] for i in range(5)}))


def test_a_damaged_archive_and_an_encrypted_member(tmp_path):
    path = tiny.write_zip(tmp_path / "c.zip", tiny.sgd())
    data = bytearray(path.read_bytes())
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(data[:300] + bytes(200) + data[500:])
    _, report = read(damaged)
    assert report.damaged
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    assert read(tmp_path / "locked.zip")[1].faults[0].problem == "is encrypted"
    (tmp_path / "cut.zip").write_bytes(data[:-300])
    with pytest.raises(CorpusError, match="neither a folder nor a"):
        load_corpus(str(tmp_path / "cut.zip"))


def test_crosswoz_parts_that_are_no_sound_archives(tmp_path):
    folder = tiny.write(tmp_path, tiny.crosswoz())
    (folder / "train.json").unlink()
    (folder / "train.json.zip").write_bytes(b"PK no")
    tiny.write_zip(folder / "more.json.zip", {"a.json": [], "b.json": []})
    _, report = read(folder)
    assert {fault.file for fault in report.faults} == {"train.json.zip", "more.json.zip"}


@pytest.mark.skipif(os.name == "nt", reason="links need a permission on Windows")
def test_links_that_lead_outside_and_devices_are_refused(sgd):
    outside = sgd.parent / "secret.json"
    outside.write_text("[]")
    (sgd / "train" / "dialogues_003.json").symlink_to(outside)
    (sgd / "train" / "dialogues_004.json").symlink_to("dialogues_004.json")  # to itself
    (sgd / "dev" / "loop").symlink_to(sgd)
    os.mkfifo(sgd / "train" / "dialogues_005.json")  # reading it would wait for ever
    (sgd / "train" / "dialogues_006.json").symlink_to("dialogues_001.json")  # inside: as if it stood there twice
    _, report = read(sgd)
    problems = {fault.file: fault.problem for fault in report.faults}
    assert problems["train/dialogues_003.json"] == "is a link to a file outside of the folder"
    assert "train/dialogues_004.json" in problems
    assert problems["train/dialogues_005.json"] == "is no ordinary file"
    assert "twice" in problems["train/dialogues_006.json"]


def test_a_file_that_goes_away_or_may_not_be_read_is_a_fault(sgd):
    found, report = CorpusFiles(sgd), ReadingReport()
    (sgd / ONE["sgd"]).unlink()
    from metadialog_lite.corpora import sgd as loader

    assert len(list(loader.read(found, report))) > 10
    assert report.faults[0].file == ONE["sgd"]


def test_signs_that_steer_a_terminal_are_not_passed_on(sgd):
    change(sgd, lambda content: content.append({"dialogue_id": "\x1b[2J\x07evil\n" + "x" * 500}))
    fault = read(sgd)[1].faults[0]
    assert fault.dialogue.startswith("�[2J�evil�xxx")
    assert len(fault.dialogue) <= 201
    assert printable("ok 你好") == "ok 你好"


# Nothing is written


@pytest.mark.parametrize("kind", list(tiny.LAYOUTS))
def test_nothing_is_written_into_the_corpus(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("metadialog_lite.corpora.cache.SMALLEST", 0)
    folder = tiny.write(tmp_path / "corpus", tiny.LAYOUTS[kind]())
    before = listing(folder)
    for cache in (tmp_path / "cache", folder, folder / "cache"):  # a cache in the corpus's folder would not be used
        monkeypatch.setenv("METADIALOG_CACHE", str(cache))
        load_corpus.cache_clear()
        load_corpus(str(folder))
        summary(str(folder))
        assert listing(folder) == before
    assert len(list((tmp_path / "cache").glob("*.jsonl.gz"))) == 1


# Mutations


def _mutated(data: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(changed))
        action = chance.randrange(5)
        if action == 0:
            changed[place] = chance.randrange(256)
        elif action == 1:
            del changed[place : place + chance.randint(1, 2000)]
        elif action == 2:
            changed[place:place] = changed[place : place + chance.randint(1, 2000)]
        elif action == 3:
            changed[place:place] = chance.choice([b"NaN", b"[" * 50, b'"', b"{}", b"null", b"\\ud800", b"1e999", b"\0"])
        else:
            changed = changed[: place + 1]
        changed = changed or bytearray(b" ")
    return bytes(changed)


def _swapped(value: Any, chance: random.Random) -> Any:
    """One random place in a JSON value gets something of another kind."""
    other = [None, True, -1, 1e308, "", "x" * 30, "\ud800", [], {}, [[]], {"": {}}, float("inf")]
    if not isinstance(value, dict | list) or not value or chance.random() < 0.1:
        return chance.choice(other)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = chance.choice(keys)
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = _swapped(value[key], chance)
    return copy


@pytest.fixture(scope="module", params=[*tiny.LAYOUTS, "multiwoz 2.2"])
def small(request, tmp_path_factory) -> tuple[Path, tiny.Files]:
    writer = tiny.LAYOUTS.get(request.param, tiny.multiwoz22)
    content = writer(dialogues=2)
    return tiny.write(tmp_path_factory.mktemp("fuzz"), content), content


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_mutated_bytes_never_crash_a_loader(small, seed):
    folder, content = small
    name = random.Random(seed).choice(sorted(content))
    path = folder / name
    data = path.read_bytes()
    try:
        path.write_bytes(_mutated(data, seed))
        _read_or_refuse(folder)
    finally:
        path.write_bytes(data)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_mutated_structures_never_crash_a_loader(small, seed):
    folder, content = small
    chance = random.Random(seed)
    names = [name for name in sorted(content) if not isinstance(content[name], str)]
    if not names:
        return
    path = folder / chance.choice(names)
    data = path.read_bytes()
    try:
        path.write_text(json.dumps(_swapped(json.loads(data), chance)), encoding="utf-8", errors="surrogatepass")
        _read_or_refuse(folder)
    finally:
        path.write_bytes(data)


def _read_or_refuse(folder: Path) -> None:
    """Either CorpusError with a message, or dialogues of sound types and a report that adds up."""
    try:
        found, report = read(folder)
    except CorpusError:
        return
    assert len(found) <= report.entries <= len(found) + report.damaged
    for dialogue in found:
        for exchange in dialogue.exchanges:
            texts = (exchange.task, exchange.user, exchange.response, *exchange.act, *exchange.values)
            assert all(isinstance(text, str) for text in texts)
            assert all(value.forms and all(isinstance(form, str) for form in value.forms) for value in exchange.state)
    json.dumps(summary(str(folder)), allow_nan=False)

"""What was read from a large corpus, kept in the user's own cache folder, so that the next start is quick.

The cache holds the dialogues as JSON lines (no pickle), packed. Its name is a hash of the loader's version, the name
and path of the corpus, and name, size and time of every file; a changed file makes another name. It never lies in
the corpus's folder. It may be deleted at any time; without it, or when it is damaged, the corpus is read again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from metadialog_lite.corpora.dialogues import Dialogue, Exchange, Fault, ReadingReport, State, Value
from metadialog_lite.corpora.files import CorpusFiles

VERSION = 1  # of all loaders: a change in what they read needs another number
SMALLEST = 10 * 2**20  # bytes; what is smaller is read faster than it is worth keeping
KEPT = 8  # caches; the oldest ones are deleted
_WRITTEN = "metadialog-lite corpus cache"


def cache_folder() -> Path | None:
    """``METADIALOG_CACHE``, or the system's folder for caches; None when neither can be told."""
    chosen = os.environ.get("METADIALOG_CACHE")
    if chosen:
        return Path(chosen)
    try:
        from platformdirs import user_cache_path
    except ImportError:
        return None
    return user_cache_path("metadialog-lite") / "corpora"


def cache_file(files: CorpusFiles, name: str) -> Path | None:
    """Where the dialogues of these files are kept; None for a small corpus, or where it would lie in the corpus."""
    folder = cache_folder()
    if folder is None or sum(files.sizes.values()) < SMALLEST:
        return None
    if files.path.is_dir() and folder.resolve().is_relative_to(files.path.resolve()):
        return None
    key = json.dumps([VERSION, name, str(files.path.resolve()), files.stamps])
    return folder / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.jsonl.gz"


def from_cache(path: Path, report: ReadingReport) -> list[Dialogue] | None:
    """The dialogues, with their report filled in; None when there is no cache or it is not whole."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        end = rows.pop()
        if end["written by"] != _WRITTEN or end["dialogues"] != len(rows):
            return None
        known: dict[Any, Any] = {}
        dialogues = [_dialogue(row, known) for row in rows]
        faults = [Fault(*fault) for fault in end["faults"]]
        entries, damaged = int(end["entries"]), int(end["damaged"])
        counts = Counter(end["counts"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    report.faults, report.entries, report.damaged, report.counts = faults, entries, damaged, counts
    return dialogues


def to_cache(path: Path, dialogues: Iterable[Dialogue], report: ReadingReport) -> Iterator[Dialogue]:
    """Pass the dialogues on and keep them on the way. A full disk or missing permission costs only the cache."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        os.close(handle)
    except OSError:
        yield from dialogues
        return
    count, writing = 0, True
    try:
        with gzip.open(temporary, "wt", encoding="utf-8", compresslevel=1) as file:
            for dialogue in dialogues:
                writing = writing and _write(file, dialogue)
                count += 1
                yield dialogue
            end = {"written by": _WRITTEN, "dialogues": count, "entries": report.entries, "damaged": report.damaged,
                   "faults": report.faults, "counts": report.counts}
            writing = writing and _write(file, end)
        if writing:
            os.replace(temporary, path)
            for old in sorted(path.parent.glob("*.jsonl.gz"), key=lambda file: file.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)
    except OSError:
        pass
    finally:
        Path(temporary).unlink(missing_ok=True)


def _write(file: Any, row: Any) -> bool:
    try:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except (OSError, ValueError):  # such as half a surrogate pair, which UTF-8 cannot hold
        return False
    return True


def _dialogue(row: list[Any], known: dict[Any, Any]) -> Dialogue:
    """The inverse of ``json.dumps(dialogue)``; equal states and acts become one object, which saves memory."""
    key, exchanges, official, group, about, touches = row
    return Dialogue(key, tuple(_exchange(known, *fields) for fields in exchanges), official, group, tuple(about),
                    tuple(touches))


def _exchange(
    known: dict[Any, Any], task: str, user: str, response: str, previous: list[Any], state: list[Any], act: list[str],
    values: list[str],
) -> Exchange:
    return Exchange(known.setdefault(task, task), user, response, _state(previous, known), _state(state, known),
                    known.setdefault(tuple(act), tuple(act)), tuple(values))


def _state(rows: list[Any], known: dict[Any, Any]) -> State:
    state = tuple(Value(slot, tuple(forms), free) for slot, forms, free in rows)
    found: State = known.setdefault(state, state)
    return found

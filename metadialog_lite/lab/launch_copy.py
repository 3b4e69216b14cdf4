"""The student's own copy of the notebooks: brought up to date, never overwritten.

``work/.shipped.json`` remembers, for every file placed in ``work/``, a digest of what was placed. A file that still
has this digest is untouched and may be replaced by a newer version; any other file belongs to the student.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

#: where the digests of what was placed are kept, inside the work folder
RECORD = ".shipped.json"


class CopyError(Exception):
    """The work folder can't be used, or a notebook's name is unknown; the message says what would be right."""


@dataclass(frozen=True)
class Change:
    """One thing done to the work folder: ``kind`` is new, updated, beside or restored."""

    kind: str
    name: str
    text: str


def refresh(shipped: Path, work: Path) -> list[Change]:
    """Bring ``work`` up to date with the notebooks in ``shipped``; what the student changed stays as it is.

    Raises:
        CopyError: the work folder can't be made or written.
    """
    changes: list[Change] = []
    record = _read_record(work)
    placed = dict(record)
    try:
        work.mkdir(parents=True, exist_ok=True)
        for name in shipped_names(shipped):
            content = (shipped / name).read_bytes()
            change = _refresh_one(work, name, content, placed)
            if change:
                changes.append(change)
        if placed != record:
            _write_record(work, placed)
    except OSError as error:
        raise _unusable(work, error) from error
    return changes


def start_over(shipped: Path, work: Path, asked: str) -> list[Change]:
    """Put a fresh copy of one notebook into ``work``; the student's version is kept under a dated name beside it.

    Raises:
        CopyError: no such notebook, or the work folder can't be written.
    """
    name = find_notebook(shipped, asked)
    content, target = (shipped / name).read_bytes(), work / name
    placed = _read_record(work)
    changes: list[Change] = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            if _digest(target.read_bytes()) == _digest(content):
                return [Change("same", name, f"{name} is already as shipped: nothing to do")]
            mine = _free(target, f"mine-{datetime.now():%Y%m%d-%H%M%S}")
            os.rename(target, mine)  # if we are stopped here, the next refresh puts the fresh copy back
            changes.append(Change("kept", mine.name, f"your version is kept as {mine.relative_to(work)}"))
        _write_whole(target, content)
        placed[name] = _digest(content)
        _write_record(work, placed)
    except OSError as error:
        raise _unusable(work, error) from error
    return [Change("restored", name, f"{name} is as shipped again"), *changes]


def shipped_names(shipped: Path) -> list[str]:
    """What belongs to the course, relative to the notebooks' folder with forward slashes, sorted."""
    files = (path for path in shipped.rglob("*") if path.is_file())
    names = (path.relative_to(shipped) for path in files)
    return sorted(n.as_posix() for n in names
                  if not any(p.startswith((".", "__")) for p in n.parts) and not _for_teachers(n))


def _for_teachers(name: Path) -> bool:
    """Of the assignments a student gets the release alone: no sources, no solutions."""
    return name.parts[0] == "exercises" and name.parts[1:2] != ("release",)


def find_notebook(shipped: Path, asked: str) -> str:
    """The shipped notebook a student means by "05", "05_meta_optimization" or "05_meta_optimization.ipynb".

    Raises:
        CopyError: none or several fit; the nearest names are given.
    """
    notebooks = [name for name in shipped_names(shipped) if name.endswith(".ipynb")]
    stems = {name: name.removesuffix(".ipynb") for name in notebooks}
    wanted = Path(asked.strip()).as_posix().removesuffix(".ipynb")
    exact = [name for name, stem in stems.items() if wanted in (stem, Path(stem).name)]
    starts = [name for name, stem in stems.items() if wanted and Path(stem).name.startswith(f"{wanted}_")]
    found = exact or starts
    if len(found) == 1:
        return found[0]
    if found:
        raise CopyError(f"'{asked}' fits several notebooks: say {' or '.join(stems[name] for name in found)}")
    near = difflib.get_close_matches(wanted, stems.values(), n=3, cutoff=0.3) or sorted(stems.values())
    raise CopyError(f"no notebook is called '{asked}'; did you mean {' or '.join(near)}?")


def _refresh_one(work: Path, name: str, content: bytes, placed: dict[str, str]) -> Change | None:
    """Place, replace, or leave one file; ``placed`` (name -> digest) is brought up to date."""
    target, new = work / name, _digest(content)
    last = placed.get(name)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_whole(target, content)
        placed[name] = new
        return Change("new", name, f"{name} is new")
    mine = _digest(target.read_bytes())
    if mine == new:
        placed[name] = new
        return None
    if mine == last:
        _write_whole(target, content)
        placed[name] = new
        return Change("updated", name, f"{name} is updated (you had not changed it)")
    placed[name] = new
    if last == new:
        return None  # the student's work on the version we ship
    beside = _beside(target, work, new, placed)
    _write_whole(beside, content)
    placed[beside.relative_to(work).as_posix()] = new
    return Change("beside", name, f"{name} has a new version; yours is untouched, the new one is {beside.name}")


def _beside(target: Path, work: Path, new: str, placed: dict[str, str]) -> Path:
    """NAME.new.ipynb, or, where the student has worked on that one too, NAME.new-2.ipynb and so on."""
    number = 1
    while True:
        label = "new" if number == 1 else f"new-{number}"
        path = target.with_name(f"{target.stem}.{label}{target.suffix}")
        ours = (new, placed.get(path.relative_to(work).as_posix()))
        if not path.exists() or _digest(path.read_bytes()) in ours:
            return path
        number += 1


def _free(target: Path, label: str) -> Path:
    """A name beside ``target`` that nothing has yet."""
    path, number = target.with_name(f"{target.stem}.{label}{target.suffix}"), 1
    while path.exists():
        number += 1
        path = target.with_name(f"{target.stem}.{label}-{number}{target.suffix}")
    return path


def _digest(content: bytes) -> str:
    """SHA-256 of what a student can change: the cells. JupyterLab rewrites a notebook's metadata just by opening it."""
    try:
        cells = json.loads(content)["cells"]
        parts = [[cell["cell_type"], _joined(cell["source"]), _joined(cell.get("outputs"))] for cell in cells]
        parts += [[cell.get("attachments"), cell.get("metadata", {}).get("tags")] for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError):
        return hashlib.sha256(content).hexdigest()  # a picture, or a file the student broke: every byte counts
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _joined(value: Any) -> Any:
    """Notebook files may hold a text whole or as a list of its lines: the same text."""
    if isinstance(value, dict):
        return {key: _joined(item) for key, item in value.items()}
    if isinstance(value, list):
        return "".join(value) if value and all(isinstance(v, str) for v in value) else [_joined(v) for v in value]
    return value


def _write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing: a temporary file beside it takes its place in one step, also when the disk is full."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes it private, an ordinary file is not
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read_record(work: Path) -> dict[str, str]:
    """Name -> digest. Missing or damaged: empty, and then every differing file counts as the student's."""
    try:
        loaded = json.loads((work / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    files = loaded.get("files") if isinstance(loaded, dict) else None
    return {str(k): str(v) for k, v in files.items()} if isinstance(files, dict) else {}


def _write_record(work: Path, placed: dict[str, str]) -> None:
    text = json.dumps({"schema": 1, "files": dict(sorted(placed.items()))}, indent=1)
    _write_whole(work / RECORD, text.encode())


def _unusable(work: Path, error: OSError) -> CopyError:
    reason = error.strerror or type(error).__name__
    return CopyError(
        f"can't write {error.filename or work}: {reason}. Your notebooks live in '{work}'; "
        "make that folder writable, free some space, or choose another one with --work FOLDER"
    )

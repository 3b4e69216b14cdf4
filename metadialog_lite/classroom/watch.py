"""What a submission must not touch: remembered before its run, compared and put back afterwards.

This *detects* a change; it does not prevent one, and it sees only the folders it was told to watch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One file or link: its content (kept, so that it can be put back) and its permissions."""

    content: bytes
    mode: int
    link: bool

    @property
    def digest(self) -> bytes:
        """Hash of all three."""
        return blake2b(self.content + self.mode.to_bytes(4, "big") + bytes([self.link])).digest()


class Watch:
    """Remembers the files of some folders when it is made.

    Example:
        >>> watch = Watch([course_folder, package_folder])  # doctest: +SKIP
        >>> changed = watch.put_back()                      # after the run: what had changed, and is restored
    """

    def __init__(self, folders: Iterable[Path]):
        self.folders = [folder.resolve() for folder in folders]
        self.before = self._read()
        self.digests = {path: entry.digest for path, entry in self.before.items()}

    def _read(self) -> dict[Path, Entry]:
        found = {}
        for folder in self.folders:
            for parent, folders, names in os.walk(folder):
                for name in [*names, *folders]:
                    path = Path(parent) / name
                    if (name in names or path.is_symlink()) and (entry := _entry(path)) is not None:
                        found[path] = entry
        return found

    def put_back(self) -> list[str]:
        """Restore every file that was changed, deleted or added; returns what had happened, one line each.

        New files of Python's own byte-code cache are removed without a word: any process that imports a module may
        write them. A changed one counts like every other file.
        """
        after, said = self._read(), []
        for path, entry in self.before.items():
            if path not in after or after[path].digest != self.digests[path]:
                said.append(f"{'changed' if path in after else 'deleted'} {self._name(path)}")
                _write(path, entry)
        for path in after.keys() - self.before.keys():
            if "__pycache__" not in path.parts:
                said.append(f"added {self._name(path)}")
            path.unlink(missing_ok=True)
        return sorted(said)

    def _name(self, path: Path) -> str:
        folder = next(folder for folder in self.folders if path.is_relative_to(folder))
        return str(path.relative_to(folder.parent))


def _entry(path: Path) -> Entry | None:
    try:
        if path.is_symlink():
            return Entry(os.fsencode(os.readlink(path)), 0, True)
        if not path.is_file():  # a pipe or a socket: nothing that could be read or put back
            return Entry(b"", 0, False)
        return Entry(path.read_bytes(), path.stat().st_mode & 0o7777, False)
    except OSError:  # gone between the listing and the reading
        return None


def _write(path: Path, entry: Entry) -> None:
    if path.parent.is_symlink() or not path.parent.is_dir():
        path.parent.unlink(missing_ok=True)
        path.parent.mkdir(parents=True)
    if path.is_symlink() or path.exists():
        path.unlink()
    if entry.link:
        os.symlink(os.fsdecode(entry.content), path)
    else:
        path.write_bytes(entry.content)
        path.chmod(entry.mode)

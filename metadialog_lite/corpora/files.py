"""The files of a corpus in a folder or a ``.zip``: read only, within bounds, and never outside of what was named.

Nothing is ever unpacked to disk or written. A file comes from somebody else, so everything that it says of itself
(names, sizes, links) is checked and not believed.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import IO, cast

from metadialog_lite.corpora.conversations import CorpusError
from metadialog_lite.corpora.dialogues import printable

MOST_FILES = 5000  # in a corpus; SGD, the one with most files, has about 200
DEEPEST = 4  # folders below the one that was named
MOST_BYTES = 2 * 2**30  # of one file, unpacked
MOST_PACKED = 2**28  # of an archive inside an archive, which is held in memory
MOST_TIMES = 300  # how many times larger a packed file may become; JSON packs to about a tenth
DAMAGED = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)  # while reading


class _Bounded(io.RawIOBase):
    """A stream that ends with an error after ``most`` bytes, whatever the archive promised, and tells its progress."""

    def __init__(self, inner: IO[bytes], most: int, name: str, told: Callable[[int], None]) -> None:
        self._inner, self._most, self._name, self._told, self._read = inner, most, name, told, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        self._read += len(data)
        if self._read > self._most:
            raise OSError(f"becomes larger than {self._most} bytes when it is unpacked: refused")
        self._told(len(data))
        buffer[: len(data)] = data
        return len(data)


class CorpusFiles:
    """The files below one folder, or inside one ``.zip``; a ``NAME.json.zip`` among them reads as ``NAME.json``.

    Args:
        path: what the user named.

    Attributes:
        sizes: name with "/" between folders -> bytes, unpacked; ordered by name.
        refused: (name, why) of what is not read: links that lead outside, names that do, devices, bombs.
        on_bytes: called with the number of bytes after every piece that was read; for a progress bar.

    Raises:
        CorpusError: when there is no such folder or archive, or it can't be a corpus at all.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser()
        self.sizes: dict[str, int] = {}
        self.refused: list[tuple[str, str]] = []
        self.on_bytes: Callable[[int], None] = lambda count: None
        self._packed: dict[str, str] = {}  # name -> name of the archive in the folder that holds it
        self._stamps: list[tuple[str, int, int]] = []
        self._archive: Path | None = None
        try:
            if self.path.is_dir():
                self._list_folder()
            elif self.path.is_file() and zipfile.is_zipfile(self.path):
                self._archive = self.path
                info = self.path.stat()
                self._stamps.append(("", info.st_size, info.st_mtime_ns))
                self._list_archive(self.path)
            elif self.path.exists():
                raise CorpusError(f"{self.path}: is neither a folder nor a .zip; name the corpus's folder, or the "
                                  ".zip it came in")
            else:
                raise CorpusError(f"{self.path}: there is no such folder or file")
        except DAMAGED as error:
            raise CorpusError(f"{self.path}: cannot be read ({error})") from error
        self.sizes = dict(sorted(self.sizes.items()))

    @property
    def stamps(self) -> list[tuple[str, int, int]]:
        """(name, size, time of the last change in ns) of every file on the disk: a change in them is a change."""
        return sorted(self._stamps)

    def matching(self, pattern: str) -> list[str]:
        """Names that fit a pattern such as ``train/dialogues_*.json``, at the top or in one folder below it."""
        return [name for name in self.sizes if fnmatch(name, pattern) or fnmatch(name, f"*/{pattern}")]

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file as bytes. What goes wrong while reading raises one of DAMAGED."""
        most = min(MOST_BYTES, self.sizes[name])
        inner = self._packed.get(name)
        if self._archive is None and inner is None:
            flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            with os.fdopen(os.open(self._real(name), flags), "rb") as file:
                yield self._bounded(file, most, name)
            return
        with zipfile.ZipFile(self._archive or self._real(inner or "")) as archive:
            if self._archive is not None and inner is not None:  # an archive in an archive
                held = io.BytesIO(archive.read(inner))
                with zipfile.ZipFile(held) as second, second.open(_only_json(second)) as file:
                    yield self._bounded(file, most, name)
            else:
                with archive.open(name if inner is None else _only_json(archive)) as file:
                    yield self._bounded(file, most, name)

    def _bounded(self, file: IO[bytes], most: int, name: str) -> IO[bytes]:
        bounded = _Bounded(file, most, name, lambda count: self.on_bytes(count))
        return cast("IO[bytes]", io.BufferedReader(bounded, 2**16))

    def _real(self, name: str) -> Path:
        """The file behind a name, links resolved (they were found to stay inside)."""
        return (self.path / name).resolve()

    def _list_folder(self) -> None:
        root = self.path.resolve()
        for folder, below, names in os.walk(root):
            here = Path(folder)
            depth = len(here.relative_to(root).parts)
            below[:] = sorted(name for name in below if not name.startswith(".")) if depth < DEEPEST else []
            for name in sorted(names):
                path = here / name
                relative = path.relative_to(root).as_posix()
                try:
                    if path.is_symlink() and not path.resolve().is_relative_to(root):
                        self.refused.append((printable(relative), "is a link to a file outside of the folder"))
                        continue
                    info = path.stat()
                except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
                    self.refused.append((printable(relative), f"cannot be read ({printable(error, 80)})"))
                    continue
                if not stat.S_ISREG(info.st_mode):
                    self.refused.append((printable(relative), "is no ordinary file"))
                    continue
                self._stamps.append((relative, info.st_size, info.st_mtime_ns))
                if name.endswith(".json.zip"):
                    self._add_packed(relative, path)
                else:
                    self._add(relative, info.st_size)

    def _list_archive(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                pure = PurePosixPath(info.filename.replace("\\", "/"))
                if info.is_dir() or pure.name.startswith(".") or "__MACOSX" in pure.parts:
                    continue
                reason = _refusal(info)
                if reason:
                    self.refused.append((printable(info.filename), reason))
                elif info.filename.endswith(".json.zip"):
                    if info.file_size > MOST_PACKED:
                        self.refused.append((printable(info.filename), f"has more than {MOST_PACKED} bytes packed"))
                    else:
                        self._add_packed(info.filename, io.BytesIO(archive.read(info)))
                elif len(pure.parts) <= DEEPEST + 1:
                    self._add(info.filename, info.file_size)

    def _add_packed(self, name: str, archive: Path | IO[bytes]) -> None:
        """``val.json.zip``: an archive that holds one .json file."""
        try:
            with zipfile.ZipFile(archive) as inside:
                only = inside.getinfo(_only_json(inside))
                reason = _refusal(only)
                if reason:
                    self.refused.append((printable(name), reason))
                    return
                self._packed[name.removesuffix(".zip")] = name
                self._add(name.removesuffix(".zip"), only.file_size)
        except DAMAGED as error:
            self.refused.append((printable(name), f"is no sound archive ({printable(error)})"))

    def _add(self, name: str, size: int) -> None:
        if size > MOST_BYTES:
            self.refused.append((printable(name), f"has {size} bytes; at most {MOST_BYTES} are read"))
            return
        self.sizes.setdefault(name, size)
        if len(self.sizes) > MOST_FILES:
            raise CorpusError(f"{self.path}: has more than {MOST_FILES} files; name the corpus's own folder")


def _refusal(info: zipfile.ZipInfo) -> str | None:
    """Why a member of an archive is not read, or None."""
    pure = PurePosixPath(info.filename.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or (pure.parts and ":" in pure.parts[0]):
        return "has a name that leads outside of the archive"
    if info.flag_bits & 1:
        return "is encrypted"
    if info.file_size > MOST_BYTES:
        return f"has {info.file_size} bytes unpacked; at most {MOST_BYTES} are read"
    if info.file_size > MOST_TIMES * max(info.compress_size, 1000):
        return f"would grow from {info.compress_size} to {info.file_size} bytes: looks like a zip bomb"
    return None


def _only_json(archive: zipfile.ZipFile) -> str:
    names = [info.filename for info in archive.infolist()
             if info.filename.endswith(".json") and not info.filename.startswith("__MACOSX")]
    if len(names) != 1:
        raise zipfile.BadZipFile(f"holds {len(names)} .json files; it should be one")
    return names[0]

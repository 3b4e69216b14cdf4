"""Dialogue after dialogue out of JSON files of any size, each checked field by field.

``ijson`` reads a file piece by piece, so that a file of a gigabyte needs no gigabyte of memory, and all dialogues that
stand before a damage are found. ``pydantic`` says which field of a dialogue is wrong; the dialogue is then left out,
noted in the report, and the reading goes on.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from metadialog_lite.corpora.conversations import CorpusError
from metadialog_lite.corpora.dialogues import ReadingReport, printable
from metadialog_lite.corpora.files import DAMAGED, CorpusFiles

LONGEST_TEXT = 20_000  # signs of one utterance; what is longer is no utterance
MOST_TURNS = 1_000  # of one dialogue
DEEPEST = 4_000  # brackets in brackets; ijson needs memory that grows with the square of the depth
_SLICE = 2_048  # bytes; brackets are counted slice by slice


class Record(BaseModel):
    """Base of what is read: types are checked strictly, unknown fields are passed over."""

    model_config = ConfigDict(strict=True, extra="ignore", str_max_length=LONGEST_TEXT)


Kind = TypeVar("Kind", bound=Record)


def _ijson() -> Any:
    try:
        import ijson
    except ImportError as error:
        raise CorpusError("corpora in files need the package 'ijson': pip install metadialog-lite[corpora]") from error
    return ijson


def stream(files: CorpusFiles, name: str, report: ReadingReport) -> Iterator[tuple[str, Any]]:
    """(key, value) of a JSON object, or ("0", item), ("1", item), ... of a JSON list, one at a time.

    What is damaged ends the file with a fault in ``report``; all that stood before it has been given by then.
    """
    ijson = _ijson()
    try:
        with files.open(name) as file:
            start = file.peek(1024)  # type: ignore[attr-defined]
            problem = _not_json(start)
            if problem:
                report.fault(name, problem=problem)
                return
            if start.startswith(codecs.BOM_UTF8):
                file.read(len(codecs.BOM_UTF8))
            shallow = _Shallow(file)
            if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
                yield from ((str(i), item) for i, item in enumerate(ijson.items(shallow, "item", use_float=True)))
            else:
                yield from ijson.kvitems(shallow, "", use_float=True)
    except (ijson.JSONError, UnicodeError, ValueError, RecursionError, MemoryError, *DAMAGED) as error:
        report.fault(name, problem=f"cannot be read to its end, what stood before is kept ({_short(error)})")


class _Shallow:
    """Passes a file on, and ends with an error where it is nested too deeply.

    Counts brackets without looking which of them stand in texts; those are few and mostly come in pairs.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._depth = file, 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        for start in range(0, len(data), _SLICE):
            part = data[start : start + _SLICE]
            opened = part.count(b"[") + part.count(b"{") - part.count(b"]") - part.count(b"}")
            self._depth = max(0, self._depth + opened)
            if self._depth > DEEPEST:
                raise ValueError(f"is nested more than {DEEPEST} deep")
        return data


def _not_json(start: bytes) -> str | None:
    if not start.strip():
        return "is empty"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in start[:64]:
        return "is not in UTF-8 (it looks like UTF-16): save it as UTF-8"
    if start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] not in (b"[", b"{"):
        return "is no JSON: it must begin with [ or {"
    return None


def checked(kind: type[Kind], value: Any, file: str, dialogue: str, report: ReadingReport) -> Kind | None:
    """``value`` as a record, or None with the first wrong field noted in ``report``."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        got = "" if isinstance(first["input"], dict | list) else f", not {printable(repr(first['input']), 40)}"
        report.fault(file, dialogue, where, f"{first['msg']}{got}")
    except RecursionError:
        report.fault(file, dialogue, problem="is nested too deeply")
    return None


def whole(files: CorpusFiles, name: str, report: ReadingReport) -> Any:
    """All of a small JSON file; None with a fault when it is damaged."""
    found = list(stream(files, name, report))
    return [value for _, value in found] if found and found[0][0] == "0" else dict(found)


def lines(files: CorpusFiles, name: str, report: ReadingReport) -> Iterator[str]:
    """The lines of a text file in UTF-8; a line in another encoding is left out and noted."""
    try:
        with files.open(name) as file:
            for number, line in enumerate(_short_lines(file), 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError:
                    report.fault(name, field=f"line {number}", problem="is not in UTF-8")
    except DAMAGED as error:
        report.fault(name, problem=f"cannot be read to its end, what stood before is kept ({_short(error)})")


def _short_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines of at most a megabyte: a longer one comes in pieces."""
    while line := file.readline(2**20):
        yield line


def _short(error: BaseException) -> str:
    return printable(str(error).strip().split("\n")[0] or type(error).__name__, 120)

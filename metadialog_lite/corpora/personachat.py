"""ConvAI2 and Persona-Chat (Zhang et al. 2018, arXiv 1801.07243): ``train|valid|test_self_original.txt``.

A **task is a persona**: all dialogues whose speaker was given the same sentences ("i like to remodel homes."). The
sentences themselves are not shown to a model; what they are, it has to pick up from the support. No state, no act.

The files hold many conversations twice, once from each side, with user and response swapped. Both sides get the same
group, so that no sentence of a held-out persona is seen in training as what "the other one" said.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from metadialog_lite.corpora.dialogues import Dialogue, Exchange, ReadingReport
from metadialog_lite.corpora.files import CorpusFiles
from metadialog_lite.corpora.records import LONGEST_TEXT, MOST_TURNS, lines
from metadialog_lite.corpora.task_splits import Kind, TaskLimits

PARTS = ("train", "valid", "test")
KIND = Kind("personachat", "persona", ("response",), limits=TaskLimits(user=48, response=32, vocabulary=2000))
_PERSONA = "your persona: "
_PARTNER = "partner's persona: "
_SILENCE = "__SILENCE__"  # the speaker opens the conversation
_LINE = re.compile(r"([0-9]{1,4}) (.*)")


class _Block(NamedTuple):
    number: int
    persona: list[str]
    pairs: list[tuple[str, str]]


def recognise(files: CorpusFiles) -> bool:
    """Whether the files look like this corpus."""
    return any(_files_of(files, part) for part in PARTS)


def _files_of(files: CorpusFiles, part: str) -> list[str]:
    """The part with or without candidates; never both."""
    return (files.matching(f"{part}_self_original.txt") or files.matching(f"{part}_self_original_no_cands.txt"))[:1]


def read(files: CorpusFiles, report: ReadingReport) -> Iterator[Dialogue]:
    """All sound dialogues, one at a time."""
    for part in PARTS:
        for name in _files_of(files, part):
            for block in _blocks(files, name, report):
                report.entries += 1
                problem = _problem(block)
                if problem:
                    report.fault(name, f"number {block.number}", *problem)
                    continue
                about = tuple(sorted(block.persona))
                task = hashlib.sha256("\n".join(about).lower().encode()).hexdigest()[:8]
                exchanges = tuple(Exchange(task, user, response) for user, response in block.pairs if user != _SILENCE)
                said = [text for pair in block.pairs for text in pair if text != _SILENCE]
                group = hashlib.sha256("\n".join(said[:4]).lower().encode()).hexdigest()[:16]
                yield Dialogue(f"{part} {block.number:06d}", exchanges, part, group, about)


def _problem(block: _Block) -> tuple[str, str] | None:
    """(field, what is wrong) of a dialogue that can't be used."""
    if not block.persona:
        return "your persona", "has no such line"
    if not block.pairs:
        return "turns", "has none"
    if len(block.pairs) > MOST_TURNS:
        return "turns", f"has {len(block.pairs)}; at most {MOST_TURNS} are possible"
    return None


def _blocks(files: CorpusFiles, name: str, report: ReadingReport) -> Iterator[_Block]:
    """Every line begins with its number; a dialogue ends where the numbers begin anew."""
    block, last = _Block(0, [], []), 0
    for place, line in enumerate(lines(files, name, report), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            report.fault(name, f"number {block.number}", f"line {place}", "does not begin with a number")
            continue
        number, text = int(found[1]), found[2]
        if number <= last and (block.persona or block.pairs):
            yield block
            block = _Block(block.number + 1, [], [])
        last = number
        if text.startswith(_PERSONA):
            block.persona.append(text.removeprefix(_PERSONA).strip())
        elif not text.startswith(_PARTNER):
            user, _, rest = text.partition("\t")
            response = rest.partition("\t")[0].strip()
            if not user.strip() or not response or len(user) + len(response) > LONGEST_TEXT:
                report.fault(name, f"number {block.number}", f"line {place}", "holds no user text, tab, response")
            elif len(block.pairs) <= MOST_TURNS:
                block.pairs.append((user.strip(), response))
    if block.persona or block.pairs:
        yield block

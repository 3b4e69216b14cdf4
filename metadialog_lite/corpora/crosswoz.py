"""CrossWOZ (Zhu et al. 2020, arXiv 2002.11893), in Chinese: ``train|val|test.json`` or ``.json.zip``.

A **task is a combination of domains**, such as 景点+酒店+餐馆 (sights, hotels, restaurants), which the goal is about.
The state holds all domains, as ``餐馆 评分 = 4.5分以上``. It is ``sys_state_init``, the first data base query
of the turn, which has what the user asked for; ``sys_state`` is the last one, in which the system may have given up
some of it to find anything (``data/crosswoz/README.md`` of thu-coai/CrossWOZ).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from metadialog_lite.corpora.dialogues import Dialogue, Exchange, ReadingReport, State, Value, plain
from metadialog_lite.corpora.files import CorpusFiles
from metadialog_lite.corpora.records import MOST_TURNS, Record, checked, stream
from metadialog_lite.corpora.task_splits import Kind, TaskLimits

PARTS = ("train", "val", "test")
KIND = Kind("crosswoz", "combination", ("state", "act", "response"), "zh",
            TaskLimits(user=64, response=64, state=96, act=48, vocabulary=3000))


class _Message(Record):
    content: str
    role: str = Field(pattern="^(usr|sys)$")
    dialog_act: list[list[str]] = Field(default_factory=list)
    sys_state_init: dict[str, dict[str, str | list[Any]]] | None = None


class _Dialogue(Record):
    goal: list[list[Any]] = Field(min_length=1)
    messages: list[_Message] = Field(min_length=2, max_length=MOST_TURNS)


def recognise(files: CorpusFiles) -> bool:
    """Whether the files look like this corpus: ``val.json`` or another part, and ``sys_state_init`` early in it."""
    for name in _parts(files):
        with files.open(name) as file:
            if b'"sys_state_init"' in file.read(100_000):
                return True
    return False


def _parts(files: CorpusFiles) -> list[str]:
    return [name for part in PARTS for name in files.matching(f"{part}.json")]


def read(files: CorpusFiles, report: ReadingReport) -> Iterator[Dialogue]:
    """All sound dialogues, one at a time."""
    seen: set[str] = set()
    for name in _parts(files):
        for key, raw in stream(files, name, report):
            report.entries += 1
            record = checked(_Dialogue, raw, name, key, report)
            if record is None:
                continue
            task = "+".join(sorted({str(row[1])[:20] for row in record.goal if len(row) > 1 and row[1]}))
            if not task:
                report.fault(name, key, "goal", "names no domain")
            elif key in seen:
                report.fault(name, key, problem="stands there twice; the first one is used")
            else:
                seen.add(key)
                yield Dialogue(key, tuple(_exchanges(record, task)))


def _exchanges(record: _Dialogue, task: str) -> Iterator[Exchange]:
    previous: State = ()
    for user, system in zip(record.messages, record.messages[1:]):
        if (user.role, system.role) != ("usr", "sys") or system.sys_state_init is None:
            continue
        state = tuple(
            Value(plain(f"{domain} {slot}"), (value.strip(),))
            for domain, slots in sorted(system.sys_state_init.items()) for slot, value in sorted(slots.items())
            if isinstance(value, str) and value.strip()
        )
        acts = [act for act in system.dialog_act if len(act) == 4]
        names = {plain(" ".join(part for part in act[:3] if part != "none")).lower() for act in acts}
        values = dict.fromkeys(act[3] for act in acts if act[3] not in ("", "none") and act[3] in system.content)
        yield Exchange(task, user.content, system.content, previous, state, tuple(sorted(names)), tuple(values))
        previous = state

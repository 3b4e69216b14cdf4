"""From raw corpus entries to clean conversations between two people, and an account of what was left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from metadialog_lite.corpora.filters import ClassroomFilter

#: Stands between the messages that one person sends in a row ("hi / how are you"): whether somebody
#: writes one long message or three short ones is a habit that a learner can pick up.
BREAK = "/"
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class CorpusError(ValueError):
    """A corpus is missing, damaged, or has less than what was asked for; the message says which."""


class Group(NamedTuple):
    """What one person says until the other one answers: the sentences of one or more messages."""

    speaker: str
    sentences: tuple[str, ...]  # the first sentence of every message but the first begins with BREAK


class Conversation(NamedTuple):
    """Two people taking turns; neighbouring groups have different speakers."""

    id: str
    groups: tuple[Group, ...]


@dataclass
class CorpusReport:
    """What became of every entry of the corpus. ``print(report)`` shows it as a list."""

    entries: int = 0
    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)  # reason -> conversations
    notes: Counter[str] = field(default_factory=Counter)  # harmless defects -> number, nothing was skipped for them
    turns: Counter[str] = field(default_factory=Counter)  # what became of the turns of the tasks' speakers
    speakers: Counter[str] = field(default_factory=Counter)  # split -> tasks' speakers

    def __str__(self) -> str:
        lines = [f"conversations: {self.entries} read, {self.kept} kept"]
        for title in ("skipped", "notes", "turns", "speakers"):
            counts: Counter[str] = getattr(self, title)
            lines += [f"{title}:", *(f"  {count:7d}  {name}" for name, count in counts.most_common())]
        return "\n".join(lines)


def read_conversations(
    raw: Mapping[str, Any], classroom: ClassroomFilter, shortest: int, report: CorpusReport
) -> list[Conversation]:
    """The usable conversations of ``raw``, in the order of their ids; the rest is counted in ``report``.

    Args:
        raw: conversation id -> ``{"messages": [[{"text", "sender", ...}, ...], ...], "prompt", "ratings", ...}``.
        shortest: a conversation needs at least so many groups.

    Raises:
        CorpusError: when ``raw`` is no mapping at all.
    """
    if not isinstance(raw, Mapping):
        raise CorpusError(f"a corpus is a mapping of conversations by id, not {type(raw).__name__}")
    kept = []
    for key in sorted(raw, key=str):
        report.entries += 1
        entry = raw[key]
        if isinstance(entry, Mapping):
            for name in ("prompt", "ratings"):
                report.notes[f"conversations without {name}"] += not entry.get(name)
        messages = _messages(entry)
        if messages is None:
            report.skipped["damaged: wrong types or missing fields"] += 1
            continue
        spoken = [(speaker, text) for speaker, text in messages if text]
        report.notes["empty messages"] += len(messages) - len(spoken)
        conversation = Conversation(str(key), _groups(spoken))
        reason = _unusable(conversation, shortest) or classroom.reason("\n".join(text for _, text in spoken))
        if reason:
            report.skipped[reason] += 1
        else:
            kept.append(conversation)
    report.kept = len(kept)
    return kept


def _messages(entry: Any) -> list[tuple[str, str]] | None:
    """(sender, text without outer blanks) of every message; None for an entry of another structure."""
    groups = entry.get("messages") if isinstance(entry, Mapping) else None
    if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
        return None
    found = []
    for message in (message for group in groups for message in group):
        text = message.get("text") if isinstance(message, Mapping) else None
        sender = message.get("sender") if isinstance(message, Mapping) else None
        if not isinstance(text, str) or not isinstance(sender, str) or not sender:
            return None
        found.append((sender, text.strip()))
    return found


def _groups(messages: list[tuple[str, str]]) -> tuple[Group, ...]:
    groups = []
    for speaker, said in groupby(messages, key=lambda message: message[0]):
        sentences: list[str] = []
        for number, (_, text) in enumerate(said):
            first, *others = SENTENCE_END.split(text)
            sentences += [f"{BREAK} {first}" if number else first, *others]
        groups.append(Group(speaker, tuple(sentences)))
    return tuple(groups)


def _unusable(conversation: Conversation, shortest: int) -> str | None:
    people = {group.speaker for group in conversation.groups}
    if len(people) < 2:
        return "empty, or nobody answered"
    if len(people) > 2:
        return "more than two people"
    if len(conversation.groups) < shortest:
        return f"shorter than {shortest} message groups"
    return None

"""What every loader makes of its corpus: dialogues with states and acts as plain text, before they become tokens.

A **state** (对话状态) is written as text, in the style of SimpleTOD:
``category = museum ; city = los angeles``, slots in
the order of the alphabet, and ``-`` while nothing is known. An **act** (系统行为) is written without values:
``offer attraction name ; request city``. So a model reads and says both as it reads and says sentences.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from metadialog_lite.corpora.conversations import CorpusReport
from metadialog_lite.turns import EMPTY

#: Most faults that are kept with all their details; further ones are only counted.
FAULTS_KEPT = 1000
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])(?![。！？])")


class Value(NamedTuple):
    """One slot of a state with every surface form that counts as right."""

    slot: str
    forms: tuple[str, ...]  # the first one is the target that a model learns to say
    free: bool = False  # no fixed list of values (non-categorical): judged by similarity as well


State = tuple[Value, ...]


class Exchange(NamedTuple):
    """The user speaks and the system answers: one turn, in text."""

    task: str  # the service, domain, ... that this turn is about; tasks are made of these
    user: str
    response: str
    previous: State = ()
    state: State = ()  # of this task alone, after the user has spoken
    act: tuple[str, ...] = ()  # such as ("offer name", "request city"), each once, in the order of the alphabet
    values: tuple[str, ...] = ()  # slot values that the response mentions: what must not be got wrong


class Dialogue(NamedTuple):
    """One dialogue of a corpus."""

    id: str
    exchanges: tuple[Exchange, ...]
    official: str = ""  # the corpus's own split: train, valid, test, or "" where it has none
    group: str = ""  # dialogues with the same group are the same conversation seen from its two sides
    about: tuple[str, ...] = ()  # what the dialogue is given beforehand, such as the sentences of the persona
    touches: tuple[str, ...] = ()  # all tasks that it has anything of, also such without an exchange of their own


class Truth(NamedTuple):
    """``Turn.meaning`` of a real turn: what metrics need and a model is never shown."""

    dialogue: str
    state: State
    values: tuple[str, ...]
    response: str  # in full, with capital letters
    about: tuple[str, ...] = ()


class Fault(NamedTuple):
    """Something damaged that was left out."""

    file: str
    dialogue: str  # "" when the file itself is damaged
    field: str
    problem: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.dialogue, self.field, self.problem) if part)


@dataclass
class ReadingReport(CorpusReport):
    """What became of every dialogue of a corpus that was read from files, and what was damaged."""

    faults: list[Fault] = field(default_factory=list)  # the first FAULTS_KEPT of them
    damaged: int = 0  # all of them
    counts: Counter[str] = field(default_factory=Counter)  # dialogues, turns, and so on, of what is sound

    def fault(self, file: str, dialogue: str = "", field: str = "", problem: str = "") -> None:
        """Note something damaged; the reading goes on."""
        self.damaged += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(Fault(*(printable(part) for part in (file, dialogue, field, problem))))

    def __str__(self) -> str:
        lines = [super().__str__()]
        if self.damaged:
            lines += [f"damaged: {self.damaged}", *(f"  {fault}" for fault in self.faults[:20])]
            lines += ["  …"] if self.damaged > 20 else []
        return "\n".join(lines)


def printable(text: object, most: int = 200) -> str:
    """A text from a file that nobody vouches for, safe for a terminal: one line, no control signs, not endless."""
    line = "".join(sign if sign.isprintable() else "�" for sign in str(text)[: most + 1])
    return line if len(line) <= most else line[:most] + "…"


def plain(text: str) -> str:
    """A slot name or value as it stands in a state: no signs that separate slots, no blanks around it."""
    text = unicodedata.normalize("NFKC", text)  # also turns a Chinese ；into ;
    return re.sub(r"\s+", " ", text.replace(";", ",").replace("=", ":")).strip()


def spaced(name: str) -> str:
    """``attraction_name`` or ``leaveAt`` as words, so that names share their pieces with sentences."""
    return plain(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ")).lower()


def sentences(text: str) -> list[str]:
    """The sentences of an English or Chinese text; Chinese ones have no blank between them."""
    return [part for part in _SENTENCE_ENDS.split(text) if part.strip()]


def state_text(state: Iterable[Value]) -> str:
    """A state as text; ``-`` for an empty one."""
    return " ; ".join(f"{slot} = {plain(forms[0])}" for slot, forms, _ in state) or EMPTY


def act_text(act: Sequence[str]) -> str:
    """An act as text; ``-`` where the corpus says nothing about it."""
    return " ; ".join(act) or EMPTY


def parse_state(text: str) -> dict[str, str]:
    """The inverse of :func:`state_text`; what is no ``slot = value`` (a model may say anything) is left out."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        slot, equals, value = part.partition("=")
        if equals and slot.strip() and value.strip():
            found[slot.strip()] = value.strip()
    return found


def parse_act(text: str) -> tuple[str, ...]:
    """The inverse of :func:`act_text`, each part once, in the order of the alphabet."""
    return tuple(sorted({part.strip() for part in text.split(";")} - {"", EMPTY}))

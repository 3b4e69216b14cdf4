"""MultiWOZ 2.1 and its like (Eric et al. 2020, arXiv 1907.01669), and 2.2 (Zang et al. 2020, arXiv 2007.12720).

2.0, 2.1, 2.3 and 2.4 are one ``data.json`` (with ``valListFile``, ``testListFile``); 2.2 looks like SGD, with
``train|dev|test/dialogues_*.json``, one ``schema.json`` and the acts in ``dialog_acts.json``.

A **task is a domain** such as ``hotel``. An exchange belongs to the domain whose state it changes, else to the one that
its acts name, else to the one before; its state holds this domain's slots alone. taxi is held out for validation and
attraction for test: then hotel, restaurant and train keep the most dialogues for training. The official lists divide
dialogues and not domains, so they play no part here.

Empty is ``''``, ``not mentioned`` or ``none``; ``dontcare`` is a value. The state stands on the system's turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from metadialog_lite.corpora import sgd
from metadialog_lite.corpora.dialogues import Dialogue, Exchange, ReadingReport, State, Value, spaced
from metadialog_lite.corpora.files import CorpusFiles
from metadialog_lite.corpora.records import MOST_TURNS, Record, checked, stream
from metadialog_lite.corpora.task_splits import Kind

DOMAINS = ("attraction", "bus", "hospital", "hotel", "police", "restaurant", "taxi", "train")
KIND = Kind("multiwoz", "domain", ("state", "act", "response"), held_out={"taxi": "valid", "attraction": "test"})
_EMPTY = {"", "not mentioned", "none", "[]"}
_CATEGORICAL = {"area", "pricerange", "internet", "parking", "stars", "type", "day", "people", "stay", "department",
                "book day", "book people", "book stay"}


class _Act(NamedTuple):
    domain: str
    intent: str
    slot: str
    value: str


class _Said(NamedTuple):
    """One exchange before it is known which domain it is about."""

    user: str
    response: str
    states: dict[str, State]
    user_acts: Sequence[_Act]
    system_acts: Sequence[_Act]


class _Domain(Record):
    semi: dict[str, str | list[str]] = Field(default_factory=dict)
    book: dict[str, Any] = Field(default_factory=dict)


class _Log(Record):
    text: str
    metadata: dict[str, _Domain]
    dialog_act: Any = None


class _Dialogue(Record):
    log: list[_Log] = Field(min_length=2, max_length=MOST_TURNS)


def recognise(files: CorpusFiles) -> bool:
    """Whether the files look like this corpus: a ``data.json``, or parts with one schema for all of them."""
    if _data(files):
        return True
    return bool(_new_parts(files)) and bool(files.matching("dialog_acts.json") or _one_schema(files))


def read(files: CorpusFiles, report: ReadingReport) -> Iterator[Dialogue]:
    """All sound dialogues, one at a time; of whichever version the files are."""
    seen: set[str] = set()
    for name in _data(files):
        for key, raw in stream(files, name, report):
            report.entries += 1
            record = checked(_Dialogue, raw, name, key, report)
            if record is not None and _is_new(key, seen, name, report):
                yield _dialogue(key, list(_old(record)))
    if seen or not _new_parts(files):
        return
    acts = _acts_by_turn(files, report)
    for name in _new_parts(files):
        for key, raw in stream(files, name, report):
            report.entries += 1
            dialogue = checked(sgd.DialogueRecord, raw, name, sgd.name_of(raw, key), report)
            if dialogue is not None and _is_new(dialogue.dialogue_id, seen, name, report):
                yield _dialogue(dialogue.dialogue_id, list(_new(dialogue, acts.get(dialogue.dialogue_id, {}))))


def _data(files: CorpusFiles) -> list[str]:
    return files.matching("data.json")[:1]


def _new_parts(files: CorpusFiles) -> list[str]:
    return [name for part in sgd.PARTS for name in files.matching(f"{part}/dialogues_*.json")]


def _one_schema(files: CorpusFiles) -> bool:
    """2.2 has a single schema, SGD one in every part."""
    return any(not re.search(r"(^|/)(train|dev|test)/schema\.json$", name) for name in files.matching("schema.json"))


def _is_new(key: str, seen: set[str], name: str, report: ReadingReport) -> bool:
    if key in seen:
        report.fault(name, key, problem="stands there twice; the first one is used")
        return False
    seen.add(key)
    return True


def _old(record: _Dialogue) -> Iterator[_Said]:
    """2.1: the system's turn carries the state, under ``semi`` and ``book``."""
    for user, system in zip(record.log[::2], record.log[1::2]):
        states = {}
        for domain, found in system.metadata.items():
            booked = {f"book {slot}": value for slot, value in found.book.items() if slot != "booked"}
            states[domain.lower()] = _state({**found.semi, **booked})
        yield _Said(user.text, system.text, states, _acts(user.dialog_act), _acts(system.dialog_act))


def _new(record: sgd.DialogueRecord, acts: dict[str, list[_Act]]) -> Iterator[_Said]:
    """2.2: the user's turn carries the state, in a frame for each domain."""
    for place, (user, system) in enumerate(zip(record.turns, record.turns[1:])):
        if (user.speaker, system.speaker) == ("USER", "SYSTEM"):
            states = {}
            for frame in user.frames:
                if frame.state is not None:
                    slots = {slot.rpartition("-")[2]: forms for slot, forms in frame.state.slot_values.items()}
                    states[frame.service.lower()] = _state(
                        {re.sub("^book", "book ", slot): forms for slot, forms in slots.items()})
            numbers = (user.turn_id or str(place), system.turn_id or str(place + 1))
            yield _Said(user.utterance, system.utterance, states, *(acts.get(number, []) for number in numbers))


def _state(slots: dict[str, Any]) -> State:
    values = []
    for slot, given in sorted(slots.items()):
        listed = given if isinstance(given, list) else str(given).split("|") if isinstance(given, str) else []
        forms = [_value(form) for form in listed if isinstance(form, str)]
        forms = [form for form in dict.fromkeys(forms) if form not in _EMPTY]
        if forms:
            values.append(Value(slot.lower(), tuple(forms), slot.lower() not in _CATEGORICAL))
    return tuple(values)


def _value(text: str) -> str:
    text = text.strip().lower()
    return "dontcare" if text in ("dont care", "don't care", "do n't care", "do not care") else text


def _acts(found: Any) -> list[_Act]:
    """``{"Hotel-Inform": [["Area", "north"]]}`` as tuples. Some turns have a text such as "No Annotation" instead."""
    if not isinstance(found, dict):
        return []
    acts = []
    for key, pairs in found.items():
        domain, _, intent = str(key).lower().partition("-")
        for pair in pairs if isinstance(pairs, list) else []:
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
                acts.append(_Act(domain, intent, "" if pair[0] == "none" else spaced(pair[0]), pair[1]))
    return acts


class _TurnActs(Record):
    dialog_act: dict[str, list[list[Any]]]


def _acts_by_turn(files: CorpusFiles, report: ReadingReport) -> dict[str, dict[str, list[_Act]]]:
    """Dialogue id -> turn id -> acts, from ``dialog_acts.json``; without that file all acts are unknown."""
    found: dict[str, dict[str, list[_Act]]] = {}
    for name in files.matching("dialog_acts.json")[:1]:
        for key, turns in stream(files, name, report):
            acts = found.setdefault(key, {})
            for number, raw in turns.items() if isinstance(turns, dict) else ():
                record = checked(_TurnActs, raw, name, f"{key}, turn {number}", report)
                if record is not None:
                    acts[number] = _acts(record.dialog_act)
    return found


def _dialogue(key: str, said: list[_Said]) -> Dialogue:
    touches = {act.domain for item in said for act in (*item.user_acts, *item.system_acts)}
    touches |= {domain for item in said for domain, state in item.states.items() if state}
    return Dialogue(key, tuple(_exchanges(said)), touches=tuple(sorted(touches.intersection(DOMAINS))))


def _exchanges(said: Iterable[_Said]) -> Iterator[Exchange]:
    states: dict[str, State] = {}
    active = ""
    for item in said:
        changed = [domain for domain, state in sorted(item.states.items()) if state != states.get(domain, ())]
        named = [act.domain for act in (*item.user_acts, *item.system_acts)]
        active = next((domain for domain in (*changed, *named) if domain in DOMAINS), active)
        if active:
            act = tuple(sorted({_spoken(act, active) for act in item.system_acts}))
            text = item.response.lower()
            values = (a.value for a in item.system_acts if a.value not in ("?", "none") and a.value.lower() in text)
            yield Exchange(active, item.user, item.response, states.get(active, ()), item.states.get(active, ()), act,
                           tuple(dict.fromkeys(values)))
        states.update(item.states)


def _spoken(act: _Act, active: str) -> str:
    """``inform area``; of another domain, of bookings and of politeness ``general bye``."""
    return spaced(" ".join(part for part in ("" if act.domain == active else act.domain, act.intent, act.slot) if part))

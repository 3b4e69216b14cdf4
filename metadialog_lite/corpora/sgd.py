"""Schema-Guided Dialogue (Rastogi et al. 2020, arXiv 1909.05855): ``train|dev|test/dialogues_*.json``, ``schema.json``.

A **task is a service** such as ``Restaurants_2``: its turns are the exchanges in which both the user's and the system's
frames are of this service, its state holds this service's slots alone. The official dev and test parts have services
that train has never seen, and those are held out.

A slot of the state may list several correct surface forms ("6 pm", "evening 6"). All of them count as right; the target
is the one that was said in the dialogue so far, else the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from metadialog_lite.corpora.dialogues import Dialogue, Exchange, ReadingReport, State, Value, spaced
from metadialog_lite.corpora.files import CorpusFiles
from metadialog_lite.corpora.records import MOST_TURNS, Record, checked, stream, whole
from metadialog_lite.corpora.task_splits import Kind

PARTS = {"train": "train", "dev": "valid", "test": "test"}
KIND = Kind("sgd", "service", ("state", "act", "response"))


class _Action(Record):
    act: str
    slot: str = ""
    values: list[str] = Field(default_factory=list)


class _State(Record):
    slot_values: dict[str, list[str]]


class Frame(Record):
    """What one turn says of one service."""

    service: str
    actions: list[_Action] = Field(default_factory=list)
    state: _State | None = None


class TurnRecord(Record):
    """What one side says."""

    turn_id: str = ""  # in MultiWOZ 2.2 alone
    speaker: str = Field(pattern="^(USER|SYSTEM)$")
    utterance: str
    frames: list[Frame]


class DialogueRecord(Record):
    """One dialogue of a ``dialogues_*.json``."""

    dialogue_id: str = Field(min_length=1)
    turns: list[TurnRecord] = Field(min_length=2, max_length=MOST_TURNS)


def recognise(files: CorpusFiles) -> bool:
    """Whether the files look like this corpus: a schema in every part."""
    return any(files.matching(f"{part}/dialogues_*.json") and files.matching(f"{part}/schema.json") for part in PARTS)


def read(files: CorpusFiles, report: ReadingReport) -> Iterator[Dialogue]:
    """All sound dialogues, one at a time."""
    seen: set[str] = set()
    for part, official in PARTS.items():
        free: dict[str, set[str]] = {}
        for name in files.matching(f"{part}/schema.json"):
            free |= _free_slots(whole(files, name, report), name, report)
        for name in files.matching(f"{part}/dialogues_*.json"):
            for key, raw in stream(files, name, report):
                report.entries += 1
                record = checked(DialogueRecord, raw, name, name_of(raw, key), report)
                if record is None:
                    continue
                if record.dialogue_id in seen:
                    report.fault(name, record.dialogue_id, "dialogue_id", "stands there twice; the first one is used")
                    continue
                seen.add(record.dialogue_id)
                touches = sorted({frame.service for turn in record.turns for frame in turn.frames})
                exchanges = tuple(_exchanges(record, free))
                yield Dialogue(record.dialogue_id, exchanges, official, touches=tuple(touches))


def name_of(raw: object, key: str) -> str:
    """The id of a dialogue that may be damaged, for a message; else its place in the file."""
    found = raw.get("dialogue_id") if isinstance(raw, dict) else None
    return found if isinstance(found, str) and found else f"number {key}"


def _free_slots(schema: object, name: str, report: ReadingReport) -> dict[str, set[str]]:
    """Service -> slots without a fixed list of values."""
    free: dict[str, set[str]] = {}
    for number, raw in enumerate(schema if isinstance(schema, list) else []):
        service = checked(_Service, raw, name, f"number {number}", report)
        if service is not None:
            free[service.service_name] = {slot.name for slot in service.slots if not slot.is_categorical}
    return free


class _Slot(Record):
    name: str
    is_categorical: bool


class _Service(Record):
    service_name: str
    slots: list[_Slot]


def _exchanges(record: DialogueRecord, free: dict[str, set[str]]) -> Iterator[Exchange]:
    states: dict[str, State] = {}
    said = ""
    for user, system in zip(record.turns, record.turns[1:]):
        said += f" {user.utterance.lower()}"
        if (user.speaker, system.speaker) != ("USER", "SYSTEM"):
            continue
        frames = {frame.service: frame for frame in user.frames}
        for answer in system.frames:
            frame = frames.get(answer.service)
            if frame is None or frame.state is None:
                continue
            service, previous = answer.service, states.get(answer.service, ())
            old = {value.slot: value.forms[0] for value in previous}
            state = tuple(
                Value(spaced(slot), forms_said_first(forms, said, old.get(spaced(slot))), slot in free.get(service, ()))
                for slot, forms in sorted(frame.state.slot_values.items()) if any(forms)
            )
            states[service] = state
            act = tuple(sorted({spaced(f"{action.act} {action.slot}") for action in answer.actions}))
            spoken, values = system.utterance.lower(), [value for action in answer.actions for value in action.values]
            said_now = tuple(dict.fromkeys(value for value in values if value.lower() in spoken))
            yield Exchange(service, user.utterance, system.utterance, previous, state, act, said_now)


def forms_said_first(forms: list[str], said: str, old: str | None) -> tuple[str, ...]:
    """All forms, the target in front: what stood there before, else the first that was said, else the first."""
    forms = [form for form in dict.fromkeys(forms) if form.strip()]
    target = old if old in forms else next((form for form in forms if form.lower() in said), forms[0])
    return (target, *(form for form in forms if form != target))

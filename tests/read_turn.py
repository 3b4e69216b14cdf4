"""Reads a rendered turn back, by regular expressions over the spec's sentences: what it must mean."""

from __future__ import annotations

import re

from metadialog_lite.turns import Turn
from metadialog_lite.world import Correction
from metadialog_lite.world.spec import WorldSpec

ACTS = ("greet", "request", "confirm", "offer", "bye")
USER = ("greet", "inform", "affirm", "thank", "correct")


def _pattern(sentence: str, holes: dict[str, str]) -> re.Pattern[str]:
    return re.compile(" ".join(holes.get(word, re.escape(word)) for word in sentence.split()))


def _either(items: object) -> str:
    return "(?:" + "|".join(map(re.escape, items)) + ")"  # type: ignore[call-overload]


def _mask(state: tuple[str, ...]) -> int:
    return sum(1 << i for i, value in enumerate(state) if value != "-")


def templates_of(spec: WorldSpec, turn: Turn) -> list[int]:
    """The response templates that can have given the turn's response (exactly one, in an unambiguous world)."""
    act = turn.act[0]
    holes = {f"{{{key}}}": _either(items) for key, items in spec.persona.items()}
    holes |= {f"{{{slot}}}": re.escape(value) for slot, value in zip(spec.slots, turn.state, strict=True)}
    if act == "request":
        holes["{ask}"] = re.escape(" ".join(spec.slots[turn.act[1]].ask.split()))
    return [i for i, text in enumerate(getattr(spec.system, act)) if _pattern(text, holes).fullmatch(
        " ".join(turn.response))]


def _corrections(spec: WorldSpec, slots: set[str]) -> dict[str, list[str]]:
    """Slot -> a pattern for each way to correct it, the words in groups 'old' and 'new'."""
    def pattern(sentence: str, phrase: str, words: str) -> str:
        holes = {f"{{{role}}}": _pattern(phrase, {"{word}": f"(?P<{role}>{words})"}).pattern for role in ("old", "new")}
        return _pattern(sentence, holes).pattern

    return {name: [pattern(text, phrase, _either(slot.words)) for text in spec.user.correct for phrase in slot.say]
            for name, slot in spec.slots.items() if name in slots}


def user_kinds(spec: WorldSpec, turn: Turn) -> list[int]:
    """What the user can have been doing, by the words alone."""
    words, kinds = " ".join(turn.user), []
    for kind in ("greet", "affirm", "thank"):
        if words in {" ".join(text.split()) for text in getattr(spec.user, kind)}:
            kinds.append(USER.index(kind))
    phrase = "|".join(_pattern(text, {"{word}": _either(slot.words)}).pattern
                      for slot in spec.slots.values() for text in slot.say)
    starts = "|".join(re.escape(text) for text in {*spec.user.open, *spec.user.answer})
    join = _either(spec.user.join)
    ways = [way for some in _corrections(spec, set(spec.slots)).values() for way in some]
    plain = "|".join(re.sub(r"\?P<(?:old|new)>", "?:", way) for way in ways) or "(?!)"
    told = f"(?:{starts}) ?(?:{phrase})(?: {join} (?:{phrase}))*"
    if re.fullmatch(f"(?:(?:{plain}) )?{told}", words):
        kinds.append(USER.index("inform"))
    if re.fullmatch(plain, words):
        kinds.append(USER.index("correct"))
    return kinds


def _correction(spec: WorldSpec, turn: Turn) -> Correction | None:
    """The only way to read a correction of a slot that was filled before, None where there is none."""
    names, found = list(spec.slots), set()
    filled = {name for name, value in zip(names, turn.previous_state, strict=True) if value != "-"}
    for name, ways in _corrections(spec, filled).items():
        s, slot = names.index(name), spec.slots[name]
        for match in filter(None, (re.match(f"(?:{way})(?: |$)", " ".join(turn.user)) for way in ways)):
            old = match.groupdict().get("old")
            found.add(Correction(s, -1 if old is None else slot.words.index(old),
                                 slot.values.index(turn.previous_state[s]), slot.words.index(match["new"]),
                                 slot.values.index(turn.state[s])))
    assert len(found) <= 1, found
    return found.pop() if found else None


def read(spec: WorldSpec, turn: Turn) -> tuple[int, int, tuple[tuple[int, int, int], ...], int, int, int, int,
                                               Correction | None]:
    """(kind, before, mentions, after, act, asked, template, correction), as Meaning lists them, by the tokens alone."""
    (kind,), (template,) = user_kinds(spec, turn), templates_of(spec, turn)
    slots = list(spec.slots.items())
    owner = {word: (s, w) for s, (_, slot) in enumerate(slots) for w, word in enumerate(slot.words)}
    mentions = tuple((*owner[token], slots[owner[token][0]][1].values.index(turn.state[owner[token][0]]))
                     for token in turn.user if token in owner and turn.previous_state[owner[token][0]] == "-")
    asked = list(spec.slots).index(turn.act[1]) if len(turn.act) > 1 else -1
    return (kind, _mask(turn.previous_state), mentions, _mask(turn.state), ACTS.index(turn.act[0]), asked, template,
            _correction(spec, turn))

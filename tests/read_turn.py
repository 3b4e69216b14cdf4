"""Reads a rendered turn back, by regular expressions over the spec's sentences: what it must mean."""

from __future__ import annotations

import re

from metadialog_lite.turns import Turn
from metadialog_lite.world.spec import WorldSpec

ACTS = ("greet", "request", "confirm", "offer", "bye")
USER = ("greet", "inform", "affirm", "thank")


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
    if re.fullmatch(f"(?:{starts}) ?(?:{phrase})(?: {join} (?:{phrase}))*", words):
        kinds.append(USER.index("inform"))
    return kinds


def read(spec: WorldSpec, turn: Turn) -> tuple[int, int, tuple[tuple[int, int, int], ...], int, int, int, int]:
    """(kind, before, mentions, after, act, asked, template), as Meaning lists them, from the tokens alone."""
    (kind,), (template,) = user_kinds(spec, turn), templates_of(spec, turn)
    slots = list(spec.slots.items())
    owner = {word: (s, w) for s, (_, slot) in enumerate(slots) for w, word in enumerate(slot.words)}
    mentions = tuple((*owner[token], slots[owner[token][0]][1].values.index(turn.state[owner[token][0]]))
                     for token in turn.user if token in owner)
    asked = list(spec.slots).index(turn.act[1]) if len(turn.act) > 1 else -1
    return (kind, _mask(turn.previous_state), mentions, _mask(turn.state), ACTS.index(turn.act[0]), asked, template)

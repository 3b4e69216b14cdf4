"""Which worlds are refused: those in which a rendered turn could be read in two ways.

The Bayes reference counts what it saw (this word meant that value, this template was used). If two
readings were possible it would have to sum over them; refusing such worlds keeps the optimum exact.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import combinations

from metadialog_lite.turns import EMPTY
from metadialog_lite.world.spec import ACTS, MOST_VALUES_WITH_NOISE, WorldSpec

_PLACEHOLDER = re.compile(r"^\{(\w+)\}$")


def placeholder(token: str) -> str | None:
    """The name inside ``{name}``, or None for an ordinary word."""
    found = _PLACEHOLDER.match(token)
    return found.group(1) if found else None


def faults(spec: WorldSpec) -> list[str]:
    """Everything that makes ``spec`` unusable, one line each: field, value, what would be right."""
    return [*_slot_faults(spec), *_text_faults(spec), *_word_faults(spec), *_user_faults(spec),
            *_correction_faults(spec), *_template_faults(spec), *_noise_faults(spec)]


def _slot_faults(spec: WorldSpec) -> Iterable[str]:
    for name, slot in spec.slots.items():
        if not name.isidentifier() or name in ("ask", "word") or name in spec.persona:
            yield f"slots.{name}: a slot needs a plain name, not 'ask' or 'word', and none of the persona's"
        if len(slot.values) != len(slot.words):
            yield (f"slots.{name}.words: {len(slot.words)} words for {len(slot.values)} values; "
                   "give as many words as values")
        if spec.knobs.word_noise and len(slot.values) > MOST_VALUES_WITH_NOISE:
            yield (f"slots.{name}.values: {len(slot.values)} values with word_noise {spec.knobs.word_noise}; "
                   f"at most {MOST_VALUES_WITH_NOISE} when word_noise is above 0")
        for field, items in (("values", slot.values), ("words", slot.words)):
            yield from _single_tokens(f"slots.{name}.{field}", items)
    for key, items in spec.persona.items():
        if not key.isidentifier() or key == "ask":
            yield f"persona.{key}: a plain name is needed"
        if not items:
            yield f"persona.{key}: empty; give at least one"
        yield from _single_tokens(f"persona.{key}", items)


def _single_tokens(field: str, items: tuple[str, ...]) -> Iterable[str]:
    seen: set[str] = set()
    for item in items:
        if len(item.split()) != 1 or item.startswith(("<", "{")) or item == EMPTY:
            yield f"{field}: got {item!r}: one word without blanks, not '{EMPTY}', not starting with '<' or '{{'"
        if item in seen:
            yield f"{field}: {item!r} stands there twice; each must be different"
        seen.add(item)


def _text_faults(spec: WorldSpec) -> Iterable[str]:
    slots, persona = set(spec.slots), set(spec.persona)
    allowed = {"greet": persona, "request": persona | {"ask"}, "confirm": persona | slots, "offer": persona | slots,
               "bye": persona | slots}
    for act in ACTS:
        for number, text in enumerate(spec.system.templates(act)):
            yield from _sentence_faults(f"system.{act}.{number}", text, allowed[act])
            if act == "request" and "{ask}" not in text.split():
                yield f"system.request.{number}: got {text!r}: {{ask}} must stand in it"
    for field in ("greet", "open", "answer", "affirm", "thank", "join"):
        for number, text in enumerate(getattr(spec.user, field)):
            yield from _sentence_faults(f"user.{field}.{number}", text, set(), may_be_empty=field in ("answer", "join"))
    for number, text in enumerate(spec.user.correct):
        yield from _sentence_faults(f"user.correct.{number}", text, {"old", "new"})
        if text.split().count("{new}") != 1 or text.split().count("{old}") > 1:
            yield f"user.correct.{number}: got {text!r}: {{new}} must stand in it once, {{old}} at most once"
    for name, slot in spec.slots.items():
        yield from _sentence_faults(f"slots.{name}.ask", slot.ask, set())
        for number, text in enumerate(slot.say):
            yield from _sentence_faults(f"slots.{name}.say.{number}", text, {"word"})
            if text.split().count("{word}") != 1:
                yield f"slots.{name}.say.{number}: got {text!r}: {{word}} must stand in it once"


def _sentence_faults(field: str, text: str, allowed: set[str], may_be_empty: bool = False) -> Iterable[str]:
    if not text.split() and not may_be_empty:
        yield f"{field}: empty; write a sentence"
    for token in text.split():
        if token.startswith("<"):
            yield f"{field}: got {token!r}: words must not start with '<'"
        name = placeholder(token)
        if (name is None and ("{" in token or "}" in token)) or (name is not None and name not in allowed):
            listed = ", ".join(f"{{{n}}}" for n in sorted(allowed)) or "no placeholder"
            near = difflib.get_close_matches(token.strip("{}.,?!"), sorted(allowed), n=1)
            hint = f"; did you mean {{{near[0]}}}?" if near else ""
            yield f"{field}: got {token!r}: allowed here, with blanks around it: {listed}{hint}"


def _word_faults(spec: WorldSpec) -> Iterable[str]:
    """A surface word must show its slot, and must not stand in a sentence of the user by itself."""
    owner: dict[str, str] = {}
    for name, slot in spec.slots.items():
        for word in slot.words:
            if word in owner:
                yield f"slots.{name}.words: {word!r} is also a word of slot '{owner[word]}'; each word needs one slot"
            owner[word] = name
    texts = [(f"user.{field}", text) for field in ("greet", "open", "answer", "affirm", "thank", "join", "correct")
             for text in getattr(spec.user, field)]
    texts += [(f"slots.{name}.say", text) for name, slot in spec.slots.items() for text in slot.say]
    for field, text in texts:
        for token in text.split():
            if token in owner:
                yield f"{field}: {text!r} contains {token!r}, a word of slot '{owner[token]}'; use another one"


def _user_faults(spec: WorldSpec) -> Iterable[str]:
    """A user who affirms must not sound like one who thanks or greets."""
    owner: dict[str, str] = {}
    for field in ("greet", "affirm", "thank"):
        for text in getattr(spec.user, field):
            if owner.setdefault(" ".join(text.split()), field) != field:
                yield f"user.{field}: {text!r} is also in user.{owner[text]}; each sentence needs one meaning"


def _correction_faults(spec: WorldSpec) -> Iterable[str]:
    """Which of two words is the old one must be plain.

    The words show the slot, and a word of a slot that is filled already shows that it is being corrected. So only
    a sentence with {old} before {new} and one with {new} before {old} could be confused: when, up to the end of the
    shorter one, they have the same words (what follows may be an answer), with any phrase of any slot put in.
    """
    if spec.knobs.correct and not spec.user.correct:
        yield (f"user.correct: missing with knobs.correct {spec.knobs.correct:g}; "
               "give sentences such as \"sorry , not {old} but {new}\"")
    sentences = [(i, text.split()) for i, text in enumerate(spec.user.correct) if "{old}" in text.split()]
    ordered = [(i, tokens, tokens.index("{old}") < tokens.index("{new}")) for i, tokens in sentences
               if "{new}" in tokens]
    for (i, one, old_first), (j, other, other_first) in combinations(ordered, 2):
        if old_first != other_first and any(
                all(a == b for a, b in zip(_filled(one, p), _filled(other, q), strict=False))
                for slot in spec.slots.values() for p in slot.say for q in slot.say):
            yield (f"user.correct.{j}: {spec.user.correct[j]!r} can be taken for {spec.user.correct[i]!r} with old and "
                   "new exchanged; begin one of them with another word")


def _filled(sentence: list[str], phrase: str) -> list[str]:
    return [t for token in sentence for t in (phrase.split() if token in ("{old}", "{new}") else [token])]


def _template_faults(spec: WorldSpec) -> Iterable[str]:
    """Two templates of an act must never give the same words, whatever fills their placeholders."""
    fills = {**{k: set(v) for k, v in spec.persona.items()}, **{k: set(s.values) for k, s in spec.slots.items()}}
    for act in ACTS:
        for ask in [slot.ask for slot in spec.slots.values()] if act == "request" else [""]:
            forms = [_form(text, ask, fills) for text in spec.system.templates(act)]
            for i, form in enumerate(forms):
                for j in range(i):
                    if len(form) == len(forms[j]) and all(a & b for a, b in zip(form, forms[j], strict=True)):
                        yield (f"system.{act}.{i}: {spec.system.templates(act)[i]!r} can't be told apart from "
                               f"{spec.system.templates(act)[j]!r}; change a word")


def _noise_faults(spec: WorldSpec) -> Iterable[str]:
    """With noise in the support the floor must know what a response asks for, and what a word was meant to say."""
    if not spec.knobs.support_noise:
        return
    if spec.knobs.word_noise and spec.knobs.correct:
        yield (f"knobs.support_noise: {spec.knobs.support_noise:g} with word_noise {spec.knobs.word_noise:g} and "
               f"correct {spec.knobs.correct:g}: the floor would not be exact; set one of the three to 0")
    fills = {k: set(v) for k, v in spec.persona.items()}
    forms = [(name, _form(text, slot.ask, fills)) for name, slot in spec.slots.items() for text in spec.system.request]
    for (a, one), (b, other) in combinations(forms, 2):
        if a != b and len(one) == len(other) and all(x & y for x, y in zip(one, other, strict=True)):
            yield (f"slots.{b}.ask: {spec.slots[b].ask!r} can't be told apart from that of slot '{a}' in a request; "
                   "with support_noise it must be")
            return


def _form(text: str, ask: str, fills: dict[str, set[str]]) -> list[set[str]]:
    """For each position the set of words that may stand there."""
    tokens = [t for token in text.split() for t in (ask.split() if token == "{ask}" else [token])]
    return [fills.get(placeholder(token) or "", {token}) for token in tokens]

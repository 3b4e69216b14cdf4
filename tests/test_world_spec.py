"""Bad worlds get a clear word: the file, the field, the value, what would be right; and all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from metadialog_lite.world import WorldError, WorldSpec, load_world, read_spec, shipped_worlds

GOOD = Path(__file__).parent / "worlds" / "instructor_40_lines.yaml"


def spec_with(change) -> str:
    """The instructor's world after ``change`` (which edits the loaded mapping)."""
    loaded = yaml.safe_load(GOOD.read_text(encoding="utf-8"))
    change(loaded)
    return yaml.safe_dump(loaded, sort_keys=False, allow_unicode=True)


def put(*way_and_value):
    """A change that puts a value at a place: put("knobs", "thank", 2)."""
    *way, last, value = way_and_value

    def change(loaded):
        place = loaded
        for step in way:
            place = place[step]
        place[last] = value
    return change


def drop(*way):
    def change(loaded):
        place = loaded
        for step in way[:-1]:
            place = place[step]
        del place[way[-1]]
    return change


def refusal(tmp_path: Path, text: str | bytes, name: str = "mine.yaml") -> str:
    """The message for this file; every line of it begins with the file's path."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WorldError) as caught:
        read_spec(path)
    lines = str(caught.value).splitlines()
    assert lines
    assert all(line.startswith(f"{path}: ") for line in lines)
    assert len(lines) == len(set(lines))
    return str(caught.value)


@pytest.mark.parametrize("name", shipped_worlds())
def test_shipped_worlds_have_what_was_asked_for(name):
    spec = read_spec(name)
    assert spec.world == name
    assert len(spec.slots) == 4
    assert all(len(slot.values) >= 5 for slot in spec.slots.values())
    assert all(len(spec.system.templates(act)) >= 3 for act in ("greet", "request", "confirm", "offer", "bye"))
    assert len(spec.persona) == 3


def test_shipped_worlds():
    assert shipped_worlds() == ["clinic.en", "restaurants.en", "restaurants.zh", "travel.en"]


WRONG = [  # what is changed, and what the message must say
    (drop("language"), ["language: missing, this field is required"]),
    (drop("slots", "desk", "say"), ["slots.desk.say: missing"]),
    (put("sloths", {}), ["sloths: unknown field", "did you mean 'slots'?"]),
    (put("slots", "desk", "sya", ["x"]), ["slots.desk.sya: unknown field", "did you mean 'say'?"]),
    (put("knobs", "volunter", 0.1), ["knobs.volunter: unknown field", "did you mean 'volunteer'?"]),
    (put("system", "confrim", ["x"]), ["system.confrim: unknown field", "did you mean 'confirm'?"]),
    (put("system", "xyz", ["x"]), ["known here are greet, request, confirm, offer, bye"]),
    (put("slots", "subject", "values", "history"), ["slots.subject.values: got 'history': a list expected"]),
    (put("slots", "subject", "values", 0, False),
     ["slots.subject.values.0: got False: text expected (put quotes round words such as \"no\""]),
    (put("slots", "desk", "words", 2, 11), ["slots.desk.words.2: got 11: text expected"]),
    (put("user", "affirm", 0, True), ["user.affirm.0: got True: text expected"]),
    (put("persona", "name", 1, None), ["persona.name.1: got None: text expected"]),
    (put("persona", {}), ["persona: got {}: at least 1 expected, not 0"]),
    (put("persona", "name", []), ["persona.name: empty; give at least one"]),
    (put("slots", None), ["slots: got None: fields expected below it"]),
    (put("slots", ["food"]), ["slots: got ['food']: fields expected below it"]),
    (put("slots", 1, {"ask": "x", "values": ["a", "b"], "words": ["aa", "bb"], "say": ["{word}"]}),
     ["slots.1: got 1: text expected"]),
    (put("system", "greet", ["hello"]), ["system.greet: got ['hello']: at least 2 expected, not 1"]),
    (put("system", "bye", []), ["system.bye: got []: at least 2 expected, not 0"]),
    (put("user", "open", []), ["user.open: got []: at least 1 expected, not 0"]),
    (put("user", "open", 0, " "), ["user.open.0: empty; write a sentence"]),
    (put("slots", "desk", "ask", ""), ["slots.desk.ask: got '': must not be empty"]),
    (put("language", "english"), ["language: got 'english': expected two small letters"]),
    (put("world", "my world!"), ["world: got 'my world!': expected letters, digits"]),
    (put("knobs", "thank", 1.5), ["knobs.thank: got 1.5: should be less than or equal to 1"]),
    (put("knobs", "volunteer", -0.1), ["knobs.volunteer: got -0.1: should be greater than or equal to 0"]),
    (put("knobs", "greet", True), ["knobs.greet: got True: should be a valid number"]),
    (put("knobs", "style", float("nan")), ["knobs.style: got nan"]),
    (put("knobs", "style", "0.3"), ["knobs.style: got '0.3': should be a valid number"]),
    (put("knobs", "word_noise", 0.6), ["knobs.word_noise: got 0.6: should be less than or equal to 0.5"]),
    (put("slots", "desk", "words", ["window", "fireplace", "staircase", "fountain"]),
     ["slots.desk.words: 4 words for 5 values; give as many words as values"]),
    (put("slots", "desk", "words", 0, "dusty"), ["slots.desk.words: 'dusty' is also a word of slot 'subject'"]),
    (put("slots", "desk", "words", 0, "balcony"), ["slots.desk.words: 'balcony' stands there twice"]),
    (put("slots", "desk", "values", 0, "second"), ["slots.desk.values: 'second' stands there twice"]),
    (put("slots", "desk", "values", 0, "very first"), ["slots.desk.values: got 'very first': one word without blanks"]),
    (put("slots", "desk", "values", 0, "-"), ["slots.desk.values: got '-': one word"]),
    (put("slots", "desk", "words", 0, "<usr>"), ["slots.desk.words: got '<usr>'"]),
    (put("user", "thank", 0, "<eos> bye"), ["user.thank.0: got '<eos>': words must not start with '<'"]),
    (put("user", "answer", 1, "a dusty thought"), ["user.answer: 'a dusty thought' contains 'dusty', a word of slot"]),
    (put("slots", "desk", "say", 0, "heavy {word}"), ["slots.desk.say: 'heavy {word}' contains 'heavy'"]),
    (put("slots", "desk", "say", 0, "a seat"), ["slots.desk.say.0: got 'a seat': {word} must stand in it once"]),
    (put("slots", "desk", "say", 0, "{word} or {word}"), ["{word} must stand in it once"]),
    (put("user", "affirm", 0, "goodbye"), ["user.thank: 'goodbye' is also in user.affirm"]),
    (put("system", "greet", 0, "{nam} here"), ["system.greet.0: got '{nam}'", "did you mean {name}?"]),
    (put("system", "greet", 0, "{ name } here"), ["system.greet.0: got '{'"]),
    (put("system", "greet", 0, "{name}, hello"), ["got '{name},': allowed here, with blanks around it"]),
    (put("system", "greet", 0, "the {desk} desk"), ["system.greet.0: got '{desk}': allowed here", "{name}, {room}"]),
    (put("system", "request", 0, "what else ?"), ["system.request.0: got 'what else ?': {ask} must stand in it"]),
    (put("system", "offer", 1, "your {desk} desk is ready ."), ["system.offer.1: ", "can't be told apart from"]),
    (put("system", "bye", 1, "goodbye from ruth ."),
     ["system.bye.2: 'goodbye from {name} .' can't be told apart from 'goodbye from ruth .'"]),
    (put("system", "bye", 1, "goodbye from {name} ."), ["can't be told apart from"]),
    (put("knobs", "correct", 0.2), ["user.correct: missing with knobs.correct 0.2; give sentences such as"]),
    (put("user", "correct", ["no , not {old}"]), ["user.correct.0: got 'no , not {old}': {new} must stand in it once"]),
    (put("user", "correct", ["{new} {old} {old}"]), ["{new} must stand in it once, {old} at most once"]),
    (put("user", "correct", ["not {old} but {neww}"]), ["user.correct.0: got '{neww}'", "did you mean {new}?"]),
    (put("user", "correct", ["{new} , nothing dusty"]), ["user.correct: '{new} , nothing dusty' contains 'dusty'"]),
    (put("user", "correct", ["not {old} but {new}", "not {new} but {old} please"]),
     ["user.correct.1: 'not {new} but {old} please' can be taken for 'not {old} but {new}' with old and new"]),
    (put("user", "correct", ["not {old} but {new}", "rather {new} than {old}", "not {new}"]), None),
    (put("slots", "class", {"ask": "x", "values": ["a", "b"], "words": ["aa", "bb"], "say": ["{word}"]}), None),
    (put("slots", "ask", {"ask": "x", "values": ["a", "b"], "words": ["aa", "bb"], "say": ["{word}"]}),
     ["slots.ask: a slot needs a plain name"]),
    (put("slots", "name", {"ask": "x", "values": ["a", "b"], "words": ["aa", "bb"], "say": ["{word}"]}),
     ["slots.name: a slot needs a plain name", "none of the persona's"]),
    (put("persona", "two words", ["x"]), ["persona.two words: a plain name is needed"]),
    (put("persona", "name", 0, "anna lena"), ["persona.name: got 'anna lena': one word without blanks"]),
]


@pytest.mark.parametrize(("change", "parts"), WRONG, ids=lambda x: str(x[0])[:40] if isinstance(x, list) else "")
def test_what_is_wrong_is_named(tmp_path, change, parts):
    if parts is None:  # harmless
        (tmp_path / "fine.yaml").write_text(spec_with(change))
        assert isinstance(read_spec(tmp_path / "fine.yaml"), WorldSpec)
        return
    message = refusal(tmp_path, spec_with(change))
    for part in parts:
        assert part in message
    assert len(message.splitlines()) <= 3  # and little else


def test_more_than_six_values_only_without_noise(tmp_path):
    def change(loaded):
        slot = loaded["slots"]["desk"]
        slot["values"] += ["sixth", "seventh"]
        slot["words"] += ["sofa", "carpet"]

    path = tmp_path / "seven.yaml"
    path.write_text(spec_with(change))
    world = load_world(path)
    with pytest.raises(WorldError, match=r"slots\.desk\.values: 7 values with word_noise 0\.1; at most 6"):
        world.with_knobs(word_noise=0.1)

    def noisy(loaded):
        change(loaded)
        loaded["knobs"]["word_noise"] = 0.1
    assert "at most 6 when word_noise is above 0" in refusal(tmp_path, spec_with(noisy))


@pytest.mark.parametrize(("text", "part"), [
    ("", "is empty; a world needs the fields world, language"),
    ("# only a comment\n", "is empty"),
    ("- a\n- b\n", "holds one list, expected fields such as 'world:'"),
    ("hello", "holds one str"),
    ("world: [a\nlanguage: en", "is not YAML: while parsing"),
    ("world: {a\n\tb", "is not YAML"),
    ("when: 2024-13-45\n", "is not YAML: month must be in 1..12"),
    ("world: !!python/object:os.system x\n", "is not YAML: could not determine a constructor"),
    ("? [a, b]\n: c\n", "is not YAML: while constructing a mapping"),
    ("[" * 5000, "is not YAML"),
    ("world: *nothing\n", "is not YAML: found undefined alias"),
    (b"world: caf\xe9\n", "byte 10 is not UTF-8; save the file as UTF-8"),
    ("a: 1\n---\nb: 2\n", "is not YAML: expected a single document"),
    ("world: x\x00y\n", "is not YAML"),
])
def test_files_that_are_no_world(tmp_path, text, part):
    assert part in refusal(tmp_path, text)


def test_a_mapping_that_holds_itself(tmp_path):
    assert "slots" in refusal(tmp_path, "world: x\nslots: &s\n  a: *s\n")


def test_duplicate_keys_are_told_with_both_lines(tmp_path):
    text = GOOD.read_text(encoding="utf-8")
    text = text.replace("  thank: [\"goodbye\"", "  greet: [\"hi\"]\n  thank: [\"goodbye\"").replace(
        "    ask: desk\n", "    ask: desk\n    ask: table\n")
    message = refusal(tmp_path, text)
    assert "line 13: slots.desk.ask: stands there twice (first in line 12); keep one" in message
    assert "user.greet: stands there twice (first in line 23)" in message
    assert len(message.splitlines()) == 2


def test_all_faults_come_at_once_with_their_lines(tmp_path):
    text = GOOD.read_text(encoding="utf-8")
    for old, new in [("language: en", "language: en\nlanguage: de"),  # twice
                     ("volunteer: 0.25", "volunteer: 7"),  # out of range
                     ("words: [dusty,", "words: [no,"),  # not text
                     ("words: [window,", "words: [green,"),  # a word in two slots
                     ("{room} .\"]\n  request", "{rom} .\"]\n  request"),  # placeholder typo
                     ("may i ask for the {ask} ?", "which {ask} would you like ?"),  # ambiguous
                     ("persona:", "colour: red\npersona:")]:  # unknown
        assert old in text
        text = text.replace(old, new)
    message = refusal(tmp_path, text)
    for part in ("line 4: language: stands there twice (first in line 3)",
                 "line 5: knobs.volunteer: got 7", "line 10: slots.subject.words.0: got False",
                 "line 15: slots.desk.words: 'green' is also a word of slot 'subject'",
                 "system.greet.2: got '{rom}'", "system.request.1: 'which {ask} would you like ?' can't be told apart",
                 "line 37: colour: unknown field"):
        assert part in message
    assert len(message.splitlines()) == 7


def test_names_and_folders(tmp_path):
    with pytest.raises(WorldError, match=r"'restaurant\.en': neither a file nor a shipped world; did you mean "
                                         r"'restaurants\.en'\? \(shipped are clinic\.en, restaurants\.en, "
                                         r"restaurants\.zh, travel\.en\)"):
        load_world("restaurant.en")
    with pytest.raises(WorldError, match=r"is a folder, not a world file; in it are instructor|brute"):
        load_world(GOOD.parent)
    with pytest.raises(WorldError, match="is a folder"):
        load_world(tmp_path)
    for odd in ("", "x" * 5000, "a\0b", "../data/worlds/restaurants.en", tmp_path / "absent.yaml"):
        with pytest.raises(WorldError, match="neither a file nor a shipped world"):
            load_world(odd)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = tmp_path / "secret.yaml"
    path.write_text("world: x")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(WorldError, match=r"secret\.yaml: cannot be read: Permission denied"):
        load_world(path)


@pytest.mark.parametrize(("knobs", "part"), [
    ({"noise": 0.1}, "knob noise: unknown field; did you mean 'word_noise'?"),
    ({"word_noise": 0.51}, "knob word_noise: got 0.51: should be less than or equal to 0.5"),
    ({"style": 0}, "knob style: got 0: should be greater than or equal to 0.05"),
    ({"correct": 0.1}, "user.correct: missing with knobs.correct 0.1"),
    ({"volunteer": "lots"}, "knob volunteer: got 'lots': should be a valid number"),
])
def test_with_knobs_says_which_knob(knobs, part):
    with pytest.raises(WorldError) as caught:
        load_world("restaurants.en").with_knobs(**knobs)
    assert part in str(caught.value)
    assert "restaurants.en" in str(caught.value)

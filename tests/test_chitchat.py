"""Real conversations as tasks: disjoint, repeatable, filtered, and clear about what is not there."""

from __future__ import annotations

import copy
import importlib.util
import random
import sys
from itertools import pairwise

import pytest

pytest.importorskip("tokenizers")

from metadialog_lite.checkpoints import load_checkpoint
from metadialog_lite.corpora import ChitchatCorpus, ChitchatTask, CorpusError, Limits, Subwords, load_corpus
from metadialog_lite.corpora.conversations import CorpusReport, read_conversations
from metadialog_lite.corpora.filters import FilterError, load_filter
from metadialog_lite.corpora.splits import SPLITS, enough
from metadialog_lite.decoding import Chat
from metadialog_lite.episodes import Vocabulary, draw_episodes, encode_turns
from metadialog_lite.families import make_learner
from metadialog_lite.model import ModelConfig
from metadialog_lite.paths import data_dir
from metadialog_lite.turns import Turn

SMALL = Limits(user=12, response=10, support=6, query=3, groups=4, hub=40, vocabulary=160, vocabulary_texts=5000)
WORDS = """tea rain book river green little walk sing friend
    morning bread winter lamp cat story window blue road""".split()  # noqa: SIM905


def message(text, sender):
    return {"text": text, "timestamp": "2018-04-19T19:57:51", "sender": sender}


def conversation(people, texts):
    """Entries as in the official file: groups alternate, one or two messages a group."""
    groups = [[message(part, people[i % 2]) for part in text.split("|")] for i, text in enumerate(texts)]
    return {
        "prompt": "What is your favourite tree?",
        "ratings": {"witty": 3, "int": 5, "upbeat": 5},
        "start": "2018-04-20T01:57:41",
        "messages": groups,
    }


def make_raw(people=16, conversations=160, seed=1):
    draw = random.Random(seed)
    raw = {}
    for number in range(conversations):
        pair = draw.sample([f"person{i:02d}" for i in range(people)], 2)
        texts = []
        for _ in range(draw.randint(4, 10)):
            words = draw.choices(WORDS, k=draw.randint(1, 5))
            texts.append(" ".join(words) + draw.choice(["", "?", "!", "|yes.", ". And then. " + " ".join(words)]))
        raw[f"conv{number:03d}"] = conversation(pair, texts)
    return raw


@pytest.fixture(scope="module")
def raw():
    return make_raw()


@pytest.fixture(scope="module")
def corpus(raw):
    return ChitchatCorpus(raw, SMALL)


real = pytest.mark.skipif(
    importlib.util.find_spec("chitchat_dataset") is None, reason="the package chitchat-dataset is not installed"
)


@pytest.fixture(params=["small", pytest.param("real", marks=real)])
def any_corpus(request):
    return request.getfixturevalue("corpus") if request.param == "small" else load_corpus("chitchat")


def conversations_of(corpus, split):
    return {name for speaker in corpus.speakers(split) for name, _ in speaker.dialogues}


# Tasks


def test_it_is_a_task_source(any_corpus):
    assert any_corpus.name == "chitchat"
    assert any_corpus.capabilities == ("response",)
    turn = any_corpus.task("train", 0, 0).support(1)[0]
    assert isinstance(turn, Turn)
    assert turn.previous_state == turn.state == turn.act == ()
    assert turn.user
    assert turn.response
    assert turn.meaning is None


def test_a_task_is_a_pure_function(any_corpus):
    for index in (0, 5, 1000):
        one, two = any_corpus.task("test", 3, index), any_corpus.task("test", 3, index)
        assert (one.name, one.support(6), one.query(3)) == (two.name, two.support(6), two.query(3))
    supports = {seed: [any_corpus.task("test", seed, i).support(6) for i in range(6)] for seed in (0, 1)}
    assert supports[0] != supports[1]


def test_building_again_gives_the_same_corpus(raw, corpus):
    shuffled = dict(random.Random(4).sample(sorted(raw.items()), len(raw)))
    again = ChitchatCorpus(shuffled, SMALL)
    assert again.subwords.to_json() == corpus.subwords.to_json()
    assert all(again.speakers(split) == corpus.speakers(split) for split in SPLITS)
    assert str(again.report) == str(corpus.report)


def test_a_pass_meets_every_speaker_once(any_corpus):
    for split in SPLITS:
        count = len(any_corpus.speakers(split))
        passes = [[any_corpus.task(split, 7, i).speaker for i in range(p * count, (p + 1) * count)] for p in (0, 1)]
        everyone = sorted(speaker.id for speaker in any_corpus.speakers(split))
        assert sorted(passes[0]) == sorted(passes[1]) == everyone
        if count > 5:
            assert passes[0] != passes[1]


def test_support_is_nested_and_query_comes_from_other_conversations(any_corpus):
    limits = any_corpus.limits
    for index in range(60):
        task = any_corpus.task("train", 1, index)
        most = task.support(limits.support)
        assert len(most) == limits.support
        assert all(task.support(shots) == most[:shots] for shots in (0, 1, 2, 4))
        query = task.query(limits.query)
        assert len(query) == limits.query
        assert task.query(2) == query[:2]
        support_names = {name for name, _ in task.support_dialogues}
        query_names = {name for name, _ in task.query_dialogues}
        assert support_names
        assert query_names
        assert not support_names & query_names
        assert task.dialogues(1) == [list(task.query_dialogues[0][1])]


def test_every_task_has_enough_whatever_the_seed(any_corpus):
    limits = any_corpus.limits
    for split in SPLITS:
        for seed in range(20):
            for index in range(len(any_corpus.speakers(split))):
                task = any_corpus.task(split, seed, index)
                assert task.max_shots >= limits.support
                assert task.max_query >= limits.query


def test_the_rule_for_enough_is_not_too_lax():
    sizes = [11, 9]  # 20 turns, but either conversation may end up as support or as too large for the query
    assert not enough(sizes, Limits(support=12, query=3))
    assert not enough([], SMALL)
    assert enough([11, 9, 6], Limits(support=12, query=3))


# No leaks


def test_splits_share_no_speaker_and_no_conversation(any_corpus):
    for one, two in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert not {s.id for s in any_corpus.speakers(one)} & {s.id for s in any_corpus.speakers(two)}
        assert not conversations_of(any_corpus, one) & conversations_of(any_corpus, two)
    for split in SPLITS:
        assert conversations_of(any_corpus, split)
        assert {any_corpus.split_of_conversation[name] for name in conversations_of(any_corpus, split)} == {split}


def test_a_held_out_speaker_never_says_anything_in_training(raw, corpus):
    held_out = {s for s, split in corpus.split_of_speaker.items() if split != "train"}
    assert held_out
    for name, split in corpus.split_of_conversation.items():
        if split == "train":
            assert not held_out & {m["sender"] for group in raw[name]["messages"] for m in group}


def test_held_out_words_change_nothing_in_training(raw, corpus):
    """The strongest form: rewrite all that was said in held-out conversations, and training stays what it was."""
    changed = copy.deepcopy(raw)
    for name, split in corpus.split_of_conversation.items():
        if split != "train":
            for group in changed[name]["messages"]:
                for part in group:
                    part["text"] = " ".join("xylo" for _ in part["text"].split()) + part["text"][-1:]
    other = ChitchatCorpus(changed, SMALL)
    assert other.split_of_conversation == corpus.split_of_conversation
    assert other.subwords.to_json() == corpus.subwords.to_json()
    assert other.speakers("train") == corpus.speakers("train")
    assert other.speakers("test") != corpus.speakers("test")
    assert not any("xylo" in token for token in other.tokens)


def test_the_test_above_can_go_red(raw, corpus):
    changed = copy.deepcopy(raw)
    name = next(name for name, split in corpus.split_of_conversation.items() if split == "train")
    changed[name]["messages"][0][0]["text"] = "xylo " * 300
    assert ChitchatCorpus(changed, SMALL).subwords.to_json() != corpus.subwords.to_json()


def test_who_has_very_many_conversations_always_trains(raw, corpus):
    from dataclasses import replace

    busiest = ChitchatCorpus(raw, replace(SMALL, hub=22)).split_of_speaker
    count = {s: sum(any(s == g[0]["sender"] for g in c["messages"]) for c in raw.values()) for s in busiest}
    hubs = {s for s in busiest if count[s] > 22}
    assert {corpus.split_of_speaker[s] for s in hubs} != {"train"}  # the hash alone holds some of them out
    assert {busiest[s] for s in hubs} == {"train"}
    assert all(busiest[s] == corpus.split_of_speaker[s] for s in set(busiest) - hubs)


# Turns


def test_the_response_belongs_to_the_speaker_and_the_user_part_is_what_was_said_before(raw, corpus):
    def plain(messages):
        return " ".join(" / ".join(m["text"] for m in messages).lower().split())

    checked = 0
    for speaker in corpus.speakers("train"):
        for name, turns in speaker.dialogues:
            groups = raw[name]["messages"]
            pairs = [(plain(a), plain(b)) for a, b in pairwise(groups) if b[0]["sender"] == speaker.id]
            position = 0
            for turn in turns:  # in order, each with the beginning of an answer and the end of what came before
                user, response = corpus.text(turn.user), corpus.text(turn.response)
                position = next(
                    i + 1
                    for i in range(position, len(pairs))
                    if pairs[i][0].endswith(user) and pairs[i][1].startswith(response)
                )
                checked += 1
    assert checked > 100


def test_lengths_are_bounded(any_corpus):
    limits, longest = any_corpus.limits, 0
    vocabulary = Vocabulary.of(any_corpus)
    for split in SPLITS:
        for speaker in any_corpus.speakers(split):
            for _, turns in speaker.dialogues:
                assert all(1 <= len(t.user) <= limits.user and 1 <= len(t.response) <= limits.response for t in turns)
                longest = max(longest, encode_turns(turns, vocabulary).tokens.shape[-1])
    assert longest <= any_corpus.max_length == limits.user + limits.response + 3


def test_a_long_response_ends_after_a_sentence_and_a_long_user_part_begins_with_one(corpus):
    cut = [corpus.pieces("Green tea."), corpus.pieces("Rain" + " and rain" * 6 + "!")]
    assert corpus._head(cut) == corpus.pieces("green tea.")
    assert corpus._head(cut[1:]) == ()
    assert corpus._tail([cut[1], cut[0]]) == cut[0]
    tail = corpus._tail([corpus.pieces("river walk " * 9)])
    assert corpus.text(tail).split(" ")[0] in ("river", "walk")
    assert len(tail) <= SMALL.user


def test_own_text_becomes_a_prompt(any_corpus):
    turn = any_corpus.prompt("Hello there! " * 40)
    assert 0 < len(turn.user) <= any_corpus.limits.user
    assert any_corpus.prompt("").user == ()
    assert any_corpus.text(any_corpus.pieces("Hello, friend!")) == "hello, friend!"
    assert Vocabulary.of(any_corpus).unknown(any_corpus.pieces("tea 茶")) == ["茶"]


def test_of_a_long_message_whole_sentences_at_its_end_are_heard(any_corpus):
    turn = any_corpus.prompt("Tea. " * 40 + "Book?")
    assert any_corpus.text(turn.user).startswith("tea. ")
    assert any_corpus.text(turn.user).endswith("tea. book?")
    assert len(turn.user) <= any_corpus.limits.user


def test_chat_answers_a_message_of_any_length(corpus):
    vocabulary = Vocabulary.of(corpus)
    config = ModelConfig(len(vocabulary), width=8, attention=8, mlp=8, layers=1, heads=1, max_length=corpus.max_length)
    learner = make_learner("prior", config, vocabulary)
    chat = Chat(learner.adapt([]), learner.vocabulary, corpus)
    assert chat.say("tea").heard == ""
    long = chat.say("Tea and rain. " * 50 + "Book?")
    assert long.heard.endswith("book?")
    assert len(corpus.pieces(long.heard)) <= SMALL.user
    assert len(chat.transcript) == 2


def test_episodes_can_be_drawn(any_corpus):
    episode = draw_episodes(any_corpus, "valid", 0, 0, 2, any_corpus.limits.support, any_corpus.limits.query)[1]
    assert len(episode.support) == any_corpus.limits.support
    assert len(episode.query) == any_corpus.limits.query


def test_a_stored_vocabulary_can_be_used(raw, corpus):
    again = ChitchatCorpus(raw, SMALL, subwords=corpus.subwords)
    assert again.tokens == corpus.tokens
    assert again.task("test", 0, 0).support(4) == corpus.task("test", 0, 0).support(4)


# Clear words for what is not there


def test_more_shots_than_a_speaker_has(any_corpus):
    task = any_corpus.task("test", 0, 0)
    with pytest.raises(CorpusError, match=rf"speaker \w+ of chitchat has {task.max_shots} shots, 9999 were asked"):
        task.support(9999)
    with pytest.raises(CorpusError, match=f"has {task.max_query} query turns, 9999"):
        task.query(9999)
    with pytest.raises(CorpusError, match="dialogues, 9999"):
        task.dialogues(9999)
    with pytest.raises(CorpusError, match="shots is -1; it must be a whole number"):
        task.support(-1)


def test_sizes_can_be_checked_before(corpus):
    corpus.check_size(SMALL.support, SMALL.query)
    with pytest.raises(CorpusError, match="shots is 7, but with the corpus chitchat it must be 0 to 6"):
        corpus.check_size(7, 1)
    with pytest.raises(CorpusError, match=r"query_turns is 4, .* 0 to 3"):
        corpus.check_size(1, 4)


def test_unknown_split_index_and_name(corpus):
    with pytest.raises(CorpusError, match="split is 'dev'; it must be one of train, valid, test"):
        corpus.task("dev", 0, 0)
    with pytest.raises(CorpusError, match="index is -1"):
        corpus.task("train", 0, -1)
    with pytest.raises(CorpusError, match="corpus is 'chitchatt'; it must be one of chitchat"):
        load_corpus("chitchatt")


def test_missing_package(monkeypatch):
    from metadialog_lite.corpora.chitchat import load_chitchat

    monkeypatch.setitem(sys.modules, "chitchat_dataset", None)
    with pytest.raises(CorpusError, match=r"pip install metadialog-lite\[corpora\]"):
        load_chitchat()


@real
def test_damaged_data_file(monkeypatch, tmp_path):
    import chitchat_dataset

    from metadialog_lite.corpora.chitchat import load_chitchat

    (tmp_path / "dataset.json").write_text('{"a": ', encoding="utf-8")
    monkeypatch.setattr(chitchat_dataset, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(CorpusError, match=r"dataset\.json: cannot be read"):
        load_chitchat()


@pytest.mark.parametrize("broken", [{}, {"a": {"messages": []}}])
def test_a_corpus_without_speakers_says_so(broken):
    with pytest.raises(CorpusError, match="no"):
        ChitchatCorpus(broken, SMALL)


# Damaged and unsuitable entries


def read(entries):
    report = CorpusReport()
    return read_conversations(entries, load_filter(), 4, report), report


def good():
    return conversation(("a", "b"), ["hello", "hi there", "how is the rain?|tell me", "wet, as ever"])


def test_defects_that_do_no_harm_are_noted():
    entries = {"1": good(), "2": good(), "3": good()}
    del entries["1"]["prompt"]
    del entries["2"]["ratings"]
    entries["3"]["messages"][1].append(message("  ", "b"))
    entries["3"]["messages"].append([])
    found, report = read(entries)
    assert [c.id for c in found] == ["1", "2", "3"]
    assert found[0].groups == found[2].groups
    assert found[0].groups[2].sentences == ("how is the rain?", "/ tell me")
    assert report.notes == {"conversations without prompt": 1, "conversations without ratings": 1, "empty messages": 1}
    assert not report.skipped


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        "text",
        [],
        {},
        {"messages": None},
        {"messages": {"0": []}},
        {"messages": ["hello", "hi"]},
        {"messages": [["hello"]]},
        {"messages": [[{"text": "hello"}]]},
        {"messages": [[{"sender": "a"}]]},
        {"messages": [[{"text": None, "sender": "a"}]]},
        {"messages": [[{"text": 3, "sender": "a"}]]},
        {"messages": [[{"text": "hi", "sender": 4}]]},
    ],
)
def test_damaged_entries_are_skipped_and_counted(entry):
    found, report = read({"bad": entry, "good": good()})
    assert [c.id for c in found] == ["good"]
    assert report.skipped == {"damaged: wrong types or missing fields": 1}
    assert (report.entries, report.kept) == (2, 1)


def test_unsuitable_conversations_are_skipped_by_reason():
    three = good()
    three["messages"].append([message("me too", "c")])
    entries = {
        "alone": conversation(("a", "a"), ["hello", "anybody?", "no?", "bye"]),
        "empty": {"messages": []},
        "short": conversation(("a", "b"), ["hello", "hi", "bye"]),
        "three": three,
        "rude": conversation(("a", "b"), ["hello", "what the hell", "sorry", "bye"]),
    }
    found, report = read(entries)
    assert found == []
    assert report.skipped == {
        "empty, or nobody answered": 2,
        "shorter than 4 message groups": 1,
        "more than two people": 1,
        "profanity": 1,
    }
    assert "profanity" in str(report)


def test_groups_of_one_sender_in_a_row_become_one():
    entry = good()
    entry["messages"].insert(1, [message("is anybody there", "a")])
    found, _ = read({"1": entry})
    assert [g.speaker for g in found[0].groups] == ["a", "b", "a", "b"]
    assert found[0].groups[0].sentences == ("hello", "/ is anybody there")


def test_a_corpus_is_a_mapping():
    with pytest.raises(CorpusError, match="not list"):
        read([good()])


def test_the_whole_corpus_survives_damaged_entries(raw, corpus):
    with_damage = dict(raw) | {"x1": None, "x2": {"messages": [[{"text": 1}]]}, "x3": {"messages": []}}
    damaged = ChitchatCorpus(with_damage, SMALL)
    assert all(damaged.speakers(split) == corpus.speakers(split) for split in SPLITS)
    assert damaged.report.skipped["damaged: wrong types or missing fields"] == 2


# The filter


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("What the hell is this", "profanity"),
        ("that is CRAPPY", "profanity"),
        ("that was craaaaap!!", "profanity"),
        ("cr@p", "profanity"),
        ("you d**n fool", "profanity"),
        ("he thought about suicide", "harm"),
        ("i want  to\ndie", "harm"),
        ("she was naked", "sexual"),
        ("write to jane.doe@example.org", "personal"),
        ("I am @janedoe there", "personal"),
        ("see http://example.org/x", "personal"),
        ("go to example.com now", "personal"),
        ("call (801) 555-0123", "personal"),
        ("801-555-0123", "personal"),
        ("it is 555-0123", "personal"),
        ("I live at 742 north 300", "personal"),
        ("my user is jane_doe? no, janedoe42", "personal"),
        ("add me on insta", "personal"),
        ("My name is Jane Doe", "personal"),
        ("my last name is doe", "personal"),
    ],
)
def test_the_filter_finds(text, reason):
    assert load_filter().reason(text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "Hello, how are you?",
        "My class has an assignment, the assessment is on Wednesday",
        "my therapist and I passed Sussex and Scunthorpe",
        "he'll shell out $10 at 7:30",
        "I study at BYU since 2014, room 12",
        "no* I meant know",
        "so...me and you",
        "my name is Jane",
        "I skilled up, the weed killer is in the cocktail dress",
        "gay and queer people are welcome",
        "a" * 500,
        "",
    ],
)
def test_the_filter_lets_pass(text):
    assert load_filter().reason(text) is None


def test_own_word_list(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# mine\n[boring]\nHomework*\n~zngu\nexam week\n", encoding="utf-8")
    mine = load_filter(path)
    assert [mine.reason(t) for t in ("homeworks", "math", "it is exam  week", "fun")] == ["boring"] * 3 + [None]
    assert mine.categories == ("boring", "personal")


def test_bad_word_list(tmp_path):
    path = tmp_path / "words.txt"
    with pytest.raises(FilterError, match=r"words.txt: .*cannot be read"):
        load_filter(path)
    path.write_text("word\n", encoding="utf-8")
    with pytest.raises(FilterError, match=r"words.txt, line 1: .*\[category\]"):
        load_filter(path)


# The real corpus


@real
def test_counts_of_the_real_corpus():
    corpus = load_corpus("chitchat")
    report = corpus.report
    assert load_corpus("chitchat") is corpus
    assert report.entries == 7168
    assert report.kept + sum(report.skipped.values()) == report.entries
    assert report.notes["conversations without ratings"] == 1180
    assert dict(report.speakers) == {"train": 86, "valid": 22, "test": 49}
    assert 900 <= len(corpus.tokens) <= 1000
    assert all(report.skipped[reason] for reason in ("profanity", "sexual", "harm", "personal"))


@real
def test_nothing_that_the_filter_refuses_is_left_in_the_real_corpus():
    corpus, classroom = load_corpus("chitchat"), load_filter()
    for split in SPLITS:
        for speaker in corpus.speakers(split):
            for _, turns in speaker.dialogues:
                for turn in turns:
                    for text in (corpus.text(turn.user), corpus.text(turn.response)):
                        assert classroom.reason(text) is None


def test_tasks_are_made_quickly(corpus):
    import time

    start = time.process_time()
    for index in range(200):
        task = corpus.task("train", 0, index)
        assert isinstance(task, ChitchatTask)
        task.support(6)
        task.query(3)
    assert time.process_time() - start < 2


# The shipped model


@real
def test_the_shipped_models_speak_in_the_pieces_of_the_corpus():
    """They bring their vocabulary along, so that other versions of tokenizers change nothing."""
    corpus, found = load_corpus("chitchat"), sorted((data_dir() / "checkpoints").glob("chitchat.*.safetensors"))
    assert {path.name for path in found} >= {"chitchat.joint.safetensors"}
    assert sum(path.stat().st_size for path in found) < 2_000_000
    for path in found:
        checkpoint = load_checkpoint(path, "chitchat")
        assert checkpoint.learner.vocabulary.tokens == Vocabulary.of(corpus).tokens
        assert Subwords.from_checkpoint(path).tokens == corpus.tokens
        assert checkpoint.info["command"].startswith("metadialog-lite train")

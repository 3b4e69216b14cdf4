"""Corpora in files: every loader on tiny files in the official layout, tasks, splits, and that nothing leaks."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from metadialog_lite.corpora import CorpusError, DialogueCorpus, Subwords, TaskLimits, label, load_corpus
from metadialog_lite.corpora.dialogues import ReadingReport, parse_state
from metadialog_lite.corpora.load import READERS, find_corpus, read_dialogues
from metadialog_lite.corpora.splits import SPLITS
from metadialog_lite.corpora.subwords import WORD
from metadialog_lite.decoded import decode_learner
from metadialog_lite.episodes import SPECIALS, Vocabulary, encode_turns
from metadialog_lite.turns import EMPTY, Turn
from tests import tiny_corpora as tiny

SAMPLES = Path(__file__).parents[2] / "shared" / "data"  # beside a checkout; real samples, never part of the project
WRITERS = {**tiny.LAYOUTS, "multiwoz 2.2": tiny.multiwoz22}


@pytest.fixture(scope="module", params=list(WRITERS))
def corpus(request, tmp_path_factory) -> DialogueCorpus:
    folder = tiny.write(tmp_path_factory.mktemp("corpus"), WRITERS[request.param]())
    found = load_corpus(str(folder))
    assert found.name == request.param.split()[0]
    return found


def all_turns(corpus: DialogueCorpus, split: str) -> list[Turn]:
    """Every turn of every task of a split, support and query."""
    found = []
    for index in range(len(corpus.tasks(split))):
        task = corpus.task(split, 0, index)
        found += task.support(task.max_shots) + task.query(task.max_query)
    return found


def words(turns: list[Turn], corpus: DialogueCorpus) -> set[str]:
    parts = (part for turn in turns for part in turn[:5])
    return {word for part in parts for word in corpus.text(part).replace("酒店", "").split()}


# What every corpus has in common


def test_training_with_few_tasks_meets_these_alone_and_changes_nothing_else(corpus, tmp_path):
    folder = tiny.write(tmp_path / corpus.name, WRITERS[corpus.name]())
    there = len(load_corpus(str(folder)).tasks("train"))
    met = {}
    for few in (1, there - 1, there):
        fewer = load_corpus(f"{folder}+people={few}")
        assert label(f"{folder}+people={few}") == f"{corpus.name}+people={few}"
        met[few] = {fewer.task("train", seed, index).name for seed in (0, 5) for index in range(3 * there)}
        assert len(met[few]) == few
        assert fewer.tokens == load_corpus(str(folder)).tokens
        for split in ("valid", "test"):
            assert fewer.task(split, 1, 1).support(8) == load_corpus(str(folder)).task(split, 1, 1).support(8)
    assert met[1] <= met[there - 1] <= met[there]  # those of a smaller number are among those of a larger one
    for wrong in ("0", str(there + 1), "", "two"):
        with pytest.raises(CorpusError, match=rf"\+people={wrong}: a whole number from 1 to {there}"):
            load_corpus(f"{folder}+people={wrong}")


def test_tasks_are_a_pure_function_of_their_arguments_and_share_no_dialogue(corpus):
    for split in SPLITS:
        for index in range(2 * len(corpus.tasks(split))):
            task, again = corpus.task(split, 3, index), corpus.task(split, 3, index)
            support, query = task.support(8), task.query(8)
            assert (support, query) == (again.support(8), again.query(8))
            assert task.support(4) == support[:4]
            assert not {t.meaning.dialogue for t in support} & {t.meaning.dialogue for t in task.query(task.max_query)}
            assert task.dialogues(1)[0][0].meaning.dialogue not in {t.meaning.dialogue for t in support}


def test_each_pass_goes_once_through_all_tasks(corpus):
    count = len(corpus.tasks("train"))
    for turn in range(2):
        names = [corpus.task("train", 0, turn * count + i).name for i in range(count)]
        assert sorted(names) == sorted(f"{corpus.kind.task} {name}" for name in corpus.tasks("train"))


def test_splits_share_no_task_no_dialogue_and_no_word_of_their_own(corpus):
    tasks = {split: set(corpus.tasks(split)) for split in SPLITS}
    turns = {split: all_turns(corpus, split) for split in SPLITS}
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        assert tasks[one]
        assert not tasks[one] & tasks[other]
        assert not {t.meaning.dialogue for t in turns[one]} & {t.meaning.dialogue for t in turns[other]}


def test_what_only_held_out_tasks_say_is_neither_in_training_nor_in_the_vocabulary(corpus, request):
    if corpus.language == "zh":
        own = {split: {sign for text in words(all_turns(corpus, split), corpus) for sign in text} for split in SPLITS}
    else:
        own = {split: words(all_turns(corpus, split), corpus) for split in SPLITS}
    for split in ("valid", "test"):
        secrets = {word for word in own[split] - own["train"] if not word.isdigit()}
        assert secrets  # the test can see something
        assert not {WORD + word for word in secrets} & set(corpus.tokens)
        if corpus.language == "zh":
            assert not secrets & set(corpus.tokens)


def test_the_vocabulary_does_not_change_when_held_out_dialogues_do(tmp_path):
    """Twice the same corpus, but in the second one the held-out services say something else, and ten times as often."""
    first = load_corpus(str(tiny.write(tmp_path / "one", tiny.sgd())))
    files = tiny.sgd()
    for part in ("dev", "test"):
        for number in (1, 2):
            for dialogue in files[f"{part}/dialogues_00{number}.json"]:
                for turn in dialogue["turns"]:
                    turn["utterance"] = "Wxyz wxyz. " * 10
    second = load_corpus(str(tiny.write(tmp_path / "two", files)))
    assert first.tokens == second.tokens
    assert words(all_turns(first, "train"), first) == words(all_turns(second, "train"), second)
    assert words(all_turns(first, "test"), first) != words(all_turns(second, "test"), second)


def test_turns_fit_and_can_be_encoded(corpus):
    vocabulary = Vocabulary.of(corpus)
    assert not set(corpus.tokens) & set(SPECIALS)
    for split in SPLITS:
        batch = encode_turns(all_turns(corpus, split), vocabulary)
        assert batch.tokens.shape[1] <= corpus.max_length
    state = "state" in corpus.capabilities
    assert {bool(turn.state) and bool(turn.act) for turn in all_turns(corpus, "train")} == {state}


def test_states_and_acts_are_read_back_from_their_tokens(corpus):
    if "state" not in corpus.capabilities:
        return
    filled = 0
    for turn in all_turns(corpus, "test") + all_turns(corpus, "train"):
        said, accepted = corpus.parse_state(turn.state), corpus.accepted(turn)
        assert said.keys() == accepted.keys()
        assert all(said[slot] == forms[0] for slot, forms in accepted.items())
        assert all(part for part in corpus.parse_act(turn.act))
        filled += bool(said)
    assert filled


class Oracle:
    """Says of every turn what the corpus says; ``also`` is added to each response."""

    def __init__(self, *also: str) -> None:
        self.also = also

    def adapt(self, support: list[Turn]) -> Oracle:
        return self

    def replies(self, prompts: list[Turn]) -> list[Turn]:
        return [turn._replace(response=(*turn.response, *self.also)) for turn in prompts]


def test_who_says_what_the_corpus_says_makes_no_error(corpus):
    """Each metric at its best, in every corpus: slots and values are compared as they are written in a state."""
    said = decode_learner(Oracle(), corpus, 4, len(corpus.tasks("test")), 8, 0, "test")
    assert said.bleu == pytest.approx(100)
    if "state" in corpus.capabilities:
        assert (said.jga, said.jga_carried, said.jga_fuzzy, said.slot_f1, said.act_accuracy) == (1, 1, 1, 1, 1)
        assert said.slot_error == 0


def test_a_value_of_the_state_that_the_reference_does_not_say_is_a_slot_error(tmp_path):
    corpus = load_corpus(str(tiny.write(tmp_path, tiny.sgd())))
    said = decode_learner(Oracle(*corpus.pieces("for two")), corpus, 4, len(corpus.tasks("test")), 8, 0, "test")
    assert said.slot_error > 0
    assert said.jga == 1


def test_sizes_are_checked(corpus):
    most = corpus.limits.support
    corpus.check_size(most, corpus.limits.query)
    with pytest.raises(CorpusError, match=f"shots is {most + 1}, but with the corpus {corpus.name}"):
        corpus.check_size(most + 1, 1)
    with pytest.raises(CorpusError, match="split is 'dev'"):
        corpus.task("dev", 0, 0)
    with pytest.raises(CorpusError, match="index is -1"):
        corpus.task("train", 0, -1)
    with pytest.raises(CorpusError, match="use fewer"):
        corpus.task("train", 0, 0).support(10**6)


def test_a_text_of_ones_own_becomes_a_prompt(corpus):
    turn = corpus.prompt("hello, is anybody there? 你好")
    assert "is anybody there" in corpus.text(turn.user)
    assert turn.response == ()
    assert corpus.text(turn.previous_state) == (EMPTY if "state" in corpus.capabilities else "")
    long = corpus.prompt("word " * 500)
    assert 0 < len(long.user) <= corpus.limits.user


def test_a_stored_vocabulary_is_used_instead_of_learning_one(tmp_path):
    folder = tiny.write(tmp_path, tiny.sgd())
    stored, roomy = Subwords.train(["what the checkpoint knew"] * 3, 120), TaskLimits(state=300, act=300, response=99)
    assert load_corpus(str(folder), stored, roomy).tokens == stored.tokens != load_corpus(str(folder)).tokens


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_zip_reads_like_its_folder_and_the_order_in_files_plays_no_part(name, tmp_path):
    files = WRITERS[name]()
    folder = load_corpus(str(tiny.write(tmp_path / "folder", files)))
    for below in ("", "official-release/"):
        archive = tiny.write_zip(tmp_path / f"corpus{len(below)}.zip", files, below)
        packed = load_corpus(str(archive))
        assert packed.tokens == folder.tokens
        assert all_turns(packed, "test") == all_turns(folder, "test")


# Who is held out


def test_sgd_holds_out_services_that_train_has_never_seen(tmp_path):
    corpus = load_corpus(f"sgd:{tiny.write(tmp_path, tiny.sgd())}")
    assert corpus.official
    assert corpus.tasks("train") == tuple(f"Service{letter}_1" for letter in "ABCD")
    assert corpus.tasks("valid") == ("ServiceH_1",)
    assert corpus.tasks("test") == tuple(f"Service{letter}_1" for letter in "EFG")
    numbers = {int(t.meaning.dialogue.rpartition("_")[2]) for t in all_turns(corpus, "train")}
    assert max(numbers) < 100  # A and B of dev and test are not trained on


def test_a_dialogue_with_a_held_out_service_is_not_trained_on(tmp_path):
    files = tiny.sgd()
    del files["test/dialogues_001.json"], files["test/dialogues_002.json"], files["test/schema.json"]
    base = load_corpus(str(tiny.write(tmp_path / "base", files)))
    (held_out,), known = base.tasks("valid"), base.tasks("train")[0]
    assert base.tasks("test") == ("ServiceE_1", "ServiceH_1")  # without an official test part, what dev has anew
    files["train/dialogues_001.json"] += [tiny.sgd_dialogue(900 + i, known, 6, held_out) for i in range(5)]
    files["train/dialogues_001.json"] += [tiny.sgd_dialogue(950, held_out, 6, known)]
    corpus = load_corpus(str(tiny.write(tmp_path / "mixed", files)))
    assert (corpus.tasks("valid"), known in corpus.tasks("train")) == ((held_out,), True)
    numbers = {split: {int(t.meaning.dialogue[-5:]) for t in all_turns(corpus, split)} for split in SPLITS}
    assert not numbers["train"] & {900, 901, 902, 903, 904, 950}
    assert {900, 950} <= numbers["valid"]


def test_multiwoz_touches_more_than_it_exchanges(tmp_path):
    """A restaurant dialogue in which a taxi is filled in on the side belongs to no training."""
    files = tiny.multiwoz21()
    side = tiny.multiwoz_log(50, "restaurant")
    side["log"][-1]["metadata"]["taxi"] = {"semi": {"departure": "the gonville"}, "book": {}}
    files["data.json"]["SIDE.json"] = side
    corpus = load_corpus(str(tiny.write(tmp_path, files)))
    assert corpus.split_of_dialogue["SIDE.json"] == "valid"
    assert corpus.tasks("train") == ("hotel", "restaurant", "train")
    assert (corpus.tasks("valid"), corpus.tasks("test")) == (("taxi",), ("attraction",))


def test_both_sides_of_a_conversation_are_one(tmp_path):
    corpus = load_corpus(str(tiny.write(tmp_path, tiny.personachat())))
    groups: dict[str, set[str]] = {}
    kind, files = find_corpus(str(tmp_path))
    for dialogue in read_dialogues(kind, files, ReadingReport()):
        groups.setdefault(dialogue.group, set()).add(corpus.split_of_dialogue[dialogue.id])
        assert len(dialogue.about) == 2
    assert len(groups) == 16 * 6
    assert all(len(splits) == 1 for splits in groups.values())
    assert corpus.official
    assert [len(corpus.tasks(split)) for split in SPLITS] == [10, 2, 4]
    said = {turn.meaning.about for turn in all_turns(corpus, "test")}
    assert len(said) == len(corpus.tasks("test"))


def test_a_small_sample_gets_fewer_shots_and_a_tiny_one_an_error(tmp_path):
    small = load_corpus(str(tiny.write(tmp_path / "small", tiny.sgd(dialogues=4))))
    assert small.limits.support == 8
    assert "8" in str(small.report)
    with pytest.raises(CorpusError, match=r"sgd: too little for a train, a valid and a test service"):
        load_corpus(str(tiny.write(tmp_path / "tiny", tiny.sgd(dialogues=1, turns=2))))


def test_long_states_are_left_out_and_long_answers_cut_after_a_sentence(tmp_path):
    folder = tiny.write(tmp_path, tiny.sgd())
    corpus = load_corpus(str(folder), None, TaskLimits(response=12, state=12))
    assert corpus.report.turns["response cut after a sentence"]
    assert corpus.report.turns["left out: state or act too long"] == 0
    for turn in all_turns(corpus, "train"):
        whole = turn.meaning.response.lower()
        assert corpus.text(turn.response) in (whole, whole[: whole.index("?") + 1])
        assert len(turn.response) <= 12
    with pytest.raises(CorpusError, match="state or act too long"):
        load_corpus(str(folder), None, TaskLimits(state=3))


# What the loaders read


def first(folder: Path, name: str):
    kind, files = find_corpus(str(folder))
    found = sorted(read_dialogues(kind, files, ReadingReport()))
    return next(dialogue for dialogue in found if dialogue.id.startswith(name))


def test_sgd_turn(tmp_path):
    dialogue = first(tiny.write(tmp_path, tiny.sgd()), "ServiceA_1_00003")
    begin, then = dialogue.exchanges[:2]
    assert begin.previous == ()
    assert [value.slot for value in then.state] == ["city", "party size"]
    assert then.previous == begin.state == then.state[1:]
    assert begin.state[0].forms == ("two", "2")  # "two" was said
    assert (then.state[0].free, then.state[1].free) == (True, False)
    assert then.act == ("offer restaurant name", "request city")
    assert then.values == ("Cafe 1",)


@pytest.mark.parametrize("writer", [tiny.multiwoz21, tiny.multiwoz22])
def test_multiwoz_turn(writer, tmp_path):
    dialogue = first(tiny.write(tmp_path, writer()), "HOT0003")
    last = dialogue.exchanges[-1]
    assert {value.slot: value.forms for value in last.state} == {
        "area": ("north",), "book people": ("2",), "food": ("thai", "british"),
        "leaveat": ("dontcare",)}
    assert dialogue.exchanges[0].previous == ()
    assert dialogue.exchanges[1].previous == dialogue.exchanges[0].state
    assert {exchange.task for exchange in dialogue.exchanges} == {"hotel"}
    assert last.act == ("general reqmore", "inform name")
    assert last.values == ("The Gonville",)


def test_both_versions_of_multiwoz_give_the_same_dialogues(tmp_path):
    old = tiny.write(tmp_path / "old", tiny.multiwoz21())
    new = tiny.write(tmp_path / "new", tiny.multiwoz22())
    assert all_turns(load_corpus(str(old)), "test") == all_turns(load_corpus(str(new)), "test")


def test_multiwoz_without_acts_is_read(tmp_path):
    files = tiny.multiwoz22()
    del files["dialog_acts.json"]
    corpus = load_corpus(str(tiny.write(tmp_path, files)))
    assert {corpus.text(turn.act) for turn in all_turns(corpus, "train")} == {EMPTY}


def test_crosswoz_turn(tmp_path):
    dialogue = first(tiny.write(tmp_path, tiny.crosswoz()), "5000")
    last = dialogue.exchanges[-1]
    assert last.task == "景点+餐馆"
    good = ("4.5分以上",)
    assert [(value.slot, value.forms) for value in last.state] == [("景点 评分", good), ("餐馆 评分", good)]
    assert last.act == ("general welcome", "recommend 景点 名称")
    assert last.values == ("外婆家",)


def test_crosswoz_packed_file_by_file_and_in_an_archive_of_archives(tmp_path):
    files = tiny.crosswoz()
    plain = load_corpus(str(tiny.write(tmp_path / "plain", files)))
    folder = tmp_path / "packed"
    folder.mkdir()
    for name, content in files.items():
        tiny.write_zip(folder / f"{name}.zip", {name: content})
    assert all_turns(load_corpus(str(folder)), "test") == all_turns(plain, "test")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"CrossWOZ-master/data/crosswoz/{path.name}")
    assert all_turns(load_corpus(str(tmp_path / "all.zip")), "test") == all_turns(plain, "test")


def test_chinese_pieces_are_signs(tmp_path):
    corpus = load_corpus(str(tiny.write(tmp_path, tiny.crosswoz())))
    pieces = corpus.pieces("你好，推荐4.5分以上的家。")
    assert pieces[:2] == ("你", "好")
    assert corpus.text(pieces).replace(" ", "") == "你好,推荐4.5分以上的家。"
    assert Subwords.from_json(corpus.subwords.to_json()).pieces("你好，推荐") == corpus.pieces("你好，推荐")


def test_personachat_turn(tmp_path):
    folder = tiny.write(tmp_path, tiny.personachat())
    kind, files = find_corpus(str(folder))
    dialogues = list(read_dialogues(kind, files, ReadingReport()))
    opened = [d for d in dialogues if len(d.exchanges) == 6]  # the side that spoke first: its opening has no user text
    assert len(opened) == len(dialogues) // 2
    assert all("\t" not in e.response and "|" not in e.response for d in dialogues for e in d.exchanges)


def test_values_cannot_break_a_state():
    text = "city = a ; time = 5 ; = x ; y = ; ; noise"
    assert parse_state(text) == {"city": "a", "time": "5"}


def test_values_with_separators_keep_their_state_readable(tmp_path):
    files = tiny.sgd()
    for dialogue in files["train/dialogues_001.json"]:
        for turn in dialogue["turns"]:
            for frame in turn["frames"]:
                if "state" in frame:
                    frame["state"]["slot_values"]["odd"] = ["a;b=c；d\n\te"]
    corpus = load_corpus(str(tiny.write(tmp_path, files)))
    odd = {corpus.parse_state(t.state).get("odd") for t in all_turns(corpus, "train")} - {None}
    assert odd == {"a,b:c,d e"}


# What a user may write


def test_names_and_paths(tmp_path):
    folder = tiny.write(tmp_path / "c", tiny.sgd())
    assert load_corpus(f"sgd:{folder}").name == load_corpus(str(folder)).name == "sgd"
    for wrong, message in (
        ("sgd", "give its folder or .zip as well"), ("sgd:", "corpus is 'sgd:'"),
        ("sgd:/no/such", "there is no such folder or file"), ("/no/such", "it must be one of chitchat, sgd"),
        (f"multiwoz:{folder}", "does not look like multiwoz"), (str(tmp_path), "sgd"),
        (str(Path(__file__)), "is neither a folder nor a .zip"),
    ):
        if wrong == str(tmp_path):
            assert load_corpus(wrong).name == "sgd"  # one folder too high is forgiven
        else:
            with pytest.raises(CorpusError, match=message.replace(".", r"\.")):
                load_corpus(wrong)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="no corpus is recognised here"):
        load_corpus(str(tmp_path / "empty"))


# Real samples


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no real samples in {SAMPLES}")
@pytest.mark.parametrize(
    ("folder", "name", "dialogues", "tasks"),
    [("sgd", "sgd", 265, (19, 5, 7)), ("multiwoz/stratified", "multiwoz", 124, (3, 1, 1)),
     ("crosswoz/stratified", "crosswoz", 64, (2, 1, 1))],
)
def test_real_samples(folder, name, dialogues, tasks):
    corpus = load_corpus(str(SAMPLES / folder))
    assert corpus.name == name
    assert corpus.report.entries == dialogues
    assert corpus.report.damaged == 0
    assert tuple(len(corpus.tasks(split)) for split in SPLITS) == tasks
    unknown = Vocabulary.of(corpus).unknown(piece for turn in all_turns(corpus, "train") for piece in turn.user)
    assert len(unknown) < 300  # Chinese signs that stand but once
    for turn in all_turns(corpus, "test"):
        assert corpus.parse_state(turn.state) == {slot: forms[0] for slot, forms in corpus.accepted(turn).items()}


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"no real samples in {SAMPLES}")
def test_several_surface_forms_of_the_real_sgd():
    kind, files = find_corpus(str(SAMPLES / "sgd"))
    values = [value for dialogue in read_dialogues(kind, files, ReadingReport()) for exchange in dialogue.exchanges
              for value in exchange.state]
    several = sum(len(value.forms) > 1 for value in values) / len(values)
    assert 0.05 < several < 0.3
    raw = json.loads((SAMPLES / "sgd" / "train" / "schema.json").read_text(encoding="utf-8"))
    assert {service["service_name"] for service in raw}
    assert set(READERS) == set(tiny.LAYOUTS)

"""The subword vocabulary: text -> pieces -> text, the same everywhere, and stored as text."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("tokenizers")

from metadialog_lite.corpora import SubwordError, Subwords
from metadialog_lite.episodes import SPECIALS

TEXTS = [f"Well, number {i} isn't what I'd call a good day... / how are you, friend {i % 7}?" for i in range(200)]


@pytest.fixture(scope="module")
def subwords():
    return Subwords.train(TEXTS, 160)


def test_text_comes_back_in_small_letters(subwords):
    said = "Hello, I don't know   what\nyou'd  call it (2020)! / OK?"
    assert subwords.text(subwords.pieces(said)) == "hello, i don't know what you'd call it (2020)! / ok?"
    assert subwords.pieces("") == subwords.pieces(" \n ") == ()


def test_all_of_ascii_is_known_and_nothing_else(subwords):
    everything = "".join(chr(code) for code in range(32, 127))
    assert set(subwords.pieces(everything)) <= set(subwords.tokens)
    pieces = subwords.pieces("你好 friend ☃ \ufffd")
    assert [p for p in pieces if p not in subwords.tokens] == ["你", "好", "☃", "\ufffd"]
    assert subwords.text(pieces) == "你好 friend ☃ \ufffd"


def test_typographic_quotes_and_a_literal_word_mark(subwords):
    assert subwords.pieces("isn’t “so”…") == subwords.pieces('isn\'t "so"...')
    assert subwords.text(subwords.pieces("a▁b")) == "a_b"


def test_a_frequent_word_is_one_piece_and_a_word_begins_with_its_mark(subwords):
    assert subwords.pieces("number isn't")[0] == "▁number"
    assert [i for i, p in enumerate(subwords.pieces("number number")) if p.startswith("▁")] == [0, 1]


def test_no_piece_can_be_taken_for_a_special_token(subwords):
    assert len(set(subwords.tokens)) == len(subwords.tokens) <= 160
    assert not set(subwords.tokens) & set(SPECIALS)
    greedy = Subwords.train(["<usr> <sys> <eos> <unk> <pad>"] * 500, 200)
    assert not set(greedy.tokens) & set(SPECIALS)
    assert not set(greedy.pieces("<usr> <unk> <eos>")) & set(SPECIALS)


def test_order_of_the_texts_does_not_matter_and_json_brings_it_back(subwords):
    assert Subwords.train(reversed(TEXTS), 160).to_json() == subwords.to_json()
    again = Subwords.from_json(subwords.to_json())
    assert again.tokens == subwords.tokens
    said = "Another sentence, never seen: 33 friends? 你"
    assert again.pieces(said) == subwords.pieces(said)


def test_another_process_with_another_hash_seed_and_one_thread_learns_the_same(subwords):
    code = (
        "import hashlib; from metadialog_lite.corpora import Subwords; from tests.test_subwords import TEXTS;"
        "print(hashlib.sha256(Subwords.train(TEXTS, 160).to_json().encode()).hexdigest())"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = os.environ | {"PYTHONHASHSEED": "77", "RAYON_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == hashlib.sha256(subwords.to_json().encode()).hexdigest(), done.stderr


@pytest.mark.parametrize("size", [0, 99, 8001])
def test_size_out_of_range(size):
    with pytest.raises(SubwordError, match=f"size is {size}; it must be 100 to 8000"):
        Subwords.train(TEXTS, size)


def test_no_text():
    with pytest.raises(SubwordError, match="no text"):
        Subwords.train([], 200)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", "7", '{"model": {"type": "BPE"}}', '{"version": "1.0", "model": null}']
)
def test_damaged_json(text):
    with pytest.raises(SubwordError, match="damaged"):
        Subwords.from_json(text)


def test_json_of_another_kind(subwords):
    with pytest.raises(SubwordError, match="must be 'BPE'"):
        Subwords.from_json(
            subwords.to_json().replace('"type":"BPE"', '"type":"Unigram"').replace('"type": "BPE"', '"type": "Unigram"')
        )


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(SubwordError, match=r"pip install metadialog-lite\[corpora\]"):
        Subwords.train(TEXTS, 160)


def test_a_checkpoint_brings_its_vocabulary_along(subwords, tmp_path):
    header = json.dumps({"info": {"subwords": subwords.to_json()}})
    raw = json.dumps({"__metadata__": {"format": "x", "header": header}}).encode()
    path = tmp_path / "one.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"tensors")
    assert Subwords.from_checkpoint(path).tokens == subwords.tokens
    for damaged in (b"", raw, len(raw).to_bytes(8, "little") + raw[:50], (10**15).to_bytes(8, "little") + b"{}"):
        path.write_bytes(damaged)
        with pytest.raises(SubwordError, match=r"one\.safetensors: has no subword vocabulary"):
            Subwords.from_checkpoint(path)
    with pytest.raises(SubwordError, match=r"two\.safetensors"):
        Subwords.from_checkpoint(tmp_path / "two.safetensors")


def test_half_a_surrogate_pair_is_no_crash(subwords):
    assert subwords.text(subwords.pieces("hello \ud800 you")).startswith("hello")
    assert Subwords.train([*TEXTS, "hello \ud800"], 160).tokens == Subwords.train([*TEXTS, "hello ?"], 160).tokens

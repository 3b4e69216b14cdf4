"""A small subword vocabulary: byte-pair encoding (Sennrich et al., arXiv 1508.07909) through ``tokenizers``.

Text is brought to small letters first, since a tiny model has no parameters to spare for learning that "Hello" is
"hello". A piece that begins a word begins with "▁"; so pieces can be joined to text again, but for the capitals.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

WORD = "▁"
_UNKNOWN = "\ufffd"  # stands for signs that the vocabulary lacks; never leaves this module
#: Letters with their apostrophes ("don't"), single digits, runs of other signs. Pieces never cross these borders,
#: which also means that a piece never looks like a special token: "<usr>" is "<", "usr", ">".
_BORDERS = rf"{WORD}?[a-z]+(?:'[a-z]+)*|{WORD}?[0-9]|{WORD}?[^{WORD}a-z0-9]+|{WORD}"
#: Chinese signs: each of them is a piece of its own, and no word mark stands before it.
_HAN = "\u3001-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff01-\uff65"
_HAN_BORDERS = _BORDERS.replace("[^", f"[^{_HAN}", 1) + f"|[{_HAN}]"
_IS_HAN = re.compile(f"[{_HAN}]")
_PARTS = re.compile(f"[{_HAN}]|[^\\s{_HAN}]+")
_PLAIN = {"‘": "'", "’": "'", "“": '"', "”": '"', "…": "...", WORD: "_"}
#: Most pieces of a vocabulary.
MOST = 8000


class SubwordError(ValueError):
    """A stored vocabulary that cannot be used, or a missing package."""


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise SubwordError(
            "the subword vocabulary needs the package 'tokenizers': pip install metadialog-lite[corpora]"
        ) from error
    return tokenizers


def _whole(text: str) -> str:
    """The text with "?" for half a surrogate pair, which a damaged file may hold and ``tokenizers`` refuses."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _signs(texts: Iterable[str], most: int) -> list[str]:
    """The most frequent Chinese signs that stand at least twice in the texts."""
    count = Counter(sign for text in texts for sign in _IS_HAN.findall(unicodedata.normalize("NFKC", text)))
    return [sign for sign, times in sorted(count.items(), key=lambda pair: (-pair[1], pair[0])) if times > 1][:most]


class Subwords:
    """Text -> pieces -> text. Made by :meth:`train` or :meth:`from_json`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, tuple[str, ...]] = {}
        ids = tokenizer.get_vocab()
        #: Every piece, in the order of its id; this order is part of the vocabulary.
        self.tokens: tuple[str, ...] = tuple(piece for piece in sorted(ids, key=ids.__getitem__) if piece != _UNKNOWN)

    @classmethod
    def train(cls, texts: Iterable[str], size: int = 1000, language: str = "en") -> Subwords:
        """Learn at most ``size`` pieces from ``texts``; the same texts in any order give the same pieces.

        In English the letters are those of ASCII. In Chinese (``language="zh"``) every sign that stands at least twice
        in the texts is a piece, the most frequent first.

        Raises:
            SubwordError: for a size in which not even the letters fit, or without any text.
        """
        if not 100 <= size <= MOST:
            raise SubwordError(f"subword vocabulary size is {size}; it must be 100 to {MOST}")
        texts = sorted(map(_whole, texts))
        if not texts:
            raise SubwordError("a subword vocabulary cannot be learned from no text")
        library = _tokenizers()
        tokenizer = library.Tokenizer(library.models.BPE(unk_token=_UNKNOWN))
        tokenizer.normalizer = library.normalizers.Sequence(
            [
                library.normalizers.NFKC(),
                *(library.normalizers.Replace(old, new) for old, new in _PLAIN.items()),
                library.normalizers.Lowercase(),
                library.normalizers.Replace(library.Regex(r"\s+"), " "),
                library.normalizers.Strip(),
            ]
        )
        tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence(
            [
                library.pre_tokenizers.Metaspace(WORD, prepend_scheme="always", split=False),
                library.pre_tokenizers.Split(library.Regex(_HAN_BORDERS if language == "zh" else _BORDERS), "isolated"),
            ]
        )
        alphabet = [_UNKNOWN, WORD, *(chr(code) for code in range(33, 127) if not chr(code).isupper())]
        if language == "zh":
            alphabet += _signs(texts, size - len(alphabet) - 100)
        trainer = library.trainers.BpeTrainer(
            vocab_size=size,
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    def to_json(self) -> str:
        """The whole vocabulary as text, for a checkpoint."""
        return str(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, text: str) -> Subwords:
        """The inverse of :meth:`to_json`.

        Raises:
            SubwordError: for a text that is no vocabulary of this kind.
        """
        library = _tokenizers()
        try:
            kind = json.loads(text)["model"]["type"]
            if kind != "BPE":
                raise SubwordError(f"the subword vocabulary's model.type is {kind!r}; it must be 'BPE'")
            return cls(library.Tokenizer.from_str(text))
        except SubwordError:
            raise
        except Exception as error:  # tokenizers raises plain Exception
            raise SubwordError(f"the stored subword vocabulary is damaged: {error}") from error

    @classmethod
    def from_checkpoint(cls, path: Path) -> Subwords:
        """The vocabulary in the header of a checkpoint that was trained on a corpus; its tensors are not read.

        Raises:
            SubwordError: when there is no such file, or no vocabulary in it.
        """
        try:
            with path.open("rb") as file:  # safetensors: the header's length in 8 bytes, then the header as JSON
                header = json.loads(file.read(min(int.from_bytes(file.read(8), "little"), 2**24)))
            text = json.loads(header["__metadata__"]["header"])["info"]["subwords"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SubwordError(f"{path}: has no subword vocabulary in it ({error!r})") from error
        return cls.from_json(text)

    def pieces(self, text: str) -> tuple[str, ...]:
        """The pieces of one text. A sign that the vocabulary lacks comes back as itself, so it can be reported."""
        return self.pieces_of([text])[0]

    def pieces_of(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """The pieces of many texts. Pieces never cross blanks, so each different word is looked up just once."""
        split = [_PARTS.findall(text) for text in texts]
        new = sorted({word for words in split for word in words}.difference(self._known))
        readable = [_whole(word) for word in new]
        for word, encoding in zip(new, self._tokenizer.encode_batch(readable, add_special_tokens=False)):
            found = zip(encoding.tokens, encoding.offsets)
            pieces = [word[a:b] if piece == _UNKNOWN else piece for piece, (a, b) in found]
            self._known[word] = tuple(pieces[1:] if pieces[0] == WORD and _IS_HAN.match(word) else pieces)
        return [tuple(piece for word in words for piece in self._known[word]) for words in split]

    @staticmethod
    def text(pieces: Iterable[str]) -> str:
        """Pieces -> text."""
        return "".join(pieces).replace(WORD, " ").strip()

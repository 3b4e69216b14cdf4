"""What a classroom should not meet in unfiltered chat: insults, sex, self-harm, and people's private data.

The word list is a small file of our own, ``data/filters/classroom.en.txt``, which says why. No filter of this kind
is complete: it takes away what would embarrass a class, and it is *not* an anonymiser; first names stay.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from metadialog_lite.paths import data_dir

_DISGUISES = str.maketrans({"@": "a", "$": "s", "0": "o", "1": "i", "3": "e", "!": "i"})
_STRETCHED = re.compile(r"([a-z])\1{2,}")
#: Letters replaced with stars. "no*" is not meant: people mark a corrected word in this way.
_CENSORED = re.compile(r"\b[a-z]{1,2}\*+[a-z]+|\b[abcdfns][a-z]?\*{2,}")
_HANDLE = re.compile(r"[a-z]{4,}_?\d{2,}")  # as one whole word

#: Ways in which people give away who and where somebody is, in small letters. Each pattern begins with a letter or
#: sign and not with a look-around, because the regular-expression engine skips quickly to a first sign.
_PERSONAL = {
    "handle or e-mail": r"@\w{2,}",
    "address on the web": r"https?:/|www\.\w|\.(?<=\w\.)(?:com|org|net|edu|gov|io|co|me|tv)\b",
    "phone": r"\d{3}\)?[-. ]*\d{3}[-. ]*\d{4}(?!\d)|\d{3}[-.]\d{4}(?!\d)",
    "street": r"\d{2,5} (?:[nsew]|north|south|east|west)\.? \d{2,4}\b|\d{2,5} \w+ (?:street|avenue|boulevard)\b",
    "name or number": r"(?:my|your|his|her) (?:full name|last name|surname|number|phone number|cell number|address"
    r"|user ?name|password|student id|snap ?chat|snap|insta|instagram)(?: is|'s) \w|ssn\b|social security number",
    "contact": r"(?:add|follow|text|dm|find|call) me (?:on|at)\b",
}
_PERSONAL_PATTERNS = [re.compile(pattern) for pattern in _PERSONAL.values()]
_FULL_NAME = re.compile(r"[Nn]ame(?: is|'s) [A-Z][a-z]+ [A-Z][a-z]+")


class FilterError(ValueError):
    """The word list cannot be read; the message names the file and the line."""


class ClassroomFilter:
    """Says why a text is not for a classroom, if so.

    Args:
        words: category -> words or phrases in small letters; a ``*`` at the end stands for any continuation.
    """

    def __init__(self, words: dict[str, list[str]]) -> None:
        self._category = {word: category for category, entries in words.items() for word in entries if " " not in word}
        self._stems = tuple(word[:-1] for word in self._category if word.endswith("*"))
        phrases = [(phrase, category) for category, entries in words.items() for phrase in entries if " " in phrase]
        self._phrases = [(text, re.compile(rf"\b{re.escape(text)}\b"), category) for text, category in phrases]
        self._judged: dict[str, str | None] = {}  # a corpus says the same words again and again

    @property
    def categories(self) -> tuple[str, ...]:
        """All reasons that :meth:`reason` can give, worst word first."""
        named = [*self._category.values(), *(category for _, _, category in self._phrases)]
        return (*dict.fromkeys(named), "personal")

    def reason(self, text: str) -> str | None:
        """The category of the first thing in ``text`` that is not for a classroom; None for a clean text."""
        plain = unicodedata.normalize("NFKC", text)
        small = plain.lower().replace("’", "'")
        for word in dict.fromkeys(_words(small)):
            if word not in self._judged:
                self._judged[word] = self._judge(word)
            found = self._judged[word]
            if found is not None:
                return found
        if "*" in small and _CENSORED.search(small):
            return "profanity"
        spaced = " ".join(small.split())
        for phrase, pattern, category in self._phrases:
            if phrase in spaced and pattern.search(spaced):
                return category
        if _FULL_NAME.search(plain) or any(pattern.search(small) for pattern in _PERSONAL_PATTERNS):
            return "personal"
        return None

    def _judge(self, word: str) -> str | None:
        """The category of one word, undisguised and with drawn-out letters shortened."""
        if _HANDLE.fullmatch(word):
            return "personal"
        bare = word.strip("!@$'")
        once, twice = _STRETCHED.sub(r"\1", bare), _STRETCHED.sub(r"\1\1", bare)
        forms = {bare, once, twice}
        if any(letter.isalpha() for letter in bare):  # "$10" is money, "a$$" is not
            forms |= {form.translate(_DISGUISES) for form in (word.rstrip("!"), bare, once, twice)}
        for form in forms:
            form = form.removesuffix("'s")
            if form in self._category:
                return self._category[form]
            if form.startswith(self._stems):
                return next(self._category[f"{stem}*"] for stem in self._stems if form.startswith(stem))
        return None


def _words(text: str) -> list[str]:
    """Words with the characters that disguises are made of."""
    return re.findall(r"[a-z0-9@$!'_]+", text)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FilterError(f"{path}: the word list cannot be read ({error})") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()


def load_filter(path: Path | None = None) -> ClassroomFilter:
    """The filter with the shipped word list, or with the one at ``path`` (the format stands at its top).

    Raises:
        FilterError: for a file that can't be read or has a word before its first ``[category]``.
    """
    path = path or data_dir() / "filters" / "classroom.en.txt"
    words: dict[str, list[str]] = {}
    category = None
    for number, line in _lines(path):
        if line.startswith("[") and line.endswith("]"):
            category = line[1:-1]
            words.setdefault(category, [])
        elif category is None:
            raise FilterError(f"{path}, line {number}: a word stands before the first line of the form [category]")
        else:
            word = codecs.encode(line[1:], "rot13") if line.startswith("~") else line
            words[category].append(word.lower())
    return ClassroomFilter(words)

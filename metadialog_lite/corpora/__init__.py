"""Real conversations behind the same interface as the toy worlds, one module a corpus."""

from __future__ import annotations

from functools import cache

from metadialog_lite.corpora.chitchat import ChitchatCorpus, ChitchatTask, Limits, load_chitchat
from metadialog_lite.corpora.conversations import CorpusError, CorpusReport
from metadialog_lite.corpora.subwords import SubwordError, Subwords

#: name -> function that loads it
CORPORA = {"chitchat": load_chitchat}


@cache
def load_corpus(name: str) -> ChitchatCorpus:
    """The corpus ``name``; read once per process, which takes some seconds.

    Raises:
        CorpusError: for an unknown name, a missing package or damaged data.
    """
    if name not in CORPORA:
        raise CorpusError(f"corpus is {name!r}; it must be one of {', '.join(sorted(CORPORA))}")
    return CORPORA[name]()


__all__ = [
    "CORPORA",
    "ChitchatCorpus",
    "ChitchatTask",
    "CorpusError",
    "CorpusReport",
    "Limits",
    "SubwordError",
    "Subwords",
    "load_corpus",
]

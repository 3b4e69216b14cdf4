"""Real conversations behind the same interface as the toy worlds, one module a corpus."""

from __future__ import annotations

from metadialog_lite.corpora.chitchat import ChitchatCorpus, ChitchatTask, Limits
from metadialog_lite.corpora.conversations import CorpusError, CorpusReport
from metadialog_lite.corpora.dialogues import ReadingReport, Truth
from metadialog_lite.corpora.load import CORPORA, label, load_corpus
from metadialog_lite.corpora.subwords import SubwordError, Subwords
from metadialog_lite.corpora.task_splits import Kind, TaskLimits
from metadialog_lite.corpora.tasks import DialogueCorpus

__all__ = [
    "CORPORA",
    "ChitchatCorpus",
    "ChitchatTask",
    "CorpusError",
    "CorpusReport",
    "DialogueCorpus",
    "Kind",
    "Limits",
    "ReadingReport",
    "SubwordError",
    "Subwords",
    "TaskLimits",
    "Truth",
    "label",
    "load_corpus",
]

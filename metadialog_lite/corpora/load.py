"""Find a corpus by what the user wrote: ``chitchat``, ``sgd:FOLDER``, ``crosswoz:FILE.zip``, or a folder alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

from metadialog_lite.corpora import sgd
from metadialog_lite.corpora.chitchat import ChitchatCorpus, load_chitchat
from metadialog_lite.corpora.conversations import CorpusError
from metadialog_lite.corpora.dialogues import ReadingReport
from metadialog_lite.corpora.files import CorpusFiles
from metadialog_lite.corpora.subwords import Subwords
from metadialog_lite.corpora.task_splits import TaskLimits
from metadialog_lite.corpora.tasks import DialogueCorpus

#: name -> module that reads it from files; each has KIND, recognise(files) and read(files, report)
READERS: dict[str, ModuleType] = {"sgd": sgd}
#: all names that a corpus can have (``--corpus NAME`` or ``--corpus NAME:FOLDER``)
CORPORA = ("chitchat", *READERS)


@cache
def load_corpus(
    name: str, subwords: Subwords | None = None, limits: TaskLimits | None = None
) -> ChitchatCorpus | DialogueCorpus:
    """A corpus; read once per process.

    Args:
        name: ``chitchat``; or ``NAME:PATH`` with the folder (or the ``.zip``) in which the corpus lies in its official
            layout, such as ``sgd:~/dstc8-schema-guided-dialogue``; or that path alone, when the layout tells which
            corpus it is.
        subwords: a vocabulary to use instead of learning one, such as the one of a checkpoint
            (``Subwords.from_checkpoint``).
        limits: sizes other than the corpus's own.

    Raises:
        CorpusError: for an unknown name, a missing package or folder, or data of which too little is sound.
    """
    if name == "chitchat":
        return load_chitchat()
    kind, path = find_corpus(name)
    reader, report = READERS[kind], ReadingReport()
    files = CorpusFiles(path)
    return DialogueCorpus(reader.KIND, reader.read(files, report), report, limits, subwords)


def find_corpus(name: str) -> tuple[str, Path]:
    """``NAME:PATH`` or ``PATH`` -> (name of a corpus in files, path).

    Raises:
        CorpusError: for an unknown name, or a layout that is not recognised.
    """
    kind, colon, path = name.partition(":")
    if colon and kind in READERS and path:
        return kind, Path(path).expanduser()
    if kind in READERS:
        raise CorpusError(f"corpus is {name!r}: give its folder or .zip as well, such as {kind}:data/{kind}; it is "
                          "read from there in its official layout and nothing is downloaded")
    if Path(name).expanduser().exists():
        return recognise(CorpusFiles(name)), Path(name).expanduser()
    raise CorpusError(f"corpus is {name!r}; it must be one of {', '.join(CORPORA)}, all but chitchat with a folder or "
                      ".zip behind it (sgd:FOLDER), or a folder or .zip whose layout says which it is")


def recognise(files: CorpusFiles) -> str:
    """Which corpus the files are.

    Raises:
        CorpusError: when none is recognised.
    """
    for kind, reader in READERS.items():
        if reader.recognise(files):
            return kind
    raise CorpusError(f"{files.path}: no corpus is recognised here; known layouts are {', '.join(READERS)} "
                      "(docs/CORPORA.md says which files each one has)")

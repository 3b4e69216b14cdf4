"""Find a corpus by what the user wrote: ``chitchat``, ``sgd:FOLDER``, ``crosswoz:FILE.zip``, or a folder alone."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.progress import Progress

from metadialog_lite.corpora import crosswoz, multiwoz, personachat, sgd
from metadialog_lite.corpora.cache import cache_file, from_cache, to_cache
from metadialog_lite.corpora.chitchat import ChitchatCorpus, load_chitchat
from metadialog_lite.corpora.conversations import CorpusError
from metadialog_lite.corpora.dialogues import Dialogue, ReadingReport
from metadialog_lite.corpora.files import DAMAGED, CorpusFiles
from metadialog_lite.corpora.subwords import Subwords
from metadialog_lite.corpora.task_splits import TaskLimits
from metadialog_lite.corpora.tasks import DialogueCorpus

#: name -> module that reads it from files; each has KIND, recognise(files) and read(files, report)
READERS: dict[str, ModuleType] = {"sgd": sgd, "multiwoz": multiwoz, "crosswoz": crosswoz, "personachat": personachat}
#: all names that a corpus can have (``--corpus NAME`` or ``--corpus NAME:FOLDER``)
CORPORA = ("chitchat", *READERS)
#: at the end of a name: only so many of the training tasks' people (services, domains ...) are met
_FEW = re.compile(r"\+people=(\w*)$")
_SLOW = 20 * 2**20  # bytes; a bar is shown for more


class DamagedCorpusWarning(UserWarning):
    """Some of a corpus was damaged and has been left out."""


@cache
def load_corpus(
    name: str, subwords: Subwords | None = None, limits: TaskLimits | None = None
) -> ChitchatCorpus | DialogueCorpus:
    """A corpus; read once per process.

    Args:
        name: ``chitchat``; or ``NAME:PATH`` with the folder (or the ``.zip``) in which the corpus lies in its official
            layout, such as ``sgd:~/dstc8-schema-guided-dialogue``; or that path alone, when the layout tells which
            corpus it is. With ``+people=N`` behind it, training meets N of the training people (services, domains ...)
            only, always the same ones; vocabulary, validation and test stay as they are.
        subwords: a vocabulary to use instead of learning one, such as the one of a checkpoint
            (``Subwords.from_checkpoint``).
        limits: sizes other than the corpus's own.

    Raises:
        CorpusError: for an unknown name, a missing package or folder, or data of which too little is sound.
    """
    if few := _FEW.search(name):
        return with_few(load_corpus(name[: few.start()], subwords, limits), few[1])
    if name == "chitchat":
        return load_chitchat()
    kind, files = find_corpus(name)
    report = ReadingReport()
    corpus = DialogueCorpus(READERS[kind].KIND, read_dialogues(kind, files, report), report, limits, subwords)
    if report.damaged:
        warnings.warn(f"{kind}: {report.damaged} damaged entries of {files.path} were left out; 'metadialog-lite "
                      "corpus check' with this path lists them", DamagedCorpusWarning, stacklevel=2)
    return corpus


def with_few(corpus: ChitchatCorpus | DialogueCorpus, people: str) -> ChitchatCorpus | DialogueCorpus:
    """The same corpus with only so many training people (services, domains ...).

    Raises:
        CorpusError: when there are not so many.
    """
    there = len(corpus.speakers("train") if isinstance(corpus, ChitchatCorpus) else corpus.tasks("train"))
    if not people.isdecimal() or not 1 <= int(people) <= there:
        raise CorpusError(f"corpus {corpus.name}+people={people}: a whole number from 1 to {there} is needed; so many "
                          "are there for training")
    fewer = copy.copy(corpus)
    fewer.few = int(people)
    return fewer


def label(name: str) -> str:
    """What the files of a corpus are called: its own name, and ``+people=N`` where the user has written that."""
    few = _FEW.search(name)
    return load_corpus(name).name + (few[0] if few else "")


def read_dialogues(kind: str, files: CorpusFiles, report: ReadingReport) -> Iterable[Dialogue]:
    """All sound dialogues of a corpus, from the cache when it is there; ``report`` says what was damaged."""
    path = cache_file(files, kind)
    if path is not None and (found := from_cache(path, report)) is not None:
        return found
    for name, reason in files.refused:
        report.fault(name, problem=reason)
    dialogues = _with_bar(READERS[kind].read(files, report), files)
    return dialogues if path is None else to_cache(path, dialogues, report)


def _with_bar(dialogues: Iterator[Dialogue], files: CorpusFiles) -> Iterator[Dialogue]:
    with _bar(files):
        yield from dialogues


@contextmanager
def _bar(files: CorpusFiles) -> Iterator[None]:
    """A progress bar over the bytes read, for a large corpus and somebody who looks."""
    console, total = Console(stderr=True), sum(files.sizes.values())
    if total < _SLOW or not (console.is_terminal or console.is_jupyter):
        yield
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"reading {files.path.name}", total=total)
        files.on_bytes = lambda count: progress.advance(task, count)
        yield
        files.on_bytes = lambda count: None


def find_corpus(name: str) -> tuple[str, CorpusFiles]:
    """``NAME:PATH`` or ``PATH`` -> (name of the corpus, its files).

    Raises:
        CorpusError: for an unknown name, a path that is not there, or a layout that is not recognised.
    """
    kind, colon, path = name.partition(":")
    if kind in READERS and colon and path:
        files = CorpusFiles(path)
        if not _looks_like(kind, files):
            raise CorpusError(f"{files.path}: does not look like {kind}; docs/CORPORA.md says which files it has")
        return kind, files
    if kind in READERS and not Path(name).exists():
        raise CorpusError(f"corpus is {name!r}: give its folder or .zip as well, such as {kind}:data/{kind}; it is "
                          "read from there in its official layout and nothing is downloaded")
    if Path(name).expanduser().exists():
        files = CorpusFiles(name)
        return recognise(files), files
    raise CorpusError(f"corpus is {name!r}; it must be one of {', '.join(CORPORA)}, all but chitchat with a folder or "
                      ".zip behind it (sgd:FOLDER), or a folder or .zip whose layout says which it is")


def recognise(files: CorpusFiles) -> str:
    """Which corpus the files are.

    Raises:
        CorpusError: when none is recognised.
    """
    found = next((kind for kind in READERS if _looks_like(kind, files)), None)
    if found is None:
        refused = f"; refused: {'; '.join(': '.join(pair) for pair in files.refused[:3])}" if files.refused else ""
        raise CorpusError(f"{files.path}: no corpus is recognised here; known layouts are {', '.join(READERS)} "
                          f"(docs/CORPORA.md says which files each one has){refused}")
    return found


def _looks_like(kind: str, files: CorpusFiles) -> bool:
    try:
        return bool(READERS[kind].recognise(files))
    except DAMAGED:
        return False

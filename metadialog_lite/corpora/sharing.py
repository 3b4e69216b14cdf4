"""A task of real dialogues: which of them are support and which are query."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from random import Random

from metadialog_lite.corpora.conversations import CorpusError
from metadialog_lite.corpora.splits import Limits
from metadialog_lite.turns import Turn

_CHUNK = 4  # query turns taken from one conversation before the next one has its say


def whose_turn(name: str, split: str, seed: int, index: int, count: int, few: int | None = None) -> int:
    """Which of ``count`` people (services, domains ...) task ``index`` belongs to.

    Each pass goes once through all of them in a new order. With ``few``, training goes through so many of them only,
    always the same ones; those of a smaller number are among those of a larger one.

    Raises:
        CorpusError: for an index below 0.
    """
    if index < 0:
        raise CorpusError(f"index is {index}; it must be at least 0")
    people = list(range(count))
    if few is not None and split == "train":
        Random(f"{name}/few").shuffle(people)
        people = sorted(people[:few])
    turn, place = divmod(index, len(people))
    Random(f"{name}/{split}/{seed}/pass {turn}").shuffle(people)
    return people[place]


class SharedTask:
    """One person, service, domain ... whose dialogues are shared out between support and query, each as a whole.

    Args:
        name: of the task, for people.
        corpus: whose it is, for messages.
        dialogues: (id, turns) of all its dialogues.
        limits: how many support and query turns are wanted at least.
        random: decides who goes where.
    """

    def __init__(
        self, name: str, corpus: str, dialogues: Sequence[tuple[str, tuple[Turn, ...]]], limits: Limits, random: Random
    ) -> None:
        self.name, self.corpus = name, corpus
        shuffled = list(dialogues)
        random.shuffle(shuffled)
        # Greedy, in shuffled order. A task whose turns without those of the longest conversation number at least
        # support + query - 1 always gets both: see enough().
        support_left = sum(len(turns) for _, turns in shuffled)
        aim, found = max(limits.query, support_left // 4), 0
        self.query_dialogues: list[tuple[str, tuple[Turn, ...]]] = []
        self.support_dialogues: list[tuple[str, tuple[Turn, ...]]] = []
        for dialogue in shuffled:
            size = len(dialogue[1])
            if found < aim and support_left - size >= limits.support:
                self.query_dialogues.append(dialogue)
                found, support_left = found + size, support_left - size
            else:
                self.support_dialogues.append(dialogue)
        self.max_shots, self.max_query = support_left, found

    def support(self, shots: int) -> list[Turn]:
        """The first ``shots`` turns of the support conversations.

        Raises:
            CorpusError: when the task has fewer.
        """
        self._check("shots", shots, self.max_shots)
        return list(islice((turn for _, turns in self.support_dialogues for turn in turns), shots))

    def query(self, turns: int) -> list[Turn]:
        """The first ``turns`` query turns, a few from each of the other conversations in turn.

        Raises:
            CorpusError: when the task has fewer.
        """
        self._check("query turns", turns, self.max_query)
        longest = max((len(dialogue) for _, dialogue in self.query_dialogues), default=0)
        starts = range(0, longest, _CHUNK)
        return list(
            islice((t for start in starts for _, d in self.query_dialogues for t in d[start : start + _CHUNK]), turns)
        )

    def dialogues(self, count: int) -> list[list[Turn]]:
        """The first ``count`` query conversations.

        Raises:
            CorpusError: when the task has fewer.
        """
        self._check("dialogues", count, len(self.query_dialogues))
        return [list(turns) for _, turns in self.query_dialogues[:count]]

    def _check(self, what: str, wanted: int, available: int) -> None:
        if not isinstance(wanted, int) or wanted < 0:
            raise CorpusError(f"{what} is {wanted!r}; it must be a whole number of at least 0")
        if wanted > available:
            raise CorpusError(f"{self.name} of {self.corpus} has {available} {what}, {wanted} were asked for: "
                              "use fewer")

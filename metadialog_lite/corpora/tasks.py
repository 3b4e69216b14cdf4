"""Real dialogues as a source of tasks: who is held out, the vocabulary, and how a task shares out its dialogues.

**No leak.** Tasks (services, domains, personas) are split first. A conversation then belongs to one split as a whole:
to test if it has anything of a test task in it, else to valid, else to train. What is held out is in no training turn
and no training text, and the subword vocabulary is learned from the conversations of train alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from metadialog_lite.corpora.conversations import CorpusError
from metadialog_lite.corpora.dialogues import (
    Dialogue,
    Exchange,
    ReadingReport,
    State,
    Truth,
    Value,
    act_text,
    parse_act,
    parse_state,
    plain,
    sentences,
    state_text,
)
from metadialog_lite.corpora.sharing import SharedTask, whose_turn
from metadialog_lite.corpora.splits import SPLITS, enough
from metadialog_lite.corpora.subwords import WORD, SubwordError, Subwords
from metadialog_lite.corpora.task_splits import Kind, TaskLimits, sizes_to_try, split_dialogues, split_tasks
from metadialog_lite.turns import Turn

NOT_NEEDED = "not needed: its tasks have too little, or are known ones in an official valid or test part"


class _Member(NamedTuple):
    """One task with all its dialogues: (dialogue id, turns)."""

    name: str
    dialogues: tuple[tuple[str, tuple[Turn, ...]], ...]


class DialogueCorpus:
    """A source of tasks, made of dialogues. The same interface as a toy world, see ``turns.TaskSource``.

    Args:
        kind: which corpus.
        dialogues: of the whole corpus; their order does not matter.
        report: what the reading has found so far; goes on here.
        limits: sizes, instead of the kind's own.
        subwords: a vocabulary to use instead of learning one (that of a checkpoint).

    Raises:
        CorpusError: when a split is left without any task.
    """

    def __init__(
        self, kind: Kind, dialogues: Iterable[Dialogue], report: ReadingReport | None = None,
        limits: TaskLimits | None = None, subwords: Subwords | None = None,
    ) -> None:
        self.kind, self.name, self.capabilities = kind, kind.name, kind.capabilities
        self.report = report or ReadingReport()
        self.limits = limits or kind.limits
        self.language = kind.language
        everything = sorted(dialogues, key=lambda dialogue: dialogue.id)
        for sizes in sizes_to_try(everything, self.limits, kind):
            self.limits = sizes
            self.split_of_task, self.official = split_tasks(everything, self.limits, kind)
            if self._share_out(everything, subwords):
                break
        else:
            raise CorpusError(f"{self.name}: too little for a train, a valid and a test {kind.task} with "
                              f"{self.limits.support} support and {self.limits.query} query turns each; "
                              f"{len(everything)} dialogues are sound\n{self.report}")
        self.report.notes[f"support turns that every task has: {self.limits.support}"] = 1
        self.report.kept = sum(split is not None for split in self.split_of_dialogue.values())
        self.report.skipped["damaged"] = self.report.entries - len(everything)
        self.report.skipped[NOT_NEEDED] = len(everything) - self.report.kept

    few: int | None = None  # only so many training tasks are met, see with_few

    def tasks(self, split: str) -> tuple[str, ...]:
        """The names of a split's tasks.

        Raises:
            CorpusError: for an unknown split.
        """
        return tuple(member.name for member in self._of(split))

    def task(self, split: str, seed: int, index: int) -> SharedTask:
        """Task ``index``: each pass goes once through all tasks of the split in a new order.

        (seed, index) also decides which of its dialogues are support and which are query.
        """
        members = self._of(split)
        member = members[whose_turn(self.name, split, seed, index, len(members), self.few)]
        random = Random(f"{self.name}/{split}/{seed}/{index}")
        return SharedTask(f"{self.kind.task} {member.name}", self.name, member.dialogues, self.limits, random)

    def check_size(self, shots: int, query_turns: int) -> None:
        """Raise CorpusError unless *every* task can give so many support and query turns."""
        limits = self.limits
        for what, wanted, most in (("shots", shots, limits.support), ("query_turns", query_turns, limits.query)):
            if not 0 <= wanted <= most:
                raise CorpusError(f"{what} is {wanted}, but with the corpus {self.name} it must be 0 to {most}: its "
                                  f"{self.kind.task}s have no more turns for certain")

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence of a turn, markers included."""
        limits = self.limits
        if "state" not in self.capabilities:
            return limits.user + limits.response + 3
        return limits.user + 2 * limits.state + limits.act + limits.response + 6

    def text(self, tokens: Sequence[str]) -> str:
        """Pieces as a person reads them, in small letters."""
        return self.subwords.text(tokens)

    def pieces(self, text: str) -> tuple[str, ...]:
        """The subword pieces of a text of one's own."""
        return self.subwords.pieces(text)

    def parse_state(self, tokens: Sequence[str]) -> dict[str, str]:
        """The slots and values that a state's tokens say; a garbled part is left out."""
        return parse_state(self.text(tokens))

    def parse_act(self, tokens: Sequence[str]) -> tuple[str, ...]:
        """The parts of an act, such as ``("offer name", "request city")``."""
        return parse_act(self.text(tokens))

    def written(self, text: str) -> str:
        """A slot or value of the corpus as :meth:`text` writes it: small letters, no blank between Chinese words."""
        return self.text(self.pieces(plain(text)))

    def true_state(self, turn: Turn) -> State:
        """The state after this turn with all its forms, written as :meth:`parse_state` writes them."""
        state = turn.meaning.state if isinstance(turn.meaning, Truth) else ()
        return tuple(Value(self.written(slot), tuple(dict.fromkeys(map(self.written, forms))), free)
                     for slot, forms, free in state)

    def accepted(self, turn: Turn) -> dict[str, tuple[str, ...]]:
        """Slot -> every value that is right after this turn; the first one is what ``turn.state`` says."""
        return {value.slot: value.forms for value in self.true_state(turn)}

    def prompt(self, text: str) -> Turn:
        """A text of one's own as a first turn that waits for its response; of a long one the end, as in the corpus."""
        empty = self.pieces(state_text(())) if "state" in self.capabilities else ()
        return Turn(empty, self._tail(self.subwords.pieces_of(sentences(text))), (), (), ())

    def _of(self, split: str) -> tuple[_Member, ...]:
        if split not in SPLITS:
            raise CorpusError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")
        return self._members[split]

    def _share_out(self, dialogues: list[Dialogue], subwords: Subwords | None) -> bool:
        """Split, learn the vocabulary, encode; False when a split ends up without a task."""
        self.split_of_dialogue = split_dialogues(dialogues, self.split_of_task, self.official)
        self.subwords = subwords or self._learn(d for d in dialogues if self.split_of_dialogue[d.id] == "train")
        self.tokens = self.subwords.tokens
        self.report.turns.clear()
        self._states: dict[State, State] = {}
        found: dict[str, dict[str, list[Turn]]] = {}  # task -> conversation -> turns
        for dialogue in dialogues:
            for task, turns in self._encode(dialogue).items():
                found.setdefault(task, {}).setdefault(dialogue.group or dialogue.id, []).extend(turns)
        members: dict[str, list[_Member]] = {split: [] for split in SPLITS}
        for task, parts in sorted(found.items()):
            if enough([len(turns) for turns in parts.values()], self.limits):
                units = tuple((unit, tuple(turns)) for unit, turns in parts.items())
                members[self.split_of_task[task]].append(_Member(task, units))
        self._members = {split: tuple(found) for split, found in members.items()}
        for split in SPLITS:
            self.report.speakers[split] = len(members[split])
        return all(members.values())

    def _learn(self, dialogues: Iterable[Dialogue]) -> Subwords:
        texts = [text for dialogue in dialogues for exchange in dialogue.exchanges for text in self._texts(exchange)]
        step = max(1, -(-len(texts) // (4 * self.limits.vocabulary_texts)))
        step += step > 1 and step % 2 == 0  # odd: else only the user's or only the system's texts would be taken
        try:
            return Subwords.train(texts[::step], self.limits.vocabulary, self.language)
        except SubwordError as error:
            raise CorpusError(f"{self.name}: {error}") from error

    def _texts(self, exchange: Exchange) -> tuple[str, ...]:
        if "state" not in self.capabilities:
            return exchange.user, exchange.response
        return exchange.user, exchange.response, state_text(exchange.state), act_text(exchange.act)

    def _encode(self, dialogue: Dialogue) -> dict[str, list[Turn]]:
        """Task -> its turns of this dialogue, when they are of the dialogue's own split."""
        split, turns = self.split_of_dialogue[dialogue.id], dict[str, list[Turn]]()
        for exchange in dialogue.exchanges:
            if split is not None and self.split_of_task.get(exchange.task) == split:
                turn = self._turn(dialogue, exchange)
                if turn is not None:
                    turns.setdefault(exchange.task, []).append(turn)
        return turns

    def _turn(self, dialogue: Dialogue, exchange: Exchange) -> Turn | None:
        """Pieces of an exchange; None when its state, its act or the response's first sentence is too long."""
        limits, count = self.limits, self.report.turns
        previous: tuple[str, ...] = ()
        state: tuple[str, ...] = ()
        act: tuple[str, ...] = ()
        if "state" in self.capabilities:
            previous, state = self.pieces(state_text(exchange.previous)), self.pieces(state_text(exchange.state))
            act = self.pieces(act_text(exchange.act))
            if max(len(previous), len(state)) > limits.state or len(act) > limits.act:
                count["left out: state or act too long"] += 1
                return None
        response: tuple[str, ...] = ()
        for number, sentence in enumerate(self.subwords.pieces_of(sentences(exchange.response))):
            if len(response) + len(sentence) > limits.response:
                count["response cut after a sentence" if number else "left out: first sentence too long"] += 1
                break
            response += sentence
        if not response:
            return None
        user = self._tail(self.subwords.pieces_of(sentences(exchange.user)))
        known = self._states.setdefault(exchange.state, exchange.state)  # equal states are one object: saves memory
        truth = Truth(dialogue.id, known, exchange.values, exchange.response, dialogue.about)
        count["turns of tasks"] += 1
        return Turn(previous, user, state, act, response, truth)

    def _tail(self, sentences: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        """The user part: as many whole sentences from the end as fit, or the end of the last one from a word on."""
        kept: tuple[str, ...] = ()
        for sentence in reversed(sentences):
            if len(sentence) + len(kept) > self.limits.user:
                break
            kept = sentence + kept
        tail = sentences[-1][-self.limits.user :] if sentences and not kept else ()
        return kept or tail[next((i for i, piece in enumerate(tail) if piece.startswith(WORD)), 0) :]

"""Real conversations as dialogue tasks: the Chit-Chat Challenge corpus of Brigham Young University.

The pip package ``chitchat-dataset`` (MIT) carries the data, so nothing is downloaded here. A **task is a speaker**:
the response of a turn is what this person wrote, the user part is what the partner wrote just before. There is no
state and no act. Support and query come from different conversations of the speaker.

**No leak.** A conversation has two speakers, and both may be tasks. So a conversation belongs to one split as a whole:
to test if either side is a test speaker, else to valid, else to train. Nothing that was said in it is seen elsewhere,
and the subword vocabulary is learned from the conversations of train alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from metadialog_lite.corpora.conversations import (
    BREAK,
    SENTENCE_END,
    Conversation,
    CorpusError,
    CorpusReport,
    read_conversations,
)
from metadialog_lite.corpora.filters import ClassroomFilter, load_filter
from metadialog_lite.corpora.sharing import SharedTask, whose_turn
from metadialog_lite.corpora.splits import SPLITS, Limits, enough, split_conversations, split_speakers
from metadialog_lite.corpora.subwords import WORD, SubwordError, Subwords
from metadialog_lite.paths import data_dir
from metadialog_lite.turns import Turn

_BREAK = WORD + BREAK


class Speaker(NamedTuple):
    """One person, with the usable turns of each of their conversations."""

    id: str
    split: str
    dialogues: tuple[tuple[str, tuple[Turn, ...]], ...]  # (conversation id, turns), ordered by id


class ChitchatTask(SharedTask):
    """One speaker with their conversations shared out between support and query."""

    def __init__(self, speaker: Speaker, limits: Limits, random: Random) -> None:
        self.speaker = speaker.id
        super().__init__(f"speaker {speaker.id[:8]}", "chitchat", speaker.dialogues, limits, random)


class ChitchatCorpus:
    """The corpus as a source of tasks.

    Args:
        raw: the entries of the package's ``dataset.json``, or others of the same structure.
        limits: sizes; the defaults belong to the shipped numbers.
        subwords: a vocabulary to use instead of learning one (that of a checkpoint).

    Raises:
        CorpusError: when a split is left without any speaker.
    """

    name = "chitchat"
    capabilities: tuple[str, ...] = ("response",)
    few: int | None = None  # only so many training people are met, see with_few

    def __init__(
        self,
        raw: Mapping[str, Any],
        limits: Limits = Limits(),
        subwords: Subwords | None = None,
        classroom: ClassroomFilter | None = None,
    ) -> None:
        self.limits = limits
        self.report = CorpusReport()
        conversations = read_conversations(raw, classroom or load_filter(), limits.groups, self.report)
        self.split_of_speaker = split_speakers(conversations, limits)
        self.split_of_conversation = split_conversations(conversations, self.split_of_speaker)
        used = [c for c in conversations if c.id in self.split_of_conversation]
        self.report.skipped["neither speaker has enough turns"] = self.report.kept - len(used)
        self.report.kept = len(used)
        self.subwords = subwords or self._learn_subwords(used)
        self.tokens = self.subwords.tokens
        self._speakers = self._collect(used)
        for split in SPLITS:
            self.report.speakers[split] = len(self._speakers[split])
            if not self._speakers[split]:
                raise CorpusError(
                    f"chitchat has no {split} speaker with {limits.support} support and {limits.query} query turns "
                    f"after filtering:\n{self.report}"
                )

    def speakers(self, split: str) -> tuple[Speaker, ...]:
        """The speakers of a split, ordered by id.

        Raises:
            CorpusError: for an unknown split.
        """
        if split not in SPLITS:
            raise CorpusError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")
        return self._speakers[split]

    def task(self, split: str, seed: int, index: int) -> ChitchatTask:
        """Task ``index``: each pass goes once through all speakers of the split in a new order.

        (seed, index) also decides which of the speaker's conversations are support and which are query.
        """
        speakers = self.speakers(split)
        speaker = speakers[whose_turn(self.name, split, seed, index, len(speakers), self.few)]
        return ChitchatTask(speaker, self.limits, Random(f"{self.name}/{split}/{seed}/{index}"))

    def check_size(self, shots: int, query_turns: int) -> None:
        """Raise CorpusError unless *every* task can give so many support and query turns."""
        limits = self.limits
        for what, wanted, most in (("shots", shots, limits.support), ("query_turns", query_turns, limits.query)):
            if not 0 <= wanted <= most:
                raise CorpusError(
                    f"{what} is {wanted}, but with the corpus chitchat it must be 0 to {most}: its speakers "
                    "have no more turns for certain"
                )

    @property
    def max_length(self) -> int:
        """Tokens of the longest sequence ``<usr> user <sys> response <eos>``."""
        return self.limits.user + self.limits.response + 3

    def text(self, tokens: Sequence[str]) -> str:
        """Pieces as a person reads them; "/" stands between messages sent in a row."""
        return self.subwords.text(tokens)

    def pieces(self, text: str) -> tuple[str, ...]:
        """The subword pieces of a text of one's own."""
        return self.subwords.pieces(text)

    def prompt(self, text: str) -> Turn:
        """A text of one's own as a turn that waits for its response; of a long one the end, as in the corpus."""
        return Turn((), self._tail([self.pieces(sentence) for sentence in SENTENCE_END.split(text)]), (), (), ())

    def _learn_subwords(self, conversations: list[Conversation]) -> Subwords:
        train = [c for c in conversations if self.split_of_conversation[c.id] == "train"]
        texts = [" ".join(group.sentences) for c in train for group in c.groups]
        step = max(1, -(-len(texts) // self.limits.vocabulary_texts))
        try:
            return Subwords.train(texts[::step], self.limits.vocabulary)
        except SubwordError as error:
            raise CorpusError(f"chitchat: {error}") from error

    def _collect(self, conversations: list[Conversation]) -> dict[str, tuple[Speaker, ...]]:
        """All turns in which a speaker of the conversation's own split answers."""
        dialogues: dict[str, list[tuple[str, tuple[Turn, ...]]]] = {}
        every = (sentence for c in conversations for group in c.groups for sentence in group.sentences)
        encoded = iter(self.subwords.pieces_of(list(every)))  # in one call, for speed
        for conversation in conversations:
            split = self.split_of_conversation[conversation.id]
            pieces = [[next(encoded) for _ in group.sentences] for group in conversation.groups]
            turns: dict[str, list[Turn]] = {}
            for said, answer, group in zip(pieces, pieces[1:], conversation.groups[1:]):
                if self.split_of_speaker.get(group.speaker) != split:
                    continue
                response = self._head(answer)
                if response:
                    user = self._tail(said)
                    turns.setdefault(group.speaker, []).append(Turn((), user, (), (), response))
            for speaker, answered in turns.items():
                dialogues.setdefault(speaker, []).append((conversation.id, tuple(answered)))
        found: dict[str, list[Speaker]] = {split: [] for split in SPLITS}
        for speaker, parts in sorted(dialogues.items()):
            if enough([len(turns) for _, turns in parts], self.limits):
                split = self.split_of_speaker[speaker]
                found[split].append(Speaker(speaker, split, tuple(parts)))
                self.report.turns[f"of {split} speakers"] += sum(len(turns) for _, turns in parts)
        return {split: tuple(speakers) for split, speakers in found.items()}

    def _head(self, sentences: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        """The response: as many whole sentences as fit; () when not even the first one does."""
        kept: tuple[str, ...] = ()
        for sentence in sentences:
            if len(kept) + len(sentence) > self.limits.response:
                self.report.turns["response cut after a sentence" if kept else "left out: first sentence too long"] += 1
                return kept
            kept += sentence
        self.report.turns["response whole"] += 1
        return kept

    def _tail(self, sentences: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        """The user part: as many whole sentences from the end as fit, or the end of the last one from a word on."""
        kept: tuple[str, ...] = ()
        for sentence in reversed(sentences):
            if len(sentence) + len(kept) > self.limits.user:
                break
            kept = sentence + kept
        if kept:
            return kept[1:] if kept[0] == _BREAK and len(kept) > 1 else kept
        tail = sentences[-1][-self.limits.user :] if sentences else ()
        return tail[next((i for i, piece in enumerate(tail) if piece.startswith(WORD)), 0) :]


def load_chitchat() -> ChitchatCorpus:
    """The corpus from the installed package ``chitchat-dataset``.

    Its subword vocabulary is the one that the shipped joint model was trained with: another version of ``tokenizers``
    might learn other pieces from the same text. Where none is shipped it is learned.

    Raises:
        CorpusError: when the package (or ``tokenizers``) is missing or its data file is damaged.
    """
    try:
        import chitchat_dataset
    except ImportError as error:
        raise CorpusError(
            "the corpus 'chitchat' needs the package 'chitchat-dataset': pip install metadialog-lite[corpora]"
        ) from error
    path = Path(chitchat_dataset.__file__).with_name("dataset.json")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); reinstall chitchat-dataset") from error
    try:
        subwords = Subwords.from_checkpoint(data_dir() / "checkpoints" / "chitchat.joint.safetensors")
    except SubwordError:
        subwords = None
    return ChitchatCorpus(raw, subwords=subwords)

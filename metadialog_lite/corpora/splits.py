"""Who trains and who is held out: speakers by a hash of their id, conversations as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metadialog_lite.corpora.conversations import Conversation, Group

SPLITS = ("train", "valid", "test")
_SALT = "metadialog-lite/chitchat/1"  # another salt is another data split: numbers cannot be compared any more


@dataclass(frozen=True)
class Limits:
    """Sizes of turns and tasks. ``<usr> user <sys> response <eos>`` has at most user + response + 3 tokens."""

    user: int = 37  # pieces; of a longer message the end is kept
    response: int = 24  # pieces; a longer one is cut after its last sentence that fits, if any does
    support: int = 32  # turns that every task can give as support ...
    query: int = 8  # ... while so many query turns are left in other conversations
    groups: int = 4  # a shorter conversation is not used
    hub: int = 60  # who has more conversations always trains: a held-out speaker takes all of them out of training
    vocabulary: int = 1000  # subword pieces
    vocabulary_texts: int = 25_000  # message groups that the vocabulary is learned from


def enough(sizes: Sequence[int], limits: Limits) -> bool:
    """Whether every way of sharing out conversations of these sizes leaves enough turns for support and query.

    Proof: suppose the greedy pass ends with q < query turns. A conversation that it passed over has c turns with
    total - q - c < support at most (q only grew later), so total < support + query - 1 + c: excluded here. And if it
    passed over none, the query is everything.
    """
    return bool(sizes) and sum(sizes) - max(sizes) >= limits.support + limits.query - 1


def split_speakers(conversations: Sequence[Conversation], limits: Limits) -> dict[str, str]:
    """Speaker -> split by a hash of the id, for all who seem to have enough turns (counted in words, roughly)."""
    sizes: dict[str, list[int]] = {}
    for conversation in conversations:
        answers: dict[str, int] = {}
        for group in conversation.groups[1:]:
            answers[group.speaker] = answers.get(group.speaker, 0) + _fits(group, limits)
        for speaker, count in answers.items():
            sizes.setdefault(speaker, []).append(count)
    splits = {}
    for speaker, counts in sorted(sizes.items()):
        if enough(counts, limits):
            digest = hashlib.sha256(f"{_SALT}/{speaker}".encode()).digest()
            place = int.from_bytes(digest[:8], "big") / 2**64
            train = len(counts) > limits.hub or place < 0.6
            splits[speaker] = "train" if train else "valid" if place < 0.75 else "test"
    return splits


def _fits(group: Group, limits: Limits) -> bool:
    """Whether the first sentence will probably fit into the response: a word is 1.5 pieces on average."""
    return 1.5 * len(group.sentences[0].split()) <= limits.response


def split_conversations(conversations: Sequence[Conversation], speakers: Mapping[str, str]) -> dict[str, str]:
    """Conversation id -> split: test if either side is a test speaker, else valid, else train.

    A conversation between two people who are no task at all is in none.
    """
    splits = {}
    for conversation in conversations:
        sides = {speakers.get(group.speaker) for group in conversation.groups}
        held_out_first = next((split for split in reversed(SPLITS) if split in sides), None)
        if held_out_first:
            splits[conversation.id] = held_out_first
    return splits

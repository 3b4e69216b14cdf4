"""From probabilities to words: greedy and temperature decoding, and chatting with an adapted model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch

from metadialog_lite.episodes import ACT, EOS, PAD, STATE, SYS, UNK, Vocabulary
from metadialog_lite.model import DialogueModel, Theta
from metadialog_lite.turns import EMPTY, TaskSource, Turn


class Reply(NamedTuple):
    """What the system makes of a prompt. A chat also fills in the last two fields.

    ``unknown`` lists the user's words that the vocabulary does not have; ``text`` is the response as a person reads it.
    ``heard`` is the end of a message that was too long, as much as the model was given; "" when it was given all of it.
    """

    state: tuple[str, ...]
    act: tuple[str, ...]
    response: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    text: str = ""
    heard: str = ""


@torch.no_grad()
def decode(
    model: DialogueModel,
    theta: Theta,
    prompts: Sequence[Sequence[int]],
    temperature: float = 0.0,
    seed: int = 0,
) -> list[list[int]]:
    """Continue each prompt (ids) up to and without ``<eos>``, or to the model's max_length.

    temperature 0 takes the most probable token (greedy); above 0 tokens are drawn from p^(1/temperature).
    Raises ValueError for a negative temperature and for a prompt that leaves no room for an answer.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; it must be 0 (greedy) or above")
    room = model.config.max_length
    longest = max((len(prompt) for prompt in prompts), default=0)
    if longest >= room:
        raise ValueError(f"a prompt of {longest} tokens leaves no room for an answer: max_length is {room}")
    device = theta["embedding"].device
    random = torch.Generator(device).manual_seed(seed)
    tokens = torch.full((len(prompts), room), PAD, device=device)
    for row, prompt in zip(tokens, prompts):
        row[: len(prompt)] = torch.tensor(prompt, device=device)
    ends = torch.tensor([len(prompt) for prompt in prompts], device=device)  # where the next token goes
    running = torch.ones_like(ends, dtype=torch.bool)
    while running.any():
        logits = model.logits(theta, tokens[:, : int(ends.max())])
        scores = logits[torch.arange(len(ends)), ends - 1]
        scores[:, [PAD, UNK]] = -torch.inf  # neither is anything a system could say
        if temperature > 0:
            chosen = torch.multinomial((scores / temperature).softmax(-1), 1, generator=random).squeeze(-1)
        else:
            chosen = scores.argmax(-1)
        running &= chosen != EOS
        tokens[running, ends[running]] = chosen[running]
        ends += running
        running &= ends < room
    return [row[len(prompt) : end].tolist() for row, prompt, end in zip(tokens, prompts, ends)]


def parse_reply(prompt: Sequence[int], tail: Sequence[int], vocabulary: Vocabulary) -> Reply:
    """Decoded ids -> :class:`Reply`. What stands behind a marker that never came is empty."""
    rest = list(tail)
    if prompt[0] != STATE:
        return Reply((), (), tuple(vocabulary.decode(rest)))
    parts: list[tuple[str, ...]] = []
    for marker in (ACT, SYS):
        cut = rest.index(marker) if marker in rest else len(rest)
        parts.append(tuple(vocabulary.decode(rest[:cut])))
        rest = rest[cut + 1 :]
    return Reply(parts[0], parts[1], tuple(vocabulary.decode(rest)))


class CanReply(Protocol):
    """Anything adapted that answers a prompt."""

    def reply(self, prompt: Turn, temperature: float = 0.0, seed: int = 0) -> Reply:
        """State, act and response."""
        ...


def words_of(text: str, vocabulary: Vocabulary) -> list[str]:
    """What a person typed -> words. Letters and digits make a word; what is written without blanks (Chinese,
    punctuation) is cut into the longest tokens of the vocabulary, and what fits none stays a single character.
    """
    known, words = set(vocabulary.tokens), []
    for run in re.findall(r"[a-z0-9']+|[^\sa-z0-9']+", text.lower()):
        if run in known or (run[0].isascii() and run[0].isalnum()):
            words.append(run)
            continue
        while run:
            size = next((n for n in range(len(run), 1, -1) if run[:n] in known), 1)
            words.append(run[:size])
            run = run[size:]
    return words


class Chat:
    """Talk with an adapted model. The state it predicts for one turn is the previous state of the next.

    adapted      anything with ``reply(turn)``
    vocabulary   decides which words are known
    source       the world or corpus: how its states begin and how its tokens are read. A source that makes turns of
                 typed text itself (``prompt(text)``, subword corpora) is asked for it; of a long message it keeps the
                 end, as in training, and ``Reply.heard`` says so.
    """

    def __init__(
        self, adapted: CanReply, vocabulary: Vocabulary, source: TaskSource, temperature: float = 0.0, seed: int = 0
    ) -> None:
        self.adapted, self.vocabulary, self.source = adapted, vocabulary, source
        self.temperature, self.seed = temperature, seed
        example = source.task("train", 0, 0).support(1)[0]
        self._empty = (EMPTY,) * len(example.previous_state)
        self.reset()

    def reset(self) -> None:
        """Begin a new dialogue: the state is empty again."""
        self.state = self._empty
        self.transcript: list[tuple[str, Reply]] = []

    def say(self, text: str) -> Reply:
        """The system's reply to what the user typed.

        Raises ValueError when the text is empty, or too long for a model that cannot do with its end alone; the
        dialogue then stays as it was.
        """
        made = getattr(self.source, "prompt", None)
        words = tuple(made(text).user) if made else tuple(words_of(text, self.vocabulary))
        if not words:
            raise ValueError("there is nothing to answer: type at least one word")
        heard = self.source.text(words) if made and words != self.source.pieces(text) else ""  # type: ignore[attr-defined]
        turn = Turn(self.state, words, (), (), ())
        try:
            reply = self.adapted.reply(turn, self.temperature, self.seed + len(self.transcript))
        except ValueError as error:
            raise ValueError(
                f"this message of {len(words)} words cannot be answered, say it in fewer words: {error}"
            ) from error
        reply = reply._replace(
            unknown=tuple(self.vocabulary.unknown(words)), text=self.source.text(reply.response), heard=heard
        )
        if len(reply.state) == len(self.state):  # a malformed state would only spoil the turns that follow
            self.state = reply.state
        self.transcript.append((text, reply))
        return reply

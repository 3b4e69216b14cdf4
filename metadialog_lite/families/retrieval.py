"""The baseline without a model: say again what was answered to the most similar turn of the support."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from torch import Tensor, nn

from metadialog_lite.decoding import Reply
from metadialog_lite.episodes import TurnBatch, Vocabulary
from metadialog_lite.families.base import Adapted, Learner
from metadialog_lite.model import DialogueModel
from metadialog_lite.turns import EMPTY, Turn

Weights = dict[str, float]


def features(prompt: Turn) -> Counter[str]:
    """What two prompts are compared by: the user's words, and which slots are filled already."""
    filled = (f"<slot {s} {'empty' if value == EMPTY else 'filled'}>" for s, value in enumerate(prompt.previous_state))
    return Counter((*prompt.user, *filled))


class AdaptedRetrieval(Adapted):
    """The support turns as TF-IDF vectors (Spärck Jones 1972).

    EQ-TFIDF-1:  weight of w in a turn = count(w) · ln((1 + n) / (1 + n_w)), with n support turns, n_w of them with w.
    A word that stands in every turn says nothing; a word that no support turn has matches none. Vectors have length 1,
    so that their product is the cosine. Of equally similar turns the latest is taken.
    """

    def __init__(self, support: Sequence[Turn]) -> None:
        self.support = list(support)
        found = [features(turn) for turn in self.support]
        among = Counter(word for words in found for word in words)
        self.rarity = {word: math.log((1 + len(found)) / (1 + n)) for word, n in among.items()}
        self.vectors = [self._vector(words) for words in found]

    def _vector(self, words: Counter[str]) -> Weights:
        weights = {word: count * self.rarity[word] for word, count in words.items() if word in self.rarity}
        length = math.sqrt(sum(w * w for w in weights.values())) or 1.0
        return {word: w / length for word, w in weights.items()}

    def nearest(self, prompt: Turn) -> int:
        """The number of the most similar support turn. Raises ValueError when there is no support."""
        if not self.support:
            raise ValueError("there is no support turn to retrieve")
        asked = self._vector(features(prompt))
        similar = [sum(weight * vector.get(word, 0.0) for word, weight in asked.items()) for vector in self.vectors]
        return max(range(len(similar)), key=lambda i: (similar[i], i))

    def nll(self, query: TurnBatch | Sequence[Turn]) -> Tensor:
        raise TypeError("retrieval gives no probabilities, so that there is no loss; let it reply instead")

    def replies(self, prompts: Sequence[Turn], temperature: float = 0.0, seed: int = 0) -> list[Reply]:
        """Act and response of the nearest turn; the prompt's state, changed where that turn changed its own.

        Without support the state stays as it was, and there is nothing to say. Nothing is drawn at random.
        """
        return [self._reply(prompt) for prompt in prompts]

    def _reply(self, prompt: Turn) -> Reply:
        if not self.support:
            return Reply(prompt.previous_state, (), ())
        found = self.support[self.nearest(prompt)]
        state = list(prompt.previous_state)
        for slot, (old, new) in enumerate(zip(found.previous_state, found.state, strict=True)):
            if old != new and slot < len(state):
                state[slot] = new
        return Reply(tuple(state), found.act, found.response)


class Retrieval(Learner):
    """Nearest support turn, copied: no parameters, no training, and no likelihood (its loss is null).

    It shows how much of a dialogue can be copied, and what it costs not to take turns apart: the state of a turn that
    tells two slots can only be had from a turn that told the same two in the same words.
    """

    name = "retrieval"
    trained = "none"
    stacked = False
    likelihood = False

    def __init__(self, model: DialogueModel | None, vocabulary: Vocabulary) -> None:
        nn.Module.__init__(self)  # no model: there is no f_theta in here
        self.options = {}
        self.vocabulary = vocabulary

    def adapt(self, support: TurnBatch | Sequence[Turn], steps: int | None = None) -> Adapted:
        if isinstance(support, TurnBatch):
            raise TypeError("retrieval adapts to a list of turns, not to a TurnBatch")
        return AdaptedRetrieval(support)

    def trajectory(self, support: TurnBatch | Sequence[Turn]) -> list[Adapted]:
        """One for each support turn: after none, after the first, after the first two, ..."""
        return [self.adapt(support[:turns]) for turns in range(len(support) + 1)]  # type: ignore[arg-type]

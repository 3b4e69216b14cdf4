"""theta as a picture: what a model takes a speaker's private words to mean, and which numbers of theta say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from metadialog_lite.episodes import PAD, Vocabulary, prompt_ids
from metadialog_lite.families.base import Learner
from metadialog_lite.lab.curve import NAMES
from metadialog_lite.lab.speaker import named
from metadialog_lite.model import DialogueModel, Theta
from metadialog_lite.turns import CAPABILITIES, EMPTY, Turn
from metadialog_lite.world import BayesReference, World

Floats = NDArray[np.float64]
Meanings = dict[str, Floats]  # slot -> [words, values], probabilities


@torch.no_grad()
def understood(model: DialogueModel, theta: Theta, world: World, vocabulary: Vocabulary) -> Meanings:
    """p_theta(value | word) for each slot's words, [words, values]: a probe of every word in every user phrase.

    The prompt is the first turn of a dialogue in which one slot is named, with one word; read off is the
    distribution of the state at that slot. Values of other slots get what is left to one.
    """
    device = theta["embedding"].device
    prompts, last = [], []
    opening = tuple(world.spec.user.open[0].split())
    for s, phrases in enumerate(world.say):
        for word in range(len(world.words[s])):
            for phrase in phrases:
                turn = Turn((EMPTY,) * len(world.slots), opening + tuple(phrase[word]), (), (), ())
                ids = prompt_ids(turn, vocabulary) + vocabulary.encode([EMPTY] * s)  # the slots before it are empty
                prompts.append(ids)
                last.append(len(ids) - 1)
    tokens = torch.full((len(prompts), max(last) + 1), PAD, device=device)
    for row, ids in zip(tokens, prompts, strict=True):
        row[: len(ids)] = torch.tensor(ids, device=device)
    where = torch.tensor(last, device=device).unsqueeze(-1)
    chance = model.logits(theta, tokens, where).squeeze(-2).softmax(-1).double().cpu().numpy()
    found: Meanings = {}
    place = 0
    for s, slot in enumerate(world.slots):
        count, ways = len(world.words[s]), len(world.say[s])
        rows = chance[place : place + count * ways][:, vocabulary.encode(world.values[s])]
        found[slot] = rows.reshape(count, ways, -1).mean(1)
        place += count * ways
    return found


def moved(theta_0: Theta, theta: Theta, world: World, vocabulary: Vocabulary) -> Floats:
    """theta - theta_0 in the embedding rows of all private words, slot by slot: [words, width]."""
    rows = vocabulary.encode([word for words in world.words for word in words])
    change = theta["embedding"][rows] - theta_0["embedding"][rows]
    return np.asarray(change.detach().double().cpu().numpy())


def truth(world: World, lexicon: dict[str, dict[str, str]]) -> Meanings:
    """A speaker's hidden lexicon in the same shape: ones at what each word means."""
    return {slot: np.array([[float(lexicon[slot][word] == value) for value in world.values[s]]
                            for word in world.words[s]]) for s, slot in enumerate(world.slots)}


def believed(world: World, support: Sequence[Turn]) -> Meanings:
    """What the exact optimum believes after ``support``, in the same shape."""
    lexicon = BayesReference(world).posterior(list(support)).lexicon()
    return {slot: np.array([list(values.values()) for values in lexicon[slot].values()]) for slot in world.slots}


def right_words(meanings: Meanings, lexicon: Meanings) -> tuple[int, int]:
    """(words whose most probable value is the true one, all words)."""
    hits = [(meanings[slot].argmax(1) == lexicon[slot].argmax(1)) for slot in lexicon]
    return int(sum(hit.sum() for hit in hits)), sum(len(hit) for hit in hits)


@dataclass(frozen=True, eq=False)
class Growth:
    """One speaker, support turn by support turn; entry k is after the first k turns."""

    support: list[Turn]
    loss: list[dict[str, float]]  # nats per query turn, by capability and in total
    floor: list[dict[str, float]]  # the same of the exact optimum
    meanings: list[Meanings]  # p_theta(value | word)
    bayes: list[Meanings]  # the optimum's beliefs
    moved: list[Floats]  # theta - theta_0 in the words' embedding rows [words, width]
    truth: Meanings
    words: tuple[tuple[str, ...], ...]  # the private words, slot by slot

    def heard(self, k: int) -> set[str]:
        """Private words that the user said in the first k support turns."""
        said = {word for turn in self.support[:k] for word in turn.user}
        return {word for words in self.words for word in words if word in said}

    def text(self, k: int) -> str:
        """What is to be seen after k support turns."""
        right, words = right_words(self.meanings[k], self.truth)
        best, _ = right_words(self.bayes[k], self.truth)
        if k == 0:
            text = f"No support turn yet, θ = θ₀. Its best guesses are right for {right} of {words} words"
        else:
            text = (f"After {k} support turn{'s' * (k != 1)}, {len(self.heard(k))} of {words} private words have been "
                    f"heard. θ takes {right} words as this speaker means them (the optimum {best})")
        return f"{text}. {cost(self.loss[k], self.floor[k])}"


def cost(loss: dict[str, float], floor: dict[str, float]) -> str:
    """One sentence: what new turns cost, how far above the floor that is, and which capability has most of it."""
    above = loss["total"] - floor["total"]
    said = f"New turns cost {loss['total']:.2f} nats/turn, "
    if above < -0.005:
        return said + f"{-above:.2f} below the Bayes floor by the luck of the draw."
    if above < 0.005:
        return said + "right at the Bayes floor."
    worst = max(CAPABILITIES, key=lambda part: loss[part] - floor[part])
    most = f"; most of that in {NAMES[worst]}" if above > 0.05 else ""
    return f"{said}{above:.2f} above the Bayes floor{most}."


def floors(world: World, support: Sequence[Turn], query: Sequence[Turn]) -> list[dict[str, float]]:
    """The exact optimum's loss on ``query`` after the first 0, 1, … turns of ``support``: nats per turn."""
    reference = BayesReference(world)
    found = []
    for k in range(len(support) + 1):
        nll = map(reference.posterior(list(support[:k])).nll, query)
        found.append(named([sum(part) / len(query) for part in zip(*nll, strict=True)]))
    return found


def grow(learner: Learner, world: World, seed: int, index: int, shots: int, query_turns: int = 16) -> Growth:
    """theta = phi(D) of held-out speaker ``index`` after 0, 1, ..., ``shots`` support turns."""
    task = world.task("test", seed, index)
    support, query = task.support(shots), task.query(query_turns)
    model, vocabulary = learner.model, learner.vocabulary
    adapted = [learner.adapt(support[:k]) for k in range(shots + 1)]
    thetas = [each.theta for each in adapted if each.theta is not None]
    if len(thetas) <= shots:
        raise ValueError(f"the learner {learner.name} has no theta to be shown")
    return Growth(
        support, [named(each.nll(query).mean(0).tolist()) for each in adapted], floors(world, support, query),
        [understood(model, theta, world, vocabulary) for theta in thetas],
        [believed(world, support[:k]) for k in range(shots + 1)],
        [moved(thetas[0], theta, world, vocabulary) for theta in thetas],
        truth(world, task.lexicon), world.words,
    )

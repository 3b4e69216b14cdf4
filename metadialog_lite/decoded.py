"""What a learner *says*: accuracy of state and act, and BLEU, from greedily decoded turns.

Joint goal accuracy (JGA) is the share of turns whose whole state is right. It is reported twice: with the true
previous state in every prompt, and with the learner's own previous state carried through whole dialogues.
BLEU is sacrebleu's, over all responses at once, with its signature. Distinct-n (Li et al. 2016, arXiv 1510.03055) is
the number of different n-grams of all responses together, divided by the number of all their n-grams: it falls with the
number of responses, so only numbers from equally many can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU

from metadialog_lite.episodes import draw_episodes
from metadialog_lite.families.base import Learner
from metadialog_lite.turns import EMPTY, TaskSource, Turn
from metadialog_lite.world import BayesReference, World

Said = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]  # state, act, response
Speaker = Callable[[Sequence[Turn]], list[Said]]  # answers prompts


@dataclass
class Decoded:
    """Shares between 0 and 1; BLEU between 0 and 100. None where the source lacks the capability."""

    jga: float | None = None
    jga_carried: float | None = None
    act_accuracy: float | None = None
    bleu: float | None = None
    bleu_signature: str | None = None
    distinct_1: float | None = None
    distinct_2: float | None = None

    def numbers(self) -> dict[str, float]:
        """The numbers that are defined, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, float)}


def decode_learner(
    learner: Learner, source: TaskSource, shots: int, tasks: int, query_turns: int, seed: int, split: str
) -> Decoded:
    """Adapt to each task on ``shots`` support turns, then answer its query turns and one whole dialogue."""

    def speaker(support: list[Turn]) -> Speaker:
        adapted = learner.adapt(support)

        def answer(prompts: Sequence[Turn]) -> list[Said]:
            return [(reply.state, reply.act, reply.response) for reply in adapted.replies(prompts)]

        return answer

    return _decode(speaker, source, shots, tasks, query_turns, seed, split)


def decode_bayes(world: TaskSource, shots: int, tasks: int, query_turns: int, seed: int, split: str) -> Decoded:
    """The same for the exact reference: the ceiling of JGA and act accuracy, and the BLEU of its best guesses."""
    assert isinstance(world, World)
    reference = BayesReference(world)

    def speaker(support: list[Turn]) -> Speaker:
        posterior = reference.posterior(support)
        return lambda prompts: [posterior.predict(turn) for turn in prompts]

    return _decode(speaker, world, shots, tasks, query_turns, seed, split)


def _decode(
    speaker: Callable[[list[Turn]], Speaker], source: TaskSource, shots: int, tasks: int, query_turns: int, seed: int,
    split: str,
) -> Decoded:
    answered: list[tuple[Turn, Said]] = []
    carried: list[bool] = []
    has_state = "state" in source.capabilities
    for episode in draw_episodes(source, split, seed, 0, tasks, shots, query_turns):
        answer = speaker(episode.support)
        answered += zip(episode.query, answer(episode.query), strict=True)
        if has_state:
            carried += _carry(answer, episode.task.dialogues(1)[0])
    chinese = isinstance(source, World) and source.spec.language == "zh"
    metric = BLEU(tokenize="zh" if chinese else "13a")
    score = metric.corpus_score([source.text(said[2]) for _, said in answered],
                                [[source.text(turn.response) for turn, _ in answered]])
    responses = [said[2] for _, said in answered]
    result = Decoded(bleu=float(score.score), bleu_signature=str(metric.get_signature()),
                     distinct_1=distinct(responses, 1), distinct_2=distinct(responses, 2))
    if has_state:
        result.jga = _share([said[0] == turn.state for turn, said in answered])
        result.jga_carried = _share(carried)
    if "act" in source.capabilities:
        result.act_accuracy = _share([said[1] == turn.act for turn, said in answered])
    return result


def _carry(answer: Speaker, dialogue: list[Turn]) -> list[bool]:
    """Walk through a dialogue with the speaker's own state; is the whole state right after each turn?"""
    state = dialogue[0].previous_state
    right = []
    for turn in dialogue:
        state = answer([turn._replace(previous_state=state)])[0][0]
        right.append(state == turn.state)
        # A garbled state (wrong number of slots) can't be a prompt; fill or cut it.
        state = tuple([*state, *[EMPTY] * len(turn.state)][: len(turn.state)])
    return right


def distinct(responses: Sequence[Sequence[str]], n: int) -> float | None:
    """Different n-grams / all n-grams of the responses; None when there is none."""
    grams = [tuple(words[i : i + n]) for words in responses for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)

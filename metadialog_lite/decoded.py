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
from typing import Any

from metadialog_lite.episodes import draw_episodes
from metadialog_lite.families.base import Learner
from metadialog_lite.metrics import F1, bleu, distinct, entity_f1, joint_goal, mentions, slot_error, slot_f1
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
    jga_fuzzy: float | None = None  # real states only, as the rest; see metrics.py
    slot_f1: float | None = None
    slot_error: float | None = None
    entity_f1: float | None = None

    def real(self) -> dict[str, float]:
        """What only real dialogues have, as far as it is defined."""
        names = ("jga_fuzzy", "slot_f1", "slot_error", "entity_f1")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

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
            carried += _carry(answer, source, episode.task.dialogues(1)[0])
    language = source.spec.language if isinstance(source, World) else getattr(source, "language", "en")
    responses = [said[2] for _, said in answered]
    score, signature = bleu([source.text(words) for words in responses],
                            [source.text(turn.response) for turn, _ in answered], language)
    result = Decoded(bleu=score, bleu_signature=signature,
                     distinct_1=distinct(responses, 1), distinct_2=distinct(responses, 2))
    if has_state:
        result.jga = _share([_right(source, turn, said[0]) for turn, said in answered])
        result.jga_carried = _share(carried)
    if "act" in source.capabilities:
        result.act_accuracy = _share([said[1] == turn.act for turn, said in answered])
    if has_state and hasattr(source, "parse_state"):
        _judge_states(result, source, answered)
    return result


def _right(source: Any, turn: Turn, state: tuple[str, ...]) -> bool:
    """Whether a whole state is right: token by token, or for real states slot by slot, any surface form."""
    parse = getattr(source, "parse_state", None)
    return state == turn.state if parse is None else joint_goal(parse(state), source.true_state(turn)) == 1


def _judge_states(result: Decoded, source: Any, answered: Sequence[tuple[Turn, Said]]) -> None:
    """Metrics that need slots and values: they stand in ``Turn.meaning`` of real turns, which no model sees.

    Due is what the reference says of the corpus's values, and too much what it does not say: it has no slot error.
    """
    slots, entities, wrong, due, fuzzy = F1(), F1(), 0, 0, 0.0
    truths = [source.true_state(turn) for turn, _ in answered]
    known = {form for truth in truths for true in truth for form in true.forms}
    for truth, (turn, (state, _, words)) in zip(truths, answered, strict=True):
        said, text, reference = source.parse_state(state), source.text(words), source.text(turn.response)
        fuzzy += joint_goal(said, truth, fuzzy=True)
        slots += slot_f1(said, truth)
        entities += entity_f1(text, reference, known)
        spoken = [value for value in map(source.written, turn.meaning.values) if mentions(reference, value)]
        others = [form for true in truth for form in true.forms if not mentions(reference, form)]
        errors, values = slot_error(text, spoken, others)
        wrong, due = wrong + errors, due + values
    result.jga_fuzzy, result.slot_f1, result.entity_f1 = fuzzy / len(answered), slots.f1, entities.f1
    result.slot_error = wrong / due if due else None


def _carry(answer: Speaker, source: TaskSource, dialogue: list[Turn]) -> list[bool]:
    """Walk through a dialogue with the speaker's own state; is the whole state right after each turn?"""
    state = dialogue[0].previous_state
    right = []
    for turn in dialogue:
        state = answer([turn._replace(previous_state=state)])[0][0]
        right.append(_right(source, turn, state))
        if isinstance(source, World):  # a garbled state (wrong number of slots) can't be a prompt; fill or cut it
            state = tuple([*state, *[EMPTY] * len(turn.state)][: len(turn.state)])
        else:  # real states have no fixed length, but a longest one
            state = state[: getattr(getattr(source, "limits", None), "state", len(turn.state))]
    return right


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)

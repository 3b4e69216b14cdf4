"""D beside D' as something to read: turns with their weights, recombined turns, soft turns; and numbers to watch."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

import torch

from metadialog_lite.episodes import ACT, STATE, SYS, UNK, USR, TurnBatch, Vocabulary, encode_turns, stack_tasks
from metadialog_lite.families.base import Learner
from metadialog_lite.families.meta_data_generation import QUICK, Augmentation, Distillation, ExampleWeights
from metadialog_lite.families.recombine import WAYS, parts_of, recombined
from metadialog_lite.turns import CAPABILITIES, TaskSource, Turn

#: What a way of recombining does, in words.
WAY_WORDS = {"other_past": "another turn's past", "other_words": "another turn's words",
             "other_response": "another turn's response", "fewer_words": "some words hidden"}


class Line(NamedTuple):
    """One turn of D'.

    how       where it comes from
    weight    how much its state, act and response count; 1 = like a turn of D
    replaced  capabilities that are somebody else's (noisy worlds), known to nobody who learns
    """

    how: str
    turn: Turn
    weight: tuple[float, ...]
    replaced: tuple[str, ...] = ()


class Place(NamedTuple):
    """One place of a soft turn: its part, its most probable word, and that word's probability."""

    part: str
    word: str
    sure: float


def recombinations(learner: Augmentation, support: Sequence[Turn], index: int) -> list[Line]:
    """Support turn ``index`` as it was, and in every way of recombining it, as D' has them (EQ-AUG-1)."""
    batch = encode_turns(support, learner.vocabulary).to(learner.device)
    made = recombined(batch).tokens.reshape(len(WAYS), len(support), -1)[:, index].tolist()
    chance = learner.probabilities().tolist()
    lines = [Line("D: as it was", support[index], (1.0, 1.0, 1.0))]
    for way, ids, weight in zip(WAYS, made, chance, strict=True):
        previous, user, state, act, response = (
            tuple("…" if i == UNK else learner.vocabulary.tokens[i] for i in part) for part in parts_of(ids))
        lines.append(Line(WAY_WORDS[way], Turn(previous, user, state, act, response), tuple(weight)))
    return lines


def weighted(learner: ExampleWeights, support: Sequence[Turn]) -> list[Line]:
    """Each support turn with the weights of its segments (EQ-REW-1)."""
    batch = encode_turns(support, learner.vocabulary).to(learner.device)
    with torch.no_grad():
        weights = learner.weights(learner.phi(), batch).tolist()
    return [Line(f"turn {i + 1}", turn, tuple(row), replaced_of(turn))
            for i, (turn, row) in enumerate(zip(support, weights, strict=True))]


def replaced_of(turn: Turn) -> tuple[str, ...]:
    """Which segments of a turn are a stranger's; none in a world without noise."""
    return tuple(getattr(turn.meaning, "replaced", ()))


def synthetic(learner: Distillation) -> list[list[Place]]:
    """The synthetic turns, place by place (EQ-DIST-1)."""
    with torch.no_grad():
        best = learner.mixtures(learner.phi()).max(-1)
    parts, now = [], ""
    for place, token in enumerate(learner.layout):
        if token == STATE:
            now = "before" if place == 0 else "state"
        now = {USR: "user", ACT: "act", SYS: "response"}.get(token, now)
        parts.append(now if token == 0 else "")
    return [[Place(part, learner.vocabulary.tokens[i], sure) for part, i, sure in zip(parts, ids, row, strict=True)
             if part] for ids, row in zip(best.indices.tolist(), best.values.tolist(), strict=True)]


# In a notebook's cell ----------------------------------------------------------------------------------------------


def lines_text(lines: Sequence[Line], source: TaskSource) -> str:
    """Lines of D' as plain text, weights in percent behind each segment."""
    said = []
    for line in lines:
        turn, state, act, response = line.turn, *(f"({100 * weight:.0f} %)" for weight in line.weight)
        mark = f"   [replaced: {', '.join(line.replaced)}]" if line.replaced else ""
        said += [f"{line.how}{mark}",
                 f"    before {' '.join(turn.previous_state)} | user: {source.text(turn.user)}",
                 f"    state {' '.join(turn.state)} {state} | act {' '.join(turn.act)} {act}",
                 f"    response: {source.text(turn.response)} {response}"]
    return "\n".join(said)


def synthetic_text(turns: Sequence[Sequence[Place]]) -> str:
    """Soft turns as plain text: the most probable word of each place, in brackets when it is less than half sure."""
    said = []
    for number, places in enumerate(turns):
        said.append(f"synthetic turn {number + 1}")
        for part in dict.fromkeys(place.part for place in places):
            mine = [place for place in places if place.part == part]
            words = " ".join(place.word if place.sure >= 0.5 else f"({place.word})" for place in mine)
            said.append(f"    {part:9}{words}   sure: {sum(p.sure for p in mine) / len(mine):.2f}")
    return "\n".join(said)


# In a panel --------------------------------------------------------------------------------------------------------


def lines_html(lines: Sequence[Line], most: float = 1.0) -> str:
    """Lines of D' as a table; the stronger the blue, the more a segment counts (``most``: full blue)."""
    original = lines[0].turn
    rows = ["<tr><th></th><th>before, and what the user says</th><th>state</th><th>act</th><th>response</th></tr>"]
    same = len({line.how for line in lines}) > 1 and lines[0].how.startswith("D")
    for line in lines:
        turn = line.turn
        old = original if same else turn
        cells = [f"<small>{_marked(turn.previous_state, old.previous_state)}</small><br>"
                 f"{_marked(turn.user, old.user)}"]
        for part, weight in zip(CAPABILITIES, line.weight, strict=True):
            words = _marked(getattr(turn, part), getattr(old, part))
            share = min(1.0, weight / most)
            wrong = " ✗" if part in line.replaced else ""
            cells.append(f"<div class='md-chip' style='display:block;text-align:left;background:"
                         f"rgba(86,180,233,{0.08 + 0.72 * share:.2f})'>{words}{wrong}<small>counts "
                         f"{_amount(weight)}</small></div>")
        rows.append(f"<tr><th style='white-space:normal'>{html.escape(line.how)}</th>"
                    f"{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    note = "<small>✗ = a stranger's segment; g is not told</small>" if any(line.replaced for line in lines) else ""
    return f"<table class='md-table md-wide'>{''.join(rows)}</table>{note}"


def synthetic_html(turns: Sequence[Sequence[Place]], own: Sequence[Turn]) -> str:
    """A few turns of D as they are, and the soft turns word by word, paler where a place is less sure."""
    rows = ["<tr><th></th><th>before</th><th>user</th><th>state</th><th>act</th><th>response</th></tr>"]
    for i, turn in enumerate(own):
        parts = (turn.previous_state, turn.user, turn.state, turn.act, turn.response)
        cells = [f"<td>{html.escape(' '.join(part))}</td>" for part in parts]
        rows.append(f"<tr><th>D: {i + 1}</th>{''.join(cells)}</tr>")
    for i, places in enumerate(turns):
        cells = []
        for part in ("before", "user", "state", "act", "response"):
            chips = [f"<span class='md-chip' style='background:rgba(230,159,0,{0.08 + 0.72 * p.sure:.2f})'>"
                     f"{html.escape(p.word)}<small>{100 * p.sure:.0f} %</small></span>"
                     for p in places if p.part == part]
            cells.append(f"<td>{''.join(chips)}</td>")
        rows.append(f"<tr><th>D′: {i + 1}</th>{''.join(cells)}</tr>")
    return f"<table class='md-table md-wide'>{''.join(rows)}</table>"


def _marked(words: Sequence[str], old: Sequence[str]) -> str:
    """Words, bold where they differ from ``old``."""
    changed = [len(words) != len(old) or word != other for word, other in zip(words, [*old, *words][: len(words)])]
    return " ".join(f"<b>{html.escape(word)}</b>" if new else html.escape(word)
                    for word, new in zip(words, changed, strict=True))


def _amount(weight: float) -> str:
    return f"{100 * weight:.0f} %" if weight >= 0.005 or weight == 0 else "below 1 %"


# Numbers to watch --------------------------------------------------------------------------------------------------


class Probe(NamedTuple):
    """Support turns of a few speakers, always the same ones, and which of their segments are a stranger's.

    turns     TurnBatch [tasks, turns, length]
    replaced  bool [tasks, turns, 3]
    """

    turns: TurnBatch
    replaced: torch.Tensor


def probe_of(tasks: Sequence[Sequence[Turn]], vocabulary: Vocabulary, device: str = "cpu") -> Probe:
    """A probe of these tasks."""
    replaced = [[[part in replaced_of(turn) for part in CAPABILITIES] for turn in turns] for turns in tasks]
    return Probe(stack_tasks(tasks, vocabulary).to(device), torch.tensor(replaced, device=device))


def watched(learner: Learner, probe: Probe | None = None) -> dict[str, dict[str, float]]:
    """What g_phi has learned so far, in a few numbers: capability -> name -> number.

    augmentation: the probability of each way; distillation: how sure the places are; example_weights: the mean weight
    of the segments of ``probe``, of strangers' ones apart where it has some.
    """
    if isinstance(learner, Augmentation):
        table = learner.probabilities().detach().T.tolist()
        return {part: {WAY_WORDS[way]: p for way, p in zip(WAYS, row, strict=True)}
                for part, row in zip(CAPABILITIES, table, strict=True)}
    if isinstance(learner, Distillation):
        sure: dict[str, list[float]] = {}
        for place in (place for turn in synthetic(learner) for place in turn):
            sure.setdefault(place.part, []).append(place.sure)
        mean = {part: sum(values) / len(values) for part, values in sure.items()}
        names = {"before": "values before", "user": "user's words", "state": "values after"}
        return {"state": {name: mean[part] for part, name in names.items() if part in mean},
                "act": {"act words": mean.get("act", float("nan"))},
                "response": {"response words": mean["response"]}}
    if isinstance(learner, ExampleWeights) and probe is not None:
        with torch.no_grad():
            weights = learner.weights(learner.phi(), probe.turns).flatten(0, -2)
        replaced = probe.replaced.flatten(0, -2)
        whose = {"this speaker's": ~replaced, "a stranger's": replaced}
        return {part: {name: float(weights[:, i][which[:, i]].mean()) for name, which in whose.items()
                       if which[:, i].any()} for i, part in enumerate(CAPABILITIES)}
    raise ValueError(f"learner: got '{learner.name}'; augmentation, distillation or example_weights is needed")


def counts_text(learner: Learner) -> str:
    """One sentence on how much of D' is generated."""
    if isinstance(learner, Augmentation):
        p = learner.probabilities().detach()
        way, part = divmod(int(p.argmax()), len(CAPABILITIES))
        return (f"A support turn brings {float(p.mean(1).sum()):.2f} recombined ones with it, in expectation; most "
                f"trusted is the {CAPABILITIES[part]} of “{WAY_WORDS[list(WAYS)[way]]}” ({float(p.max()):.2f}).")
    if isinstance(learner, Distillation):
        each = float((QUICK * learner.strength.detach()).exp())
        return f"Each of the {learner.synthetic} synthetic turns counts {each:.2g} times as much as a support turn."
    return "Weights lie between 0 and 2; a weight of 1 leaves a segment as it is."

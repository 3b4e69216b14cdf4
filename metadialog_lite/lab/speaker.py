"""One held-out speaker for a panel: support, query, what they secretly mean, and what a learner makes of it."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from metadialog_lite.episodes import encode_turns
from metadialog_lite.families.base import Learner
from metadialog_lite.lab.settings import copy_learner
from metadialog_lite.turns import CAPABILITIES, TaskSource, Turn
from metadialog_lite.world import BayesReference, World


def resolve(learner: Any) -> Callable[[], Learner]:
    """How a panel gets its learner: a learner itself, a training panel, or a function that returns one.

    The result is a copy that training in another thread does not touch.
    """

    def get() -> Learner:
        if hasattr(learner, "snapshot"):
            found = learner.snapshot()
        elif isinstance(learner, Learner):
            return copy_learner(learner)
        elif callable(learner):
            made = learner()
            found = made.snapshot() if hasattr(made, "snapshot") else made and copy_learner(made)
        else:
            raise ValueError(f"learner: got {learner!r}; a learner, a training panel or a function is needed")
        if found is None:
            raise ValueError("there is no learner yet: press Start in the training panel first")
        return found

    return get


@dataclass
class Surprise:
    """One target token of the example turn: its text, which capability it belongs to, its loss after 0, 1, … steps."""

    token: str
    capability: str
    loss: list[float] = field(default_factory=list)


@dataclass(eq=False)
class Adaptation:
    """How one learner adapts to one speaker, step by step. Losses are nats per turn over the query turns."""

    loss: list[dict[str, float]]  # after 0, 1, … inner steps
    floor: dict[str, float] | None  # the Bayes loss after the same support
    prior: dict[str, float] | None  # the Bayes loss without support
    trained_steps: int
    adapted: list[Any]
    support: list[Turn]
    query: list[Turn]

    def gap_closed(self, step: int) -> float | None:
        """(Bayes(0) − loss) / (Bayes(0) − Bayes(k)) of this one speaker."""
        if self.floor is None or self.prior is None or self.prior["total"] - self.floor["total"] < 1e-9:
            return None
        return (self.prior["total"] - self.loss[step]["total"]) / (self.prior["total"] - self.floor["total"])

    def text(self, step: int) -> str:
        """What the curve says at one step."""
        now, before = self.loss[step]["total"], self.loss[0]["total"]
        k, n = len(self.support), len(self.query)
        said = f"{n} new turns of this speaker, after {step} inner step{'s' * (step != 1)}"
        said += f" on {k} support turn{'s' * (k != 1)}: {now:.2f} nats/turn"
        said += f" (before: {before:.2f})" if step else ""
        if self.floor is not None:
            said += f", Bayes floor {self.floor['total']:.2f}"
        gap = self.gap_closed(step)
        if gap is not None and gap > 0:
            said += f"; {100 * gap:.0f} % of what the support can teach is learned"
        elif gap is not None:
            said += "; worse than the best guess without any support"
        return said + "."


def named(losses: Sequence[float]) -> dict[str, float]:
    """State, act, response → a dictionary with their sum."""
    return {**dict(zip(CAPABILITIES, losses, strict=True)), "total": float(sum(losses))}


def adapt(learner: Learner, source: TaskSource, seed: int, index: int, shots: int, most_steps: int,
          query_turns: int = 8) -> Adaptation:
    """Adapt to held-out speaker ``index`` with 0 … ``most_steps`` inner steps."""
    task = source.task("test", seed, index)
    support, query = task.support(shots), task.query(query_turns)
    trained = learner.steps()
    adapted: list[Any] = learner.trajectory(support)
    if trained:  # learners with inner steps may take more than they were trained with
        adapted = adapted[: most_steps + 1]
        adapted += [learner.adapt(support, step) for step in range(len(adapted), most_steps + 1)]
    loss = [named(each.nll(query).mean(0).tolist()) for each in adapted]
    floor = prior = None
    if isinstance(source, World):
        reference = BayesReference(source)
        floor, prior = (named([sum(c) / len(query) for c in zip(*map(reference.posterior(s).nll, query), strict=True)])
                        for s in (support, []))
    return Adaptation(loss, floor, prior, trained, adapted, support, query)


def surprises(learner: Learner, adapted: Sequence[Any], turn: Turn) -> list[Surprise]:
    """Loss of every target token of ``turn`` after each step; empty for a learner without θ′."""
    if any(each.theta is None for each in adapted):
        return []
    batch = encode_turns([turn], learner.vocabulary)
    ids = batch.tokens.gather(-1, batch.where + 1)[0].tolist()
    parts = batch.segment.gather(-1, batch.where + 1)[0].tolist()
    names = [("end of state", "end of act", "end")[p - 1] if i < 7 else learner.vocabulary.tokens[i]
             for i, p in zip(ids, parts, strict=True)]
    found = [Surprise(name, CAPABILITIES[p - 1]) for name, p in zip(names, parts, strict=True)]
    with torch.no_grad():
        for each in adapted:
            for one, value in zip(found, each.model.token_nll(each.theta, batch)[0].tolist(), strict=True):
                one.loss.append(value)
    return found


def lexicon_html(task: Any, support: Sequence[Turn]) -> str:
    """The speaker's secret lexicon; words heard in the support are marked. Empty for a real person."""
    lexicon = getattr(task, "lexicon", None)
    if not lexicon:
        return "<i>A real person: nobody knows their habits.</i>"
    heard = {word for turn in support for word in turn.user}
    rows = []
    for slot, meaning in lexicon.items():
        words = ", ".join(
            f"<b>{html.escape(word)}</b>✓ = {html.escape(value)}" if word in heard
            else f"{html.escape(word)} = {html.escape(value)}" for word, value in meaning.items())
        rows.append(f"<tr><th>{html.escape(slot)}</th><td>{words}</td></tr>")
    order = " → ".join(html.escape(slot) for slot in getattr(task, "order", ()))
    rows.append(f"<tr><th>asks in this order</th><td>{order}</td></tr>")
    return f"<table class='md-table'>{''.join(rows)}</table><small>✓ = heard in the support turns</small>"


def said_html(source: TaskSource, capability: str, words: Sequence[str], most: int = 24) -> str:
    """State (with its slots), act or response for a table; an untrained model never stops, so its reply is cut."""
    if not words:
        return "<i>nothing</i>"
    cut = list(words[:most])
    slots = tuple(getattr(getattr(source, "spec", None), "slots", ()))
    if capability == "state" and len(slots) == len(words):
        return " · ".join(f"<small>{html.escape(slot)}</small> {html.escape(word)}"
                          for slot, word in zip(slots, words, strict=True))
    text = source.text(cut) if capability == "response" else " ".join(cut)
    more = f" … <i>({len(words)} words)</i>" if len(words) > most else ""
    return html.escape(text) + more

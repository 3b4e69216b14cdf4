"""Meta-Data Generation read literally: f_theta is applied *to* generated data, and theta never changes.

    EQ-LIT-1   y = f_theta(g_phi(D, x)),  g_phi(D, x) = (p_1(D) ... p_m(D), T_D(x_1) ... T_D(x_n))

f_theta is a frozen joint model. g_phi reads the support D and rewrites the *input*: p_j are soft words in front of the
turn, T_D(x_i) is a word of the user in translation. No step is taken and no parameter of f moves; whatever the model
learns about a speaker, it has to read.

Why both? Our f has one layer, and in one layer a place attends to what stands before it by what *itself* is. Soft words
in front (prefix tuning, Li & Liang 2021, arXiv 2101.00190; prompt tuning, Lester et al. 2021, arXiv 2104.08691) are
therefore a shift that is the same whatever the user said: they can say which sentences this speaker's system prefers.
They cannot say that *zesty* means thai, because that depends on whether "zesty" stands there. A translation can: it
stands where the word stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metadialog_lite.episodes import EOS, PAD, TurnBatch, Vocabulary, user_words
from metadialog_lite.families.base import Adapted, AdaptedModel, Phi, as_batch
from metadialog_lite.families.emission import matrix, part_of, zeros
from metadialog_lite.families.meta_networks import OnePass
from metadialog_lite.families.set_encoder import repeated
from metadialog_lite.model import DialogueModel, Theta
from metadialog_lite.turns import Turn

#: The numbers that weigh counts are far from 1: with this they are learned ten times as fast as others.
_PACE = 10.0


class Generated(NamedTuple):
    """What g_phi makes of a support: how any turn x is to be rewritten.

    front   [..., m, width]           the soft words p_1 ... p_m
    words   [..., vocabulary, width]  T_D: what each word is read as when the user says it
    share   [..., vocabulary, vocabulary]  the same as it can be read: how much of word v is in the translation of w
    """

    front: Tensor
    words: Tensor
    share: Tensor


class ReadsGenerated(DialogueModel):
    """f_theta behind g_phi(D, .), as a dialogue model (EQ-LIT-1): the same function of theta, of rewritten turns."""

    def __init__(self, model: DialogueModel, data: Generated) -> None:
        nn.Module.__init__(self)  # no parameters of its own
        self.model, self.data, self.seed = model, data, model.seed
        self.config = replace(model.config, max_length=model.config.max_length - data.front.shape[-2])
        self.register_buffer("future", model.future, persistent=False)

    def hidden(
        self, theta: Theta, tokens: Tensor, where: Tensor, mask: Tensor | None = None, words: Tensor | None = None
    ) -> Tensor:
        """As in :class:`DialogueModel`; ``tokens`` and ``where`` are those of the turns before they are rewritten."""
        front, table, _ = self.data
        m, by_turn = front.shape[-2], tokens.shape[-2:]
        at = tokens.flatten(-2).unsqueeze(-1).expand(*tokens.shape[:-2], -1, table.shape[-1])
        own, translated = (rows.expand(*tokens.shape[:-2], *rows.shape[-2:]).gather(-2, at)
                           for rows in (theta["embedding"], table))
        rows = torch.where(user_words(tokens).flatten(-2).unsqueeze(-1), translated, own).unflatten(-2, by_turn)
        front = front.unsqueeze(-3).expand(*tokens.shape[:-1], *front.shape[-2:])
        # Padding in front belongs to no part of a turn: places are counted from the markers, so the turn's stay.
        return self.model.hidden(theta, F.pad(tokens, (m, 0), value=PAD), where + m, None,
                                 torch.cat([front, rows], -2).flatten(-3, -2))


class Literal(OnePass):
    """A translator in front of a frozen model (EQ-LIT-1).

    It translates like the oldest alignment models (Brown et al. 1993, "The mathematics of statistical machine
    translation"): a word of the user means what becomes new in the state when it is said. With n_w, m_v the numbers of
    support turns in which the user says w and in which v is new, c_wv of those with both, and 0 < g_w < 1:

        EQ-LIT-2   T_D(w) = (1 - g_w) e_w + g_w C Σ_v a_wv e_v,  a_w = softmax_v(s_wv)

    where s_wv = k_wv + a c_wv / (1 + n_w) + b c_wv / (1 + m_v) - d [c_wv = 0] m_v / (1 + m_v), and k is learned from
    the embeddings: which words can mean which values at all, heard or not. The soft words read the support turn by turn
    (a sum over turns, so a function of a set). Learned are g, C, k, a, b, d, and what the soft words are made with.

    front   number m of soft words in front of a turn
    """

    name = "literal"

    def __init__(self, model: DialogueModel, vocabulary: Vocabulary, front: int = 4) -> None:
        super().__init__(model, vocabulary)
        if not isinstance(front, int) or not 0 <= front <= 16:
            raise ValueError(f"front is {front!r}; a whole number of soft words from 0 to 16 is needed")
        self.front = front
        width, random = model.config.width, torch.Generator().manual_seed(model.seed + 6)
        self.translate = nn.ParameterDict({
            "gate": nn.Parameter(torch.ones(len(vocabulary))),
            "kin": zeros(width, width),
            "counts": nn.Parameter(torch.tensor([8.0, 4.0, 4.0]) / _PACE),
            "say": nn.Parameter(2 * torch.eye(width)),  # C: a translated word must stand out among the others
        })
        self.soft = nn.ParameterDict({
            "base": matrix(random, front, width) if front else zeros(0, width),
            "turn": matrix(random, 3 * len(vocabulary), 2 * width, scale=10.0),
            "write": zeros(2 * width, front * width),
        })

    def phi(self) -> Phi:
        """g alone: the model is frozen."""
        return {name: value for name, value in self.named_parameters() if not name.startswith("model.")}

    def theta_0(self, phi: Phi, turns: TurnBatch | None = None) -> Theta:
        """The frozen theta."""
        return super().theta_0({f"model.{name}": value.detach() for name, value in self.model.theta().items()}, turns)

    def generate(self, phi: Phi, support: TurnBatch) -> Generated:
        """g_phi(D, .): how turns are rewritten after ``support``."""
        embedding = self.model.theta()["embedding"].detach()
        words, soft = part_of(phi, "translate."), part_of(phi, "soft.")
        of_word, of_value, taken = together(support, embedding)
        a, b, d = words["counts"] * _PACE
        kin = embedding @ words["kin"] @ embedding.mT / 8
        share = (kin + a * of_word + b * of_value - d * taken).softmax(-1)
        gate = words["gate"].sigmoid().unsqueeze(-1)
        table = (1 - gate) * embedding + gate * (share @ embedding @ words["say"])
        read = F.gelu(bags(support, embedding) @ soft["turn"]).sum(-2) / (1 + support.turns())
        front = soft["base"] + (read @ soft["write"]).unflatten(-1, (self.front, embedding.shape[-1]))
        return Generated(front, table, gate * share + (1 - gate) * torch.eye(len(embedding)).to(share))

    def reads(self, phi: Phi, support: TurnBatch) -> DialogueModel:
        """f behind g_phi(D, .); f itself when there is no support."""
        return ReadsGenerated(self.model, self.generate(phi, support)) if support.turns() else self.model

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """theta, whatever the support says."""
        return self.theta_0(phi, support)

    def task_loss(self, phi: Phi, support: TurnBatch, query: TurnBatch) -> tuple[Tensor, Tensor]:
        """L(f_theta(g_phi(D, x)), y) over the query."""
        losses = self.reads(phi, support).nll(self.theta_0(phi, support), query).mean(-2)
        return losses.sum(-1).mean(), losses

    def adapt(self, support: TurnBatch | Sequence[Turn], steps: int | None = None) -> Adapted:
        """The frozen model behind a translator that has read ``support``."""
        batch, phi = as_batch(support, self.vocabulary, self.model), self.phi()
        with torch.no_grad():
            return AdaptedModel(self.reads(phi, batch), self.vocabulary, self.theta_0(phi, batch))

    def translations(self, support: Sequence[Turn], words: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
        """What each of ``words`` is translated to: (word, share), the largest first, down to 0.05 or three of them."""
        with torch.no_grad():
            share = self.generate(self.phi(), as_batch(support, self.vocabulary, self.model)).share
        best = share[self.vocabulary.encode(words)].topk(3)
        rows = zip(words, best.values.tolist(), best.indices.tolist(), strict=True)
        return {word: [(self.vocabulary.tokens[i], p) for p, i in zip(values, ids, strict=True) if p >= 0.05]
                for word, values, ids in rows}


def together(support: TurnBatch, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """c_wv / (1 + n_w), c_wv / (1 + m_v) and [c_wv = 0] m_v / (1 + m_v), each [..., vocabulary, vocabulary] (EQ-LIT-2).

    ``like`` [vocabulary, width] says how many words there are, and in which numbers to count.
    """
    there = F.one_hot(support.tokens, len(like)).to(like)
    changed = (support.segment == 1) & ~repeated(support.tokens) & (support.tokens > EOS)
    said, new = ((there * kind.unsqueeze(-1)).amax(-2) for kind in (user_words(support.tokens), changed))
    both, n, m = said.mT @ new, said.sum(-2).unsqueeze(-1), new.sum(-2).unsqueeze(-2)
    return both / (1 + n), both / (1 + m), (both == 0) * m / (1 + m)


def bags(support: TurnBatch, like: Tensor) -> Tensor:
    """How often each word stands in the state, the act and the response of each turn: [..., turns, 3 * vocabulary]."""
    there = F.one_hot(support.tokens, len(like)).to(like)
    return torch.cat([(there * (support.segment == i).unsqueeze(-1)).sum(-2) for i in (1, 2, 3)], -1)

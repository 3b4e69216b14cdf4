"""Checks of notebook 06: the loss of D', the cross-entropy of a soft word, and what a weight does to the query."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metadialog_lite.lab.check import Verdict, exercise
from metadialog_lite.lab.checks_05 import fresh
from metadialog_lite.lab.judging import Misconception, judge


def _randn(random: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=random)


# ---------------------------------------------------------------- 06.1: the loss of augmented data


def _augmented(own: Tensor, new: Tensor, chance: Tensor) -> Tensor:
    return own.sum() + (chance.unsqueeze(1) * new).sum()  # EQ-AUG-1


_AUGMENTED_MISTAKES = (
    Misconception("D forgotten", lambda own, new, p: (p.unsqueeze(1) * new).sum(),
                  "this is the generated part alone. D' holds the support as well, and its turns count 1."),
    Misconception("all of it counts 1", lambda own, new, p: own.sum() + new.sum(),
                  "every recombined segment counts fully here: its probability is missing."),
    Misconception("coins rounded", lambda own, new, p: own.sum() + ((p > 0.5).to(own.dtype).unsqueeze(1) * new).sum(),
                  "you let a segment in when its probability is above one half. Then nothing depends smoothly on the "
                  "probability, and φ has no gradient: take the expectation over the coins, p times the loss."),
    Misconception("own turns weighted", lambda own, new, p: p.mean() * own.sum() + (p.unsqueeze(1) * new).sum(),
                  "the turns of D are there for certain: they count 1, not a probability."),
    Misconception("a mean, not a sum", lambda own, new, p: own.mean() + (p.unsqueeze(1) * new).mean(),
                  "these are means. In this family evidence adds up: nats are summed over turns."),
    Misconception("averaged by weight",
                  lambda own, new, p: _augmented(own, new, p) / (own.numel() + p.sum() * len(own)),
                  "you divide by the amount of data. Evidence adds up here: nats are summed over turns."),
    Misconception("one probability for all capabilities",
                  lambda own, new, p: own.sum() + (p.mean(1)[:, None, None] * new).sum(),
                  "you use the mean probability of each way. There is one for each way *and capability*: a turn may be "
                  "trusted for its response and not for its state."),
    Misconception("one probability for all ways",
                  lambda own, new, p: own.sum() + (p.mean(0)[None, None] * new).sum(),
                  "you use the mean over the ways. Each way of recombining has probabilities of its own."),
)


@exercise("06.1")
def augmented_loss(answer: Any) -> Verdict:
    """``answer(own, new, chance)`` = Σ own + Σ chance · new, EQ-AUG-1: [turns, 3], [ways, turns, 3], [ways, 3]."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for turns, ways in ((4, 2), (1, 4), (6, 3), (5, 5)):
        problems.append((_randn(random, turns, 3).exp(), _randn(random, ways, turns, 3).exp(),
                         _randn(random, ways, 3).mul(2).sigmoid()))
    return judge(
        answer, problems, _augmented, _AUGMENTED_MISTAKES,
        praise="this is the expectation of L_D' over all coins, so its gradient with respect to the probabilities is "
               "exact: nothing has to be sampled.",
        otherwise="This is not Σ own + Σ chance·new. `chance` is [ways, 3] and `new` is [ways, turns, 3]: put an axis "
                  "for the turns into `chance`, multiply, and sum up everything.",
    )


# ---------------------------------------------------------------- 06.2: cross-entropy with a soft word


def _soft(scores: Tensor, logits: Tensor) -> Tensor:
    return -(scores.softmax(-1) * logits.log_softmax(-1)).sum()  # EQ-DIST-1


_SOFT_MISTAKES = (
    Misconception("hard targets", lambda s, z: -z.log_softmax(-1).gather(1, s.argmax(1, keepdim=True)).sum(),
                  "you teach the most probable word alone. An argmax has no derivative: the scores could not be "
                  "learned. Weigh log p of *every* word by its share in the mixture."),
    Misconception("KL divergence", lambda s, z: (s.softmax(-1) * (s.log_softmax(-1) - z.log_softmax(-1))).sum(),
                  "this is the KL divergence: the entropy of the mixture is taken off. The model's gradient is the "
                  "same, but the scores' gradient is not: it would no longer reward being sure."),
    Misconception("the other way round", lambda s, z: -(z.softmax(-1) * s.log_softmax(-1)).sum(),
                  "mixture and model have changed places: the mixture is the target, the model's log-probabilities are "
                  "what it is compared with."),
    Misconception("scores are no probabilities", lambda s, z: -(s * z.log_softmax(-1)).sum(),
                  "scores are no probabilities yet: a softmax makes a mixture of them."),
    Misconception("logits are no log-probabilities", lambda s, z: -(s.softmax(-1) * z).sum(),
                  "logits are no log-probabilities yet: `log_softmax` is missing."),
    Misconception("sign", lambda s, z: -_soft(s, z), "a loss is *minus* the log-probability: yours is negative."),
    Misconception("a mean, not a sum", lambda s, z: _soft(s, z) / len(s),
                  "this is the mean over the places. Nats of a turn are summed over its places."),
    Misconception("softmax over the places", lambda s, z: -(s.softmax(0) * z.log_softmax(-1)).sum(),
                  "your softmax runs over the places; each *place* is a mixture of words."),
)


@exercise("06.2")
def soft_cross_entropy(answer: Any) -> Verdict:
    """``answer(scores, logits)`` = −Σ softmax(scores) · log softmax(logits), both [places, vocabulary]."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for places, words in ((3, 4), (1, 6), (5, 3), (2, 9)):
        problems.append((2 * _randn(random, places, words), 2 * _randn(random, places, words)))
    return judge(
        answer, problems, _soft, _SOFT_MISTAKES,
        praise="with a mixture that is one word this is the ordinary loss; in between everything is smooth, so words "
               "can be learned by gradient.",
        otherwise="This is not −Σ mixture · log p. Softmax over the words makes the mixture, log_softmax the "
                  "model's log-probabilities; multiply, sum up everything, change the sign.",
    )


# ---------------------------------------------------------------- 06.3: what a weight does to the query


def _influence(each: Tensor, query: Tensor, rate: float) -> Tensor:
    return -rate * each @ query  # EQ-REW-2


_INFLUENCE_MISTAKES = (
    Misconception("sign", lambda g, q, a: a * g @ q,
                  "the sign: θ' moves *against* the example's gradient, so an example whose gradient agrees with the "
                  "query's makes the query loss smaller."),
    Misconception("the new weights of the paper", lambda g, q, a: (a * g @ q).clamp(min=0),
                  "these are the weights that Ren et al. take from the derivative (minus it, cut at zero). Asked for "
                  "is the derivative itself."),
    Misconception("rate forgotten", lambda g, q, a: -g @ q,
                  "α is missing: the weight acts through a step of size α."),
    Misconception("rate and sign forgotten", lambda g, q, a: g @ q,
                  "this is the plain product of the gradients: the step θ' = θ − α Σ w_i g_i brings a factor −α."),
    Misconception("cosines", lambda g, q, a: -a * torch.nn.functional.cosine_similarity(g, q[None], dim=1),
                  "you divide by the lengths of the gradients. The chain rule has no such division: a large gradient "
                  "moves θ' more."),
    Misconception("example with itself", lambda g, q, a: -a * (g * g).sum(1),
                  "this compares each example with itself: how much it helps *itself*. Its gradient must meet that of "
                  "the query."),
    Misconception("all examples at once", lambda g, q, a: (-a * g.sum(0) @ q).expand(len(g)),
                  "the same number for every example: keep the examples apart."),
    Misconception("shared out", lambda g, q, a: -a * g @ q / len(g),
                  "you divide by the number of examples; the support loss is a weighted *sum*."),
)


@exercise("06.3")
def weight_gradient(answer: Any) -> Verdict:
    """``answer(each, query, rate)`` = dL_Q/dw_i = −α g_i · g_Q for each example i, EQ-REW-2."""
    random = fresh()
    problems: list[tuple[Any, ...]] = []
    for examples, size in ((4, 6), (2, 3), (7, 5), (3, 9)):
        problems.append((_randn(random, examples, size), _randn(random, size),
                         0.1 + float(torch.rand(1, generator=random))))
    return judge(
        answer, problems, _influence, _INFLUENCE_MISTAKES,
        praise="examples whose gradients point where the query's points get more weight; the others less. Nobody "
               "needs to say which ones are wrong.",
        otherwise="This is not −α g_i·g_Q. θ' = θ − α Σ w_i g_i, so dθ'/dw_i = −α g_i, and the chain rule multiplies "
                  "it with the gradient of the query loss at θ'.",
    )

"""Meta-Data Generation (元数据生成): D' = g_phi(D), phi = argmin_phi L(f_theta(g_phi(D)), y). Learning the data.

The formula can be read in two ways. *Literal*: theta is fixed and f_theta is applied to generated data. *Bilevel*:
theta is *trained on* the generated data, and phi is judged by how good the trained model is:

    EQ-MDG-1   D' = g_phi(D)
    EQ-MDG-2   theta' = theta_0 - alpha ∘ grad L_D'(theta_0), a few times; phi by the gradient of L_Q(theta')

The learners here are bilevel. They differ in g alone:

    learner          D' is                                                        what of it is learned
    distillation     D and a few synthetic dialogue turns of soft words           the synthetic turns
    augmentation     D and its turns recombined, swapped and perturbed            how far each way is trusted
    example_weights  D with a weight for every segment of every turn              the network that weighs

``frozen`` keeps theta_0 and the rates as they are, so that what is gained is gained by g_phi alone; with
``identity`` g_phi(D) = D, the control at equal budget.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metadialog_lite.episodes import ACT, EOS, SPECIALS, STATE, SYS, USR, TurnBatch, Vocabulary
from metadialog_lite.families.base import Phi, inner_step
from metadialog_lite.families.emission import matrix, part_of, zeros
from metadialog_lite.families.meta_optimization import MetaSGD
from metadialog_lite.families.recombine import WAYS, recombined
from metadialog_lite.families.set_encoder import make_encoder, read_turns, reader
from metadialog_lite.model import DialogueModel, Theta
from metadialog_lite.turns import CAPABILITIES

#: What says how much generated data counts is learned so many times as fast as other numbers, on a scale of factors …
QUICK = 4.0
#: … and begins at next to nothing, as logit and logarithm of a weight. A start with learned rates, such as Meta-SGD's,
#: makes steps as long as true turns allow: with untrue ones that count for a ninth its loss is a hundred times as high.
TRUST, STRENGTH = -6.0, -8.0


class Weighted(NamedTuple):
    """A part of D': turns, and how much each segment of each turn counts.

    turns   TurnBatch [..., turns, length]
    weight  [..., turns, 3]: 1 = like a support turn, 0 = not at all
    """

    turns: TurnBatch
    weight: Tensor


class MetaData(MetaSGD):
    """What the three share: generate D' from D (EQ-MDG-1), take the steps of Meta-SGD on it (EQ-MDG-2).

    inner_lr, inner_steps, pace   alpha and K, and how fast alpha is learned, as in Meta-SGD
    frozen                        learn g_phi alone: theta_0 and the rates stay as the start gives them
    identity                      g_phi(D) = D
    """

    frozen = False

    def __init__(
        self, model: DialogueModel, vocabulary: Vocabulary, inner_lr: float = 0.0003, inner_steps: int = 1,
        pace: float = 10.0, frozen: bool = False, identity: bool = False,
    ) -> None:
        super().__init__(model, vocabulary, inner_lr, inner_steps, pace)
        self.frozen, self.identity = frozen, identity

    def phi(self) -> Phi:
        """All meta-parameters; when frozen, those of g alone."""
        return {name: value for name, value in self.named_parameters()
                if not (self.frozen and name.startswith(("model.", "rates.")))}

    def whole(self, phi: Phi) -> Phi:
        """phi with what is frozen put back, as leaves of their own: inner steps may differentiate, training may not."""
        if not self.frozen:
            return phi
        return {**{name: value.detach().requires_grad_() for name, value in self.named_parameters()}, **phi}

    def theta_0(self, phi: Phi, turns: TurnBatch | None = None) -> Theta:
        return super().theta_0(self.whole(phi), turns)

    def generate(self, phi: Phi, support: TurnBatch) -> list[Weighted]:
        """EQ-MDG-1: D' = g_phi(D), its parts."""
        raise NotImplementedError

    def data(self, phi: Phi, support: TurnBatch) -> list[Weighted]:
        """D', or D itself for the control."""
        return [as_it_is(support)] if self.identity else self.generate(phi, support)

    def generated_loss(self, phi: Phi, theta: Theta, data: list[Weighted]) -> Tensor:
        """L_D': weighted nats, summed over the turns and tasks."""
        return sum(((self.model.nll(theta, turns) * weight).sum() for turns, weight in data), torch.zeros(()))

    def adapt_theta(self, phi: Phi, support: TurnBatch, steps: int | None = None) -> Theta:
        """theta' = K steps on D' from theta_0 (EQ-MDG-2)."""
        phi = self.whole(phi)
        theta = self.theta_0(phi, support)
        rates = self.inner_rates(phi, theta)
        if support.turns() == 0:
            return theta
        data = self.data(phi, support)
        exact = torch.is_grad_enabled() and not self.first_order
        for _ in range(self.inner_steps if steps is None else steps):
            theta = inner_step(theta, rates, lambda now: self.generated_loss(phi, now, data), exact)
        return theta


def as_it_is(support: TurnBatch) -> Weighted:
    """D as a part of D'."""
    return Weighted(support, torch.ones(*support.tokens.shape[:-1], len(CAPABILITIES), device=support.tokens.device))


class Augmentation(MetaData):
    """D' = D and D recombined (:mod:`~metadialog_lite.families.recombine`). EQ-AUG-1: weight = sigmoid(4 trust).

    There is one number of trust for each way and capability. Whether a recombined segment joins D' is decided by a
    coin of this probability; the loss is its expectation over the coins, which is the weighted sum, so the gradient
    with respect to the probabilities is exact.
    """

    name = "augmentation"

    def __init__(
        self, model: DialogueModel, vocabulary: Vocabulary, inner_lr: float = 0.0003, inner_steps: int = 1,
        pace: float = 10.0, frozen: bool = False, identity: bool = False, random: bool = False,
    ) -> None:
        super().__init__(model, vocabulary, inner_lr, inner_steps, pace, frozen, identity)
        self.random = random
        if not random:
            self.trust = nn.Parameter(torch.full((len(WAYS), len(CAPABILITIES)), TRUST / QUICK))

    def probabilities(self, phi: Phi | None = None) -> Tensor:
        """How far each way of recombining is trusted for each capability: [ways, 3], between 0 and 1.

        The control ``random`` trusts each way in every ninth case, whatever comes of it.
        """
        if self.random:
            return torch.full((len(WAYS), len(CAPABILITIES)), 1 / 9, device=self.device)
        return (QUICK * (phi or self.phi())["trust"]).sigmoid()

    def generate(self, phi: Phi, support: TurnBatch) -> list[Weighted]:
        new = recombined(support)
        weight = self.probabilities(phi).repeat_interleave(support.turns(), 0)
        return [as_it_is(support), Weighted(new, weight.expand(*new.tokens.shape[:-1], len(CAPABILITIES)))]


class ExampleWeights(MetaData):
    """Learning to reweight examples (Ren et al. 2018, arXiv 1803.09050), amortised. EQ-REW-1: w_ic = 2 sigmoid(g_phi).

    Ren et al. weigh a training example by the derivative of a clean validation loss with respect to its weight, anew
    at each step. Here the same derivative, through the inner step and into the query loss, trains a network that reads
    the support (EQ-SET-1) and weighs it: at adaptation time there is no clean set to ask. After one step the
    derivative is

        EQ-REW-2   dL_Q(theta') / dw_i = -(alpha ∘ grad l_i(theta_0)) · grad L_Q(theta')

    so a segment gains weight whose gradient points where the query's does.
    """

    name = "example_weights"

    def __init__(
        self, model: DialogueModel, vocabulary: Vocabulary, inner_lr: float = 0.0003, inner_steps: int = 1,
        pace: float = 10.0, frozen: bool = False, identity: bool = False,
    ) -> None:
        super().__init__(model, vocabulary, inner_lr, inner_steps, pace, frozen, identity)
        self.encoder = make_encoder(model)
        width = model.config.width
        random = torch.Generator().manual_seed(model.seed + 2)
        self.weigh = nn.ParameterDict({
            "turn": matrix(random, width, width), "whole": matrix(random, width, width),
            "loss": matrix(random, len(CAPABILITIES), width), "out": zeros(width, len(CAPABILITIES)),
        })

    def weights(self, phi: Phi, support: TurnBatch) -> Tensor:
        """EQ-REW-1: [..., turns, 3], from 0 to 2; reads each turn, the mean of all turns, and theta_0's losses."""
        phi = self.whole(phi)
        weigh = part_of(phi, "weigh.")
        turns = read_turns(self.model, reader(phi), support)
        losses = self.model.nll(self.theta_0(phi, support), support)
        hidden = (turns @ weigh["turn"] + (turns.mean(-2) @ weigh["whole"]).unsqueeze(-2) + losses @ weigh["loss"])
        return 2 * (F.gelu(hidden) @ weigh["out"]).sigmoid()

    def generate(self, phi: Phi, support: TurnBatch) -> list[Weighted]:
        return [Weighted(support, self.weights(phi, support))]


class Distillation(MetaData):
    """Dataset distillation (Wang et al. 2018, arXiv 1811.10959) for adaptation. EQ-DIST-1: D' = D ∪ {(x̃_i, ỹ_i)}.

    The synthetic turns have the layout of a turn, but at each place a *mixture* of words, softmax of
    learned scores: the model reads the mixture of their embeddings and is taught the mixture as a target. They are the
    same for all tasks; :meth:`readable` gives their most probable words.

    synthetic   number of synthetic turns
    slots       values in their states; 0 for a source without states

    begin       logarithm of how much one counts at first, next to a support turn; 0 = as much as it

    They count exp(4 strength) times as much as support turns; ``strength`` is learned, too.
    """

    name = "distillation"
    LENGTHS = (8, 2, 10)  # user words, act words, response words of a synthetic turn

    def __init__(
        self, model: DialogueModel, vocabulary: Vocabulary, inner_lr: float = 0.0003, inner_steps: int = 1,
        pace: float = 10.0, frozen: bool = False, identity: bool = False, synthetic: int = 4, slots: int = 4,
        begin: float = STRENGTH,
    ) -> None:
        super().__init__(model, vocabulary, inner_lr, inner_steps, pace, frozen, identity)
        if not 1 <= synthetic <= 64 or not 0 <= slots <= 16:
            raise ValueError(f"synthetic is {synthetic}, slots is {slots}; 1 to 64 turns, 0 to 16 slots are possible")
        if not -20 <= begin <= 2:
            raise ValueError(f"begin is {begin}; from -20 to 2 is possible (0: a synthetic turn counts as a turn)")
        self.synthetic, self.slots, self.begin = synthetic, slots, begin
        user, act, response = self.LENGTHS
        head = [STATE, *[0] * slots, USR, *[0] * user, STATE, *[0] * slots, ACT, *[0] * act, SYS] if slots else \
            [USR, *[0] * user, SYS]
        self.layout = [*head, *[0] * response, EOS]  # 0 stands for a learned word
        if len(self.layout) > model.config.max_length:
            raise ValueError(f"a synthetic turn of {len(self.layout)} tokens exceeds max_length="
                             f"{model.config.max_length}")
        random = torch.Generator().manual_seed(model.seed + 3)
        places = self.layout.count(0)
        words = torch.randint(len(SPECIALS), len(vocabulary), (synthetic, places), generator=random)
        self.scores = nn.Parameter(3.0 * F.one_hot(words, len(vocabulary)).float())
        self.strength = nn.Parameter(torch.tensor(begin / QUICK))

    def mixtures(self, phi: Phi) -> Tensor:
        """The synthetic turns: [synthetic, length, vocabulary], each place a distribution over words."""
        scores = phi["scores"]
        fixed = F.one_hot(torch.tensor(self.layout, device=scores.device), scores.shape[-1]).to(scores.dtype)
        learned = torch.tensor([token == 0 for token in self.layout], device=scores.device)
        spread = torch.zeros(self.synthetic, *fixed.shape, device=scores.device, dtype=scores.dtype)
        spread[:, learned] = scores.softmax(-1)
        return torch.where(learned.unsqueeze(-1), spread, fixed)

    def readable(self) -> list[list[str]]:
        """The most probable words of the synthetic turns."""
        return [self.vocabulary.decode(row) for row in self.mixtures(self.whole(self.phi())).argmax(-1).tolist()]

    def generate(self, phi: Phi, support: TurnBatch) -> list[Weighted]:
        return [as_it_is(support)]

    def generated_loss(self, phi: Phi, theta: Theta, data: list[Weighted]) -> Tensor:
        """L_D of the support, and the cross-entropy of the synthetic turns' soft targets."""
        own = super().generated_loss(phi, theta, data)
        if self.identity:
            return own
        return own + (QUICK * phi["strength"]).exp() * self.model.soft_nll(theta, self.mixtures(phi), self.layout).sum()

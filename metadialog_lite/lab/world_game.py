"""Guess the lexicon: a reader and the exact optimum bet on the same words of one speaker, support turn by support turn.

Before a turn's state is shown, each says how probable every value is for every word that the user spoke. What is paid
is the surprise at the truth, and what a reader pays more than the optimum is the reader's regret:

EQ-REGRET-1:  regret = L_learner − L_Bayes,  E[regret | D_S, prompt] = Σ_v b_v ln(b_v / p_v) = KL(b ‖ p) ≥ 0

with b the optimum's probabilities and p the learner's. One guess may be luckier than the optimum; no habit of guessing
is, on average. No widgets in here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from metadialog_lite.turns import Turn
from metadialog_lite.world import Asked, BayesReference, World, asked, believed

#: Nobody may call a possible value impossible: what is said is mixed with this much of "I don't know".
DOUBT = 0.001
PLAYERS = ("you", "optimum", "never learns")

Chances = list[float]  # one probability for each value of a slot


class Round(NamedTuple):
    """One played turn: what was asked, what each player said, and what each paid in nats."""

    number: int  # position of the turn in the support, from 0
    turn: Turn
    asked: list[Asked]
    said: dict[str, list[Chances]]  # player → for each word, for each value
    nats: dict[str, float]  # player → Σ over the turn's words


@dataclass
class Game:
    """The bets on one speaker.

    Args:
        world: a single toy world without noise in the support.
        seed: which series of held-out speakers.
        index: which speaker.
        shots: how many support turns are played.

    Raises:
        ValueError: these are several worlds, or their support is noisy (the optimum is then told what a reader is not).
    """

    world: World
    seed: int = 0
    index: int = 0
    shots: int = 16
    rounds: list[Round] = field(default_factory=list)
    at: int = 0  # position of the turn to be played

    def __post_init__(self) -> None:
        check_world(self.world)
        self.task = self.world.task("test", self.seed, self.index)
        self.support = self.task.support(self.shots)
        self.reference = BayesReference(self.world)
        self._nobody = self.reference.posterior([])
        self._skip()

    def _skip(self) -> None:
        """Turns without a value word ask nothing: go on to the next that does."""
        while self.at < len(self.support) and not asked(self.support[self.at]):
            self.at += 1

    @property
    def done(self) -> bool:
        """Whether every support turn has been played."""
        return self.at >= len(self.support)

    @property
    def turn(self) -> Turn:
        """The turn to be played; only its prompt may be shown."""
        return self.support[self.at]

    @property
    def questions(self) -> list[Asked]:
        """The words to bet on, none at the end."""
        return [] if self.done else asked(self.turn)

    def optimum(self) -> list[Chances]:
        """What the optimum says now: one list for each question."""
        return believed(self.reference.posterior(self.support[: self.at]), self.turn)

    def play(self, chances: Sequence[Sequence[float]]) -> Round:
        """Bet on the present turn, see its truth, go on to the next.

        Args:
            chances: for each question weights of the slot's values; they need not sum to 1. A correction's old value
                is taken out, and ``DOUBT`` is mixed in.

        Raises:
            ValueError: the game is over, or the weights are not one list of numbers ≥ 0 for each question.
        """
        if self.done:
            raise ValueError("every support turn has been played")
        questions = self.questions
        if len(chances) != len(questions):
            raise ValueError(f"{len(chances)} bets for {len(questions)} words")
        said = {"you": [clean(row, len(self.world.values[q.slot]), q.old) for row, q in zip(chances, questions)],
                "optimum": self.optimum(), "never learns": believed(self._nobody, self.turn)}
        nats = {who: sum(max(0.0, -math.log(row[q.value])) for row, q in zip(rows, questions))
                for who, rows in said.items()}
        played = Round(self.at, self.turn, questions, said, nats)
        self.rounds.append(played)
        self.at += 1
        self._skip()
        return played

    def paid(self, player: str) -> float:
        """Nats paid so far."""
        return sum(each.nats[player] for each in self.rounds)

    def text(self) -> str:
        """One or two sentences: who has paid what."""
        if not self.rounds:
            return "Nothing has been bet yet."
        mine, best, prior = (self.paid(player) for player in PLAYERS)
        words = sum(len(each.asked) for each in self.rounds)
        text = (f"After {_some(len(self.rounds), 'turn')} with {_some(words, 'word')} you have paid {mine:.2f} nats, "
                f"the optimum {best:.2f}, one who never learns {prior:.2f}. Your regret is {mine - best:+.2f} nats")
        if prior - best > 1e-9:
            text += f", gap closed {(prior - mine) / (prior - best):.2f}"
        if mine < best - 1e-9:
            text += ": luckier than the optimum, which nobody is on average"
        return text + "."


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def clean(weights: Sequence[float], size: int, old: int = -1) -> Chances:
    """Weights as probabilities that sum to 1: without the old value of a correction, and with ``DOUBT`` mixed in.

    Raises:
        ValueError: not ``size`` finite numbers ≥ 0.
    """
    if len(weights) != size or not all(math.isfinite(w) and w >= 0 for w in weights):
        raise ValueError(f"{size} numbers from 0 on are needed, one for each value; got {list(weights)}")
    possible = [v != old for v in range(size)]
    kept = [w * ok for w, ok in zip(weights, possible)]
    total, share = sum(kept), DOUBT / sum(possible)
    even = [ok / sum(possible) for ok in possible]
    return [(1 - DOUBT) * (w / total if total else e) + share * ok for w, e, ok in zip(kept, even, possible)]


def sure(value: int, confidence: float, size: int, old: int = -1) -> Chances:
    """``confidence`` on one value, the rest spread evenly over the other possible ones."""
    rest = [v for v in range(size) if v not in (value, old)]
    return [confidence if v == value else (1 - confidence) / len(rest) if v in rest else 0.0 for v in range(size)]


def check_world(world: object) -> World:
    """A single toy world without noise in the support. Raises ValueError for anything else."""
    if not isinstance(world, World):
        raise ValueError(f"got {world!r}; a toy world is needed, because only there meanings are known")
    if world.members != (world,):
        raise ValueError(f"'{world.name}' is several worlds; give one of them")
    if world.spec.knobs.support_noise:
        raise ValueError(f"'{world.name}' has noise in the support, where the optimum is told more than a reader; give "
                         "a world without +noise")
    return world

"""How each learner is trained in the comparison: the same budget, the same stages, the same number of trials.

The outer rate β of every learner is chosen from the same three values, by the loss on validation tasks after the same
seconds of training. Its other options were set by hand before, from training curves, and not chosen on anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: CPU seconds of training for everybody (5 minutes), and what of it the shipped joint warm start took.
BUDGET, WARM = 300.0, 25.0
#: Outer rates to choose from, the CPU seconds of one trial, and the validation tasks that judge it.
RATES, TRIAL, TRIAL_TASKS = (0.002, 0.005, 0.0125), 25.0, 60
SHOTS = "0,2,4,8,16,32"


@dataclass(frozen=True)
class Stage:
    """A part of meta-training: its share of the budget, and how it trains."""

    share: float
    rate: float  # times the learner's outer rate
    shots: str
    word_dropout: float


#: All begin with tasks of 16 turns and words hidden, for so many CPU seconds …
FIRST, FIRST_SECONDS = Stage(1.0, 1.0, "16", 0.25), 120.0
#: … then two numbers of shots, then all numbers of shots with every word seen.
STAGES = (Stage(0.57, 1.0, "8,16", 0.25), Stage(0.43, 0.5, "0,1,2,4,8,16,16,32", 0.0))


@dataclass(frozen=True)
class Recipe:
    """A learner's options, and where it starts.

    after   the first seconds are Meta-SGD's instead of its own: then theta_0 uses the user's words already
    rates   takes over the learned inner rates of that start as well (for learners that take the steps of Meta-SGD)
    late    options of the last stage alone
    learner the learner's name, where the recipe is called otherwise: a control, such as a part switched off
    """

    options: dict[str, Any] = field(default_factory=dict)
    after: bool = False
    rates: bool = False
    late: dict[str, Any] = field(default_factory=dict)
    learner: str | None = None


_STEP = {"inner_lr": 0.001, "inner_steps": 1, "pace": 4.0}
#: Gates are relaxed first and hard at the end, as an adapted model has them (EQ-GATE-1, EQ-GATE-3).
_GATES, _HARD = {**_STEP, "sharp": 5.0}, {"straight": True}
RECIPES: dict[str, Recipe] = {
    "hypernetwork": Recipe(after=True),
    "fast_weights": Recipe(after=True),
    "in_context": Recipe(after=True),
    "structure": Recipe(_GATES, after=True, late=_HARD),  # it takes no step on theta: no rates to take over
    "parameters": Recipe(_STEP, after=True, rates=True),
    "structure_parameters": Recipe(_GATES, after=True, rates=True, late=_HARD),
    "structure_off": Recipe({**_GATES, "gates": False}, after=True, rates=True, late=_HARD,
                            learner="structure_parameters"),
    "maml": Recipe({**_STEP, "learned_rates": True, "boost": 100.0}),
    "fomaml": Recipe({"inner_lr": 0.0005, "inner_steps": 3}),
    "reptile": Recipe({"inner_lr": 0.0005, "inner_steps": 3}),
    "anil": Recipe({**_STEP, "learned_rates": True}),
    "meta_sgd": Recipe({**_STEP, "boost": 100.0}),
    "learned_optimizer": Recipe({"inner_lr": 0.001, "inner_steps": 2}),
    "literal": Recipe(),
    "distillation": Recipe(_STEP, after=True, rates=True),
    "augmentation": Recipe(_STEP, after=True, rates=True),
    "example_weights": Recipe(_STEP, after=True, rates=True),
}
#: Baselines: they start from a joint model that was trained for the whole budget, or from nothing.
BASELINES = ("prior", "finetune", "scratch", "retrieval", "bayes")
#: The joint model of the baselines is tried with so much of the user's words hidden (in place of three outer rates).
JOINT_DROPOUT = (0.0, 0.25, 0.6)

#: Model sizes that suit real text, for ``--model size=small``; toy worlds get ModelConfig's own defaults. With 1,000
#: subword pieces about 0.08, 1.2 and 4.2 million parameters: seconds, minutes and (on a GPU) minutes of training.
CORPUS_MODELS: dict[str, dict[str, Any]] = {
    "tiny": {"width": 48, "attention": 32, "mlp": 96, "layers": 2, "heads": 4},
    "small": {"width": 160, "attention": 160, "mlp": 480, "layers": 4, "heads": 4},
    "full": {"width": 256, "attention": 256, "mlp": 768, "layers": 6, "heads": 8},
}


def with_size(model: dict[str, Any]) -> dict[str, Any]:
    """``{"size": "small", "layers": 3}`` → all sizes of "small" but for the layers; without "size" as it is.

    Raises:
        ValueError: for a size that does not exist.
    """
    sizes = dict(model)
    name = sizes.pop("size", None)
    if name is not None and name not in CORPUS_MODELS:
        raise ValueError(f"model size={name!r}: it must be one of {', '.join(CORPUS_MODELS)}")
    return CORPUS_MODELS.get(name, {}) | sizes if name else sizes


@dataclass(frozen=True)
class Schedule:
    """How long and how everybody is trained on a real corpus, and how everybody is judged.

    joint, meta   CPU seconds of joint pretraining and of meta-training after it
    rates, trial  outer rates to choose from, and the CPU seconds of one trial on validation tasks
    tuned_at      fine-tuning is tuned after so many turns; in between, the settings of the next lower number are used
    """

    joint: float = 120.0
    meta: float = 40.0
    joint_rate: float = 0.02
    joint_shots: int = 16
    rates: tuple[float, ...] = (0.0003, 0.001)
    trial: float = 12.0
    tasks: int = 8
    query_turns: int = 8
    shots: tuple[int, ...] = (4, 8, 16, 32)
    judged: tuple[int, ...] = (0, 2, 4, 8, 16, 32)
    validation: int = 22
    tuned_at: tuple[int, ...] = (4, 16)


#: By model size. A larger model gets more seconds (small: less than 20 minutes with the trials; full: an hour, meant
#: for a GPU and not tried), smaller steps for its greater width, and is judged after fewer numbers of shots. What else
#: was tried for the small one is in data/README.md.
SCHEDULES: dict[str, Schedule] = {
    "tiny": Schedule(),
    "small": Schedule(joint=720.0, meta=240.0, joint_rate=0.006, rates=(0.0001, 0.0003), trial=60.0,
                      judged=(0, 4, 16), validation=11),
    "full": Schedule(joint=2700.0, meta=900.0, joint_rate=0.004, rates=(0.0001, 0.0003), trial=120.0,
                     judged=(0, 4, 16), validation=11),
}

_REAL = {"inner_lr": 0.0001, "inner_steps": 1, "pace": 4.0}
#: Learners on real dialogues, at least one of each family. The options were set by hand and not searched.
REAL_RECIPES: dict[str, Recipe] = {
    "hypernetwork": Recipe(),
    "parameters": Recipe(_REAL),
    "meta_sgd": Recipe(_REAL),
    "maml": Recipe({"inner_lr": 0.0001, "inner_steps": 3, "learned_rates": True}),
    "anil": Recipe({"inner_lr": 0.002, "inner_steps": 3, "learned_rates": True}),
    "augmentation": Recipe(_REAL),
    "example_weights": Recipe(_REAL),
}

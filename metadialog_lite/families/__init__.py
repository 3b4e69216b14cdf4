"""The course's families of meta-learners, behind one interface (:class:`~metadialog_lite.families.base.Learner`)."""

from __future__ import annotations

from typing import Any

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families.base import Adapted, AdaptedModel, Learner
from metadialog_lite.families.baselines import Bayes, FineTune, Prior, Scratch, Trial
from metadialog_lite.families.literal import Literal
from metadialog_lite.families.meta_data_generation import Augmentation, Distillation, ExampleWeights
from metadialog_lite.families.meta_networks import FastWeights, Hypernetwork, InContext
from metadialog_lite.families.meta_neural_networks import Parameters, Structure, StructureParameters
from metadialog_lite.families.meta_optimization import ANIL, FOMAML, MAML, LearnedOptimizer, MetaSGD, Reptile
from metadialog_lite.families.retrieval import Retrieval
from metadialog_lite.model import DialogueModel, ModelConfig

__all__ = ["LEARNERS", "Adapted", "AdaptedModel", "Learner", "Trial", "make_learner"]

LEARNERS: dict[str, type[Learner]] = {
    learner.name: learner
    for learner in (
        Hypernetwork, FastWeights, InContext,
        Structure, Parameters, StructureParameters,
        MAML, FOMAML, Reptile, ANIL, MetaSGD, LearnedOptimizer,
        Distillation, Augmentation, ExampleWeights, Literal,
        Prior, FineTune, Scratch, Retrieval, Bayes,
    )
}


def make_learner(
    name: str, model_config: ModelConfig, vocabulary: Vocabulary, seed: int = 0, **options: Any
) -> Learner:
    """A new learner with its model initialised from ``seed``; ``options`` are its own (``inner_lr``, ...).

    Raises ValueError for a name that is not in :data:`LEARNERS` or an option that the learner does not have.
    """
    if name not in LEARNERS:
        raise ValueError(f"there is no learner {name!r}; there are: {', '.join(LEARNERS)}")
    model = DialogueModel(model_config, seed)
    try:
        learner = LEARNERS[name](model, vocabulary, **options)
    except TypeError as error:
        raise ValueError(f"learner {name!r}: {error}") from error
    learner.options = dict(options)
    return learner

"""The toy dialogue world: tasks with known hidden latents, and their exact Bayes-optimal learner."""

from metadialog_lite.world.bayes import BayesReference, Posterior
from metadialog_lite.world.generate import Meaning, World, WorldTask, load_world
from metadialog_lite.world.reading import read_spec, shipped_worlds
from metadialog_lite.world.spec import ACTS, Knobs, WorldError, WorldSpec

__all__ = ["ACTS", "BayesReference", "Knobs", "Meaning", "Posterior", "World", "WorldError", "WorldSpec", "WorldTask",
           "load_world", "read_spec", "shipped_worlds"]

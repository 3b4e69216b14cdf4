"""The toy dialogue world: tasks with known hidden latents, and their exact Bayes-optimal learner."""

from metadialog_lite.world.bayes import BayesReference, Posterior
from metadialog_lite.world.beliefs import Asked, asked, believed, habit, heard
from metadialog_lite.world.dialogues import Correction, Meaning, WorldTask
from metadialog_lite.world.generate import World
from metadialog_lite.world.load import load_world
from metadialog_lite.world.mixture import Worlds
from metadialog_lite.world.reading import read_spec, shipped_worlds
from metadialog_lite.world.shift import shifted, training_reference
from metadialog_lite.world.spec import ACTS, Knobs, WorldError, WorldSpec

__all__ = ["ACTS", "Asked", "BayesReference", "Correction", "Knobs", "Meaning", "Posterior", "World", "WorldError",
           "WorldSpec", "WorldTask", "Worlds", "asked", "believed", "habit", "heard", "load_world", "read_spec",
           "shifted", "shipped_worlds", "training_reference"]

# %%
import torch
from IPython.display import display

from metadialog_lite.checkpoints import initialise_from, load_checkpoint
from metadialog_lite.families import make_learner
from metadialog_lite.lab import StructurePanel
from metadialog_lite.world import load_world

world, start = load_world("restaurants.en"), load_checkpoint("restaurants.en.meta_sgd")
learner = make_learner("structure_parameters", start.learner.model.config, start.learner.vocabulary)
initialise_from(learner, start)
random = torch.Generator().manual_seed(0)
with torch.no_grad():  # gates that read the support without any training: some close, and turns move them
    for name, value in learner.structure.items():
        if name.startswith("layer"):
            value += torch.randn(value.shape, generator=random) - 1.5
        elif name.startswith("from_"):
            value += torch.randn(value.shape, generator=random) * 0.3
# %%
panel = StructurePanel(learner, world, shots=4)
display(panel)

# %%
from IPython.display import display

from metadialog_lite.checkpoints import load_checkpoint
from metadialog_lite.lab import SwapPanel, ThetaPanel
from metadialog_lite.world import load_world

world = load_world("restaurants.en")
learner = load_checkpoint("restaurants.en.hypernetwork", world.name).learner
# %%
theta = ThetaPanel(learner, world, shots=4)
display(theta)
# %%
swap = SwapPanel(learner, world, shots=16)
display(swap)

# %%
from IPython.display import display

from metadialog_lite.lab import GuessPanel, SamplerPanel, StepPanel
from metadialog_lite.world import load_world

world = load_world("restaurants.en")
# %%
game = GuessPanel(world, seed=0, shots=12)
display(game)
# %%
sampler = SamplerPanel(world)
display(sampler)
# %%
step = StepPanel()
display(step)

# %%
import ipywidgets
from IPython.display import display

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.lab import TrainingPanel
from metadialog_lite.model import ModelConfig
from metadialog_lite.world import load_world

world = load_world("restaurants.en")
size = ModelConfig(len(Vocabulary.of(world)), width=8, attention=8, mlp=8, layers=1, heads=2)  # quick, not clever
# %%
panel = TrainingPanel(world, inner_steps=1, shots=1, model=size)
display(panel)
# %%
display(ipywidgets.Button(description="unguarded"))  # d d with the focus here does delete the cell
# %%
print("the end")

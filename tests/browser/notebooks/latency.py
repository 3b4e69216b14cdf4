# %%
from IPython.display import display

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import make_learner
from metadialog_lite.lab import AdaptationPanel, TrainingPanel
from metadialog_lite.model import ModelConfig
from metadialog_lite.world import load_world

world = load_world("restaurants.en")
vocabulary = Vocabulary.of(world)
learner = make_learner("maml", ModelConfig(len(vocabulary)), vocabulary)
# %%
panel = TrainingPanel(world, shots=4)  # the model at its real size
display(panel)
# %%
adaptation = AdaptationPanel(learner, world, shots=4, most_steps=8)
display(adaptation)

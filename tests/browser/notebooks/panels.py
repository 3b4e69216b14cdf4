# %%
from IPython.display import display

from metadialog_lite.episodes import Vocabulary
from metadialog_lite.families import make_learner
from metadialog_lite.lab import AdaptationPanel, ChatPanel, GradientMicroscope
from metadialog_lite.model import ModelConfig
from metadialog_lite.world import load_world

world = load_world("restaurants.en")
vocabulary = Vocabulary.of(world)
size = ModelConfig(len(vocabulary), width=8, attention=8, mlp=8, layers=1, heads=2)  # quick, not clever
learner = make_learner("maml", size, vocabulary, inner_lr=0.1, inner_steps=2)
# %%
adaptation = AdaptationPanel(learner, world, shots=4, most_steps=5)
display(adaptation)
# %%
microscope = GradientMicroscope(learner, world, shots=2, query_turns=2)
display(microscope)
# %%
chat = ChatPanel(learner, world, shots=4)
display(chat)

# %%
from IPython.display import display

from metadialog_lite.lab import QuestionsPanel
from metadialog_lite.lab.comparison_data import read_comparison

panel = QuestionsPanel(read_comparison("restaurants.en"))
display(panel)

# %%
from IPython.display import display

from metadialog_lite.lab import BugMuseum

panel = BugMuseum("batch_statistics", 60)
display(panel)

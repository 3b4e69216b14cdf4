# %%
import tempfile
from pathlib import Path

from made_up_comparison import write_comparison

from metadialog_lite.lab import ComparisonPanel, parameters
from metadialog_lite.lab.comparison_data import read_comparison
from metadialog_lite.lab.parameters_07 import ComparisonParameters

folder = write_comparison(Path(tempfile.mkdtemp()))  # numbers that nobody measured
p = parameters(None, ComparisonParameters, results=str(folder))
# %%
ComparisonPanel(read_comparison("restaurants.en", folder), p)

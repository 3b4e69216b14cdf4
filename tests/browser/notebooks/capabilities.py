# %%
import tempfile
from pathlib import Path

from made_up_comparison import write_comparison

from metadialog_lite.lab import CapabilityPanel, parameters
from metadialog_lite.lab.comparison_data import read_comparison
from metadialog_lite.lab.parameters_08 import CapabilityParameters

folder = write_comparison(Path(tempfile.mkdtemp()))  # numbers that nobody measured
p = parameters(None, CapabilityParameters, results=str(folder))
# %%
CapabilityPanel(read_comparison("restaurants.en", folder), p)

from metadialog_lite.lab import DataPanel
from metadialog_lite.lab.data_start import plans
from metadialog_lite.lab.parameters import parameters
from metadialog_lite.lab.parameters_06 import DataParameters
from metadialog_lite.lab.start import joint_start

p = parameters(None, DataParameters)
# %%
DataPanel(plans(p, joint_start(p)), shots=8)

# %%
import tempfile
from pathlib import Path

from made_up_real import write_real

from metadialog_lite.lab import RealPanel

folder = write_real(write_real(Path(tempfile.mkdtemp())), "sgd")  # numbers that nobody measured
# %%
RealPanel("chitchat", folder, 16)

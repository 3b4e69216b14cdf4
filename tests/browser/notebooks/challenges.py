# %%
from metadialog_lite.lab import CostPanel, PoolPanel

# %%
PoolPanel("restaurants.en")
# %%
CostPanel("restaurants.en")

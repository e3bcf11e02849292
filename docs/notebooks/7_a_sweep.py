# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 7 A sweep as a data frame
#
# A sweep runs every combination of values; MLflow keeps the runs; `folkrnn.results` reads them back as a pandas frame. In a
# terminal the sweep is `python run.py -m model=folkrnn_small …`; six jobs of seconds go one after the other in one process.

# %%
import subprocess
import sys

import matplotlib.pyplot as plt

import folkrnn

SWEEP = """
-m model=folkrnn_small sampling.temperature=0.7,1.0,1.3 seed=1,2
analysis=tune_statistics sampling.tunes=12 sampling.max_tokens=200
explorer=false launcher=here tracking.folder=.
"""
done = subprocess.run([sys.executable, "-m", "folkrnn", *SWEEP.split()], capture_output=True, text=True, check=False)
print(done.stdout[-1200:], done.stderr[-1200:])

# %% [markdown]
# ## Read it back
#
# One row a run. Columns are parameters by their names on the command line, and metrics. A query compares any of them.

# %%
runs = folkrnn.results(folder=".")
print(len(runs), "runs")
runs[["sampling.temperature", "seed", "tune_statistics/full_bars", "tune_statistics/length"]].sort_values(
    "sampling.temperature"
)

# %%
folkrnn.results("sampling.temperature>=1 and status=FINISHED", folder=".")[["name", "tune_statistics/full_bars"]]

# %% [markdown]
# ## Draw it
#
# From here on it is pandas.

# %%
by = runs.groupby("sampling.temperature")["tune_statistics/full_bars"]
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(
    runs["sampling.temperature"], runs["tune_statistics/full_bars"], "o", color="#0072b2", alpha=0.6, label="a run"
)
axes.plot(by.mean().index, by.mean(), color="#d55e00", label="their mean")
axes.set(xlabel="temperature", ylabel="share of bars that are full")
axes.legend()

# %% [markdown]
# ## What one run filed
#
# Tables, arrays and files by name.

# %%
one = folkrnn.result(runs.index[0], folder=".")
print(one.tables)
one.table("metrics").head()

# %%
print(one.text("tunes/all.abc")[:300])

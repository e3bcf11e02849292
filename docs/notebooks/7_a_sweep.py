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
# terminal the sweep is `python run.py -m model=folkrnn_small …`; three short jobs go one after the other in one process.

# %%
import subprocess
import sys

import matplotlib.pyplot as plt

import folkrnn

SWEEP = """
-m model=folkrnn_small sampling.temperature=0.7,1.0,1.3
analysis=tune_statistics sampling.tunes=6 sampling.max_tokens=160
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
runs[["sampling.temperature", "tune_statistics/full_bars", "tune_statistics/length"]].sort_values(
    "sampling.temperature"
)

# %%
folkrnn.results("sampling.temperature>=1 and status=FINISHED", folder=".")[["name", "tune_statistics/full_bars"]]

# %% [markdown]
# ## Draw it
#
# `numbers` adds what the runs found besides their main metrics, with the ends of 95 % intervals. From here on it is pandas.

# %%
runs = folkrnn.results(folder=".", numbers="tune_statistics/full_bars").sort_values("sampling.temperature")
share, low, high = (runs[f"tune_statistics/full_bars{end}"] for end in ("", "_low", "_high"))
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.errorbar(runs["sampling.temperature"], share, [share - low, high - share], fmt="o", color="#0072b2", capsize=3)
axes.set(xlabel="temperature", ylabel="share of bars that are full", title="Six tunes each, with 95 % intervals")

# %% [markdown]
# ## What one run filed
#
# Tables, arrays and files by name.

# %%
one = folkrnn.result(runs.index[0], folder=".")
print(one.tables)
one.table("tune_statistics_tunes").head()

# %%
print(one.text("tunes/all.abc")[:300])

# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 4 Your own tunes, your own model
#
# A corpus is a file or a folder of ABC. Here one is made of tunes that the shipped model writes, so that the notebook runs
# anywhere; put your own in its place.

# %%
from pathlib import Path

import folkrnn

source = folkrnn.load("folkrnn_small")
folder = Path("mytunes")
folder.mkdir(exist_ok=True)
for number, tune in enumerate(source.generate(150, seed=5, max_tokens=200)):
    (folder / f"{number:03}.abc").write_text(tune.abc)
print((folder / "000.abc").read_text())

# %% [markdown]
# ## What can be read of it
#
# Tunes are transposed to C and become tokens; those that cannot are left out, each with its reason.

# %%
from folkrnn.datasets.files import abc

corpus = abc(str(folder))
print(f"{len(corpus.tunes)} tunes, {len(corpus.unused)} left out")
for left_out in corpus.unused[:5]:
    print(left_out.place, left_out.reason, left_out.detail)

# %% [markdown]
# ## Train a small network on it
#
# Training is a run like any other, from the command line: in a terminal `python run.py dataset=abc dataset.path=mytunes …`, and
# where the project is installed `folkrnn-lab` in the place of `python run.py`.

# %%
import subprocess
import sys

TRAIN = """
dataset=abc dataset.path=mytunes weights=scratch trainer.max_epochs=3 trainer.accelerator=cpu
model=folkrnn_small model.units=48 model.layers=1
analysis=tune_statistics sampling.tunes=4 sampling.max_tokens=120 tracking.folder=.
"""
done = subprocess.run([sys.executable, "-m", "folkrnn", *TRAIN.split()], capture_output=True, text=True, check=False)
print(done.stdout[-1500:], done.stderr[-1500:])

# %% [markdown]
# ## Load what was trained
#
# `folkrnn.load` takes the folder of a run, and much else: a checkpoint, folk-rnn's own pickles, a run's id in MLflow.

# %%
(weights,) = Path("runs").glob("*/weights")
mine = folkrnn.load(weights)
print(mine)
tune = mine.generate(1, seed=1, max_tokens=60)[0]
print(tune.abc)

# %% [markdown]
# Three epochs on 150 tunes do not make a musician. `python run.py experiment=train_small` makes one in minutes;
# docs/training.md says what takes how long.

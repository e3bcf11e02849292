# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 6 MusicVAE's music neurons
#
# A MusicVAE encodes two bars in 512 latents. Barenboim, Del Debbio, Hirn and Sanz (2023) found that few of them carry music; the
# rest stay at the prior, whatever the melody. `python run.py model=musicvae_2bar` draws the overview of a run; here is the idea.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import folkrnn
from folkrnn.datasets.melodies import random_notes

lab = folkrnn.load("musicvae_2bar")
lab

# %% [markdown]
# ## Melodies in, latents out
#
# A melody is 32 sixteenths, each one of 90 classes: a note that begins, one that ends, or nothing new.

# %%
melodies = lab.generate(400, seed=1)
print(melodies[0])
classes = torch.from_numpy(np.stack([melody.classes for melody in melodies]).astype(np.int64))
with torch.no_grad():
    mu, sigma = (value.numpy() for value in lab.model.encode(classes))
print(mu.shape, sigma.shape)

# %% [markdown]
# ## Few neurons carry music
#
# Where σ is 1 and μ is 0, the encoder said nothing. Sorted by their mean σ, neurons fall in two groups.

# %%
order = np.argsort(sigma.mean(0))
figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
axes.plot(sigma.mean(0)[order], color="#0072b2", label="mean σ")
axes.plot(mu.std(0)[order], color="#d55e00", label="standard deviation of μ")
axes.set(xlabel="neuron, by its mean σ", xlim=(0, 120), title="Latents that carry music")
axes.legend()
music = order[sigma.mean(0)[order] < 0.9]
print(f"{len(music)} of {len(order)} neurons have a mean σ below 0.9")

# %% [markdown]
# ## The others can go
#
# How many onsets come back with their pitch, in their place, when melodies are decoded from all latents, from the music neurons
# alone, and from the others alone?

# %%
rest = np.setdiff1d(np.arange(mu.shape[1]), music)


def onsets_kept(kept):
    z = np.zeros_like(mu[:100])
    z[:, kept] = mu[:100, kept]
    with torch.no_grad():
        back = lab.model.generate(torch.from_numpy(z)).numpy()
    notes = classes[:100].numpy() >= 2
    return float((back == classes[:100].numpy())[notes].mean())


print(
    f"all latents {onsets_kept(np.arange(mu.shape[1])):.2f}, music neurons {onsets_kept(music):.2f}, others {onsets_kept(rest):.2f}"
)

# %% [markdown]
# ## Do they tell music from noise?

# %%
noise = random_notes(400, 2, seed=1)
with torch.no_grad():
    of_noise = lab.model.encode(torch.from_numpy(noise.classes.astype(np.int64)))[0].numpy()
figure, panels = plt.subplots(1, 4, figsize=(10, 2.5), sharey=True, layout="constrained")
apart = sorted(music, key=lambda one: -abs(mu[:, one].mean() - of_noise[:, one].mean()) / mu[:, one].std())
for panel, one in zip(panels, apart, strict=False):
    bins = np.linspace(-4, 4, 33)
    panel.hist(mu[:, one], bins, color="#0072b2", alpha=0.6, label="melodies")
    panel.hist(of_noise[:, one], bins, color="#d55e00", alpha=0.6, label="random notes")
    panel.set(title=f"neuron {one}", xlabel="μ")
panels[0].legend(fontsize=7)

# %% [markdown]
# ## Turn one
#
# Latents can be edited like any other site, here the eight that tell most. The same seed draws the others alike.

# %%
site = f"z[{','.join(map(str, apart[:8]))}]"
for value in (-2, 0, 2):
    (melody,) = lab.edit({site: value}).generate(1, seed=1)
    print(f"{value:>2}", melody)

# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 2 Swing Swang Swung
#
# Part 5 of Bob Sturm's series "Making sense of the folk-rnn v2 model" follows one tune through the network. `python run.py
# experiment=part5` makes all of its figures; here are the main ones by hand, of the model that ships.

# %%
import matplotlib.pyplot as plt
import numpy as np

import folkrnn
from analyses.copying import Copying
from analyses.posterior import Posterior
from folkrnn.datasets.published_tunes import TUNES

lab = folkrnn.load()
swing = lab.read(TUNES["swing_swang_swung"])
swing

# %% [markdown]
# ## The distribution at every step
#
# An analysis is called with an observation and returns findings: numbers, figures, tables.

# %%
seen = lab.observe([swing])
findings = Posterior()(seen)
print(findings.figures["log10"].caption)
findings.figures["log10"].drawing

# %%
{name: round(value, 3) for name, value in findings.metrics.items()}

# %% [markdown]
# ## Is it copied?
#
# The blog compares bars with the training data. Against a handful of tunes of our own the measure is the same: which bars of the
# tune stand in one of them?

# %%
bars = " ".join(swing.tokens[2:]).replace(":|", "|").replace("|:", "|").split("|")
bars = [bar.strip() for bar in bars if bar.strip()]
others = lab.generate(16, seed=3, prime="M:4/4 K:Cmaj")
known = {bar.strip() for tune in others for bar in " ".join(tune.tokens[2:]).split("|")}
print(
    f"{len(bars)} bars, {len(set(bars))} different; {sum(bar in known for bar in bars)} stand in 16 tunes that the model wrote"
)
print(Copying.__doc__)

# %% [markdown]
# ## Units that keep time
#
# A bar of eight eighths and its bar line are nine tokens, where every length is one. A unit that comes round with the bar has a
# line at the period of nine steps in its spectrum.

# %%
hidden = lab.trace(swing, "l3.h")["l3.h"]  # [T, 512]
power = np.abs(np.fft.rfft(hidden, n=512, axis=0)) ** 2  # zero-padded to 512 steps, as in the blog
frequency = np.fft.rfftfreq(512)
band = (frequency > 1 / 9.5) & (frequency < 1 / 8.5)
share = power[band].sum(0) / power.sum(0)
best = np.argsort(-share)[:5]
print("units with the largest share of their power at the bar:", best, share[best].round(3))
print("units with at least 5 %:", (share >= 0.05).sum(), "of", len(share))

# %%
figure, axes = plt.subplots(len(best), 1, figsize=(10, 6), sharex=True, layout="constrained")
lines = [step for step, token in enumerate(["<s>", *swing.tokens]) if token in ("|", "|:", ":|")]
for unit, panel in zip(best, axes, strict=True):
    panel.plot(hidden[:, unit], color="#0072b2")
    panel.vlines(lines, -1, 1, color="#bbbbbb", linewidth=0.8, zorder=0)
    panel.set(ylim=(-1, 1), ylabel=f"unit {unit}")
axes[0].set_title("Hidden states of layer 3; grey: bar lines")
axes[-1].set_xlabel("step")

# %% [markdown]
# That spectra have lines where the music has a period does not show that the unit *counts*: it may just follow the bar line that
# was read. The next notebook takes such units away.

# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 1 A first look
#
# A folk-rnn reads a tune token by token and says, at each step, how likely each of 137 tokens is to come next. It writes by
# drawing from that distribution. This notebook lets the shipped model write, and looks at what it expected.

# %%
import matplotlib.pyplot as plt
import numpy as np

import folkrnn

lab = folkrnn.load()
lab

# %% [markdown]
# ## It writes
#
# `prime` is how every tune begins: meter and mode, or a few bars of ABC. The same seed gives the same tunes. In a notebook a
# tune shows its score and a player.

# %%
tunes = lab.generate(4, seed=7, prime="M:6/8 K:Cdor")
tunes[0]

# %%
print(tunes[0].abc)

# %% [markdown]
# ## What it expected
#
# `probs` is one of the sites that can be traced. Row t is the state after reading token t, so it is the distribution that token
# t + 1 was drawn from.

# %%
probs = lab.trace(tunes[0], "probs")["probs"]  # [T, 137]
drawn = tunes[0].ids[1:]
surprise = -np.log(probs[np.arange(len(drawn)), drawn])  # nats
print(
    f"{len(drawn)} steps, {surprise.mean():.2f} nats a token; as sure as possible would be 0, knowing nothing {np.log(137):.2f}"
)

# %% [markdown]
# Where does it expect a bar line? If it counts, once a bar.

# %%
bar = lab.vocabulary.tokens.index("|")
figure, axes = plt.subplots(figsize=(10, 2.5), layout="constrained")
axes.plot(probs[:, bar], color="#0072b2")
axes.plot(
    np.flatnonzero(drawn == bar), np.ones((drawn == bar).sum()), "v", color="#d55e00", label="a bar line was written"
)
axes.set(xlabel="step", ylabel="probability of |", title="It counts")
axes.legend(loc="lower right")

# %% [markdown]
# ## Which units are busy?
#
# Every gate and state of every layer can be traced: `l1.i` is the input gate of layer 1, `l3.h` the hidden state of layer 3.

# %%
hidden = lab.trace(tunes[0], "l3.h")["l3.h"]  # [T, 512]
busiest = np.argsort(-hidden.std(0))[:40]
figure, axes = plt.subplots(figsize=(10, 4), layout="constrained")
shown = axes.imshow(hidden[:, busiest].T, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
axes.set(xlabel="step", ylabel="unit, the most varied first", title="Hidden states of the last layer")
figure.colorbar(shown, label="h")

# %% [markdown]
# ## On one page
#
# `explore` makes the page that every run files as `explore.html`: touch a note, see what was expected there and what each unit
# did. In a notebook it shows itself; `.save("explore.html")` writes it.

# %%
page = folkrnn.explore(lab.observe(tunes[:1]))
page.save("explore.html")

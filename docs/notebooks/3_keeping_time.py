# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 3 Units that keep time
#
# Part 6 of the blog cuts units whose spectrum has a line at the bar, and finds that tunes lose their bars while the melody
# goes on. Any cut does damage, so it means something only beside a cut of as many other units. `python run.py
# experiment=part6` does this with a hundred tunes, ten draws and intervals; here is a small version.

# %%
import matplotlib.pyplot as plt
import numpy as np

import folkrnn
from folkrnn.interventions.cuts import cut

lab = folkrnn.load("folkrnn_small")
PRIME = "M:4/4 K:Cmaj"

# %% [markdown]
# ## How many bars are full?
#
# A bar is full if its lengths add up to the meter. The library's own measure allows for pickups and repeats.

# %%
from analyses.tune_statistics import TuneStatistics


def full_bars(tunes):
    return TuneStatistics()(lab.observe(tunes)).metrics["full_bars"]


plain = lab.generate(24, seed=1, prime=PRIME, max_tokens=250)
print(f"as it is: {full_bars(plain):.2f} of all bars are full")

# %% [markdown]
# ## Cut them
#
# An intervention is a value; `edit` returns another lab, whose model has it, and the first stays as it was. The same seed means
# the same random numbers: tunes differ by the cut alone.

# %%
doses = [0.1, 0.25, 0.5]
kept = {"periodic": [], "random": []}
for select, numbers in kept.items():
    for fraction in doses:
        edited = lab.edit(cut(select=select, layer=3, fraction=fraction))
        numbers.append(full_bars(edited.generate(24, seed=1, prime=PRIME, max_tokens=250)))
        print(f"{select:>8} {fraction:.2f}: {numbers[-1]:.2f}")

# %%
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for (select, numbers), colour in zip(kept.items(), ("#d55e00", "#0072b2"), strict=True):
    axes.plot([0, *doses], [full_bars(plain), *numbers], "o-", color=colour, label=f"{select} units")
axes.set(
    xlabel="share of layer 3 that is cut",
    ylabel="share of bars that are full",
    ylim=(0, 1),
    title="Does it still count?",
)
axes.legend()

# %% [markdown]
# ## What was cut
#
# An intervention says what it chose, and why.

# %%
effect = edited.effects[0]
print(effect.metrics)
effect.table.head()

# %% [markdown]
# ## In the middle of a tune
#
# An edit may be a function of the values and of where each tune is. Here the same units fall silent only after bar 4.

# %%
units = np.array(effect.table["unit"])[:32]
site = f"l3.h[{','.join(map(str, units))}]"


def after_bar_four(value, step):  # [B, units]
    return value * (step.position.bar <= 4).unsqueeze(1)


late = lab.edit({site: after_bar_four}).generate(2, seed=1, prime=PRIME, max_tokens=250)
print(plain[0].abc)
print(late[0].abc)

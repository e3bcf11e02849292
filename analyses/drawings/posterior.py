"""How the distributions of a tune are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.figure


def events(tokens: Sequence[str], mass: Mapping[str, np.ndarray], mean: float) -> matplotlib.figure.Figure:
    """Draws the probability of each kind of event, `[T]`, over the steps, on a logarithmic axis; dots are draws.

    `tokens [T]` are those drawn; a name of `mass` that is a token is marked where it was drawn. `mean` is a level to
    compare with.
    """
    figure = style.figure(height=0.88 + 0.92 * len(mass))
    panels = figure.subplots(len(mass), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, values) in zip(panels, mass.items(), strict=True):
        style.bar_lines(axes, tokens)
        axes.axhline(mean, color=style.SOFT, linewidth=0.7, linestyle="--")
        axes.plot(values, color=style.INK, linewidth=0.9, drawstyle="steps-mid")
        drawn = [t for t, token in enumerate(tokens) if token in name.split()]
        axes.plot(drawn, values[drawn], "o", color=style.ACCENT, markersize=2.6)
        axes.set_yscale("log")
        axes.set_ylim(1e-8, 2)
        axes.set_yticks([1e-8, 1e-6, 1e-4, 1e-2, 1], ["1e−8", "1e−6", "1e−4", "0.01", "1"])
        axes.set_ylabel(f"p({name})" if len(name) < 8 else name)
    panels[-1].set_xlim(-0.5, len(tokens) - 0.5)
    style.token_axis(panels[-1], tokens, axis="x")
    panels[-1].set_xlabel("step (the token that followed)")
    return figure


def shadow(
    tokens: Sequence[str],
    rows: np.ndarray,
    drawn: np.ndarray,
    centre: np.ndarray,
    spread: np.ndarray,
    starts: np.ndarray,
) -> matplotlib.figure.Figure:
    """Draws the melody and the mean height of the accidentals' probability, and over how many pitches distributions
    spread.
    """
    figure = style.figure(height=3.7)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1.6, 1])
    for axes in (upper, lower):
        style.bar_lines(axes, tokens)
    upper.plot(rows, drawn, color=style.INK, linewidth=0.9, marker="o", markersize=2.4, label="pitch that followed")
    upper.plot(rows, centre, color=style.ACCENT, linewidth=1.1, label="mean pitch of the accidentals' probability")
    upper.set_ylabel("semitones above C")
    upper.legend(loc="upper left", bbox_to_anchor=(0.0, 1.16), ncols=2, frameon=False)
    lower.plot(rows, spread[rows], color=style.INK, linewidth=0.9, marker=".", markersize=3)
    lower.plot(starts, spread[starts], "o", color=style.ACCENT, markersize=4.5, label="first note of a part")
    lower.set_ylabel("pitches (perplexity)")
    lower.set_ylim(bottom=0)
    lower.legend(loc="upper right", frameon=False)
    lower.set_xlim(-0.5, len(tokens) - 0.5)
    style.token_axis(lower, tokens, axis="x")
    lower.set_xlabel("step (the token that followed)")
    return figure

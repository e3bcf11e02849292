"""How the values of one activation of a tune are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from analyses.drawings import stretch
from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.figure

POINTS = 2_000
"""Points of a curve over all values, at most: more than a figure has pixels across."""


def image(site: str, tokens: Sequence[str], values: np.ndarray, gate: bool) -> matplotlib.figure.Figure:
    """Draws `values [T, H]`, units across, steps (the `tokens [T]` just read) from bottom to top; gates from 0 to 1."""
    figure = style.figure(height=max(2.8, 0.03 * len(values)))
    axes = figure.subplots()
    limit = max(1.0, float(np.abs(values).max()))
    low, colours = (0.0, "viridis") if gate else (-limit, "RdBu_r")
    shown = axes.imshow(
        values, aspect="auto", origin="lower", cmap=colours, vmin=low, vmax=limit, interpolation="nearest"
    )
    style.token_axis(axes, tokens, axis="y")
    axes.set_xlabel(f"unit of {site}")
    axes.set_ylabel("step (the token just read)")
    figure.colorbar(shown, ax=axes, label=site, fraction=0.03, pad=0.01)
    return figure


def distribution(site: str, values: np.ndarray) -> matplotlib.figure.Figure:
    """Draws the histogram of `values [T, H]`, the values of each step sorted (an image, as in part 5; of a long tune at
    steps that `stretch.spread` chooses), and each unit's largest magnitude."""
    figure = style.figure(height=2.7)
    left, middle, right = figure.subplots(1, 3)
    left.hist(values.ravel(), bins=101, color=style.INK)
    left.set_yscale("log")
    left.set_xlabel(site)
    left.set_ylabel("values in the tune")
    steps, units = values.shape
    ordered = np.sort(values[stretch.spread(steps)], axis=1)
    reach = max(1.0, float(np.abs(values).max()))
    place = (-0.5, units - 0.5, -0.5, steps - 0.5)
    shown = middle.imshow(ordered, aspect="auto", origin="lower", cmap="RdBu_r", vmin=-reach, vmax=reach, extent=place)
    middle.set_xlabel("unit, sorted at each step")
    middle.set_ylabel("step")
    figure.colorbar(shown, ax=middle, label=site, fraction=0.05, pad=0.02)
    right.plot(np.sort(np.abs(values).max(0)), color=style.INK)
    right.set_xlabel("unit, sorted")
    right.set_ylabel(f"largest |{site}| in the tune")
    right.set_ylim(0, None)
    return figure


def layers(values: Mapping[str, np.ndarray], near_zero: float) -> matplotlib.figure.Figure:
    """Draws several activations together: distribution of their values, and their units' largest magnitudes, sorted."""
    figure = style.figure(height=2.7)
    left, middle, right = figure.subplots(1, 3)
    shades = mpl.colormaps["viridis"](np.linspace(0.85, 0.1, len(values)))
    for colour, (site, activation) in zip(shades, values.items(), strict=True):
        reach = max(1.0, float(np.abs(activation).max()))
        left.hist(
            activation.ravel(), np.linspace(-reach, reach, 81), histtype="step", color=colour, label=site, density=True
        )
        share = np.linspace(0, 1, min(activation.size, POINTS))
        middle.plot(np.quantile(np.abs(activation), share), share, color=colour, label=site)
        largest = np.sort(np.abs(activation).max(0))
        right.plot(np.linspace(0, 1, len(largest)), largest, color=colour, label=site)
    middle.axvline(near_zero, color=style.SOFT, linewidth=0.8, linestyle="--")
    left.set_yscale("log")
    left.set_xlabel("value")
    left.set_ylabel("density")
    middle.set_xlabel("magnitude")
    middle.set_ylabel("share of values up to it")
    right.set_xlabel("share of units, sorted")
    right.set_ylabel("largest magnitude in the tune")
    right.legend(frameon=False, fontsize="small")
    return figure

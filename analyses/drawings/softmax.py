"""The drawings of the softmax layer's singular value decomposition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.drawings.over_tokens import name_peaks, over_tokens
from folkrnn import style
from folkrnn.vocabulary import Vocabulary

if TYPE_CHECKING:
    import matplotlib.figure


def spectrum(values: np.ndarray, threshold: float) -> matplotlib.figure.Figure:
    """Returns the singular values on a linear and a logarithmic axis."""
    figure = style.figure(width=8.0, height=2.9)
    number = np.arange(1, len(values) + 1)
    for axes, scale in zip(figure.subplots(1, 2), ("linear", "log"), strict=True):
        axes.plot(number, values, ".-", color=style.ACCENT, markersize=3, linewidth=0.8)
        axes.axhline(threshold, color=style.INK, linewidth=0.7, linestyle=":", label=f"σ = {threshold:g}")
        axes.set_yscale(scale)
        axes.set_xlabel("component")
        axes.set_ylabel("singular value σ")
        axes.legend(loc="center right")
    return figure


def left_vectors(vocabulary: Vocabulary, left: np.ndarray, values: np.ndarray, named: int) -> matplotlib.figure.Figure:
    """Returns bars of `left [V, R]` over the typed vocabulary, one panel per component."""
    order = list(vocabulary.plot_order)
    count = left.shape[1]
    figure = style.figure(width=10.0, height=1.0 + 1.25 * count)
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    colours = [style.TYPE_COLOURS[vocabulary.types[i]] for i in order]
    for j, axes in enumerate(panels):
        u = left[order, j]
        axes.axhline(0, color=style.SOFT, linewidth=0.6)
        axes.bar(range(len(u)), u, 0.8, color=colours)
        axes.margins(y=0.25)
        axes.set_ylabel(f"$u_{{{j + 1}}}$\nσ = {values[j]:.3g}", fontsize=8)
        name_peaks(axes, u, vocabulary.decode(order), named)
    over_tokens(panels, vocabulary)
    return figure


def right_vectors(right: np.ndarray) -> matplotlib.figure.Figure:
    """Returns lines of `right [H, R]` over units, one panel per component."""
    count = right.shape[1]
    figure = style.figure(width=10.0, height=0.6 + 0.95 * count)
    panels = figure.subplots(count, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for j, axes in enumerate(panels):
        axes.axhline(0, color=style.SOFT, linewidth=0.6)
        axes.vlines(range(len(right)), 0, right[:, j], color=style.INK, linewidth=0.7)
        axes.set_ylabel(f"$w_{{{j + 1}}}$")
        axes.set_xlim(-1, len(right))
    panels[-1].set_xlabel("unit")
    return figure


def projections(h: np.ndarray, along: np.ndarray, tokens: Sequence[str], site: str) -> matplotlib.figure.Figure:
    """Returns images of hidden states `h [T, units]` and of |projections| `along [T, R]` over the tokens they make."""
    figure = style.figure(width=10.0, height=6.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1.2, 1])
    limit = max(1e-6, float(np.abs(h).max()))
    shown = upper.imshow(h.T, aspect="auto", cmap=style.DIVERGING, vmin=-limit, vmax=limit, interpolation="nearest")
    upper.set_ylabel(f"unit of {site}")
    figure.colorbar(shown, ax=upper, label=site, fraction=0.03, pad=0.01)
    ends = (-0.5, len(along) - 0.5, along.shape[1] + 0.5, 0.5)
    shown = lower.imshow(np.abs(along).T, aspect="auto", cmap=style.SEQUENTIAL, vmin=0, extent=ends)
    lower.set_ylabel("right singular vector")
    figure.colorbar(shown, ax=lower, label="|projection|", fraction=0.03, pad=0.01)
    style.token_axis(lower, tokens[1:])
    upper.tick_params(axis="x", length=0, labelbottom=False)
    lower.set_xlabel("step (the token that it makes)")
    return figure


def planes(
    points: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], positive: np.ndarray, name: str
) -> matplotlib.figure.Figure:
    """Returns one scatter per pair of components: `points [N, 2]`, those marked in `positive [N]` standing out."""
    figure = style.figure(width=4.2 * len(points), height=3.9)
    for axes, xy, (first, second) in zip(figure.subplots(1, len(points), squeeze=False)[0], points, pairs, strict=True):
        for mask, colour, marker, label in (
            (~positive, style.SOFT, "o", "other steps"),
            (positive, style.ACCENT, "^", f"{name} steps"),
        ):
            axes.plot(
                *xy[mask].T, marker, color=colour, markersize=3, alpha=0.7, markeredgewidth=0, label=label, zorder=2
            )
        axes.set_xlabel(f"projection onto $w_{{{first}}}$")
        axes.set_ylabel(f"projection onto $w_{{{second}}}$")
        axes.legend(loc="best", markerscale=1.6)
    return figure

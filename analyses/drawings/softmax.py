"""The drawings of the softmax layer: its columns, and its singular value decomposition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.drawings.over_tokens import name_peaks, over_tokens
from analyses.measures.columns import upper
from folkrnn import style
from folkrnn.vocabulary import Vocabulary

if TYPE_CHECKING:
    import matplotlib.figure


def shapes(vocabulary: Vocabulary, W: np.ndarray, b: np.ndarray) -> matplotlib.figure.Figure:
    """Returns all columns of `W [V, H]` and the bias `b [V]` over the typed vocabulary."""
    order = list(vocabulary.plot_order)
    figure = style.figure(height=3.35)
    axes = figure.subplots()
    alpha = float(np.clip(40 / W.shape[1], 0.06, 0.6))
    axes.plot(W[order], color="#6B7480", linewidth=0.35, alpha=alpha, zorder=1.5)
    axes.plot([], [], color="#6B7480", linewidth=1.0, label=f"the {W.shape[1]} columns of W$_s$")
    axes.plot(b[order], color=style.ACCENT, linewidth=1.5, marker=".", markersize=3, label="bias b$_s$")
    over_tokens([axes], vocabulary)
    axes.set_ylabel("value before the softmax")
    axes.legend(loc="lower left", ncols=2)
    return figure


def columns(vocabulary: Vocabulary, W: np.ndarray, names: Mapping[int, str], named: int) -> matplotlib.figure.Figure:
    """Returns bars of some columns of `W [V, H]`, by unit and what it is called; `named` tokens are written at each."""
    order = list(vocabulary.plot_order)
    figure = style.figure(height=0.8 + 1.15 * len(names))
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (unit, name) in zip(panels, names.items(), strict=True):
        column = W[order, unit]
        axes.axhline(0, color=style.SOFT, linewidth=0.6)
        colours = [style.TYPE_COLOURS[vocabulary.types[i]] for i in order]
        axes.bar(range(len(order)), column, 0.8, color=colours)
        axes.set_ylabel(name)
        axes.margins(y=0.22)
        name_peaks(axes, column, vocabulary.decode(order), named)
    over_tokens(list(panels), vocabulary)
    return figure


def correlations(
    R: np.ndarray, with_bias: np.ndarray, control: np.ndarray, near_duplicate: float
) -> matplotlib.figure.Figure:
    """Returns correlations of columns, `R [H, H]`, as image and as histogram beside the control, and with the bias."""
    figure = style.figure(height=2.9)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.15, 1, 1])
    order = np.argsort(with_bias, kind="stable")
    shown = left.imshow(R[np.ix_(order, order)], cmap=style.DIVERGING, vmin=-1, vmax=1)
    varies = bool(np.isfinite(with_bias).any())
    left.set_xlabel("column, by correlation with the bias" if varies else "column")
    left.set_ylabel("column")
    figure.colorbar(shown, ax=left, label="correlation", fraction=0.046, pad=0.02)
    bins = np.linspace(-1, 1, 81)
    middle.hist(upper(R), bins, color=style.ACCENT, label="columns")
    middle.hist(upper(control), bins, color=style.INK, histtype="step", label="shuffled over tokens")
    for side in (-1, 1):
        middle.axvline(side * near_duplicate, color=style.INK, linewidth=0.6, linestyle=":")
    middle.set_yscale("log" if len(R) > 1 else "linear")
    middle.set_xlabel("correlation of two columns")
    middle.set_ylabel("pairs")
    middle.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=7, borderaxespad=0.2)
    if not varies:  # that of an untrained network is 0
        right.set_axis_off()
        right.text(0.5, 0.5, "the bias is the same for all tokens", transform=right.transAxes, ha="center", fontsize=8)
        return figure
    right.plot(np.sort(np.abs(with_bias)), color=style.ACCENT)
    right.axhline(np.abs(with_bias).mean(), color=style.INK, linewidth=0.7, linestyle="--", label="mean")
    right.set_xlabel("column, sorted")
    right.set_ylabel("|correlation with the bias|")
    right.set_ylim(0, 1)
    right.legend(loc="upper left")
    return figure


def spectrum(values: np.ndarray, threshold: float) -> matplotlib.figure.Figure:
    """Returns the singular values on a linear and a logarithmic axis, and the threshold where some exceed it."""
    figure = style.figure(height=2.6)
    number = np.arange(1, len(values) + 1)
    for axes, scale in zip(figure.subplots(1, 2), ("linear", "log"), strict=True):
        axes.plot(number, values, ".-", color=style.ACCENT, markersize=3, linewidth=0.8)
        axes.set_yscale(scale)
        axes.set_xlabel("component")
        axes.set_ylabel("singular value σ")
        if values.max() > threshold:
            axes.axhline(threshold, color=style.INK, linewidth=0.7, linestyle=":", label=f"σ = {threshold:g}")
            axes.legend(loc="center right")
    return figure


def left_vectors(vocabulary: Vocabulary, left: np.ndarray, values: np.ndarray, named: int) -> matplotlib.figure.Figure:
    """Returns bars of `left [V, R]` over the typed vocabulary, one panel per component."""
    order = list(vocabulary.plot_order)
    count = left.shape[1]
    figure = style.figure(height=0.8 + 1.0 * count)
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    colours = [style.TYPE_COLOURS[vocabulary.types[i]] for i in order]
    for j, axes in enumerate(panels):
        u = left[order, j]
        axes.axhline(0, color=style.SOFT, linewidth=0.6)
        axes.bar(range(len(u)), u, 0.8, color=colours)
        axes.margins(y=0.25)
        axes.set_ylabel(f"u{j + 1}\nσ = {values[j]:.3g}", fontsize=8)
        name_peaks(axes, u, vocabulary.decode(order), named)
    over_tokens(list(panels), vocabulary)
    return figure


def right_vectors(right: np.ndarray) -> matplotlib.figure.Figure:
    """Returns lines of `right [H, R]` over units, one panel per component."""
    count = right.shape[1]
    figure = style.figure(height=0.48 + 0.76 * count)
    panels = figure.subplots(count, 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for j, axes in enumerate(panels):
        axes.axhline(0, color=style.SOFT, linewidth=0.6)
        axes.vlines(range(len(right)), 0, right[:, j], color=style.INK, linewidth=0.7)
        axes.set_ylabel(f"w{j + 1}")
        axes.set_xlim(-1, len(right))
    panels[-1].set_xlabel("unit")
    return figure


def projections(h: np.ndarray, along: np.ndarray, tokens: Sequence[str], site: str) -> matplotlib.figure.Figure:
    """Returns images of hidden states `h [T, units]` and of |projections| `along [T, R]` over the tokens they make."""
    figure = style.figure(height=5.1)
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
    figure = style.figure(width=min(style.PAGE, 3.6 * len(points)), height=3.4)
    for axes, xy, (first, second) in zip(figure.subplots(1, len(points), squeeze=False)[0], points, pairs, strict=True):
        for mask, colour, marker, label in (
            (~positive, style.SOFT, "o", "other steps"),
            (positive, style.ACCENT, "^", f"{name} steps"),
        ):
            axes.plot(
                *xy[mask].T, marker, color=colour, markersize=3, alpha=0.7, markeredgewidth=0, label=label, zorder=2
            )
        axes.set_xlabel(f"projection onto w{first}")
        axes.set_ylabel(f"projection onto w{second}")
        axes.legend(loc="best", markerscale=1.6)
    return figure

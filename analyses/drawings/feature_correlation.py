"""Drawings of the analyses `feature_correlation` and `neuron_regression`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

KIND_COLOURS = {"pitch": style.PALETTE[0], "rhythm": "#B5478A", "melody": style.PALETTE[2]}
"""The three kinds of features, the same colour in every figure."""

_ROOM = 4.5
"""Points between two features of a square image."""

KIND_OF = {"P": "pitch", "R": "rhythm", "M": "melody"}


@dataclass(frozen=True)
class Panel:
    """One neuron against one feature: the melodies, the curve of LOESS and its band."""

    title: str
    kind: str
    x: np.ndarray
    y: np.ndarray
    curve: pd.DataFrame
    """Columns x, y, low, high."""
    note: str


def neurons(
    strength: pd.DataFrame, kinds: pd.DataFrame, marks: Mapping[int, str], music: int, names: Mapping[str, str]
) -> matplotlib.figure.Figure:
    """Returns the heat map of φk, features by neurons, under the mean φk of each kind of features.

    `strength [F, Z]` and `kinds [kinds, Z]` have neurons in order of mean σ; the first `music` are music neurons;
    `marks` names some neurons by their place in that order.
    """
    rows = [number for letter in "PRM" for number in strength.index if number[0] == letter]
    figure = style.figure(height=1.7 + max(1.8, 0.12 * len(rows)))
    grid = {"height_ratios": [1.3, max(2.0, 0.135 * len(rows))], "hspace": 0.02}
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw=grid)
    places = np.arange(1, strength.shape[1] + 1)
    for kind, values in kinds.iterrows():
        upper.plot(
            places, values, color=KIND_COLOURS[str(kind)], linewidth=1.0, marker="o", markersize=1.6, label=str(kind)
        )
    _mark(upper, kinds, marks)
    upper.set_ylabel("mean φk")
    upper.set_ylim(0, 0.15 + 1.1 * max(0.05, float(np.nanmax(kinds.to_numpy(), initial=0.0))))
    upper.legend(loc="upper right", ncols=3)
    edges = (0.5, strength.shape[1] + 0.5, len(rows) - 0.5, -0.5)
    image = lower.imshow(strength.loc[rows].to_numpy(), vmin=0, vmax=1, aspect="auto", extent=edges)
    _label_features(lower, rows, names, "y")
    for axes in (upper, lower):
        axes.axvline(music + 0.5, color=style.ACCENT, linestyle="--", linewidth=1.0)
    ticks = [1, *range(10, strength.shape[1] + 1, 10)] if strength.shape[1] > 10 else places.tolist()
    lower.set_xticks(ticks, [str(place) for place in ticks])
    lower.set_xlim(*edges[:2])
    lower.set_xlabel("neuron, in order of mean σ")
    figure.colorbar(image, ax=lower, label="φk", fraction=0.03, pad=0.01)
    return figure


def features(phik: pd.DataFrame, pearson: pd.DataFrame) -> matplotlib.figure.Figure:
    """Returns the correlations of the features with each other, `[F, F]` each: φk on the left, Pearson's r right."""
    numbers = list(phik.index)
    figure = style.figure(height=3.6)
    panels = figure.subplots(1, 2)
    shown = (("φk", phik, style.SEQUENTIAL, 0), ("Pearson's r", pearson, style.DIVERGING, -1))
    for axes, (name, values, colours, lowest) in zip(panels, shown, strict=True):
        image = axes.imshow(values.to_numpy(), vmin=lowest, vmax=1, cmap=colours)
        axes.set_title(name)
        for axis in ("x", "y"):
            _label_features(axes, numbers, None, axis)
        figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02)
    return figure


def best(tops: Mapping[str, pd.DataFrame], names: Mapping[str, str]) -> matplotlib.figure.Figure:
    """Returns for each named neuron its strongest features as bars.

    Each table of `tops` has the columns feature, phik, pearson and significant, the strongest feature first.
    """
    count = max((len(top) for top in tops.values()), default=1)
    figure = style.figure(height=0.81 + 0.18 * count)
    panels = figure.subplots(1, max(1, len(tops)), squeeze=False)[0]
    for axes, (title, top) in zip(panels, tops.items(), strict=False):
        places = np.arange(len(top))
        colours = [KIND_COLOURS[KIND_OF[number[0]]] for number in top["feature"]]
        fills = [colour if sure else "none" for colour, sure in zip(colours, top["significant"], strict=True)]
        axes.barh(places, top["phik"], color=fills, edgecolor=colours, height=0.7)
        for place, value, r in zip(places, top["phik"], top["pearson"], strict=True):
            axes.text(value + 0.01, place, f"r {r:+.2f}".replace("-", "−"), va="center", fontsize=6.0)
        axes.set_yticks(places, [names[number] for number in top["feature"]], fontsize=6.5)
        axes.set_ylim(len(top) - 0.5, -0.5)
        axes.set_xlim(0, 1.12)
        axes.set_xlabel("φk")
        axes.set_title(title)
    return figure


def regression(rows: Sequence[Sequence[Panel]], ylabel: str) -> matplotlib.figure.Figure:
    """Returns rows of panels: melodies as dots, the LOESS curve in orange and its band."""
    columns = max(len(row) for row in rows)
    figure = style.figure(height=0.27 + 1.95 * len(rows))
    grid = figure.subplots(len(rows), columns, sharey=True, squeeze=False)
    for axes_row, row in zip(grid, rows, strict=True):
        for axes in axes_row[len(row) :]:
            axes.set_visible(False)
        for axes, panel in zip(axes_row, row, strict=False):
            _panel(axes, panel)
        axes_row[0].set_ylabel(ylabel)
    return figure


def _panel(axes: matplotlib.axes.Axes, panel: Panel) -> None:
    strength = min(0.5, max(0.06, 250 / max(1, len(panel.x))))
    axes.scatter(panel.x, panel.y, s=4, color=style.INK, alpha=strength, linewidths=0, rasterized=True)
    curve = panel.curve
    axes.fill_between(curve["x"], curve["low"], curve["high"], color=style.ACCENT, alpha=0.3, linewidth=0)
    axes.plot(curve["x"], curve["y"], color=style.ACCENT, linewidth=1.6)
    axes.set_title(textwrap.fill(panel.title, 27), fontsize=7.5, color=KIND_COLOURS[panel.kind])
    axes.set_xlabel(panel.note, fontsize=6.5)
    axes.tick_params(labelsize=6.5)


def _mark(axes: matplotlib.axes.Axes, kinds: pd.DataFrame, marks: Mapping[int, str]) -> None:
    for place, kind in marks.items():
        height = float(kinds.T[kind].iloc[place - 1])
        style_of = {"markersize": 6.0, "markerfacecolor": "none", "markeredgecolor": KIND_COLOURS[kind]}
        axes.plot([place], [height], marker="o", linestyle="none", **style_of)
        arrow = {"arrowstyle": "-", "linewidth": 0.6, "color": KIND_COLOURS[kind], "shrinkB": 3}
        spot = (place + 0.02 * kinds.shape[1] + 0.5, 0.12 + height)
        axes.annotate(f"{kind} neuron", (place, height), spot, fontsize=7.0, va="center", arrowprops=arrow)


def _label_features(
    axes: matplotlib.axes.Axes, numbers: Sequence[str], names: Mapping[str, str] | None, axis: Literal["x", "y"]
) -> None:
    """Names the features along an axis in the colours of their kinds, and parts the kinds by a line."""
    labels = [names[number] if names else number for number in numbers]
    (axes.set_yticks if axis == "y" else axes.set_xticks)(range(len(numbers)), labels, fontsize=6.0)
    axes.tick_params(axis=axis, length=0, pad=2, labelrotation=0 if axis == "y" else 90)
    if names is None:  # short: two lines of them have room
        style.stagger(axes, axis, _ROOM, style.SMALLEST)
    texts = axes.get_yticklabels() if axis == "y" else axes.get_xticklabels()
    for text, number in zip(texts, numbers, strict=True):
        text.set_color(KIND_COLOURS[KIND_OF[number[0]]])
    line = axes.axhline if axis == "y" else axes.axvline
    for place in range(1, len(numbers)):
        if numbers[place][0] != numbers[place - 1][0]:
            line(place - 0.5, color="white", linewidth=1.2)

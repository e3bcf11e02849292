"""Figures of `analyses.layer_properties`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd


def added(table: pd.DataFrame) -> matplotlib.figure.Figure:
    """One panel per layer: the share of each property that it adds, with its interval; shifted labels in grey."""
    layers = sorted(table["layer"].unique())
    names = list(dict.fromkeys(table["property"]))
    figure = style.figure(height=0.72 + 0.19 * len(names))
    panels = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for axes, layer in zip(panels, layers, strict=True):
        part = table[table["layer"] == layer].set_index("property").reindex(names)
        rows = np.arange(len(names))
        axes.barh(rows, part["added"], color=style.PALETTE[(layer - 1) % len(style.PALETTE)], height=0.7)
        axes.hlines(rows, part["low"], part["high"], color=style.INK, linewidth=1.0)
        axes.plot(part["shifted_added"], rows, "|", color=style.SOFT, markersize=9, markeredgewidth=2)
        axes.axvline(0, color=style.INK, linewidth=0.5)
        axes.set_title("layer 1" if layer == layers[0] else f"layer {layer} adds")
        axes.set_xlabel("share of variance told")
    panels[0].set_yticks(np.arange(len(names)), names)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    return figure

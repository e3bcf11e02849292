"""Figures of `analyses.layer_maps`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import matplotlib.figure
    import pandas as pd


def explained(table: pd.DataFrame) -> matplotlib.figure.Figure:
    """R² of every map, grouped by what it is to tell; the controls stand back."""
    figure = style.figure(height=0.24 * len(table) + 0.9)
    axes = figure.subplots()
    rows = np.arange(len(table))
    colours = {name: style.PALETTE[k % len(style.PALETTE)] for k, name in enumerate(dict.fromkeys(table["target"]))}
    for row, (_, one) in zip(rows, table.iterrows(), strict=True):
        colour = style.SOFT if one["shifted"] else colours[one["target"]]
        axes.barh(row, one["r2"], color=colour, height=0.72)
        axes.plot([one["r2_low"], one["r2_high"]], [row, row], color=style.INK, linewidth=1.0)
        axes.text(max(one["r2_high"], 0) + 0.01, float(row), f"{one['r2']:.2f}", va="center", fontsize=7)
    axes.set_yticks(rows, table["map"])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.axvline(0, color=style.INK, linewidth=0.6)
    axes.set_xlim(min(0.0, float(table["r2_low"].min()) * 1.1), 1.08)
    axes.set_xlabel("R² on tunes not fitted to")
    return figure


def units(tables: Sequence[pd.DataFrame]) -> matplotlib.figure.Figure:
    """R² of the units of each target, sorted, one line a map; one panel a target."""
    shown = [table for table in tables if "shifted" not in table["map"].iloc[0]]
    targets = list(dict.fromkeys(table["map"].iloc[0].split(" from ")[0] for table in shown))
    figure = style.figure(height=3.3)
    panels = np.atleast_1d(figure.subplots(1, len(targets), sharey=True))
    for axes, target in zip(panels, targets, strict=True):
        for table in shown:
            name, source = table["map"].iloc[0].split(" from ")
            if name == target:
                axes.plot(np.linspace(0, 1, len(table)), np.sort(table["r2"]), label=source)
        axes.set_title(target)
        axes.set_ylim(-0.1, 1.02)
        axes.set_xlabel("share of its units")
        look = {"title": "from", "fontsize": 6.5, "title_fontsize": 6.5, "handlelength": 1.4}
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), **look)
    panels[0].set_ylabel("R² of the unit")
    return figure

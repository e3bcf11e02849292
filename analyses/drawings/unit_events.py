"""Figures of `analyses.unit_events`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.drawings.unit_traces import unit_traces
from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

    from folkrnn.observation.observation import Observation

COLOURS = {
    "token": "#332288",
    "token read": "#0072B2",
    "token next": "#56B4E9",
    "measure token": "#D55E00",
    "steps in bar": "#E69F00",
    "time in bar": "#F0E442",
    "bar of part": "#009E73",
    "bar of phrase": "#7FCDBB",
    "bar of tune": "#222222",
    "part": "#CC79A7",
    "inside repeat": "#882255",
    "meter": "#999933",
    "mode": "#661100",
    "none": "#E4E6EA",
}
"""One colour a variable, the same in every figure; alike in hue where the variables are alike."""


def shares(table: pd.DataFrame) -> matplotlib.figure.Figure:
    """One stacked bar per activation: the share of its units that belong to each variable."""
    figure = style.figure(height=max(2.2, 0.24 * len(table) + 0.9))
    axes = figure.subplots()
    rows = np.arange(len(table))
    left = np.zeros(len(table))
    for name in [column for column in table.columns if column != "site"]:
        width = table[name].to_numpy()
        axes.barh(rows, width, left=left, color=COLOURS[name], label=name, height=0.8)
        left += width
    axes.set_yticks(rows, table["site"])
    axes.set_ylim(len(table) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of the units")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="best explained by")
    return figure


def excess(table: pd.DataFrame) -> matplotlib.figure.Figure:
    """Activation by variable: the mean excess of η² over the units."""
    values, names = table.to_numpy(), [name.removeprefix("excess/") for name in table.columns]
    figure = style.figure(height=max(2.4, 0.21 * len(table) + 1.2))
    axes = figure.subplots()
    top = float(np.nanmax(values, initial=0.01))
    shown = axes.imshow(values, aspect="auto", vmin=0, vmax=top)
    for i, j in np.ndindex(*values.shape):
        if np.isfinite(values[i, j]):
            colour = "white" if values[i, j] < 0.6 * top else style.INK
            axes.text(
                j, i, f"{round(float(values[i, j]), 2) + 0.0:.2f}", ha="center", va="center", fontsize=6, color=colour
            )
    axes.set_yticks(range(len(table)), table.index)
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
    figure.colorbar(shown, ax=axes, label="mean excess of η²", fraction=0.03, pad=0.01)
    return figure


def traces(observation: Observation, k: int, clearest: pd.DataFrame) -> matplotlib.figure.Figure:
    """The activity of one unit per variable over the tokens of tune k."""
    rows = []
    for row in clearest.to_dict("records"):
        title = (
            f"{row['variable']}: {row['site']}[{row['unit']}], {row['category']} "
            f"({row['mean_there']:.2f}, elsewhere {row['mean_elsewhere']:.2f}); η² excess {row['excess']:.2f}"
        )
        rows.append((observation.trace(k, row["site"])[:, int(row["unit"])], COLOURS[row["variable"]], title))
    return unit_traces(observation.tokens(k)[:-1], rows)

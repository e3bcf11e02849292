"""Drawings of what sweeps compare: dose–response curves, and any metrics side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

_PANELS = {
    "counting": "counting that is kept",
    "melody": "melody that is kept",
    "divergence": "divergence of distributions (nats per step)",
}


def curves(table: pd.DataFrame, halves: pd.DataFrame, key: str) -> matplotlib.figure.Figure:
    """Returns three panels over the dose, one line per series; bars on the line of one half: where half is lost."""
    figure = style.figure(height=2.8)
    panels = figure.subplots(1, 3)
    looks = _looks(list(dict.fromkeys(table["series"])))
    for axes, (column, words) in zip(panels, _PANELS.items(), strict=True):
        for name, part in table.groupby("series", sort=False):
            colour, line = looks[str(name)]
            error = np.array([part[column] - part[f"{column}_low"], part[f"{column}_high"] - part[column]])
            axes.errorbar(
                part["dose"], part[column], np.nan_to_num(error).clip(min=0), fmt="o", markersize=3.5,
                linestyle=line, linewidth=1.2, capsize=2, color=colour, label=str(name) or "intervention",
            )  # fmt: skip
            if key.rsplit(".", 1)[-1] == "fraction":  # nothing cut is the control
                first = float(part["dose"].iloc[0]), float(part[column].iloc[0])
                start = 0.0 if column == "divergence" else 1.0
                axes.plot([0, first[0]], [start, first[1]], color=colour, linestyle=line, linewidth=0.6, zorder=1)
        axes.set_xlabel(key)
        axes.set_ylabel(words)
        if column == "divergence":
            axes.set_ylim(0, None)
            continue
        axes.axhline(0.5, color=style.SOFT, linewidth=0.8, linestyle=":")
        axes.set_ylim(-0.03, max(1.05, 1.03 * axes.get_ylim()[1]))
        _mark_halves(axes, halves[halves["ability"] == column], looks)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


def _looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and line of each series: random units dashed, and where there are several, in the colour of their own."""
    found: dict[str, tuple[str, str]] = {}
    colours = iter((style.ACCENT, style.PALETTE[0], *style.PALETTE[2:], *style.PALETTE))
    several = len([name for name in names if not name.endswith("random units")]) > 1
    for name in names:
        random = name.endswith("random units")
        own = name.removesuffix("random units").removesuffix(": ")
        colour = found[own][0] if random and several and own in found else next(colours)
        found[name] = (colour, "--" if random else "-")
    return found


def _mark_halves(axes: matplotlib.axes.Axes, halves: pd.DataFrame, looks: dict[str, tuple[str, str]]) -> None:
    right = axes.get_xlim()[1]
    for place, row in enumerate(halves.to_dict("records")):
        if not np.isfinite(row["half_dose"]):
            continue
        colour, _ = looks[row["series"]]
        y = 0.5 - 0.035 * place
        axes.plot([row["low"], min(row["high"], right)], [y, y], color=colour, linewidth=2.5, alpha=0.5, zorder=1)
        axes.plot(row["half_dose"], y, "|", color=colour, markersize=9, markeredgewidth=1.6, zorder=4)


def metrics(table: pd.DataFrame, names: Sequence[str], labels: Sequence[str]) -> matplotlib.figure.Figure:
    """Returns one small panel per metric: its value in each job, and its interval where `_low` and `_high` stand."""
    across = min(3, len(names))
    rows = -(-len(names) // across)
    figure = style.figure(height=0.48 + rows * (0.56 + 0.16 * len(labels)))
    panels = figure.subplots(rows, across, squeeze=False, sharey=True)
    for axes, name in zip(panels.flat, names, strict=False):
        value = table[name].to_numpy(float)
        error = None
        if {f"{name}_low", f"{name}_high"} <= set(table.columns):
            low, high = (table[f"{name}_{end}"].to_numpy(float) for end in ("low", "high"))
            error = np.nan_to_num(np.array([value - low, high - value])).clip(min=0)
        axes.errorbar(value, -np.arange(len(value)), xerr=error, fmt="o", markersize=4, capsize=2, color=style.ACCENT)
        axes.set_title(name.replace("/", "/\n", 1), fontsize=7, pad=3, loc="left")
        axes.set_yticks(-np.arange(len(labels)), labels, fontsize=7)
        axes.set_ylim(-len(labels) + 0.5, 0.5)
        axes.margins(x=0.12)
        axes.tick_params(axis="x", labelsize=7)
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    return figure

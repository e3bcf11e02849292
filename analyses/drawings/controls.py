"""The main numbers of a model beside those of its controls, each number on a scale of its own that all share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

SIDES = {"model": (style.ACCENT, "o"), "untrained": (style.INK, "s"), "shuffled": (style.PALETTE[0], "^")}
"""Colour and marker of the model and its controls."""


def beside(table: pd.DataFrame, controls: Sequence[str]) -> matplotlib.figure.Figure:
    """Returns one row per number of `table`: its columns `quantity`, then for `model` and each control its value, and
    `<side>_low`, `<side>_high` for the ends of its interval.

    A row begins at 0, or at its lowest value where that is negative, and ends at its highest.
    """
    sides = ["model", *controls]
    figure = style.figure(height=0.7 + 0.19 * max(1, len(table)))
    axes = figure.subplots()
    records = cast("list[dict[str, float]]", table.to_dict("records"))
    for row, one in enumerate(records):
        ends = [one[f"{side}{end}"] for side in sides for end in ("", "_low", "_high")]
        low, high = min(0.0, np.nanmin(ends)), max(0.0, np.nanmax(ends))
        _row(axes, row, one, sides, low, (high - low) or 1.0)
    for side in sides:
        colour, marker = _look(side)
        axes.plot([], [], marker, color=colour, markersize=4, label=side, markerfacecolor=_fill(side))
    axes.set_yticks(range(len(table)), list(table["quantity"]))
    axes.set_ylim(len(table) - 0.4, -1.0)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(sides))
    right = axes.secondary_yaxis("right")
    said = [" · ".join(_said(one[side]) for side in sides) for one in table.to_dict("records")]
    right.set_yticks([-0.75, *range(len(table))], [" · ".join(sides), *said], fontsize=6.5, color=style.INK)
    right.tick_params(length=0)
    right.spines["right"].set_visible(False)
    return figure


def _row(
    axes: matplotlib.axes.Axes, row: int, one: dict[str, float], sides: Sequence[str], low: float, reach: float
) -> None:
    axes.plot([0, 1], [row, row], color=style.SOFT, linewidth=0.4, zorder=0)
    axes.plot([-low / reach] * 2, [row - 0.35, row + 0.35], color=style.SOFT, linewidth=1.2, zorder=0.5)
    for place, side in enumerate(sides):
        colour, marker = _look(side)
        y = row + 0.2 * (place - (len(sides) - 1) / 2)
        ends = (np.array([one[f"{side}_low"], one[f"{side}_high"]]) - low) / reach
        axes.plot(ends, [y, y], color=colour, linewidth=1.0)
        axes.plot((one[side] - low) / reach, y, marker, color=colour, markersize=4, markerfacecolor=_fill(side))


def _look(side: str) -> tuple[str, str]:
    return SIDES.get(side, (style.PALETTE[2], "D"))


def _fill(side: str) -> str:
    return _look(side)[0] if side == "model" else "white"


def _said(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if np.isfinite(value) else "–"

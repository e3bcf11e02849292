"""Drawings of the analysis `timing`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.drawings.unit_traces import unit_traces
from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

    from folkrnn.observation.observation import Observation

FOLLOWS, ANNOUNCES = style.PALETTE[0], style.PALETTE[1]


def lags(profiles: dict[str, pd.DataFrame], event: str) -> matplotlib.figure.Figure:
    """Returns mean |r| against lag, one line per site with its interval."""
    figure = style.figure(width=style.PAGE, height=3.2)
    axes = figure.subplots()
    for place, (name, frame) in enumerate(profiles.items()):
        colour = style.PALETTE[place % len(style.PALETTE)]
        axes.plot(frame["lag"], frame["mean"], "o-", markersize=3.5, color=colour, label=name)
        axes.fill_between(frame["lag"], frame["low"], frame["high"], color=colour, alpha=0.2, linewidth=0)
    tops = [float(frame["high"].fillna(frame["mean"]).max()) for frame in profiles.values()]
    axes.set_ylim(0, 1.15 * max([0.1, *(top for top in tops if np.isfinite(top))]))
    _sides(axes)
    axes.set_xlabel(f"lag of the {event} token, in steps")
    axes.set_ylabel("mean |r|")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    return figure


def best_lags(units: pd.DataFrame, names: Sequence[str], reach: int) -> matplotlib.figure.Figure:
    """Returns one panel per site: how many responding units are strongest at each lag."""
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = style.figure(width=style.PAGE, height=0.5 + 1.9 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    places = np.arange(-reach, reach + 1)
    for axes, name in zip(panels, names, strict=False):
        best = units.loc[(units["site"] == name) & units["responds"], "best_lag"]
        counts = [int((best == lag).sum()) for lag in places]
        axes.bar(places, counts, color=[ANNOUNCES if lag >= 1 else FOLLOWS for lag in places])
        axes.axvline(0.5, color=style.INK, linewidth=0.7, linestyle=":")
        axes.set_title(f"{name}: {len(best)} of {(units['site'] == name).sum()} units respond")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    figure.supxlabel("lag of strongest correlation, in steps (1: the token that comes next)", fontsize=7.5)
    figure.supylabel("units", fontsize=7.5)
    return figure


def traces(observation: Observation, k: int, clearest: pd.DataFrame) -> matplotlib.figure.Figure:
    """Returns the values of a few units over the tokens of tune k."""
    rows = []
    for row in clearest.to_dict("records"):
        colour, word = (ANNOUNCES, "announces") if row["announces"] else (FOLLOWS, "follows")
        title = f"{row['site']}[{row['unit']}] {word}: r = {row['r']:+.2f} at lag {row['best_lag']:+.0f}"
        rows.append((observation.trace(k, row["site"])[:, int(row["unit"])], colour, title))
    return unit_traces(observation.tokens(k)[:-1], rows)


def _sides(axes: matplotlib.axes.Axes) -> None:
    """Parts the tokens that were read from those to come."""
    axes.axvline(0.5, color=style.INK, linewidth=0.7, linestyle=":")
    top = axes.get_ylim()[1]
    axes.text(0.42, 0.99 * top, "tokens read ", ha="right", va="top", fontsize=8)
    axes.text(0.58, 0.99 * top, " tokens to come", ha="left", va="top", fontsize=8)

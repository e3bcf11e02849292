"""Drawings of the analysis `effect`: a model before and after it, and after random units."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.drawings.over_tokens import name_peaks, over_tokens
from analyses.measures.ablated_directions import AblatedDirections
from analyses.measures.tune_quantities import QUANTITIES
from folkrnn import style
from folkrnn.vocabulary import TYPES, Vocabulary

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

CONTROL, CHANGED, MATCHED, RESUMED = style.INK, style.ACCENT, style.PALETTE[0], style.PALETTE[2]
SIDES = {
    "control": ("control", CONTROL),
    "changed": ("intervention", CHANGED),
    "matched": ("random units", MATCHED),
    "resumed": ("control resumed", RESUMED),
}
"""Column of the table, name in a legend, colour."""

WORDS = {name: quantity.words for name, quantity in QUANTITIES.items()}

_MOST_LABELS = 120
"""Tokens that can be read below a panel across the page."""


def differences(
    table: pd.DataFrame, words: Mapping[str, str] = WORDS, random: str = "random units"
) -> matplotlib.figure.Figure:
    """Returns one small panel per quantity: its value before, after, and after other controls, with intervals.

    `words` says what each quantity is, `random` what the random control is called. A dotted line marks the floor.
    """
    table = table.set_index("quantity")
    sides = [name for name in SIDES if table[name].notna().any()]
    labels = [random if side == "matched" else SIDES[side][0] for side in sides]
    names = [name for name in words if name in table.index]
    across = 3 if len(names) <= 9 else 4
    rows = -(-len(names) // across)
    figure = style.figure(height=0.56 + rows * (0.56 + 0.16 * len(sides)))
    panels = figure.subplots(rows, across, squeeze=False, sharey=True)
    for axes, name in zip(panels.flat, names, strict=False):
        row = table.loc[name]
        if np.isfinite(row["floor"]):
            axes.axvline(row["floor"], color=style.SOFT, linewidth=1.0, linestyle=":")
        for place, side in enumerate(sides):
            value, low, high = row[side], row[f"{side}_low"], row[f"{side}_high"]
            error = np.nan_to_num([[max(0.0, value - low)], [max(0.0, high - value)]])
            axes.errorbar(value, -place, xerr=error, fmt="o", markersize=4, capsize=2.5, color=SIDES[side][1])
        axes.set_title(textwrap.fill(words[name], 26), fontsize=7, pad=3)
        axes.set_yticks([-place for place in range(len(sides))], labels, fontsize=7.5)
        axes.set_ylim(-len(sides) + 0.5, 0.5)
        axes.margins(x=0.15)
        axes.tick_params(axis="x", labelsize=7)
        axes.locator_params(axis="x", nbins=4)
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    return figure


def departure(
    survival: Mapping[str, Sequence[np.ndarray]], by_step: Mapping[str, Sequence[np.ndarray]], parts: pd.DataFrame
) -> matplotlib.figure.Figure:
    """Returns three panels: share of tunes still as the control, divergence of distributions per step, and its parts.

    `survival` and `by_step` hold one curve for "changed" and one per draw for "matched"; `parts` one row per part of
    the divergence with value and interval of either side.
    """
    figure = style.figure(height=2.5)
    left, middle, right = figure.subplots(1, 3)
    for side, curves in survival.items():
        for curve in curves:
            left.plot(curve, drawstyle="steps-post", color=SIDES[side][1], **_weight(side))
    for side, curves in by_step.items():
        for curve in curves:
            middle.plot(_smoothed(curve), color=SIDES[side][1], **_weight(side))
    left.set_xlabel("token")
    left.set_ylabel("share of tunes still as the control")
    left.set_ylim(0, 1.02)
    left.set_xlim(0, _last_change(survival))
    middle.set_xlabel("step of the control's tune")
    middle.set_ylabel("divergence of distributions (nats)")
    middle.set_ylim(0, None)
    _draw_parts(right, parts)
    handles = [_key(SIDES[side][1]) for side in survival if len(survival[side])]
    left.legend(handles, [SIDES[side][0] for side in survival if len(survival[side])], loc="upper right")
    return figure


def _weight(side: str) -> dict[str, float]:
    return {"linewidth": 1.5, "zorder": 3} if side == "changed" else {"linewidth": 0.8, "alpha": 0.7}


def _smoothed(curve: np.ndarray, width: int = 9) -> np.ndarray:
    """The running mean over `width` steps, shorter at the ends; NaN is left out."""
    known = np.isfinite(curve)
    total = np.convolve(np.where(known, curve, 0.0), np.ones(width), "same")
    count = np.convolve(known.astype(float), np.ones(width), "same")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _last_change(survival: Mapping[str, Sequence[np.ndarray]]) -> float:
    """Where the last curve comes to rest, with some room."""
    ends = [np.flatnonzero(np.diff(curve)) for curves in survival.values() for curve in curves]
    return max([20.0, *(1.08 * float(end[-1] + 1) for end in ends if len(end))])


def _draw_parts(axes: matplotlib.axes.Axes, parts: pd.DataFrame) -> None:
    names = list(parts["part"])
    sides = [side for side in ("changed", "matched") if parts[side].notna().any()]
    for place, side in enumerate(sides):
        value = parts[side].to_numpy()
        error = np.nan_to_num(np.array([value - parts[f"{side}_low"], parts[f"{side}_high"] - value]).clip(min=0))
        at = np.arange(len(names)) + 0.38 * (place - 0.5 * (len(sides) - 1))
        axes.barh(at, value, 0.36, xerr=error, color=SIDES[side][1], error_kw={"elinewidth": 0.8, "capsize": 1.5})
    labels = ["when: which type" if name == "type" else f"which {name}" for name in names]
    axes.set_yticks(range(len(names)), labels, fontsize=7.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("divergence per step (nats)")


def _key(colour: str) -> object:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linewidth=1.5)


def counting_by_bar(curves: Mapping[str, pd.DataFrame], late: int) -> matplotlib.figure.Figure:
    """Returns the share of full bars against the number of the bar, above how many tunes have such a bar."""
    figure = style.figure(width=style.PAGE, height=3.8)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for side, frame in curves.items():
        label, colour = SIDES[side]
        upper.fill_between(frame["bar"], frame["low"], frame["high"], color=colour, alpha=0.15, linewidth=0)
        upper.plot(frame["bar"], frame["full"], "o-", markersize=3, color=colour, label=label)
        lower.plot(frame["bar"], frame["tunes"], drawstyle="steps-mid", color=colour)
    for axes in (upper, lower):
        axes.axvline(late + 0.5, color=style.SOFT, linewidth=0.8, linestyle=":")
    upper.set_ylim(0, 1.02)
    upper.set_ylabel("share of full bars")
    upper.legend(loc="lower left", ncols=3)
    lower.set_ylim(0, None)
    lower.set_ylabel("tunes")
    lower.set_xlabel("number of the bar")
    return figure


def watched(
    tokens: Sequence[str],
    own: np.ndarray,
    replaced: Sequence[tuple[int, str]],
    mean: pd.DataFrame,
    names: str,
    suppressed: bool,
    times: pd.DataFrame | None = None,
) -> matplotlib.figure.Figure:
    """Returns the probability of watched tokens per step: one tune with what came in their place, and over all tunes.

    With `times` also by the time since the last measure token.

    `own [T]` is the unchanged model's probability on the tune `tokens` that was written; `replaced` (step, token) are
    the steps at which a watched token was drawn and another put in its place, where an intervention `suppressed` it,
    else those at which the unchanged model would have drawn one. After Fig. 11 of the paper.
    """
    figure = style.figure(height=4.5)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.2, 1), width_ratios=(1.5, 1))
    upper = figure.add_subplot(grid[0, :])
    lower = figure.add_subplot(grid[1, 0] if times is not None else grid[1, :])
    if times is not None:
        _draw_by_time(figure.add_subplot(grid[1, 1]), times, names)
    steps = np.arange(len(own))
    upper.vlines(steps, 0, own, color=style.SOFT, linewidth=1.0)
    upper.plot(steps, own, color=style.INK, linewidth=0.8)
    for step, token in replaced:
        upper.plot(step, own[step], "o", color=CHANGED, markersize=3.5)
        upper.annotate(
            token,
            (step, own[step]),
            (0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6.5,
            rotation=90 if len(token) > 1 else 0,
            color=CHANGED,
            family="DejaVu Sans Mono",
            parse_math=False,
        )
    labelled = len(own) <= _MOST_LABELS
    if labelled:
        style.token_axis(upper, list(tokens[1 : len(own) + 1]), axis="x")
    else:
        upper.set_xlim(-0.5, len(own) - 0.5)
    top = max(0.05, float(own.max(initial=0.0)))
    upper.set_ylim(0, 1.25 * top)  # room for the names above the peaks
    if top > 0.5:
        upper.set_yticks([0, 0.5, 1])
    upper.set_ylabel(f"p({names})")
    instead = "of a suppressed one" if suppressed else "of one that the model as it is would have written"
    colour = f" (orange: what came in the place {instead})" if len(replaced) else ""
    upper.set_xlabel(f"{'token that was written' if labelled else 'step'}{colour}")
    for side, frame in mean.groupby("side", sort=False):
        label, colour = SIDES[str(side)]
        lower.fill_between(frame["step"], frame["low"], frame["high"], color=colour, alpha=0.15, linewidth=0)
        lower.plot(frame["step"], frame["probability"], color=colour, label=label)
    lower.set_ylim(0, 1.18 * max(1e-3, float(mean[["probability", "high"]].max().max())))  # room for the legend
    lower.set_ylabel(f"mean p({names})\nper token")
    lower.set_xlabel("token (mean over a window and over tunes)")
    lower.legend(loc="upper right", ncols=2)
    return figure


def _draw_by_time(axes: matplotlib.axes.Axes, times: pd.DataFrame, names: str) -> None:
    for side, frame in times.groupby("side", sort=False):
        colour = SIDES[str(side)][1]
        axes.fill_between(frame["bars"], frame["low"], frame["high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(frame["bars"], frame["probability"], "o-", markersize=2.5, color=colour)
    for bar in range(1, int(times["bars"].max()) + 1):
        axes.axvline(bar, color=style.SOFT, linewidth=0.8, linestyle=":", zorder=0)
    axes.set_xlim(0, None)
    axes.set_ylim(0, None)
    axes.set_xlabel("bars since the last measure token")
    axes.set_ylabel(f"mean p({names})")


def subspace(lost: AblatedDirections, n: int, vocabulary: Vocabulary) -> matplotlib.figure.Figure:
    """Returns what the softmax layer lost: its singular values, n leading left vectors over tokens, energy by type."""
    order, values, energy = list(vocabulary.plot_order), lost.values, lost.energy_by_type
    figure = style.figure(height=1.75 + 1.0 * n)
    grid = figure.add_gridspec(n + 1, 2, width_ratios=(1.4, 1), height_ratios=(1.7, *[1.0] * n))
    spectrum, shares = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    spectrum.plot(np.arange(1, len(lost.whole) + 1), lost.whole, color=CONTROL, label="before")
    places = [component or j for j, component in enumerate(lost.components, 1)]
    spectrum.plot(places, values, "o", color=CHANGED, markersize=3, label="taken away")
    spectrum.set_yscale("log")
    spectrum.set_ylim(max(1e-2, 0.5 * min(lost.whole[lost.whole > 0].min(), values.max())), None)
    spectrum.set_xlabel("component")
    spectrum.set_ylabel("singular value")
    spectrum.legend()
    names = [name for name in TYPES if name in energy]
    shares.barh(range(len(names)), [energy[name] for name in names], color=[style.TYPE_COLOURS[n] for n in names])
    shares.set_yticks(range(len(names)), names)
    shares.set_ylim(len(names) - 0.4, -0.6)
    shares.set_xlabel("energy of its rows that was taken away")
    panels = [figure.add_subplot(grid[j + 1, :]) for j in range(n)]
    colours = [style.TYPE_COLOURS[vocabulary.types[i]] for i in order]
    for j, axes in enumerate(panels):
        vector, component = lost.left[order, j], lost.components[j]
        axes.bar(np.arange(len(order)), vector, 0.85, color=colours)
        axes.axhline(0, color=style.INK, linewidth=0.5)
        reach = 1.45 * float(np.abs(vector).max())
        axes.set_ylim(-reach, reach)
        axes.set_xlim(-0.5, len(order) - 0.5)
        name = f"u{component}" if component else f"direction {j + 1}"
        axes.set_ylabel(f"{name}\n(σ {values[j]:.3g})", fontsize=7.5)
        axes.tick_params(axis="y", labelsize=6)
        name_peaks(axes, vector, vocabulary.decode(order), 7)
    over_tokens(panels, vocabulary)
    return figure


def push(units: np.ndarray, values: np.ndarray, size: int) -> matplotlib.figure.Figure:
    """Returns stems of what is added to each of `size` units; the strongest are named."""
    figure = style.figure(width=style.PAGE, height=2.6)
    axes = figure.subplots()
    axes.axhline(0, color=style.INK, linewidth=0.5)
    for edge in (-1, 1):
        axes.axhline(edge, color=style.SOFT, linewidth=0.8, linestyle=":")
    axes.vlines(units, 0, values, color=CHANGED, linewidth=0.9)
    axes.plot(units, values, "o", color=CHANGED, markersize=2.5)
    whole = np.zeros(size)
    whole[units] = values
    name_peaks(axes, whole, [str(k) for k in range(size)], 6)
    reach = 1.2 * max(1.0, float(np.abs(values).max(initial=0.0)))
    axes.set_ylim(-reach, reach)
    axes.set_xlim(-0.02 * size, 1.02 * size)
    axes.set_xlabel("unit of the last layer")
    axes.set_ylabel("added to h")
    return figure

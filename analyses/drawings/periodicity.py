"""Drawings of the analysis `periodicity`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from folkrnn import spectra, style

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    from matplotlib.artist import Artist

_LABEL_ROOM = 0.02
"""Cycles per step that the label of a peak takes."""

FAINTEST = -18.0
"""dB below a unit's peak from which on its spectrum is drawn as nothing: an eighth of the magnitude."""

CLASS_COLOURS = {
    "flat": style.PALETTE[3],
    "closely spaced": style.PALETTE[4],
    "pulse train": style.PALETTE[2],
    "harmonic": style.PALETTE[1],
    "other": "#6E7781",
    "off": style.SOFT,
}


def spectra_image(images: dict[str, np.ndarray], units: pd.DataFrame, period: float) -> matplotlib.figure.Figure:
    """Returns one panel per site: units across, frequency up, power relative to the unit's peak down to FAINTEST."""
    figure = style.figure(height=0.48 + 2.3 * len(images))
    panels = figure.subplots(len(images), 1, squeeze=False)[:, 0]
    for axes, (name, spectrum) in zip(panels, images.items(), strict=True):
        level = np.ma.masked_invalid(np.maximum(spectra.decibels(spectrum), FAINTEST))
        width = spectrum.shape[1]
        shown = axes.imshow(
            level,
            aspect="auto",
            origin="lower",
            cmap="magma_r",
            vmin=FAINTEST,
            vmax=0,
            extent=(-0.5, width - 0.5, 0, 0.5),
        )
        axes.set_ylabel(f"{name}\ncycles per step")
        _period_axis(axes, period)
        _mark_classes(axes, units[units["site"] == name])
    figure.colorbar(
        shown, ax=list(panels), label="dB re the unit's peak, mean taken off", fraction=0.02, pad=0.01, aspect=40
    )
    panels[-1].set_xlabel("unit (bars on top: class of its spectrum)")
    handles = [_key(colour) for name, colour in CLASS_COLOURS.items() if name not in ("other", "off")]
    names = [name for name in CLASS_COLOURS if name not in ("other", "off")]
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def _key(colour: str) -> Artist:
    from matplotlib.patches import Patch

    return Patch(color=colour)


def _mark_classes(axes: matplotlib.axes.Axes, units: pd.DataFrame) -> None:
    for name, colour in CLASS_COLOURS.items():
        places = units.loc[units["class"] == name, "unit"].to_numpy()
        if name not in ("other", "off") and len(places):
            axes.vlines(places, 0.503, 0.525, color=colour, linewidth=1.2)
    axes.set_ylim(0, 0.525)
    axes.set_yticks([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def _period_axis(axes: matplotlib.axes.Axes, period: float) -> None:
    """Labels the right side with the periods of a bar and its fractions."""
    if not np.isfinite(period):
        return
    right = axes.secondary_yaxis("right")
    harmonics = [k for k in (0.25, 0.5, 1, 2, 3, 4) if k / period <= 0.5]
    right.set_yticks([k / period for k in harmonics], [f"{period / k:g}" for k in harmonics], fontsize=7)
    right.tick_params(length=2, width=0.6)
    right.set_ylabel("period (steps)", fontsize=8)


def traces(
    tokens: Sequence[str], values: np.ndarray, shown: Sequence[tuple[int, str]], site: str
) -> matplotlib.figure.Figure:
    """Returns one row per unit (`values [T, n]`) over the tokens just read."""
    read = tokens[: len(values)]
    rows = max(1, len(shown))
    figure = style.figure(height=0.72 + 0.5 * rows)
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for axes, column, (unit, name) in zip(panels, values.T, shown, strict=False):
        style.bar_lines(axes, read)
        axes.axhline(0, color=style.SOFT, linewidth=0.5)
        axes.plot(column, color=CLASS_COLOURS[name], linewidth=0.9, marker=".", markersize=2)
        limit = 1.0 if np.abs(values).max() <= 1 else float(np.abs(values).max())
        axes.set_ylim(-1.08 * limit, 1.08 * limit)
        axes.set_yticks([-limit, 0, limit] if limit == 1 else [0])
        axes.tick_params(axis="y", labelsize=6)
        axes.set_ylabel(f"unit {unit}\n{name}", rotation=0, ha="right", va="center", fontsize=7.5)
    style.token_axis(panels[-1], read, axis="x")
    panels[-1].set_xlabel("step (the token just read)")
    figure.suptitle(site)
    return figure


def average(mean: dict[str, np.ndarray], period: float) -> matplotlib.figure.Figure:
    """Returns the mean spectrum of each site, its strong periods written above their peaks."""
    figure = style.figure(width=style.PAGE, height=0.7 + 1.6 * len(mean))
    panels = figure.subplots(len(mean), 1, sharex=True, squeeze=False)[:, 0]
    for axes, colour, (name, spectrum) in zip(panels, style.PALETTE, mean.items(), strict=False):
        if np.isfinite(period):
            for k in range(1, int(period / 2) + 1):
                axes.axvline(k / period, color=style.SOFT, linewidth=0.6, zorder=0.5)
        if not spectrum.max() > 0:
            axes.text(0.5, 0.5, "no unit with any power", transform=axes.transAxes, ha="center")
            continue
        f = spectra.frequencies(spectrum[:, None])
        level = 10 * np.log10(np.maximum(spectrum / spectrum.max(), 1e-6))
        axes.plot(f, level, color=colour, linewidth=1.0)
        for k, steps in _apart([(k, steps) for k, steps, _ in spectra.strong_periods(spectrum)], f, level):
            text = "DC" if k == 0 else f"{steps:.3g}"
            axes.annotate(
                text, (f[k], level[k]), (0, 3), textcoords="offset points", ha="center", fontsize=7, color=style.INK
            )
        axes.set_ylim(max(-40.0, level.min() - 2), 5)
        axes.set_ylabel(f"{name}\ndB re the peak")
    panels[-1].set_xlim(-0.006, 0.506)
    panels[-1].set_xlabel("cycles per step (numbers at the peaks: period in steps; grey: multiples of one bar)")
    return figure


def _apart(peaks: Sequence[tuple[int, float]], f: np.ndarray, level: np.ndarray) -> list[tuple[int, float]]:
    """The peaks whose labels have room, the higher of two that lie too close."""
    kept: list[tuple[int, float]] = []
    for k, steps in sorted(peaks, key=lambda peak: -level[peak[0]]):
        if all(abs(f[k] - f[other]) >= _LABEL_ROOM for other, _ in kept):
            kept.append((k, steps))
    return kept


def population(
    table: pd.DataFrame, units: pd.DataFrame, names: Sequence[str], threshold: float
) -> matplotlib.figure.Figure:
    """Returns the share of periodic units per site with intervals, and the distribution of the share in one tune."""
    figure = style.figure(width=style.PAGE, height=3.0)
    left, right = figure.subplots(1, 2)
    looks = (("periodic_units", "this period", style.ACCENT), ("bar_periodic_units", "own bar", style.PALETTE[0]))
    for side, (quantity, label, colour) in enumerate((*looks, ("chance", "chance", style.SOFT))):
        part = table[table["quantity"] == quantity].set_index("site").loc[list(names)]
        mean = part["mean"].to_numpy()
        error = np.nan_to_num(np.array([mean - part["low"], part["high"] - mean]).clip(min=0))
        places = np.arange(len(names)) + 0.18 * (side - 1)
        left.errorbar(places, mean, error, fmt="o", markersize=4, color=colour, capsize=2.5, label=label)
    left.set_xticks(range(len(names)), names)
    left.set_xlim(-0.5, len(names) - 0.5)
    left.set_ylim(0, None)
    left.set_ylabel("share of units that are periodic")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3, columnspacing=1.0, handletextpad=0.2)
    for name, colour in zip(names, style.PALETTE, strict=False):
        shares = np.sort(units.loc[units["site"] == name, "share"].dropna().to_numpy())[::-1]
        right.plot(np.arange(1, len(shares) + 1), shares, color=colour, label=name)
    right.axhline(threshold, color=style.INK, linewidth=0.7, linestyle=":")
    right.set_xlabel("unit, sorted (the tune shown)")
    right.set_ylabel("share of energy around the period")
    right.set_ylim(0, None)
    right.legend()
    return figure

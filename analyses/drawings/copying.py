"""Drawings of the analysis `copying`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.tables import rows_of
from folkrnn import style
from folkrnn.vocabulary import token_type

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

BARS_A_LINE = 4
CELL_INCHES = 0.42


def bars(bars: pd.DataFrame, nearest: Sequence[str], nearest_title: str) -> matplotlib.figure.Figure:
    """Returns the bars of a tune, coloured by how many data tunes hold them, beside those of the nearest data tune."""
    others = _bars(nearest)
    own = set(bars["tokens"])
    lines = max(1, *(math.ceil(n / BARS_A_LINE) for n in (len(bars), len(others))))
    figure = style.figure(height=0.64 + CELL_INCHES * lines)
    left, right = figure.subplots(1, 2)
    top = max(1.0, float(np.log10(1 + bars["tunes"].max()))) if len(bars) else 1.0
    cells: list[tuple[str, str, object]] = [
        (row.tokens, f"{row.tunes:,} ({row.tunes_same_place:,})", _shade(math.log10(1 + row.tunes) / top))
        for row in rows_of(bars)
    ]
    _draw_bars(left, cells, lines)
    left.set_title("the tune: data tunes that hold the bar (in the same place)")
    cells = [(text, "", _shade(0.5) if text in own else "white") for text in others]
    _draw_bars(right, cells, lines)
    right.set_title(f"nearest: {_short(nearest_title)}" if nearest_title else "no data tune shares an n-gram")
    return figure


def runs(tune: Sequence[str], table: pd.DataFrame, ngram: int) -> matplotlib.figure.Figure:
    """Returns, over the tokens of a tune, the longest copied run that covers each, and the data tunes of its n-gram."""
    figure = style.figure(height=3.35)
    upper, lower = figure.subplots(2, 1, sharex=True)
    length = np.zeros(len(tune), dtype=int)
    for start, run in enumerate(table["run"]):
        length[start : start + run] = np.maximum(length[start : start + run], run)
    places = np.arange(len(tune))
    upper.fill_between(places, length, step="mid", color=style.PALETTE[5], linewidth=0)
    upper.plot(places, length, drawstyle="steps-mid", color=style.PALETTE[0], linewidth=0.9)
    upper.set_ylim(0, None)
    upper.set_ylabel("longest copied run\nover this token")
    lower.bar(places, table["tunes"].fillna(0), 0.8, color=style.INK)
    lower.set_yscale("symlog", linthresh=1)
    lower.set_ylim(0, None)
    lower.set_ylabel(f"data tunes with the\n{ngram} tokens from here")
    for axes in (upper, lower):
        style.bar_lines(axes, tune)
    if len(tune):
        style.token_axis(lower, tune, axis="x")
    lower.set_xlabel("token of the tune")
    return figure


def population(seen: pd.DataFrame, real: pd.DataFrame) -> matplotlib.figure.Figure:
    """Returns the distributions of three quantities over the observed tunes and over data tunes."""
    figure = style.figure(height=2.55)
    names = {
        "longest_run": "longest copied run (tokens)",
        "bars_found": "share of bars found in the data",
        "nearest_similarity": "similarity of the nearest data tune",
    }
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (name, label) in zip(panels, names.items(), strict=True):
        for table, who, colour in ((seen, "observed", style.ACCENT), (real, "data", style.INK)):
            values = np.sort(table[name].dropna().to_numpy(float))
            if len(values):
                heights = np.arange(1, len(values) + 1) / len(values)
                axes.plot(values, heights, drawstyle="steps-post", color=colour, label=who)
        axes.set_xlabel(label)
        axes.set_ylim(0, 1.01)
    panels[0].set_xscale("log")
    panels[0].set_ylabel("share of tunes at or below")
    panels[0].legend(loc="lower right")
    return figure


def _bars(tune: Sequence[str]) -> list[str]:
    texts: list[list[str]] = [[]]
    for token in tune:
        if token_type(token) == "measure":
            texts.append([])
        else:
            texts[-1].append(token)
    return [" ".join(text) for text in texts if text]


def _draw_bars(axes: matplotlib.axes.Axes, cells: list[tuple[str, str, object]], lines: int) -> None:
    from matplotlib.patches import Rectangle

    for n, (tokens, below, colour) in enumerate(cells):
        x, y = n % BARS_A_LINE, n // BARS_A_LINE
        axes.add_patch(Rectangle((x + 0.01, y + 0.04), 0.98, 0.92, facecolor=colour, edgecolor=style.SOFT, lw=0.5))
        size = min(6.5, 6.5 * 20 / max(1, len(tokens)))
        middle = y + (0.36 if below else 0.5)
        axes.text(
            x + 0.5,
            middle,
            tokens,
            ha="center",
            va="center",
            fontsize=size,
            family="DejaVu Sans Mono",
            parse_math=False,
        )
        if below:
            axes.text(x + 0.5, y + 0.74, below, ha="center", va="center", fontsize=6)
    axes.set_xlim(0, BARS_A_LINE)
    axes.set_ylim(lines, 0)
    axes.set_axis_off()


def _shade(share: float) -> tuple[float, ...]:
    """White to light blue: dark letters stay readable on all of it."""
    white, blue = np.ones(3), np.array([0.45, 0.72, 0.92])
    return tuple(white + (blue - white) * min(1.0, max(0.0, share)))


def _short(text: str, longest: int = 50) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"

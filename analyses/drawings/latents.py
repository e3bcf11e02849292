"""How latents are drawn: each function fills one panel, so that figures and composites share them.

Neurons stand in order of mean σ and are numbered from 1 on the axes, as in the source paper; a dashed line stands after
the last music neuron.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from folkrnn import style
from folkrnn.melodies.grid import to_notes

if TYPE_CHECKING:
    import matplotlib.axes

REAL, RANDOM, CONTROL = style.PALETTE[0], style.PALETTE[1], "#8A929B"
"""Real melodies, random notes, and what is compared with both."""

MUSIC, NOISE = style.PALETTE[0], "#9AA3AD"


def boxes(axes: matplotlib.axes.Axes, values: np.ndarray, music: int, name: str) -> None:
    """Draws a box plot of each column of `values [N, neurons]`: quartiles, median, whiskers to 1.5 times their range.

    Whiskers end at the outermost value within that range; what lies beyond is not drawn.
    """
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    reach = 1.5 * (high - low)
    bottom = np.where(values >= low - reach, values, np.inf).min(0)
    top = np.where(values <= high + reach, values, -np.inf).max(0)
    places = np.arange(1, values.shape[1] + 1)
    colours = np.where(places <= music, MUSIC, NOISE)
    axes.vlines(places, bottom, top, color=colours, linewidth=0.6)
    axes.bar(places, high - low, bottom=low, width=0.72, color=colours, alpha=0.55, edgecolor=colours, linewidth=0.4)
    axes.hlines(middle, places - 0.36, places + 0.36, color=style.INK, linewidth=0.9)
    after_music(axes, music)
    axes.set_ylabel(name)
    neuron_axis(axes, values.shape[1])


def after_music(axes: matplotlib.axes.Axes, music: int, both: bool = False, at: float = 0.5) -> None:
    """Draws the dashed line after the last music neuron; with `both` across the y axis too."""
    axes.axvline(music + at, color=style.ACCENT, linestyle="--", linewidth=0.9)
    if both:
        axes.axhline(music + at, color=style.ACCENT, linestyle="--", linewidth=0.9)


def neuron_axis(axes: matplotlib.axes.Axes, count: int) -> None:
    """Numbers the neurons from 1 on the x axis."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if count / step <= 12)
    ticks = [1, *range(step, count + 1, step)] if step > 1 else list(range(1, count + 1))
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.set_xlim(0.2, count + 0.8)


def bars(axes: matplotlib.axes.Axes, values: np.ndarray, music: int, name: str) -> None:
    """Draws one bar per neuron."""
    places = np.arange(1, len(values) + 1)
    axes.bar(places, values, width=0.8, color=np.where(places <= music, MUSIC, NOISE))
    axes.set_ylabel(name)
    neuron_axis(axes, len(values))


def correlations(axes: matplotlib.axes.Axes, matrix: np.ndarray, music: int) -> Any:
    """Draws a matrix `[neurons, neurons]` of correlations; returns the image for its colour bar."""
    count = len(matrix)
    extent = (0.5, count + 0.5, count + 0.5, 0.5)
    image = axes.imshow(matrix, cmap=style.DIVERGING, vmin=-1, vmax=1, extent=extent)
    after_music(axes, music, both=True)
    neuron_axis(axes, count)
    axes.set_yticks(axes.get_xticks(), [label.get_text() for label in axes.get_xticklabels()])
    axes.set_xlim(0.5, count + 0.5)
    axes.set_ylim(count + 0.5, 0.5)
    axes.set_xlabel("neuron")
    axes.set_ylabel("neuron")
    return image


def densities(axes: matplotlib.axes.Axes, samples: Mapping[str, np.ndarray], bins: int = 50) -> None:
    """Draws overlaid histograms of real-valued samples, each of area 1, over the central 99.8 % of all together."""
    together = np.concatenate(list(samples.values()))
    low, high = np.quantile(together, [0.001, 0.999])
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    for (label, values), colour in zip(samples.items(), (REAL, RANDOM, CONTROL), strict=False):
        axes.hist(values, bins=edges.tolist(), density=True, color=colour, alpha=0.32, linewidth=0)
        axes.hist(values, bins=edges.tolist(), density=True, color=colour, histtype="step", linewidth=1.1, label=label)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlim(edges[0], edges[-1])


def counts(axes: matplotlib.axes.Axes, samples: Mapping[str, np.ndarray], of: int) -> None:
    """Draws overlaid histograms of whole numbers from 0 to `of`, each of area 1."""
    most = max(int(values.max()) for values in samples.values())
    least = min(int(values.min()) for values in samples.values())
    step = max(1, int(np.ceil((most - least + 1) / 45)))
    edges = np.arange(least, most + step + 1, step) - 0.5
    for (label, values), colour in zip(samples.items(), (REAL, RANDOM, CONTROL), strict=False):
        axes.hist(values, bins=edges.tolist(), density=True, color=colour, alpha=0.32, linewidth=0)
        axes.hist(values, bins=edges.tolist(), density=True, color=colour, histtype="step", linewidth=1.1, label=label)
    axes.set_xlim(edges[0], max(edges[-1], min(of, edges[-1]) + 0.5))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def roll(
    axes: matplotlib.axes.Axes,
    classes: np.ndarray,
    colour: str | tuple[float, float, float] = style.PALETTE[0],
    behind: np.ndarray | None = None,
) -> None:
    """Draws a melody as bars of pitch over sixteenths, with a line at every bar of 16; `behind` as outlines."""
    if behind is not None:
        for note in to_notes(behind):
            axes.barh(note.pitch, note.end - note.start, left=note.start, height=0.9, color="#D5DAE0")
    for note in to_notes(classes):
        axes.barh(note.pitch, note.end - note.start - 0.15, left=note.start, height=0.9, color=colour)
    for bar in range(0, len(classes) + 1, 16):
        axes.axvline(bar, color=style.SOFT, linewidth=0.6, zorder=0)
    axes.set_xlim(0, len(classes))
    axes.set_xticks(range(0, len(classes) + 1, 16 if len(classes) <= 64 else 64))


def pitch_range(melodies: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns limits of the pitch axis that hold all notes of `melodies`, at least an octave."""
    pitches = [note.pitch for classes in melodies for note in to_notes(classes)] or [60]
    low, high = min(pitches), max(pitches)
    spare = max(1.5, (12 - (high - low)) / 2)
    return low - spare, high + spare

"""Drawings of the analysis `latent_effect`: melodies before and after an intervention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.drawings.latents import pitch_range, roll
from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.figure

SIDES = (("observed", style.INK), ("control", style.PALETTE[0]), ("intervention", style.ACCENT))
"""Columns, and their colours."""


def before_and_after(
    rows: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], titles: Sequence[str]
) -> matplotlib.figure.Figure:
    """Returns a row of piano rolls per melody: as observed, written back, and written after the intervention."""
    figure = style.figure(height=0.48 + 1.05 * len(rows))
    panels = figure.subplots(len(rows), len(SIDES), sharex=True, sharey="row", squeeze=False)
    for line, melodies, title in zip(panels, rows, titles, strict=False):
        for axes, melody, (_, colour) in zip(line, melodies, SIDES, strict=True):
            behind = melodies[1] if colour == style.ACCENT else None
            roll(axes, melody, colour, behind)
        line[0].set_ylim(*pitch_range(melodies))
        line[0].set_title(title, loc="left", fontsize=7.5, color=style.INK, pad=2)
    for axes, (name, _) in zip(panels[0], SIDES, strict=True):
        axes.annotate(name, (0.5, 1.0), (0, 14), xycoords="axes fraction", textcoords="offset points", ha="center")
    figure.supxlabel("sixteenth")
    figure.supylabel("MIDI pitch")
    return figure

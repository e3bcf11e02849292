"""The same figure of several models, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.figure

WIDTH = 10.0


def stacked(pictures: Sequence[np.ndarray], labels: Sequence[str]) -> matplotlib.figure.Figure:
    """Returns the pictures `[H, W, 3]` one below the other in one width, each under its label."""
    heights = [0.3 + WIDTH * len(picture) / picture.shape[1] for picture in pictures]
    figure = style.figure(width=WIDTH, height=sum(heights))
    panels = figure.subplots(len(pictures), 1, squeeze=False, height_ratios=heights)
    for axes, picture, label in zip(panels.flat, pictures, labels, strict=True):
        axes.imshow(picture)
        axes.set_title(label)
        axes.set_axis_off()
    return figure

"""The values of single units over the tokens that they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.figure


def unit_traces(tokens: Sequence[str], rows: Sequence[tuple[np.ndarray, str, str]]) -> matplotlib.figure.Figure:
    """Returns one panel per row, (values `[T]`, colour, title), over the `tokens [T]` just read."""
    count = max(1, len(rows))
    figure = style.figure(height=0.76 * count + 0.64)
    panels = np.atleast_1d(figure.subplots(count, 1, sharex=True))
    for axes, (values, colour, title) in zip(panels, rows, strict=False):
        style.bar_lines(axes, tokens)
        axes.plot(values, color=colour, drawstyle="steps-mid")
        axes.set_title(title, loc="left", fontsize=7.5, parse_math=False)
        axes.tick_params(labelsize=6.5)
    style.token_axis(panels[-1], tokens)
    panels[-1].set_xlabel("token just read")
    return figure

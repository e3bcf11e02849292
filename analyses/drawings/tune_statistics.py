"""How tunes are compared with the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas as pd

PITCHES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
SIDES = {"observed": style.ACCENT, "data": style.INK}


def melody(compared: pd.DataFrame, pitch_use: Sequence[np.ndarray]) -> matplotlib.figure.Figure:
    """Draws the quantities of the melody with their intervals, and the time on each pitch class, both sides beside."""
    figure = style.figure(height=3.7)
    left, right = figure.subplots(1, 2, width_ratios=[1.0, 1.0])
    shares = compared[compared["quantity"] != "range"]
    names = list(dict.fromkeys(shares["words"]))
    for place, (side, colour) in enumerate(SIDES.items()):
        part = shares[shares["side"] == side].set_index("words").reindex(names)
        if part["value"].isna().all():
            continue
        value, low, high = (part[name].to_numpy(float) for name in ("value", "low", "high"))
        error = np.nan_to_num([np.maximum(value - low, 0), np.maximum(high - value, 0)])
        y = np.arange(len(names)) + 0.22 * place
        left.errorbar(value, y, xerr=error, fmt="o", markersize=4, color=colour, capsize=2, label=side)
    left.set_yticks(np.arange(len(names)) + 0.11, names, fontsize=7.5)
    left.invert_yaxis()
    left.set_xlim(-0.02, 1.02)
    left.set_xlabel("share")
    left.legend(frameon=False, loc="lower right")
    for place, (use, (side, colour)) in enumerate(zip(pitch_use, SIDES.items(), strict=False)):
        right.bar(np.arange(12) + 0.4 * place, use, 0.38, color=colour, label=side)
    right.set_xticks(np.arange(12) + 0.2 * (len(pitch_use) - 1), PITCHES)
    right.set_xlabel("pitch class")
    right.set_ylabel("share of the time")
    return figure

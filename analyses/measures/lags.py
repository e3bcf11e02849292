"""Does a unit follow the tokens that are read, or announce those that are written?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def lag_correlation(values: np.ndarray, event: Sequence[bool] | np.ndarray, reach: int) -> np.ndarray:
    """Returns Pearson's r of each unit's value at row t with "token t + lag is an event", `[2·reach + 1, H]`.

    `values [N − 1, H]` has row t after token t of `event [N]`. NaN where a unit is constant, or no token or every token
    within sight is an event.
    """
    marks = np.asarray(event, dtype=float)
    found = np.full((2 * reach + 1, values.shape[1]), np.nan)
    for place, lag in enumerate(range(-reach, reach + 1)):
        first, last = max(0, -lag), min(len(values), len(marks) - lag)
        if last - first < 3:
            continue
        x = values[first:last] - values[first:last].mean(0, dtype=float)
        y = marks[first + lag : last + lag] - marks[first + lag : last + lag].mean()
        spread = np.sqrt((x**2).sum(0) * (y**2).sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            found[place] = np.where(spread > 1e-12, (x * y[:, None]).sum(0) / spread, np.nan)
    return found

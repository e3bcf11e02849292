"""How much of a long tune is drawn: a figure with a row for each of 20,000 steps is one that nothing opens."""

from __future__ import annotations

import numpy as np

LONGEST = 400
"""Steps that a figure shows one by one, at most: more than two tunes of usual length."""

LINES = 200
"""Steps of a figure of a whole tune, at most."""


def shown(steps: int) -> slice:
    """Returns which of so many steps a figure of single steps shows: all of them, or the first LONGEST."""
    return slice(0, min(steps, LONGEST))


def said(steps: int) -> str:
    """Returns the sentence of a caption that says which are shown, with a space before it; "" where all are."""
    return "" if steps <= LONGEST else f" Of its {steps:,} steps the figure shows the first {LONGEST}."


def spread(steps: int) -> np.ndarray:
    """Returns at most LINES steps, evenly spread over all of them, ascending."""
    return np.unique(np.linspace(0, steps - 1, min(steps, LINES)).astype(int))


def said_of_lines(steps: int) -> str:
    """Returns the sentence that says so, with a space before it; "" where all have a line."""
    return "" if steps <= LINES else f" Of its {steps:,} steps {LINES}, evenly spread, are shown sorted."

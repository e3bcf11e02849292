"""What an analysis returns: numbers, pictures, tables and arrays, ready to be filed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import matplotlib.figure
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Figure:
    """A drawing and the sentence that belongs under it."""

    drawing: matplotlib.figure.Figure
    caption: str


@dataclass
class Findings:
    """The answer of one analysis.

    Names are relative to the analysis: the tracker files `metrics["entropy"]` of the analysis `posterior` as
    `posterior/entropy`. The first figure is the main one, shown side by side in the compare view of MLflow.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    """One entry per `.npz` file: its name and the arrays in it."""

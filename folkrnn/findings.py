"""What an analysis returns: numbers, pictures, tables and arrays, ready to be filed."""

# pyright: reportUnknownVariableType=false, reportMissingTypeStubs=false
# `field(default_factory=dict)` says nothing of what is in it; the annotation does

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from folkrnn.style import entitle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import matplotlib.figure
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Figure:
    """A drawing, the sentence that belongs under it, and its title: the quantity that is shown, or what was found.

    The title is written on the drawing.
    """

    drawing: matplotlib.figure.Figure
    caption: str
    title: str = ""

    def __post_init__(self) -> None:
        if self.title:
            entitle(self.drawing, self.title)


@dataclass(frozen=True, eq=False)
class Animation:
    """Drawings of one size that follow each other in a loop, and the sentence that belongs under them."""

    frames: Sequence[matplotlib.figure.Figure]
    caption: str
    seconds: float | Sequence[float] = 1.0
    """How long each is shown: one time for all, or one for each."""


FEW = 4
"""Main numbers of findings that name none."""


@dataclass(frozen=True)
class Main:
    """One of the few numbers that answer the question of an analysis: a metric of the run, and a sentence."""

    says: str
    """The sentence without its full stop; the number stands at `{}`, as a share at `{:%}`."""
    beside: str = ""
    """Another number of the same analysis to compare it with, if there is one."""
    of: str = ""
    """What that one is of: "the data", "chance"."""


@dataclass
class Findings:
    """The answer of one analysis.

    Names are relative to the analysis: the tracker files `metrics["entropy"]` of the analysis `posterior` as
    `posterior/entropy` (in `tables/metrics.csv`, and in MLflow where it is a main one); the ends of its 95 % interval
    are `metrics["entropy_low"]` and `metrics["entropy_high"]`, left out where there is none. The first
    figure is the main one, shown side by side in the compare view of MLflow.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    arrays: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    """One entry per `.npz` file: its name and the arrays in it."""
    lists: dict[str, list[str]] = field(default_factory=dict)
    """Answers that are no number, the foremost first: tokens, units, periods. Filed as a table, read by claims."""
    pages: dict[str, str] = field(default_factory=dict)
    """HTML pages that ask for nothing outside themselves, for what a figure cannot hold (scores side by side)."""
    animations: dict[str, Animation] = field(default_factory=dict)
    null: dict[str, float] = field(default_factory=dict)
    """Of an intervention: the same metrics where nothing was changed. Filed beside the others; read by claims."""
    main: Mapping[str, Main] | None = None
    """Which of `metrics` are metrics of the run in MLflow, the foremost first; the others are in its table of numbers.
    None: the first FEW of them."""

    @property
    def foremost(self) -> list[str]:
        """The names of the main numbers."""
        if self.main is not None:
            return list(self.main)
        return [name for name in self.metrics if not name.endswith(("_low", "_high"))][:FEW]

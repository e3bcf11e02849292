"""Numbers of many tunes: how each is distributed over them, with its mean and the interval of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

BINS = 24


@dataclass(frozen=True)
class TuneValues:
    """A number that every tune has, of one thing or of several side by side (layers, places)."""

    label: str
    values: Mapping[str, np.ndarray]
    """By the name of the thing, "" where there is only one: a value for each tune, NaN where it has none."""
    means: Mapping[str, tuple[float, float, float]]
    """Mean over tunes and the ends of its 95 % interval."""


def distributions(quantities: Sequence[TuneValues]) -> matplotlib.figure.Figure:
    """Returns one histogram over tunes for each quantity: line and band are the mean and its 95 % interval."""
    columns = min(3, len(quantities))
    rows = -(-len(quantities) // columns)
    lines = max(len(quantity.values) for quantity in quantities)
    figure = style.figure(height=0.2 + (1.7 + 0.1 * lines) * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, quantity in zip(panels, quantities, strict=False):
        _draw(axes, quantity)
    for axes in panels[len(quantities) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        axes.set_ylabel("tunes")
    return figure


def _draw(axes: matplotlib.axes.Axes, quantity: TuneValues) -> None:
    known = {name: values[np.isfinite(values)] for name, values in quantity.values.items()}
    together = np.concatenate(list(known.values()))
    axes.set_xlabel(quantity.label)
    if not len(together):
        axes.text(0.5, 0.5, "no tune has one", transform=axes.transAxes, ha="center")
        return
    if np.ptp(together) == 0:
        said = f"{together[0]:g} in {'the one tune' if len(together) == 1 else f'each of {len(together)} tunes'}"
        axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center")
        axes.set_yticks([])
        axes.set_xticks([])
        return
    bins = _bins(together)
    single, told = len(known) == 1, []
    for colour, (name, values) in zip(style.PALETTE, known.items(), strict=False):
        filled: dict[str, Any] = (
            {"color": style.SOFT} if single else {"color": colour, "histtype": "step", "linewidth": 1.2}
        )
        axes.hist(values, bins.tolist(), **filled)
        mean, start, stop = quantity.means[name]
        line = style.ACCENT if single else colour
        said = f"{mean:.3g}" + (f" ({start:.3g} to {stop:.3g})" if np.isfinite(start) else "")
        axes.axvline(mean, color=line, linewidth=1.1, linestyle="-" if single else "--", label=name)
        told.append(f"{name} {said}".strip())
        if np.isfinite(start):
            axes.axvspan(start, stop, color=line, alpha=0.22, linewidth=0)
    axes.set_title("\n".join(told), fontsize=6.5, loc="left", pad=3)
    if not single:
        axes.legend(fontsize=6.5, handlelength=1.2, labelspacing=0.25)


def _bins(values: np.ndarray) -> np.ndarray:
    """Edges of at most BINS bins; of counts, whole numbers lie in the middle of one."""
    low, high = float(values.min()), float(values.max())
    if (values == np.round(values)).all():
        width = max(1, int(np.ceil((high - low + 1) / BINS)))
        return np.arange(low - 0.5, high + width + 0.5, width)
    alike = high - low < 1e-6 * max(1.0, abs(high))
    margin = 0.5 * max(1.0, abs(high)) if alike else 0.0
    return np.linspace(low - margin, high + margin, BINS + 1)


def of(label: str, table: pd.DataFrame, metrics: Mapping[str, float], columns: Mapping[str, str]) -> TuneValues:
    """Returns a quantity from a table of tunes and its metrics; `columns` says in which column each thing stands."""
    values = {name: table[column].to_numpy(float) for name, column in columns.items()}
    return TuneValues(label, values, {name: interval_of(metrics, column) for name, column in columns.items()})


def interval_of(metrics: Mapping[str, float], name: str) -> tuple[float, float, float]:
    """Returns (value, low, high) of a metric; NaN for what is not there."""
    value, low, high = (metrics.get(f"{name}{end}", float("nan")) for end in ("", "_low", "_high"))
    return value, low, high

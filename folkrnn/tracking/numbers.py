"""All numbers that the analyses of a run found: a few become its metrics in MLflow, all of them one table."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from folkrnn.tracking.names import allowed_name

if TYPE_CHECKING:
    import pandas as pd

    from folkrnn.findings import Findings

MOST = 25
"""Metrics of a run in MLflow, which shows each as a row, a chart and a column."""

DIGITS = 4
"""Significant digits of a metric without an interval."""

TABLE = "tables/metrics.csv"

_ENDS = ("_low", "_high")


@dataclass
class Numbers:
    """The numbers of a run by `<analysis>/<quantity>`."""

    values: dict[str, float] = field(default_factory=dict)
    """The ends of intervals stand under the name with `_low` and `_high`."""
    main: dict[str, list[str]] = field(default_factory=dict)
    """By analysis, the foremost first."""
    controls: dict[str, dict[str, float]] = field(default_factory=dict)
    """By control (untrained, shuffled, unchanged) the same numbers."""

    def add(self, analysis: str, findings: Findings) -> None:
        """Takes in what an analysis found."""
        self.values |= named(analysis, findings.metrics)
        main = [allowed_name(f"{analysis}/{quantity}") for quantity in findings.foremost]
        self.main.setdefault(analysis, []).extend(main)
        if findings.null:
            self.beside("unchanged", analysis, findings.null)

    def beside(self, control: str, analysis: str, metrics: Mapping[str, float]) -> None:
        """Takes in what the same analysis found on a control."""
        self.controls.setdefault(control, {}).update(named(analysis, metrics))

    def chosen(self, room: int, always: Collection[str] = ()) -> dict[str, float]:
        """Returns at most `room` main numbers, rounded: the first of each analysis, then the second of each, ….

        Those that are `always` wanted come first. What is not finite is none.
        """
        turns = [names[turn : turn + 1] for turn in range(MOST) for names in self.main.values()]
        wanted = [name for name in always if name in self.values] + [name for turn in turns for name in turn]
        finite = [name for name in dict.fromkeys(wanted) if math.isfinite(self.values.get(name, math.nan))]
        return {name: meaningful(self.values[name], *self.interval(name)) for name in finite[: max(0, room)]}

    def interval(self, name: str) -> tuple[float, float]:
        """Returns the ends of the interval of a number; NaN where it has none."""
        low, high = (self.values.get(f"{name}{end}", math.nan) for end in _ENDS)
        return low, high

    def table(self) -> pd.DataFrame:
        """Returns one row for each number: `name`, `value`, `low`, `high`, `control`, `control_is`.

        The control's value is that which lies nearest, where there are several; which one it is, `control_is` says, and
        each has a column of its own.
        """
        import pandas as pd

        rows = [(name, self.values[name], *self.interval(name), *self._nearest(name)) for name in self._whole()]
        table = pd.DataFrame(rows, columns=["name", "value", "low", "high", "control", "control_is"])
        if len(self.controls) > 1:
            for control, values in self.controls.items():
                table[control] = [values.get(name, math.nan) for name in table["name"]]
        return table

    def _whole(self) -> list[str]:
        """The names of all numbers but the ends of intervals."""
        return [
            name
            for name in self.values
            if not any(name.endswith(end) and name.removesuffix(end) in self.values for end in _ENDS)
        ]

    def _nearest(self, name: str) -> tuple[float, str]:
        there = {of: values[name] for of, values in self.controls.items() if math.isfinite(values.get(name, math.nan))}
        if not there:
            return math.nan, ""
        nearest = min(there, key=lambda of: abs(there[of] - self.values[name]))
        return there[nearest], nearest


def named(analysis: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns the numbers of an analysis under the names that MLflow takes."""
    return {allowed_name(f"{analysis}/{quantity}"): float(value) for quantity, value in metrics.items()}


def meaningful(value: float, low: float = math.nan, high: float = math.nan) -> float:
    """Returns a number with as many digits as its interval leaves meaning: two of the half-width's; else four in all.

    Whole numbers stay as they are.
    """
    if not math.isfinite(value) or value == int(value):
        return value
    half = (high - low) / 2
    if half > 0 and math.isfinite(half):
        return round(value, 1 - math.floor(math.log10(half)))
    return float(f"{value:.{DIGITS}g}")

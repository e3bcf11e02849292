"""The sides of a comparison next to one another: value and interval of each, and of what lies between two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyses.measures import multiple, paired

SIDES = {"changed": "", "control": "control_", "matched": "matched_", "resumed": "resumed_", "null": "null_"}
"""Column of a table, and what the names of its metrics begin with."""

DIFFERENCES = (
    ("difference", "changed", "control"),
    ("matched_difference", "matched", "control"),
    ("beyond_matched", "changed", "matched"),
    ("resumed_difference", "resumed", "control"),
    ("beyond_resumed", "changed", "resumed"),
    ("beyond_null", "changed", "null"),
)
"""Name, and the two sides of which it is the difference."""

Sums = np.ndarray | Sequence[np.ndarray]
"""Both sums of every quantity of every tune, `[N, Q, 2]`; a list of them where a side was drawn several times."""

Each = dict[str, np.ndarray]
"""By side: values `[Q]`, or bootstrap samples `[R, Q]`."""


def resampled(sums: Mapping[str, Sums], weights: np.ndarray, rng: np.random.Generator) -> tuple[Each, Each]:
    """Returns the ratio of each quantity on each side that is there, and their bootstrap samples of the same tunes."""
    values, samples = {}, {}
    for side, part in sums.items():
        if isinstance(part, np.ndarray):
            values[side], samples[side] = paired.ratios(part), paired.resampled(part, weights)
        elif len(part):
            values[side] = np.mean([paired.ratios(one) for one in part], axis=0)
            samples[side] = paired.resampled_draws(part, weights, rng)
    return values, samples


def columns(values: Each, samples: Each) -> dict[str, np.ndarray]:
    """Returns every side and difference with its interval, `[Q]` each; NaN where there is no such side.

    Of a difference also its p-value against none, alone and corrected for the number of quantities (Holm).
    """
    found: dict[str, np.ndarray] = {}
    nothing = np.full(len(values["changed"]), np.nan)
    for side in SIDES:
        found |= with_ends(side, values.get(side, nothing), samples.get(side))
    for name, one, other in DIFFERENCES:
        if one in values and other in values:
            found |= with_ends(name, values[one] - values[other], samples[one] - samples[other])
            found[f"{name}_p"] = multiple.two_sided(samples[one] - samples[other])
            found[f"{name}_p_holm"] = multiple.holm(found[f"{name}_p"])
        else:
            found |= with_ends(name, nothing, None) | {f"{name}_p": nothing, f"{name}_p_holm": nothing}
    return found


def with_ends(name: str, value: np.ndarray, samples: np.ndarray | None) -> dict[str, np.ndarray]:
    """Returns columns of a value `[Q]` and of the ends of its interval; NaN without samples."""
    nothing = np.full(len(value), np.nan)
    low, high = (nothing, nothing) if samples is None else paired.ends(samples)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def falls_and_rises(before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the share of tunes in which each quantity is lower after, and in which it is higher, `[Q]`.

    Of tunes that have the quantity on both sides, `[N, Q, 2]` each; NaN where there is none.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        one, other = (part[..., 0] / part[..., 1] for part in (before, after))
        known = (np.isfinite(one) & np.isfinite(other)).sum(0)
        return {"falls": (other < one).sum(0) / known, "rises": (other > one).sum(0) / known}


def metrics(table: pd.DataFrame) -> dict[str, float]:
    """Returns the value of each quantity on each side and the differences, with their intervals, where there are any.

    A quantity of the intervention has its own name, what else there is stands before it: `difference_full_bars_low`.
    """
    found: dict[str, Any] = {}
    for row in table.to_dict("records"):
        name = row["quantity"]
        prefixes = SIDES | {difference: f"{difference}_" for difference, _, _ in DIFFERENCES}
        for side, prefix in prefixes.items():
            found |= {f"{prefix}{name}{end}": row[f"{side}{end}"] for end in ("", "_low", "_high")}
        found |= {f"{name}_{way}": row[way] for way in ("falls", "rises")}
    return {key: float(value) for key, value in found.items() if np.isfinite(value)}

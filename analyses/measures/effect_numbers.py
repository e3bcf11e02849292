"""What the comparison of an intervention with its control is filed as: metrics, tables, arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analyses.measures import divergence, paired
from analyses.measures.counting import late_counts, since_counts
from analyses.measures.tune_sums import NAMES, TuneSums, tokens_of
from folkrnn.observation.observation import Observation


def ability_metrics(abilities: pd.DataFrame) -> dict[str, float]:
    """Returns what is kept of counting and melody: after the intervention, random units, and where nothing changed.

    `counting_beyond_null` is what is kept less what is kept where nothing changed, and so on; `melody_beyond_counting`
    how much more is kept of melody than of counting, each beyond that.
    """
    found = {}
    for row in abilities.to_dict("records"):
        name = row["ability"]
        for side, label in KEPT.items():
            ends = {"": row[side], "_low": row[f"{side}_low"], "_high": row[f"{side}_high"]}
            found |= {f"{label.format(name)}{end}": value for end, value in ends.items()}
    keys = ("counting_kept", "melody_kept", "counting_beyond_null", "melody_beyond_null")
    keys = (*keys, "matched_counting_kept", "matched_melody_kept")
    first = {name: found[name] for name in keys if np.isfinite(found[name])}
    return first | {name: value for name, value in found.items() if np.isfinite(value)}


KEPT = {
    "changed": "{}_kept",
    "matched": "matched_{}_kept",
    "null": "null_{}_kept",
    "beyond_null": "{}_beyond_null",
    "beyond_matched": "{}_beyond_matched",
}
"""Column of the table of abilities, and the metric that it becomes."""


def departure_metrics(parts: pd.DataFrame, heard: TuneSums) -> dict[str, float]:
    """Returns the divergence of distributions and its parts, and when the tunes leave the control."""
    found = {}
    for row in parts.to_dict("records"):
        name = "kl" if row["part"] == "all" else f"kl_{row['part']}"
        for side, prefix in (("changed", ""), ("matched", "matched_")):
            if np.isfinite(row[side]):
                found[f"{prefix}{name}"] = row[side]
                if row["part"] == "all":
                    found |= {f"{prefix}{name}_{end}": row[f"{side}_{end}"] for end in ("low", "high")}
    sides = {"": heard.apart} | ({"matched_": np.concatenate(heard.matched_apart)} if heard.matched_apart else {})
    for prefix, apart in sides.items():
        found[f"{prefix}departed"] = float(np.isfinite(apart).mean())
        median = float(np.quantile(apart, 0.5, method="lower"))
        if np.isfinite(median):
            found[f"{prefix}departure_step"] = median
    return found


def late_metrics(
    observation: Observation,
    control: Observation,
    late: int,
    since: int | None,
    resamples: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Returns the share of full bars among those after the number `late`, and from token `since` on, on both sides.

    `full_bars_late_beyond` is the share late less that of all bars of the control, `full_bars_since_beyond` that from
    `since` on less the control's from there on. Intervals resample tunes in pairs.
    """
    counts = {"full_bars_late": late_counts(tokens_of(observation), late)}
    others = {"full_bars_late": late_counts(tokens_of(control), 0)}
    found = with_interval("control_full_bars_late", late_counts(tokens_of(control), late), None, resamples, rng)
    if since is not None:
        counts["full_bars_since"] = since_counts(tokens_of(observation), since)
        others["full_bars_since"] = since_counts(tokens_of(control), since)
        found |= with_interval("control_full_bars_since", others["full_bars_since"], None, resamples, rng)
    for name, own in counts.items():
        found |= with_interval(name, own, None, resamples, rng)
        found |= with_interval(f"{name}_beyond", own, others[name], resamples, rng)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def with_interval(
    name: str, own: np.ndarray, other: np.ndarray | None, resamples: int, rng: np.random.Generator
) -> dict[str, float]:
    """Returns Σ above / Σ below of counts `[N, 2]`, less that of `other`, as a metric with the ends of its interval."""
    weights = paired.tune_weights(len(own), resamples, rng)
    sums = [own[:, None, :], *([] if other is None else [other[:, None, :]])]
    value, *minus = (float(paired.ratios(part)[0]) for part in sums)
    samples, *less = (paired.resampled(part, weights)[:, 0] for part in sums)
    low, high = paired.ends((samples - sum(less))[:, None])
    return {name: value - sum(minus), f"{name}_low": float(low[0]), f"{name}_high": float(high[0])}


def tune_table(heard: TuneSums) -> pd.DataFrame:
    """Returns one row per tune: where it leaves the control, and each quantity before and after."""
    columns: dict[str, Any] = {"tune": np.arange(len(heard.apart)), "departs_at": heard.apart}
    for place, name in enumerate(NAMES):
        for side, part in (("control", heard.control), ("changed", heard.changed), ("resumed", heard.resumed)):
            if part is None:
                continue
            with np.errstate(invalid="ignore", divide="ignore"):
                columns[f"{name}_{side}"] = part[:, place, 0] / part[:, place, 1]
    return pd.DataFrame(columns)


def arrays_of(heard: TuneSums, distributions: divergence.Distributions) -> dict[str, np.ndarray]:
    """Returns what a comparison of several runs needs: the sums of every tune under every condition."""
    found = {
        "quantities": np.array(NAMES),
        "control": heard.control,
        "changed": heard.changed,
        "floor": heard.floor,
        "departs_at": heard.apart,
        "divergence": distributions.changed,
    }
    if heard.resumed is not None:
        found["resumed"] = heard.resumed
    if heard.null is not None:
        found["null"] = heard.null
    if heard.matched:
        found["matched"] = np.stack(heard.matched)
        found["matched_divergence"] = np.stack(distributions.matched)
    return found

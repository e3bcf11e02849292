"""What the comparison of an intervention with its control is filed as: metrics, tables, arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analyses.measures import departure
from analyses.measures.counting import late_share, share_since
from analyses.measures.heard import NAMES, Heard, tokens_of
from folkrnn.observation.observation import Observation


def ability_metrics(abilities: pd.DataFrame) -> dict[str, float]:
    """Returns what is kept of counting and melody, after the intervention, random units and a resumed control."""
    found = {}
    for row in abilities.to_dict("records"):
        for side, prefix in (("changed", ""), ("matched", "matched_"), ("resumed", "resumed_")):
            ends = {"": row[side], "_low": row[f"{side}_low"], "_high": row[f"{side}_high"]}
            found |= {f"{prefix}{row['ability']}_kept{end}": value for end, value in ends.items()}
    keys = ("counting_kept", "melody_kept", "matched_counting_kept", "matched_melody_kept")
    first = {name: found[name] for name in keys if np.isfinite(found[name])}
    return first | {name: value for name, value in found.items() if np.isfinite(value)}


def departure_metrics(parts: pd.DataFrame, heard: Heard) -> dict[str, float]:
    """Returns the divergence of laws and its parts, and when the tunes leave the control."""
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


def late_metrics(observation: Observation, control: Observation, late: int, since: int | None) -> dict[str, float]:
    """Returns the share of full bars among those after the number `late`, and from token `since` on, on both sides."""
    found = {}
    for side, o in {"": observation, "control_": control}.items():
        tunes = tokens_of(o)
        found[f"{side}full_bars_late"] = late_share(tunes, late)
        if since is not None:
            found[f"{side}full_bars_since"] = share_since(tunes, since)
    return {name: value for name, value in found.items() if np.isfinite(value)}


def tune_table(heard: Heard) -> pd.DataFrame:
    """Returns one row per tune: where it leaves the control, and each quantity before and after."""
    columns: dict[str, Any] = {"tune": np.arange(len(heard.apart)), "departs_at": heard.apart}
    for place, name in enumerate(NAMES):
        for side, part in (("control", heard.control), ("changed", heard.changed), ("resumed", heard.resumed)):
            if part is None:
                continue
            with np.errstate(invalid="ignore", divide="ignore"):
                columns[f"{name}_{side}"] = part[:, place, 0] / part[:, place, 1]
    return pd.DataFrame(columns)


def arrays_of(heard: Heard, laws: departure.Laws) -> dict[str, np.ndarray]:
    """Returns what a comparison of several runs needs: the sums of every tune under every condition."""
    found = {
        "quantities": np.array(NAMES),
        "control": heard.control,
        "changed": heard.changed,
        "floor": heard.floor,
        "departs_at": heard.apart,
        "divergence": laws.changed,
    }
    if heard.resumed is not None:
        found["resumed"] = heard.resumed
    if heard.matched:
        found["matched"] = np.stack(heard.matched)
        found["matched_divergence"] = np.stack(laws.matched)
    return found

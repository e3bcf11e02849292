"""How much of an intervention can a model bear? The conditions of a sweep beside one another, and where each ability is
half lost.

Definitions: what is kept of counting and of melody is that of `analyses.effect`, over the tunes of all seeds together;
what chance alone takes from them, which is seen where nothing is changed, is added again, so that no change keeps 1.
The dose at which half is lost is where the straight lines between neighbouring doses first cross one half, coming from
the side where more is kept; a share that is cut starts from 1 at dose 0. Intervals resample tunes, the same ones at
every dose, and for random units the draws; ∞ stands for "not within the doses tried".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analyses.drawings import dose_response as draw
from analyses.measures import divergence, paired
from analyses.measures.tune_sums import ABILITIES, ability_kept, floors_of
from folkrnn.findings import Figure, Findings

HALF = 0.5
NO_DOSES = frozenset(
    {"seed", "layer", "units", "components", "tunes", "max_tokens", "period", "steps", "bars", "parts"}
)
"""Last words of settings that are numbers and no amounts."""
RESAMPLES = 1000
MATCHED = "random units"


@dataclass(frozen=True)
class Condition:
    """One job of a sweep: what was varied in it, and the arrays `tunes` of its analysis `effect`."""

    varied: Mapping[str, str]
    """RunContext to value as typed, those that differ between the jobs."""
    tunes: Mapping[str, np.ndarray]


@dataclass
class DoseCurve:
    """An ability of one series over its doses."""

    doses: np.ndarray
    kept: dict[str, np.ndarray]
    """By ability, `[D]`."""
    samples: dict[str, np.ndarray]
    """By ability, of every bootstrap sample, `[R, D]`."""
    divergence: np.ndarray
    """Nats per step, `[D]`."""
    divergence_samples: np.ndarray
    tunes: list[int] = field(default_factory=list)


def dose_key(conditions: Sequence[Condition]) -> str | None:
    """Returns the setting that is the dose: of those varied, the amount with most values; None where there is none."""
    values: dict[str, set[str]] = {}
    for condition in conditions:
        for key, value in condition.varied.items():
            values.setdefault(key, set()).add(value)
    numeric = [
        key for key, found in values.items() if key.split(".")[-1] not in NO_DOSES and all(map(_is_number, found))
    ]
    several = [key for key in numeric if len(values[key]) > 1]
    return max(several, key=lambda key: len(values[key]), default=None)


def compare(conditions: Sequence[Condition], rng: np.random.Generator) -> Findings | None:
    """Returns the curves of all series and the doses at which half is lost; None where no number was varied."""
    key = dose_key(conditions)
    if key is None:
        return None
    curves: dict[str, DoseCurve] = {}
    for name, members in _series(conditions, key).items():
        curves[name] = _curve(members, key, rng, matched=False)
        if all("matched" in condition.tunes for condition in members):
            curves[f"{name}: {MATCHED}" if name else MATCHED] = _curve(members, key, rng, matched=True)
    table = pd.concat([_rows(name, curve) for name, curve in curves.items()], ignore_index=True)
    halves = pd.DataFrame([_half(name, ability, curve, key) for name, curve in curves.items() for ability in ABILITIES])
    return Findings(
        metrics=_metrics(halves),
        figures={
            "dose_response": Figure(
                draw.curves(table, halves, key),
                _caption(halves, key, curves),
                title="What is kept of each ability as the dose grows",
            )
        },
        tables={"dose_response": table, "half_doses": halves},
    )


def crossing(doses: np.ndarray, kept: np.ndarray, level: float = HALF) -> float:
    """Returns the dose at which `kept` first falls to `level`, coming from the end where more is kept; ∞ for none.

    Between neighbouring doses the curve is a straight line.
    """
    order = np.argsort(doses)
    x, y = np.asarray(doses, float)[order], np.asarray(kept, float)[order]
    known = np.isfinite(y)
    x, y = x[known], y[known]
    if not len(x):
        return float("nan")
    if y[-1] > y[0]:
        x, y = x[::-1], y[::-1]
    below = np.flatnonzero(y <= level)
    if not len(below):
        return float("inf")
    k = int(below[0])
    if k == 0:
        return float(x[0]) if y[0] == level else float("nan")  # half is lost before the first dose
    return float(x[k - 1] + (y[k - 1] - level) / (y[k - 1] - y[k]) * (x[k] - x[k - 1]))


def _series(conditions: Iterable[Condition], key: str) -> dict[str, list[Condition]]:
    """Conditions by what else was varied, but the seed."""
    found: dict[str, list[Condition]] = {}
    for condition in conditions:
        others = [
            value if name == "intervention" else f"{name}={value}"
            for name, value in condition.varied.items()
            if name not in (key, "seed")
        ]
        found.setdefault(", ".join(others), []).append(condition)
    return found


def _curve(members: Sequence[Condition], key: str, rng: np.random.Generator, matched: bool) -> DoseCurve:
    """The curve of one series; the tunes of a seed are resampled alike at every dose."""
    doses = sorted({float(condition.varied[key]) for condition in members})
    weights: dict[str, np.ndarray] = {}
    for condition in members:
        seed = condition.varied.get("seed", "")
        weights.setdefault(seed, paired.tune_weights(len(condition.tunes["control"]), RESAMPLES, rng))
    curve = DoseCurve(np.array(doses), {}, {}, np.zeros(len(doses)), np.zeros((RESAMPLES, len(doses))))
    curve.kept = {name: np.zeros(len(doses)) for name in ABILITIES}
    curve.samples = {name: np.zeros((RESAMPLES, len(doses))) for name in ABILITIES}
    for place, dose in enumerate(doses):
        here = [condition for condition in members if float(condition.varied[key]) == dose]
        w = np.concatenate([weights[condition.varied.get("seed", "")] for condition in here], axis=1)
        _fill(curve, place, here, w, rng, matched)
    return curve


def _fill(
    curve: DoseCurve, place: int, here: Sequence[Condition], w: np.ndarray, rng: np.random.Generator, matched: bool
) -> None:
    """Writes one dose of a curve."""
    control, floor = (np.concatenate([c.tunes[name] for c in here]) for name in ("control", "floor"))
    control_values, control_samples = paired.ratios(control), paired.resampled(control, w)
    floor_values, floor_samples = floors_of(floor, w)
    values, samples = _side(here, "matched" if matched else "changed", w, rng)
    null = _side(here, "null", w, rng) if all("null" in condition.tunes for condition in here) else None
    for ability, names in ABILITIES.items():
        curve.kept[ability][place] = ability_kept(values, control_values, floor_values, names)
        curve.samples[ability][:, place] = ability_kept(samples, control_samples, floor_samples, names)
        if null is not None:
            curve.kept[ability][place] += 1 - ability_kept(null[0], control_values, floor_values, names)
            curve.samples[ability][:, place] += 1 - ability_kept(null[1], control_samples, floor_samples, names)
    distributions = "matched_divergence" if matched else "divergence"
    read = [c.tunes[distributions] for c in here]
    whole = np.concatenate([part.mean(0) if matched else part for part in read])
    column = divergence.PARTS.index("all")
    curve.divergence[place] = paired.ratios(whole)[column]
    own = paired.tune_weights(len(whole), RESAMPLES, rng)
    curve.divergence_samples[:, place] = paired.resampled(whole, own)[:, column]
    curve.tunes.append(len(control))


def _side(
    here: Sequence[Condition], side: str, w: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Ratios `[Q]` and their samples `[R, Q]` of one side over the tunes of all seeds."""
    if side != "matched":
        sums = np.concatenate([c.tunes[side] for c in here])
        return paired.ratios(sums), paired.resampled(sums, w)
    draws = min(len(c.tunes["matched"]) for c in here)
    each = [np.concatenate([c.tunes["matched"][d] for c in here]) for d in range(draws)]
    return np.mean([paired.ratios(sums) for sums in each], axis=0), paired.resampled_draws(each, w, rng)


def _rows(name: str, curve: DoseCurve) -> pd.DataFrame:
    columns: dict[str, Any] = {"series": name, "dose": curve.doses, "tunes": curve.tunes}
    for ability in ABILITIES:
        low, high = paired.ends(curve.samples[ability])
        columns |= {ability: curve.kept[ability], f"{ability}_low": low, f"{ability}_high": high}
    low, high = paired.ends(curve.divergence_samples)
    return pd.DataFrame(columns | {"divergence": curve.divergence, "divergence_low": low, "divergence_high": high})


def _half(name: str, ability: str, curve: DoseCurve, key: str) -> dict[str, Any]:
    """The dose at which half of an ability is lost, with the interval over bootstrap samples."""
    from_zero = key.rsplit(".", 1)[-1] == "fraction"
    doses = np.concatenate([[0.0], curve.doses]) if from_zero else curve.doses
    start = [1.0] if from_zero else []
    value = crossing(doses, np.concatenate([start, curve.kept[ability]]))
    samples = np.array([crossing(doses, np.concatenate([start, row])) for row in curve.samples[ability]])
    known = samples[~np.isnan(samples)]
    low, high = np.quantile(known, paired.ENDS, method="nearest") if len(known) else (np.nan, np.nan)
    return {
        "series": name,
        "ability": ability,
        "half_dose": value,
        "low": float(low),
        "high": float(high),
        # NaN where half was lost before the first dose
        "reached": float(((samples != np.inf) & np.isfinite(curve.samples[ability]).any(1)).mean()),
    }


def _metrics(halves: pd.DataFrame) -> dict[str, float]:
    found = {}
    for row in halves.to_dict("records"):
        name = "/".join(filter(None, [row["series"].replace(": ", "/").replace(" ", "_"), row["ability"]]))
        ends = {"": row["half_dose"], "_low": row["low"], "_high": row["high"]}
        found |= {f"{name}_half_dose{end}": value for end, value in ends.items() if np.isfinite(value)}
        found[f"{name}_half_lost"] = row["reached"]
    return found


def _caption(halves: pd.DataFrame, key: str, curves: Mapping[str, DoseCurve]) -> str:
    told = []
    for row in halves.to_dict("records"):
        who = f"{row['series']}: " if row["series"] else ""
        if np.isnan(row["half_dose"]):
            told.append(f"{who}of {row['ability']} less than half is left at the first dose, or nothing is known")
            continue
        if not np.isfinite(row["half_dose"]):
            told.append(f"{who}{row['ability']} is not half lost within these doses")
            continue
        high = f"{row['high']:.3g}" if np.isfinite(row["high"]) else "beyond"
        told.append(f"{who}{row['ability']} is half lost at {row['half_dose']:.3g} ({row['low']:.3g} to {high})")
    text = "; ".join(told)
    tunes = max(max(curve.tunes) for curve in curves.values())
    return (
        f"What is kept of counting and of melody against {key}, and how far distributions move; {tunes} tunes per "
        "dose, 95 % bootstrap intervals over "
        f"tunes{' and draws of random units' if MATCHED in ' '.join(curves) else ''}. {text[:1].upper()}{text[1:]}."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""How a training went: losses by the number of updates made, as they travel with the weights (`curve.csv`)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from folkrnn.errors import UserError

FILE = "curve.csv"
COLUMNS = ("series", "update", "nats")
UNITS = ("token", "tune", "melody")
TRAINING, VALIDATION, BASELINE = "training", "validation", "baseline/"


@dataclass(frozen=True)
class Curve:
    """Losses of one training in nats per token, per tune where that is all that is known, or per melody."""

    training: np.ndarray
    """(updates made, loss with dropout on), `[N, 2]`; may be empty."""
    validation: np.ndarray
    """(updates made, loss with dropout off), `[M, 2]`; may be empty."""
    unit: str = "token"
    """`token`, `tune` or `melody`: what the losses are per."""
    updates_per_epoch: float = float("nan")
    baselines: Mapping[str, float] = field(default_factory=dict)
    """What knowing less costs on the same validation tunes: `uniform`, `unigram`, … `5gram`, nats per token."""

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit is {self.unit!r}; a loss is per {' or per '.join(UNITS)}")

    @property
    def per_epoch(self) -> float:
        """Updates per epoch; the usual distance between validations where it is not known, NaN with fewer than two."""
        gaps = np.diff(self.validation[:, 0])
        return (
            self.updates_per_epoch
            if np.isfinite(self.updates_per_epoch)
            else float(np.median(gaps))
            if len(gaps)
            else float("nan")
        )

    @classmethod
    def of(cls, training: object, validation: object, **rest: Any) -> Curve:
        """Returns the curve of two sequences of (updates made, loss), each of which may be empty."""
        both = [np.asarray(part, dtype=float).reshape(-1, 2) for part in (training, validation)]
        return cls(both[0], both[1], **rest)


def to_csv(curve: Curve) -> str:
    """Returns the curve as CSV: first a line with unit, updates per epoch and count of rows; a row per number."""
    parts = {TRAINING: curve.training, VALIDATION: curve.validation}
    parts |= {f"{BASELINE}{name}": np.array([[0.0, value]]) for name, value in curve.baselines.items()}
    rows = [(name, f"{update:.15g}", f"{nats:.6g}") for name, part in parts.items() for update, nats in part]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    head = f"# nats per {curve.unit}; {curve.updates_per_epoch:.15g} updates per epoch; {len(rows)} rows\n"
    return head + table.to_csv(index=False)


def from_csv(text: str, source: str) -> Curve:
    """Returns the curve in `text`. Raises UserError, naming `source`, for anything else."""
    head, _, rest = text.partition("\n")
    words = head.removeprefix("#").replace(";", " ").split()
    try:
        unit, per_epoch = words[2], float(words[3])
        table = pd.read_csv(io.StringIO(rest))
        if len(words) > 7 and len(table) != int(words[7]):
            raise ValueError(f"{len(table)} rows of the {words[7]} that it says it has")
        parts = {
            str(name): part[["update", "nats"]].to_numpy(float) for name, part in table.groupby("series", sort=False)
        }
        baselines = {name.removeprefix(BASELINE): float(v[0, 1]) for name, v in parts.items() if BASELINE in name}
        return Curve.of(
            parts.get(TRAINING, []),
            parts.get(VALIDATION, []),
            unit=unit,
            updates_per_epoch=per_epoch,
            baselines=baselines,
        )
    except (IndexError, KeyError, ValueError, pd.errors.ParserError) as error:
        reason = str(error).strip()
        raise UserError(
            f"{source} is not a training curve ({reason}); it must begin with '# nats per token; N updates per epoch' "
            f"and have the columns {', '.join(COLUMNS)}"
        ) from None


def read(place: Path) -> Curve | None:
    """Returns the curve in a weights folder or a CSV file; None where a folder has none."""
    file = place / FILE if place.is_dir() else place
    if place.is_dir() and not file.is_file():
        return None
    if not file.is_file():
        raise UserError(f"no training curve at {place}; give a weights folder with {FILE}, or such a file")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text") from None
    return from_csv(text, str(file))

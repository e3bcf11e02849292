"""The correlation coefficient φk (Baak, Koopman, Snoek, Klous 2020) of every pair across two sets of variables.

Definition: both variables are cut into equally wide bins over their range; χ² is Pearson's for the table of counts
against independence. φk is the ρ in [0, 1] for which a bivariate normal, cut on [−5, 5] into as many equal bins as the
table has occupied rows and columns, gives that χ². The normal's χ² is raised by the noise pedestal (r − 1)(c − 1),
what independence alone gives, and scaled to reach the table's maximum n·min(r − 1, c − 1) at ρ = 1; below the pedestal
φk is exactly 0. It sees any dependence, is unsigned, and for a normal pair it is |Pearson's r|.

Why not the package `phik`: a pair costs it about 9 ms, minutes for all features and neurons and hours with shuffled
controls, since it integrates the normal anew for each pair; that integration is by random numbers from one global
generator, so a pair's value depends on what was computed before; and it imports a private module of scipy. Here the
normal's χ² is tabulated once per shape of table, exactly. Tests hold the two against each other.

Shapes: N rows, F variables on one side, Z on the other. NaN rows are left out pair by pair.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import special

BINS = 10
"""The package's default."""

_EDGE = 5.0
"""The normal is cut on [−5, 5]."""

_ANGLES = 2_000
"""Steps of the table of ρ = sin θ over [0, π/2]; interpolation then errs by less than 1e-6."""

_ROWS = 4_096
"""Rows counted at once."""


def phik(x: np.ndarray, y: np.ndarray, bins: int = BINS, quantile: bool = False) -> np.ndarray:
    """Returns φk of every column of `x [N, F]` with every column of `y [N, Z]`, `[F, Z]`.

    NaN where one of the two has fewer than two occupied bins, as a constant has. Equally wide bins are the package's
    default and suffer from outliers; `quantile` takes equally full ones.
    """
    return from_bins(binned(x, bins, quantile), binned(y, bins, quantile), bins)


def binned(values: np.ndarray, bins: int = BINS, quantile: bool = False) -> np.ndarray:
    """Returns the bin of each of `values [N, F]`, int8; −1 where it is NaN.

    Bins hold their upper edge. They are equally wide, or with `quantile` as equally full as ties allow.
    """
    columns = np.asarray(values, float).T
    found = [_bin_column(column, bins, quantile) for column in columns]
    return np.stack(found, 1) if found else np.zeros(columns.T.shape, np.int8)


def from_bins(x: np.ndarray, y: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Returns φk as `phik` does, from what `binned` returned for either side."""
    counts = np.zeros((x.shape[1] * bins, y.shape[1] * bins), np.float64)
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        counts += _indicators(x[part], bins).T @ _indicators(y[part], bins)  # whole numbers: exact in float32
    tables = counts.reshape(x.shape[1], bins, y.shape[1], bins).transpose(0, 2, 1, 3)
    return np.array([_of_tables(row) for row in tables]).reshape(x.shape[1], y.shape[1])


def _bin_column(values: np.ndarray, bins: int, quantile: bool) -> np.ndarray:
    known = np.isfinite(values)
    if not known.any():
        return np.full(len(values), -1, np.int8)
    places = np.linspace(0, 1, bins + 1)
    lowest, highest = values[known].min(), values[known].max()
    below = lowest - max(1e-14 * abs(lowest), np.finfo(float).tiny)
    edges = np.quantile(values[known], places) if quantile else np.linspace(below, highest, bins + 1)
    edges[0] = below
    return np.where(known, np.searchsorted(edges, values) - 1, -1).astype(np.int8)


def _indicators(bin_of: np.ndarray, bins: int) -> np.ndarray:
    """Float32 `[n, F·bins]`: 1 where the row is in the bin."""
    return (bin_of[:, :, None] == np.arange(bins, dtype=np.int8)).reshape(len(bin_of), -1).astype(np.float32)


def _of_tables(tables: np.ndarray) -> np.ndarray:
    """φk of tables of counts `[Z, bins, bins]`, `[Z]`."""
    rows, columns = tables.sum(2), tables.sum(1)
    total = rows.sum(1)
    r, c = (rows > 0).sum(1), (columns > 0).sum(1)
    expected = rows[:, :, None] * columns[:, None, :] / np.maximum(total, 1)[:, None, None]
    off = np.abs(tables - expected)
    off = np.where(((r == 2) & (c == 2))[:, None, None], np.maximum(off - 0.5, 0), off)  # Yates, as the package has it
    chi2 = np.divide(off**2, expected, out=np.zeros_like(off), where=expected > 0).sum((1, 2))
    pedestal, most = (r - 1) * (c - 1), total * (np.minimum(r, c) - 1)
    share = np.divide(chi2 - pedestal, most - pedestal, out=np.ones_like(chi2), where=most > pedestal)
    found = np.full(len(tables), np.nan)
    for shape in set(zip(r.tolist(), c.tolist(), strict=True)):
        if min(shape) >= 2:
            here = (r == shape[0]) & (c == shape[1])
            found[here] = _correlation(share[here], *shape)
    found[(chi2 <= pedestal) & np.isfinite(found)] = 0.0
    return found


def _correlation(share: np.ndarray, r: int, c: int) -> np.ndarray:
    """The ρ for which the normal's χ² is `share` of what it is at ρ = 1, on a table of r × c bins."""
    heights, angles = _normal_chi2(min(r, c), max(r, c))
    return np.sin(np.interp(np.sqrt(np.clip(share, 0, 1)), heights, angles))


@cache
def _normal_chi2(r: int, c: int) -> tuple[np.ndarray, np.ndarray]:
    """√(χ² at ρ over χ² at 1) of a bivariate normal on r × c bins, rising from 0 to 1, and θ = arcsin ρ.

    The distribution function at (h, k) grows with θ at the rate exp(−(h² + k² − 2hk sin θ) / 2cos²θ) / 2π (Plackett
    1954); summed by Gauss-Legendre within each step of θ, and over the four corners of a cell.
    """
    h, k = (np.linspace(-_EDGE, _EDGE, size + 1) for size in (r, c))
    angles = np.linspace(0, np.pi / 2, _ANGLES + 1)
    nodes, weights = np.polynomial.legendre.leggauss(4)
    step = angles[1]
    theta = (angles[:-1, None] + step * (nodes + 1) / 2).ravel()
    exponent = h[:, None, None] ** 2 + k[:, None] ** 2 - 2 * h[:, None, None] * k[:, None] * np.sin(theta)
    rate = np.exp(-exponent / (2 * np.cos(theta) ** 2)).reshape(r + 1, c + 1, _ANGLES, 4) @ weights
    grown = np.concatenate([np.zeros((r + 1, c + 1, 1)), np.cumsum(rate, 2)], 2) * step / (4 * np.pi)
    change = np.diff(np.diff(grown, axis=0), axis=1)
    p, q = (np.diff(special.ndtr(edges)) for edges in (h, k))
    chi2 = (change**2 / (p[:, None] * q)[:, :, None]).sum((0, 1))
    return np.sqrt(np.maximum.accumulate(chi2 / chi2[-1])), angles

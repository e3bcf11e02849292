"""Spectra of activations over steps: zero-padded, one-sided, with the shares and shapes that part 5 of the blog names.

Frequencies are in cycles per step, periods in steps. `power[k]` is |X_k|² of a sequence zero-padded to N values; inner
bins count twice where energy is added up, since they stand for both signs (Parseval: Σx² = Σ weight·power / N).
"""

from __future__ import annotations

import numpy as np
from scipy.signal import find_peaks

LENGTH = 512
"""What part 5 pads each sequence to."""
HALF_MAGNITUDE = 0.25
"""−6 dB (exactly −6.02): half the magnitude, a quarter of the power of the strongest component."""

CLASSES = ("off", "flat", "harmonic", "closely spaced", "pulse train", "other")


def padded_length(steps: int, length: int = LENGTH) -> int:
    """Returns the smallest multiple of `length` that holds `steps`, so that long tunes lose nothing."""
    return length * max(1, -(-steps // length))


def power(values: np.ndarray, length: int = LENGTH, dc: bool = True) -> np.ndarray:
    """Returns |X|² of every column of `values [T, H]`, zero-padded to a multiple of `length`: `[N/2 + 1, H]`.

    Without `dc` each column's mean is taken off before padding, so that its leakage into low frequencies goes with it.
    """
    values = np.asarray(values, dtype=np.float64)
    centred = values if dc else values - values.mean(0)
    size = padded_length(len(values), length)
    spectrum = np.abs(np.fft.rfft(centred, n=size, axis=0)) ** 2
    spectrum[:, np.ptp(values, axis=0) == 0] *= float(dc)  # a constant has no power beside DC, not even rounding errors
    return spectrum


def frequencies(spectrum: np.ndarray) -> np.ndarray:
    """Returns cycles per step of each row of a one-sided spectrum of an even number of samples, `[N/2 + 1]`."""
    return np.linspace(0.0, 0.5, len(spectrum))


def energy(spectrum: np.ndarray) -> np.ndarray:
    """Returns a one-sided spectrum with inner bins doubled and divided by N: its sum over bins is Σx²."""
    weights = np.full(len(spectrum), 2.0)
    weights[[0, -1]] = 1.0
    return spectrum * weights[:, None] / (2 * (len(spectrum) - 1))


def band(spectrum: np.ndarray, period: float, half_width: float = 0.5) -> np.ndarray:
    """Returns which rows lie at periods within `half_width` steps of `period`: bins 54 to 60 of 512 for 9 ± 0.5."""
    with np.errstate(divide="ignore"):
        periods = 1 / frequencies(spectrum)
    return (periods >= period - half_width) & (periods <= period + half_width)


def share(spectrum: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns the share of each unit's energy in the chosen rows, `[H]`; NaN for a unit without any energy."""
    whole = energy(spectrum)
    total = whole.sum(0)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, whole[rows].sum(0) / np.where(total > 0, total, 1), np.nan)


def band_share(spectrum: np.ndarray, steps: int, period: float, half_width: float = 0.5) -> np.ndarray:
    """Returns the share of each unit's energy around a period, `[H]`; NaN where the tune is shorter than the period."""
    if not 2 < period <= steps:
        return np.full(spectrum.shape[1], np.nan)
    return share(spectrum, band(spectrum, period, half_width))


def harmonic_rows(spectrum: np.ndarray, period: float, half_width: float = 0.5, harmonics: int = 4) -> np.ndarray:
    """Returns the rows around the first multiples of 1/`period`, each band as wide as the first one in frequency."""
    f = frequencies(spectrum)
    reach = (1 / (period - half_width) - 1 / (period + half_width)) / 2
    return np.any([np.abs(f - k / period) <= reach for k in range(1, harmonics + 1)], axis=0)


def above_half(spectrum: np.ndarray, floor: float = HALF_MAGNITUDE) -> np.ndarray:
    """Returns where a unit's power is at least `floor` of its own maximum (the −6 dB rule), `[N/2 + 1, H]` of bool."""
    top = spectrum.max(0)
    return (spectrum >= floor * top) & (top > 0)


def decibels(spectrum: np.ndarray) -> np.ndarray:
    """Returns the power in dB relative to each unit's own maximum, `[N/2 + 1, H]`; NaN for a unit without power."""
    top = spectrum.max(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(spectrum / np.where(top > 0, top, np.nan))


def tooth_spacing(strong: np.ndarray) -> tuple[float, float, int]:
    """Returns (median distance in bins, its relative spread, number) of the runs of True in `strong [K]`.

    The spread is the interquartile range over the median. Both are NaN with fewer than three runs.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], strong.astype(int), [0]])))
    centres = (edges[::2] + edges[1::2] - 1) / 2
    if len(centres) < 3:
        return float("nan"), float("nan"), len(centres)
    gaps = np.diff(centres)
    low, middle, high = np.percentile(gaps, [25, 50, 75])
    return float(middle), float((high - low) / middle), len(centres)


def classify(
    spectrum: np.ndarray,
    steps: int,
    period: float,
    half_width: float = 0.5,
    *,
    flat: float = 0.5,
    harmonic: float = 0.4,
    regular: float = 0.35,
    span: float = 0.6,
    few: float = 4.0,
) -> list[str]:
    """Returns one of CLASSES per unit (our reading of part 5, which sorts its spectra by eye). In this order:

    `off` without power; `flat` if at least `flat` of its bins are within 6 dB of its peak (a single spike); `harmonic`
    if at least `harmonic` of its energy lies at the first four multiples of 1/`period` (chance: about 0.1);
    `closely spaced` or `pulse train` if what is within 6 dB stands in teeth at a regular distance (interquartile range
    of their distances at most `regular` of the median) over at least `span` of the frequency axis, the former if the
    distance says that fewer than `few` pulses fit into the tune; else `other`.
    """
    strong = above_half(spectrum)
    around = share(spectrum, harmonic_rows(spectrum, period, half_width))
    if not 2 < period <= steps:
        around[:] = np.nan
    size = 2 * (len(spectrum) - 1)
    found = []
    for unit in range(spectrum.shape[1]):
        bins = strong[:, unit]
        if not bins.any():
            found.append("off")
        elif bins.mean() >= flat:
            found.append("flat")
        elif around[unit] >= harmonic:
            found.append("harmonic")
        else:
            gap, spread, _ = tooth_spacing(bins)
            places = np.flatnonzero(bins)
            wide = np.ptp(places) >= span * len(bins)
            teeth = wide and spread <= regular
            found.append(("closely spaced" if steps * gap / size < few else "pulse train") if teeth else "other")
    return found


def average(spectrum: np.ndarray, length: int = LENGTH) -> np.ndarray:
    """Returns the mean over units of spectra scaled to equal energy, at the frequencies k / `length`: `[length/2 + 1]`.

    Units without power are left out; NaN where there is no other.
    """
    total = energy(spectrum).sum(0)
    alive = total > 0
    if not alive.any():
        return np.full(length // 2 + 1, np.nan)
    step = 2 * (len(spectrum) - 1) // length
    return (spectrum[::step, alive] / total[alive]).mean(1)


def strong_periods(mean: np.ndarray, prominence: float = 0.1) -> list[tuple[int, float, float]]:
    """Returns (bin, period in steps, height relative to the highest peak) of the peaks of a mean spectrum, by bin.

    A peak stands out by at least `prominence` of the highest one. Bin 0 (DC, of infinite period) counts if it is higher
    than its neighbour.
    """
    if not np.isfinite(mean).all() or not mean.max() > 0:
        return []
    bordered = np.concatenate([[0.0], mean, [0.0]])
    bins = find_peaks(bordered)[0] - 1
    inner = mean[bins[bins > 0]].max(initial=0.0) or mean.max()
    sharp = find_peaks(bordered, prominence=prominence * inner)[0] - 1
    size = 2 * (len(mean) - 1)
    return [(int(k), float(size / k) if k else float("inf"), float(mean[k] / mean.max())) for k in sharp]

"""How much of a unit's activity a variable explains, against shuffled labels.

The correlation ratio η² of a unit is the share of its variance over all rows that lies between the categories of a
variable: 1 if the category fixes the activity, 0 if its mean is the same in all. A variable with many categories
explains something by chance, so each tune's labels are also shifted round by a random number of rows, which keeps how
both follow themselves in time and breaks what they have to do with each other; labels that hold for a whole tune are
handed to another tune instead. A unit that drifts from the first bar to the last answers to whatever changes once in a
tune: one of the variables should be the place in the tune itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyses.measures.events import Variable


@dataclass(frozen=True)
class Result:
    """What the variables explain of each unit of a stream."""

    ratios: np.ndarray
    """η² by labelling (0: the true one), variable and unit, `[1 + R, variables, U]`."""
    strongest: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    """For each variable the category that moves each unit most, the unit's mean there, and elsewhere, each `[U]`."""


@dataclass
class Explained:
    """Sums over all rows seen so far; their size depends on neither the tunes nor their length."""

    variables: Sequence[Variable]
    sums: np.ndarray
    """Of the activity, by labelling (0: the true one), category of each variable in turn, and unit, `[1 + R, K, U]`."""
    counts: np.ndarray
    """Rows by labelling and category, `[1 + R, K]`."""
    total: np.ndarray
    squares: np.ndarray
    """Over all rows, `[U]`."""
    rows: int = 0

    @classmethod
    def empty(cls, variables: Sequence[Variable], shuffles: int, units: int) -> Explained:
        """Returns sums of nothing."""
        categories = sum(len(variable.categories) for variable in variables)
        return cls(
            variables,
            np.zeros((1 + shuffles, categories, units), np.float32),
            np.zeros((1 + shuffles, categories)),
            np.zeros(units),
            np.zeros(units),
        )

    def add(self, values: np.ndarray, marks: np.ndarray) -> None:
        """Adds the rows of a tune: `values [n, U]`, and `marks [1 + R, K, n]` of 0 and 1, one 1 for each variable."""
        labellings, categories, n = marks.shape
        self.sums += (marks.reshape(-1, n) @ values.astype(np.float32)).reshape(labellings, categories, -1)
        self.counts += marks.sum(2)
        self.total += values.sum(0, dtype=float)
        self.squares += np.square(values, dtype=float).sum(0)
        self.rows += n

    def correlation_ratios(self) -> np.ndarray:
        """Returns η² by labelling, variable and unit, `[1 + R, variables, U]`.

        NaN for a unit that never changes and a variable that has one answer throughout.
        """
        mean = self.total / self.rows
        spread = self.squares - self.rows * mean**2
        with np.errstate(invalid="ignore", divide="ignore"):
            between = self.sums.astype(float) ** 2 / self.counts[..., None]
            between = np.where(self.counts[..., None] > 0, between, 0.0)
            ratios = [
                np.where(spread > 1e-9 * self.rows, (between[:, part].sum(1) - self.rows * mean**2) / spread, np.nan)
                for part in self.parts()
            ]
        for place, part in enumerate(self.parts()):
            ratios[place][(self.counts[:, part] > 0).sum(1) < 2] = np.nan
        return np.clip(np.stack(ratios, axis=1), 0, 1).astype(np.float32)

    def strongest_category(self, variable: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns for each unit the category that moves it most in all, its mean there, and its mean elsewhere."""
        part = self.parts()[variable]
        sums, counts = self.sums[0, part].astype(float), self.counts[0, part][:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            inside, outside = sums / counts, (self.total - sums) / (self.rows - counts)
        weight = np.nan_to_num(counts * (inside - self.total / self.rows) ** 2)
        best, units = weight.argmax(0), np.arange(sums.shape[1])
        return best, inside[best, units], outside[best, units]

    def result(self) -> Result:
        """Returns what the sums say, in a tenth of their size."""
        return Result(self.correlation_ratios(), [self.strongest_category(v) for v in range(len(self.variables))])

    def parts(self) -> list[slice]:
        """Where the categories of each variable stand."""
        ends = np.cumsum([len(variable.categories) for variable in self.variables])
        return [slice(end - len(v.categories), end) for v, end in zip(self.variables, ends, strict=True)]


def labellings(
    tunes: Sequence[dict[str, np.ndarray]], variables: Sequence[Variable], shuffles: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns for each tune by how many rows each shuffle shifts it, `[R]`, and whose whole-tune labels it gets, `[R]`.

    Drawn before anything is traced, so that they do not depend on the order in which tunes are read.
    """
    others = np.stack([rng.permutation(len(tunes)) for _ in range(shuffles)], axis=1)
    lengths = [len(tune[variables[0].name]) for tune in tunes]
    return [(rng.integers(0, n, shuffles), others[k]) for k, n in enumerate(lengths)]


def marks(
    tune: int,
    tunes: Sequence[dict[str, np.ndarray]],
    variables: Sequence[Variable],
    shifts: np.ndarray,
    others: np.ndarray,
) -> np.ndarray:
    """Returns the marks of one tune for `Explained.add`, `[1 + R, K, n]` of float32."""
    n = len(tunes[tune][variables[0].name])
    blocks = []
    for variable in variables:
        if variable.whole_tune:
            answers = np.array([tunes[k][variable.name][0] for k in (tune, *others)])
            labels = np.repeat(answers[:, None], n, axis=1)
        else:
            rows = (np.arange(n) - np.concatenate([[0], shifts])[:, None]) % n
            labels = tunes[tune][variable.name][rows]
        blocks.append(labels[:, None, :] == np.arange(len(variable.categories))[:, None])
    return np.concatenate(blocks, axis=1).astype(np.float32)


def corrected_significance(scores: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns for each of several arrays of scores `[1 + R, …]` the significance of its true scores, `[…]`.

    Labelling 0 is the true one. A score is compared with the largest that each shuffle reached anywhere in all the
    arrays, so the chance of even one false find among all of them is the significance: (1 + shuffles whose largest is
    as large) / (1 + R). NaN where a score is.
    """
    largest = np.max([_largest(array[1:]) for array in scores], axis=0)
    found = []
    for array in scores:
        above = (largest[:, None] >= array[0].reshape(1, -1)).sum(0).reshape(array[0].shape)
        found.append(np.where(np.isfinite(array[0]), (1 + above) / (1 + len(largest)), np.nan))
    return found


def standard_scores(ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (excess `[…]`, scores `[1 + R, …]`) of η² `[1 + R, …]`.

    The excess is the true η² less the mean of the shuffles. Scores are √η², less its mean, in deviations, both over all
    labellings: the true one enters like any other, so that under none it is as likely to be the largest. NaN where the
    labellings do not differ.
    """
    root = np.sqrt(ratios)
    deviation = root.std(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.where(deviation > 1e-7, (root - root.mean(0)) / deviation, np.nan)
    return ratios[0] - ratios[1:].mean(0), scores


def _largest(array: np.ndarray) -> np.ndarray:
    """The largest score of each shuffle, −∞ where all are NaN, `[R]`."""
    return np.nan_to_num(array.reshape(len(array), -1), nan=-np.inf).max(1)

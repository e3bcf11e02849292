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
from dataclasses import dataclass, field

import numpy as np
import torch

from analyses.measures.events import Variable
from folkrnn.models.products import Product

ROWS_AT_ONCE = 1000
"""Rows of tunes that go into the sums together."""


@dataclass(frozen=True)
class ExplainedShares:
    """What the variables explain of each unit of an activation."""

    ratios: np.ndarray
    """η² by labelling (0: the true one), variable and unit, `[1 + R, variables, U]`."""
    adjusted: np.ndarray
    """η² of the true labels less what as many categories explain of noise, 1 − (1 − η²)(n − 1)/(n − k),
    `[variables, U]`."""
    strongest: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    """For each variable the category that moves each unit most, the unit's mean there, and elsewhere, each `[U]`."""


@dataclass
class Explained:
    """Sums over all rows seen so far; their size depends on neither the tunes nor their length.

    A row has one category of each variable, so the sum over the last one is what the others leave of all rows.
    """

    variables: Sequence[Variable]
    stepwise: np.ndarray
    """Of the activity, by labelling (0: the true one), category but the last of each variable that changes within a
    tune, and unit, `[1 + R, K′, U]`."""
    constant: np.ndarray
    """The same for every category of the variables that hold for a whole tune, `[1 + R, K″, U]`."""
    counts: np.ndarray
    """Rows by labelling and category of each variable in turn, `[1 + R, K]`."""
    total: np.ndarray
    squares: np.ndarray
    """Over all rows, `[U]`."""
    rows: int = 0
    _waiting: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list, repr=False)
    """Rows that are not in `stepwise` yet: larger products are faster."""

    @classmethod
    def empty(cls, variables: Sequence[Variable], shuffles: int, units: int) -> Explained:
        """Returns sums of nothing."""
        size = 1 + shuffles
        stepwise = sum(len(variable.categories) - 1 for variable in variables if not variable.whole_tune)
        constant = sum(len(variable.categories) for variable in variables if variable.whole_tune)
        return cls(
            variables,
            np.zeros((size, stepwise, units), np.float32),
            np.zeros((size, constant, units), np.float32),
            np.zeros((size, sum(len(variable.categories) for variable in variables))),
            np.zeros(units),
            np.zeros(units),
        )

    def add(self, values: np.ndarray, drawn: np.ndarray) -> None:
        """Adds the rows of a tune: `values [n, U]`, and the categories `drawn [variables, 1 + R, n]`."""
        whole, labellings, before = values.sum(0, dtype=float), np.arange(drawn.shape[1]), 0
        for variable, answers in zip(self.variables, drawn, strict=True):
            if variable.whole_tune:
                self.constant[labellings, before + answers[:, 0]] += whole.astype(np.float32)
                before += len(variable.categories)
        self.total += whole
        self.squares += np.square(values, dtype=float).sum(0)
        self.rows += len(values)
        self._waiting.append((values, drawn))
        if sum(len(waiting) for waiting, _ in self._waiting) >= ROWS_AT_ONCE:
            self._add_waiting()

    def _add_waiting(self) -> None:
        """Adds the rows that wait to the sums."""
        if not self._waiting:
            return
        values = np.concatenate([values for values, _ in self._waiting])
        drawn = np.concatenate([drawn for _, drawn in self._waiting], axis=2)
        self._waiting.clear()
        marks = []
        for variable, part, answers in zip(self.variables, self.parts(), drawn, strict=True):
            found = answers[:, None, :] == np.arange(len(variable.categories), dtype=answers.dtype)[:, None]
            self.counts[:, part] += found.sum(2)
            if not variable.whole_tune:
                marks.append(found[:, :-1])
        product = Product([torch.from_numpy(np.ascontiguousarray(values.T, np.float32))])
        x = np.concatenate(marks, axis=1, dtype=np.float32)
        self.stepwise += product(torch.from_numpy(x.reshape(-1, len(values)))).numpy().reshape(self.stepwise.shape)

    def of(self, units: slice) -> Explained:
        """Returns the sums of some units alone."""
        self._add_waiting()
        parts = (
            self.stepwise[..., units],
            self.constant[..., units],
            self.counts,
            self.total[units],
            self.squares[units],
        )
        return Explained(self.variables, *parts, self.rows)

    def sums(self, variable: int) -> np.ndarray:
        """Returns the sums of the activity by labelling, category of a variable, and unit, `[1 + R, categories, U]`."""
        self._add_waiting()
        chosen = self.variables[variable]
        kind = [one for one in self.variables[:variable] if one.whole_tune == chosen.whole_tune]
        if chosen.whole_tune:
            start = sum(len(one.categories) for one in kind)
            return self.constant[:, start : start + len(chosen.categories)].astype(float)
        start = sum(len(one.categories) - 1 for one in kind)
        known = self.stepwise[:, start : start + len(chosen.categories) - 1].astype(float)
        return np.concatenate([known, (self.total - known.sum(1))[:, None]], axis=1)

    def correlation_ratios(self) -> np.ndarray:
        """Returns η² by labelling, variable and unit, `[1 + R, variables, U]`.

        NaN for a unit that never changes and a variable that has one answer throughout.
        """
        self._add_waiting()
        mean = self.total / self.rows
        spread = self.squares - self.rows * mean**2
        ratios = []
        for place, part in enumerate(self.parts()):
            counts = self.counts[:, part, None]
            with np.errstate(invalid="ignore", divide="ignore"):
                between = np.where(counts > 0, self.sums(place) ** 2 / counts, 0.0).sum(1)
                ratio = np.where(spread > 1e-9 * self.rows, (between - self.rows * mean**2) / spread, np.nan)
            ratio[(counts[..., 0] > 0).sum(1) < 2] = np.nan
            ratios.append(np.clip(ratio, 0, 1).astype(np.float32))
        return np.stack(ratios, axis=1)

    def strongest_category(self, variable: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns for each unit the category that moves it most in all, its mean there, and its mean elsewhere."""
        sums = self.sums(variable)[0]
        counts = self.counts[0, self.parts()[variable]][:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            inside, outside = sums / counts, (self.total - sums) / (self.rows - counts)
            weight = np.nan_to_num(counts * (inside - self.total / self.rows) ** 2)
        best, units = weight.argmax(0), np.arange(sums.shape[1])
        return best, inside[best, units], outside[best, units]

    def result(self) -> ExplainedShares:
        """Returns what the sums say, in a tenth of their size."""
        ratios = self.correlation_ratios()
        groups = np.array([(self.counts[0, part] > 0).sum() for part in self.parts()])[:, None]
        adjusted = 1 - (1 - ratios[0]) * (self.rows - 1) / np.maximum(1, self.rows - groups)
        return ExplainedShares(ratios, adjusted, [self.strongest_category(v) for v in range(len(self.variables))])

    def parts(self) -> list[slice]:
        """Where the categories of each variable stand in `counts`."""
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


def drawn_labels(
    tune: int,
    tunes: Sequence[dict[str, np.ndarray]],
    variables: Sequence[Variable],
    shifts: np.ndarray,
    others: np.ndarray,
) -> np.ndarray:
    """Returns the categories of one tune for `Explained.add`, `[variables, 1 + R, n]` of int16."""
    n = len(tunes[tune][variables[0].name])
    rows = (np.arange(n) - np.concatenate([[0], shifts])[:, None]) % n
    found = np.empty((len(variables), *rows.shape), np.int16)
    for place, variable in enumerate(variables):
        if variable.whole_tune:
            found[place] = np.array([tunes[k][variable.name][0] for k in (tune, *others)])[:, None]
        else:
            found[place] = tunes[tune][variable.name][rows]
    return found


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

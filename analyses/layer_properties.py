"""What does each layer add, by property of the tokens? (Part 8's question what layer 2 is for; part 9's guess.)

For every property of a step (which token was read, which comes, the place in the bar, the bar of the part, …) the share
of its variance that a linear map tells from the hidden states of layer 1, of layers 1 and 2, and so on, in tunes that
the map was not fitted to (folds of tunes). What layer k adds is the difference between layers 1 to k and layers 1 to
k − 1. A property is coded as one column per answer. The control is the same with the labels of each tune shifted round
by a random number of steps: what is left then is what holds for a whole tune.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from analyses.drawings import layer_properties as draw
from analyses.measures.events import VARIABLES, Variable, event_labels, first_row, identity, identity_labels
from analyses.measures.ridge import Products
from analyses.measures.tables import rows_of
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings
from folkrnn.observation.observation import Observation

NEXT = "next token"

T_OF_FOLDS = {5: 2.776, 10: 2.262}
"""97.5 % quantile of Student's t with one degree of freedom less than folds."""


@dataclass(frozen=True)
class LayerProperties(Analysis[Observation]):
    """Held-out share of variance of token properties that the layers tell together, and what each layer adds."""

    folds: int = 5
    ridge: float = 0.01
    """Penalty, in units of the inputs' mean variance."""

    def __post_init__(self) -> None:
        if self.folds not in T_OF_FOLDS:
            raise UserError(f"layer_properties.folds is {self.folds}; it may be {' or '.join(map(str, T_OF_FOLDS))}")

    def __call__(self, observation: Observation) -> Findings:
        tokens = [observation.tokens(k) for k in range(len(observation.transcriptions))]
        kept = [k for k, tune in enumerate(tokens) if len(tune) - 1 - first_row(tune) > 1]
        if len(kept) < self.folds:
            raise UserError(
                f"layer_properties holds out one of {self.folds} folds of tunes; there are {len(kept)} tunes"
            )
        variables = (identity(tokens), Variable(NEXT, "which token follows", following(tokens)), *VARIABLES)
        shares = self.shares(observation, tokens, kept, variables)
        table = self.table(shares, variables, len(kept))
        return Findings(
            metrics=self.metrics(table),
            figures={
                "added": Figure(
                    draw.added(table),
                    self.caption(table, len(kept)),
                    title="What each layer adds about the token to come and the place it stands at",
                )
            },
            tables={"properties": table},
        )

    def shares(
        self,
        observation: Observation,
        tokens: Sequence[Sequence[str]],
        kept: Sequence[int],
        variables: Sequence[Variable],
    ) -> np.ndarray:
        """Returns held-out shares of variance, `[2, layers, variables, folds]`: of the labels, and of shifted ones."""
        layers = len(observation.model.layers)
        width = observation.model.units
        fold = dict(zip(kept, np.random.default_rng(observation.seed).permutation(len(kept)) % self.folds, strict=True))
        ends = np.cumsum([0, *(len(variable.categories) for variable in variables)])
        sums = Products.empty(self.folds, layers * width, 2 * int(ends[-1]))
        for k, activations in observation.each([f"l{n}.h" for n in range(1, layers + 1)]):
            if k not in fold:
                continue
            start = first_row(tokens[k])
            x = np.concatenate([activations[f"l{n}.h"][start:] for n in range(1, layers + 1)], axis=1)
            y = columns(tokens[k], variables)
            shift = np.random.default_rng([observation.seed, k]).integers(1, max(2, len(y)))
            sums.add(int(fold[k]), x, np.concatenate([y, np.roll(y, shift, 0)], axis=1))
        found = np.full((2, layers, len(variables), self.folds), np.nan)
        for depth in range(layers):
            part = below(sums, (depth + 1) * width)
            for held in range(self.folds):
                left, total = part.unexplained(held, part.fit(held, self.ridge))
                for side in range(2):
                    for v, (first, last) in enumerate(pairwise(ends)):
                        some = slice(side * ends[-1] + first, side * ends[-1] + last)
                        if total[some].sum() > 0:
                            found[side, depth, v, held] = 1 - left[some].sum() / total[some].sum()
        return found

    def table(self, shares: np.ndarray, variables: Sequence[Variable], tunes: int) -> pd.DataFrame:
        """Returns one row per property and layer: what layers up to it tell, what it adds, its interval over folds."""
        half = T_OF_FOLDS[self.folds] / np.sqrt(self.folds)
        rows = []
        for v, variable in enumerate(variables):
            for depth in range(shares.shape[1]):
                both = []
                for side in range(2):
                    told = shares[side, depth, v]
                    added = told - (shares[side, depth - 1, v] if depth else 0)
                    both.append((told.mean(), added.mean(), half * added.std(ddof=1)))
                (told, added, wide), (_, shifted, shifted_wide) = both
                rows.append(
                    {
                        "property": variable.name,
                        "layer": depth + 1,
                        "told": told,
                        "added": added,
                        "low": added - wide,
                        "high": added + wide,
                        "shifted_added": shifted,
                        "shifted_high": shifted + shifted_wide,
                        "tunes": tunes,
                    }
                )
        return pd.DataFrame(rows).dropna(subset=["told"], ignore_index=True)

    def metrics(self, table: pd.DataFrame) -> dict[str, float]:
        found = {}
        for row in rows_of(table[table["layer"] > 1]):
            name = f"l{row.layer}/adds_{row.property.replace(' ', '_')}"
            found |= {name: row.added, f"{name}_low": row.low, f"{name}_high": row.high}
        for row in rows_of(table):
            found[f"l{row.layer}/tells_{row.property.replace(' ', '_')}"] = row.told
        return found

    def caption(self, table: pd.DataFrame, tunes: int) -> str:
        told = []
        for layer, part in table[table["layer"] > 1].groupby("layer"):
            best = part.sort_values("added", ascending=False).head(3)
            told.append(
                f"layer {layer} adds most to "
                + ", ".join(f"{row.property} ({row.added:+.2f})" for row in rows_of(best))
            )
        return (
            f"Share of the variance of each property that is told linearly by layer 1, and what every further layer "
            f"adds to those below; {tunes} tunes, {self.folds} folds, 95 % intervals over folds; grey: labels shifted "
            "in time. "
            f"{'; '.join(told).capitalize()}."
        )


def following(tokens: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Returns the tokens that follow some step of these tunes."""
    return tuple(sorted({token for tune in tokens for token in tune[first_row(tune) + 1 :]}))


def columns(tokens: Sequence[str], variables: Sequence[Variable]) -> np.ndarray:
    """Returns one column per answer of every variable, 1 where it is the answer, `[n, answers]`."""
    named = event_labels(tokens)
    place = {token: k for k, token in enumerate(variables[1].categories)}
    after = np.array([place[token] for token in tokens[first_row(tokens) + 1 :]], dtype=int)
    answers = [identity_labels(tokens, variables[0]), after, *(named[variable.name] for variable in variables[2:])]
    parts = [np.eye(len(v.categories), dtype=np.float32)[one] for v, one in zip(variables, answers, strict=True)]
    return np.concatenate(parts, axis=1)


def below(sums: Products, inputs: int) -> Products:
    """Returns the sums of the first inputs alone (and the constant)."""
    some = [*range(inputs), sums.xx.shape[1] - 1]
    return Products(sums.xx[:, some][:, :, some], sums.xy[:, some], sums.yy, sums.rows)

"""What do the columns of the softmax layer do? (Part 2 of the blog; paper, Fig. 4 top and middle.)

W_s is V × H: the last hidden state h sets the values W_s h + b_s before the softmax, so unit k adds h_k times column k.
A correlation of two columns is Pearson's over the V tokens. Two columns are near-duplicates up to sign where the
magnitude of their correlation reaches `near_duplicate`; the control is that of columns whose entries are shuffled over
the tokens. Part 2 reports for v2: magnitude of correlation with the bias at most about 0.8, on average 0.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import softmax as draw
from analyses.drawings.over_tokens import token_counts
from analyses.measures.columns import (
    closest_pairs,
    column_correlations,
    correlation_with,
    shuffled_columns,
    softmax_parameters,
    upper,
)
from analyses.measures.displacement import displaced, factor
from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.learned import learned_part, prefixed
from analyses.measures.strongest import strongest
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import START, Vocabulary

PLACES = ("first", "second", "third")
"""What the columns drawn one by one are called in metrics."""


@dataclass(frozen=True)
class SoftmaxLayer(Analysis[Observation]):
    """Draws columns and bias of the softmax layer over the typed vocabulary and measures how redundant they are."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    repeated_on: ClassVar[tuple[str, ...]] = ("untrained",)
    main: ClassVar[Mapping[str, Main]] = {
        "column_correlation_mean": Main(
            "Columns of the softmax layer correlate with a mean |r| of {}", "shuffled_correlation_mean", "shuffled"
        ),
        "bias_correlation_mean": Main(
            "Columns correlate with the bias with a mean |r| of {}", "shuffled_bias_correlation_mean", "shuffled"
        ),
        "bias_frequency_correlation": Main("Bias and frequency of a token correlate with {}"),
        "near_duplicates": Main("{} pairs of columns are near duplicates", "shuffled_near_duplicates", "shuffled"),
    }

    units: tuple[int, ...] | None = None
    """Columns to draw one by one; None: the two that are most alike up to sign, and the one that moves a token most.
    The paper's are 34, 203 and 497 of v2 (`units_base=1`)."""
    units_base: int = 0
    """What the first unit is called in `units`: 0, or 1 as in the paper."""
    near_duplicate: float = 0.7
    """Magnitude of correlation from which two columns count as near-duplicates: half of the variance is shared."""
    named: int = 6
    """Tokens that are named at each end of a column."""
    delta: float = 1.54
    """Displacement whose effect is stated (paper: that of unit 497 of v2 on `=B,`)."""
    probability: float = 0.05
    """Probability of the token that is displaced (paper)."""
    resamples: int = 1000
    """Bootstrap samples of columns and tokens behind the intervals."""

    def __post_init__(self) -> None:
        if self.units is not None and min(self.units, default=self.units_base) < self.units_base:
            raise UserError(f"units={list(self.units)} names a unit before the first, which is {self.units_base}")

    @property
    def sites(self) -> tuple[str, ...]:
        """The units asked for, so that one beyond the layer's width is refused before the run starts."""
        chosen = [unit - self.units_base for unit in self.units or ()]
        return (f"l*.h[{','.join(map(str, chosen))}]",) if chosen else ()

    def __call__(self, observation: Observation) -> Findings:
        vocabulary = observation.vocabulary
        W, b = softmax_parameters(observation.model)
        R, with_bias = column_correlations(W), correlation_with(W, b)
        rng = np.random.default_rng(observation.seed)
        shuffled = shuffled_columns(W, rng)
        control = column_correlations(shuffled)
        chosen = self.chosen(W, R)
        names = {unit: f"unit {unit + self.units_base}" for unit in chosen}
        tokens = self.token_table(observation, W, b)
        return Findings(
            metrics=self.metrics(W, R, with_bias, control)
            | {"shuffled_bias_correlation_mean": _mean(np.abs(correlation_with(shuffled, b)))}
            | with_interval("bias_correlation_mean", mean_interval(np.abs(with_bias), self.resamples, rng))
            | self.learned_metrics(observation, rng)
            | self.frequency_metrics(tokens, rng)
            | self.chosen_metrics(vocabulary, W, R, chosen)
            | self.displacement_metrics(observation),
            figures={
                "shapes": Figure(
                    draw.shapes(vocabulary, W, b),
                    self.caption_shapes(vocabulary, b),
                    title="Columns of the softmax layer, and its bias",
                ),
                "columns": Figure(
                    draw.columns(vocabulary, W, names, self.named),
                    self.caption_columns(vocabulary, W, chosen),
                    title="What single units add to each token before the softmax",
                ),
                "correlations": Figure(
                    draw.correlations(R, with_bias, control, self.near_duplicate),
                    self.caption_correlations(R, with_bias),
                    title="Correlations between the columns of the softmax layer, and with its bias",
                ),
            },
            tables={
                "columns": self.column_table(vocabulary, W, R, with_bias),
                "pairs": self.pair_table(R),
                "tokens": tokens,
            },
            arrays={"correlations": {"columns": R.astype(np.float32), "bias": with_bias.astype(np.float32)}},
            lists={"lowest_biases": list(tokens["token"][: self.named])} | self.chosen_lists(vocabulary, W, chosen),
        )

    def learned_metrics(self, observation: Observation, rng: np.random.Generator) -> dict[str, float]:
        """Returns the same of the columns that were learned, and how much of the matrix is initial."""
        part = learned_part(observation)
        if part is None:
            return {}
        W, b = softmax_parameters(part.model)
        with_bias, shuffled = correlation_with(W, b), shuffled_columns(W, rng)
        found = self.metrics(W, column_correlations(W), with_bias, column_correlations(shuffled))
        found["shuffled_bias_correlation_mean"] = _mean(np.abs(correlation_with(shuffled, b)))
        found |= with_interval("bias_correlation_mean", mean_interval(np.abs(with_bias), self.resamples, rng))
        return {"initial_share": part.metrics()["softmax/initial_share"]} | prefixed(found)

    def chosen_lists(self, vocabulary: Vocabulary, W: np.ndarray, chosen: Sequence[int]) -> dict[str, list[str]]:
        """Returns the tokens that each drawn column raises and lowers most, by its place among them."""
        found = {}
        for place, unit in zip(PLACES, chosen, strict=False):
            found[f"{place}_raises"], found[f"{place}_lowers"] = strongest(W[:, unit], vocabulary, self.named)
        return found

    def chosen_metrics(
        self, vocabulary: Vocabulary, W: np.ndarray, R: np.ndarray, chosen: Sequence[int]
    ) -> dict[str, float]:
        """Returns the largest entry of each drawn column, and how alike the first two are.

        `first_two_raise_modes`: by how much the first two, both at +1, raise the mode tokens more than the others.
        """
        found = {f"{place}_largest": float(W[:, unit].max()) for place, unit in zip(PLACES, chosen, strict=False)}
        if len(chosen) > 1:
            modes = np.isin(range(len(W)), vocabulary.of_type("mode"))
            both = W[:, chosen[0]] + W[:, chosen[1]]
            found["first_two_correlation"] = float(R[chosen[0], chosen[1]])
            found["first_two_raise_modes"] = float(both[modes].mean() - both[~modes].mean())
        return found

    def displacement_metrics(self, observation: Observation) -> dict[str, float]:
        """Returns by how much ±`delta` multiplies `probability`, and the distribution's largest error on the first
        tune.

        The error is that of the displaced probabilities (equation 13) against softmaxes of displaced values.
        """
        distribution = observation.posterior(0).astype(np.float64)
        distribution /= distribution.sum(1, keepdims=True)
        token = int(observation.transcriptions[0].ids[-1])
        shift = np.zeros(distribution.shape[1])
        shift[token] = self.delta
        p = np.clip(distribution[:, token], 1e-12, 1 - 1e-12)
        error = np.abs(displaced(distribution, shift)[:, token] - factor(self.delta, p) * distribution[:, token])
        up, down = (float(factor(sign * self.delta, self.probability)) for sign in (1, -1))
        return {"displaced_up": up, "displaced_down": down, "displacement_error": float(error.max())}

    def frequency_metrics(self, tokens: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
        """Returns Spearman's correlation of the bias with how often a token occurs, `<s>` (never predicted) left out.

        Its interval is that of bootstrap samples of tokens.
        """
        rest = tokens.loc[tokens["token"] != START, ["bias", "count"]].rank().to_numpy()
        if (rest.std(0) == 0).any():
            return {"bias_frequency_correlation": float("nan")}
        drawn = rest[rng.integers(0, len(rest), (self.resamples, len(rest)))]
        drawn = drawn - drawn.mean(1, keepdims=True)
        values = (drawn[..., 0] * drawn[..., 1]).mean(1) / drawn.std(1).prod(1)
        low, high = np.nanquantile(values, [0.025, 0.975])
        return with_interval("bias_frequency_correlation", (float(np.corrcoef(rest.T)[0, 1]), low, high))

    def chosen(self, W: np.ndarray, R: np.ndarray) -> list[int]:
        """Returns the columns that are drawn one by one, counted from 0."""
        if self.units is not None:
            return [unit - self.units_base for unit in self.units]
        peak = int(np.abs(W).max(0).argmax())
        if len(R) < 2:
            return [peak]
        first, second = closest_pairs(R)[0][:2]
        return list(dict.fromkeys([first, second, peak]))

    def metrics(self, W: np.ndarray, R: np.ndarray, with_bias: np.ndarray, control: np.ndarray) -> dict[str, float]:
        bias, pairs, shuffled = np.abs(with_bias), np.abs(upper(R)), np.abs(upper(control))
        return {
            "bias_correlation_mean": _mean(bias),
            "bias_correlation_max": _max(bias),
            "column_correlation_mean": _mean(pairs),
            "column_correlation_max": _max(pairs),
            "near_duplicates": float((pairs >= self.near_duplicate).sum()),
            "shuffled_correlation_mean": _mean(shuffled),
            "shuffled_correlation_max": _max(shuffled),
            "shuffled_near_duplicates": float((shuffled >= self.near_duplicate).sum()),
            "rank": float(np.linalg.matrix_rank(W)),
            "tokens": float(len(W)),
        }

    def token_table(self, observation: Observation, W: np.ndarray, b: np.ndarray) -> pd.DataFrame:
        """Returns one row per token, lowest bias first: id, bias, norm of its row, count in the data or the tunes."""
        vocabulary = observation.vocabulary
        table = pd.DataFrame({"id": range(len(vocabulary)), "token": vocabulary.tokens, "type": vocabulary.types})
        table["bias"], table["row_norm"] = b, np.linalg.norm(W, axis=1)
        if observation.data is not None:
            table["count"] = token_counts(observation.data, vocabulary)
        else:
            seen = np.concatenate([t.ids for t in observation.transcriptions])
            table["count"] = np.bincount(seen, minlength=len(vocabulary))
        return table.sort_values("bias", kind="stable").reset_index(drop=True)

    def column_table(self, vocabulary: Vocabulary, W: np.ndarray, R: np.ndarray, with_bias: np.ndarray) -> pd.DataFrame:
        """Returns one row per unit: norm, correlation with the bias, the column most like it, tokens at both ends."""
        others = np.abs(R - np.eye(len(R)))
        nearest = others.argmax(1)
        ends = [strongest(column, vocabulary, self.named) for column in W.T]
        return pd.DataFrame(
            {
                "unit": range(len(R)),
                "norm": np.linalg.norm(W, axis=0),
                "bias_correlation": with_bias,
                "nearest": nearest,
                "nearest_correlation": R[np.arange(len(R)), nearest],
                "raises": [" ".join(raised) for raised, _ in ends],
                "lowers": [" ".join(lowered) for _, lowered in ends],
            }
        )

    def pair_table(self, R: np.ndarray, least: int = 20) -> pd.DataFrame:
        """Returns the near-duplicate pairs of columns, the closest first; at least `least` pairs where there are."""
        pairs = closest_pairs(R)
        kept = [pair for n, pair in enumerate(pairs) if n < least or abs(pair[2]) >= self.near_duplicate]
        return pd.DataFrame(kept, columns=["unit", "other", "correlation"])

    def caption_shapes(self, vocabulary: Vocabulary, b: np.ndarray) -> str:
        lowest = " ".join(vocabulary.decode(np.argsort(b, kind="stable")[:6]))
        return (
            "All columns of the softmax layer and its bias, by token type. The lowest biases are those of "
            f"{lowest} (v2: <s> =f' 16 (7 ^f' =C,). After part 2 of the blog and Fig. 4 (top) of the paper."
        )

    def caption_columns(self, vocabulary: Vocabulary, W: np.ndarray, chosen: Sequence[int]) -> str:
        parts = []
        for unit in chosen:
            raised, lowered = strongest(W[:, unit], vocabulary, 4)
            parts.append(f"unit {unit + self.units_base} raises {' '.join(raised)} and lowers {' '.join(lowered)}")
        return (
            f"Columns of W_s, what one unit of the last layer at +1 adds before the softmax: {'; '.join(parts)}. At −1 "
            "the signs are reversed. After Fig. 4 (middle) of the paper."
        )

    def caption_correlations(self, R: np.ndarray, with_bias: np.ndarray) -> str:
        near = int((np.abs(upper(R)) >= self.near_duplicate).sum())
        right = (
            f"Right: size of each column's correlation with the bias, mean {_mean(np.abs(with_bias)):.2f}, largest "
            f"{_max(np.abs(with_bias)):.2f} (part 2 reports 0.4 and about 0.8 for v2)."
            if np.isfinite(with_bias).any()
            else "The bias is the same for all tokens, so nothing correlates with it."
        )
        return (
            f"Left: correlations of all pairs of columns. Middle: their distribution; {near} pairs reach "
            f"{self.near_duplicate:g} in magnitude; the control has the entries of each column shuffled. {right}"
        )


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _max(values: np.ndarray) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")

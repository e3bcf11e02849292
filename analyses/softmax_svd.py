"""Along which directions does the last hidden state speak? (Part 3 of the blog; paper, Figs. 4 to 7.)

W_s = Σ_j σ_j u_j w_jᵀ, `[V, H]`, σ falling; components are numbered from 1. The left vector u_j says which tokens rise
when h points along the right vector w_j: W_s w_j = σ_j u_j. The sign of a pair is arbitrary; here the entry of largest
magnitude of u_j is positive. Adding a constant to all values leaves the softmax as it is, so the part of a left vector
along (1, …, 1)/√V does nothing; `centred` takes it away first (each column of W_s minus its mean).

Row t of h is the state after token t and makes token t + 1: a *measure step* is a row whose next token is a measure
token. In the plane of two right vectors measure steps are told from the others by the ratio of two Gaussian densities,
fitted on every other tune and judged on the rest (of a single tune: first and second half).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import softmax as draw
from analyses.measures import directions
from analyses.measures.columns import softmax_parameters
from analyses.measures.learned import learned_part, prefixed
from analyses.measures.separability import Plane, Steps, auc, best_plane, held_out_scores, plane_auc, random_rotation
from analyses.measures.strongest import strongest
from analyses.measures.tables import rows_of
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, generate
from folkrnn.vocabulary import TYPES, Vocabulary

if TYPE_CHECKING:
    import matplotlib.figure

LONGEST = 500
"""Tokens at which a tune written besides is cut."""


@dataclass(frozen=True)
class SVD:
    """Left vectors `[V, R]`, singular values `[R]`, right vectors `[H, R]`; R = min(V, H), rank counts σ > 0."""

    left: np.ndarray
    values: np.ndarray
    right: np.ndarray
    rank: int


@dataclass(frozen=True)
class SoftmaxSVD(Analysis[Observation]):
    """The singular values and vectors of the softmax layer, and how the hidden states point along them."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    main: ClassVar[Mapping[str, Main]] = {
        "ratio": Main("The largest singular value is {} times the second"),
        "above_threshold": Main("{} singular values lie above the threshold"),
        "plane_auc": Main("Along two directions bar lines are told from other steps with an AUC of {}"),
        "best_plane_auc": Main("The best two directions do with {}"),
    }

    threshold: float = 15.0
    """Singular values above this are counted (paper, Fig. 6: 30 of v2's)."""
    components: int = 30
    """Right vectors onto which hidden states are projected (paper, Fig. 6)."""
    left_vectors: int = 5
    """Left and right vectors that are drawn (paper, Fig. 4 bottom)."""
    plane: tuple[int, int] = (5, 15)
    """The two right vectors of the scatter (paper, Fig. 7), from 1; the best plane is found besides."""
    type: str = "measure"
    """Token type whose steps are told from all others."""
    plane_tunes: int = 10
    """Tunes whose steps are drawn in the plane (paper: 10)."""
    written: int = 0
    """Tunes that the model writes besides, for the plane and the population (paper, Fig. 7: nine beside Fig. 1)."""
    shown_units: int = 200
    """Units of the last layer drawn over the tune (paper, Fig. 6 top)."""
    tune: int = 0
    """Which transcription the projections are drawn for."""
    most_tunes: int = 1000
    """Tunes that enter the population numbers, so that memory stays bounded."""
    resamples: int = 1000
    """Bootstrap samples of tunes behind the interval."""
    random_planes: int = 10
    """Random rotations of the components: the best plane of each is the control for the best one."""
    centred: bool = False
    """Take away what the softmax ignores first: the mean of each column."""
    named: int = 6
    """Tokens that are named at each end of a left vector."""

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise UserError(f"type={self.type!r} is no token type; there are {', '.join(TYPES)}")
        if len(self.plane) != 2 or min(self.plane) < 1 or self.plane[0] == self.plane[1]:
            raise UserError(f"plane={list(self.plane)} must name two different right vectors, from 1")

    def __call__(self, observation: Observation) -> Findings:
        vocabulary = observation.vocabulary
        W, b = softmax_parameters(observation.model)
        svd = decompose(W - W.mean(0) if self.centred else W)
        site = f"l{len(observation.model.layers)}.h"
        steps = self.steps(observation, svd, site)
        planes = self.planes(steps, np.random.default_rng(observation.seed))
        k = min(self.tune, len(observation.transcriptions) - 1)
        h = observation.trace(k, site)
        apart, single = directions.type_components(steps.projections, steps.positive)
        of_mode = np.isin(observation.transcriptions[k].ids[1:], vocabulary.of_type("mode"))
        table = self.table(vocabulary, svd, steps)
        learned, learned_lists = self.of_learned(observation)
        return Findings(
            metrics=self.metrics(W, b, svd)
            | plane_metrics(planes)
            | directions.left_metrics(svd.left[:, : self.left_vectors], vocabulary)
            | directions.state_metrics(h, svd.right)
            | {f"{self.type}_component_auc": single}
            | learned,
            figures={
                "spectrum": Figure(
                    draw.spectrum(svd.values, self.threshold),
                    self.caption_spectrum(svd),
                    title=f"Singular values of the softmax layer: the first is {svd.values[0]:.1f}",
                ),
                "left": Figure(
                    draw.left_vectors(vocabulary, svd.left[:, : self.left_vectors], svd.values, self.named),
                    self.caption_left(table),
                    title="Left singular vectors: what the first components add to each token",
                ),
                "right": Figure(
                    draw.right_vectors(svd.right[:, : self.left_vectors]),
                    _CAPTION_RIGHT.format(site=site),
                    title="Right singular vectors: which units drive the first components",
                ),
                "projections": Figure(
                    draw.projections(h[:, : self.shown_units], self.project(h, svd), observation.tokens(k), site),
                    self.caption_projections(k, site),
                    title=f"Hidden states of tune {k} and their projections onto the right singular vectors",
                ),
                "plane": Figure(
                    self.draw_planes(steps, planes),
                    self.caption_plane(steps, planes),
                    title=f"Steps that make {self.type} tokens, in planes of two components",
                ),
            },
            tables={"components": table, "planes": pd.DataFrame([_row(name, p) for name, p in planes.items()])},
            arrays={"svd": {"left": svd.left, "values": svd.values, "right": svd.right}},
            lists=directions.left_lists(svd.left[:, : self.left_vectors], vocabulary, self.named)
            | {
                f"{self.type}_components": apart,
                "mode_components": directions.mode_components(self.project(h, svd), of_mode),
            }
            | learned_lists,
        )

    def of_learned(self, observation: Observation) -> tuple[dict[str, float], dict[str, list[str]]]:
        """Returns metrics and lists of the part of the layer that was learned, where that is known."""
        part = learned_part(observation)
        if part is None:
            return {}, {}
        W, b = softmax_parameters(part.model)
        svd = decompose(W - W.mean(0) if self.centred else W)
        left = svd.left[:, : self.left_vectors]
        found = self.metrics(W, b, svd) | directions.left_metrics(left, observation.vocabulary)
        lists = directions.left_lists(left, observation.vocabulary, self.named)
        return {"initial_share": part.metrics()["softmax/initial_share"]} | prefixed(found), prefixed(lists)

    def project(self, h: np.ndarray, svd: SVD) -> np.ndarray:
        """Returns ⟨h_t, w_j⟩ for the first `components` right vectors, `[T, components]`."""
        return h @ svd.right[:, : self.components].astype(h.dtype)

    def steps(self, observation: Observation, svd: SVD, site: str) -> Steps:
        """Returns the projections of the first `most_tunes` transcriptions, in their order."""
        tunes = list(observation.transcriptions[: self.most_tunes])
        if self.written:
            sampling = Sampling(tunes=self.written, max_tokens=LONGEST)
            tunes += generate(observation.model, observation.vocabulary, sampling, observation.seed)
        some = replace(observation, transcriptions=tunes, _kept={})
        of_type = np.isin(range(len(some.vocabulary)), some.vocabulary.of_type(self.type))
        found = {k: self.project(activations[site], svd) for k, activations in some.each([site])}
        tunes = range(len(found))
        lengths = [len(found[k]) for k in tunes]
        tune = np.repeat(tunes, lengths)
        train = tune % 2 == 0 if len(found) > 1 else np.arange(lengths[0]) < lengths[0] // 2
        positive = np.concatenate([of_type[some.transcriptions[k].ids[1:]] for k in tunes])
        return Steps(np.concatenate([found[k] for k in tunes]), positive, tune, train)

    def planes(self, steps: Steps, rng: np.random.Generator) -> dict[str, Plane]:
        """Returns the plane asked for, the best one (found on the fitting half), and the best of random directions.

        These span what the components span, so a plane of as many directions, as well chosen, lies among them.
        """
        count = steps.projections.shape[1]
        found = {"asked": plane_auc(steps, self.plane, self.resamples, rng)}
        if count < 2:
            return found
        found["best"] = plane_auc(steps, best_plane(steps), self.resamples, rng)
        values = []
        for _ in range(self.random_planes):
            turned = replace(steps, projections=steps.projections @ random_rotation(count, rng))
            values.append(auc(*held_out_scores(turned, best_plane(turned))))
        if values:
            low, high = np.quantile(values, [0.025, 0.975])
            found["random"] = Plane((0, 0), float(np.mean(values)), float(low), float(high))
        return found

    def metrics(self, W: np.ndarray, b: np.ndarray, svd: SVD) -> dict[str, float]:
        s, first = svd.values, svd.left[:, 0]
        centred = np.linalg.svd(W - W.mean(0), compute_uv=False)
        return {
            "sigma_1": float(s[0]),
            "sigma_2": float(s[1]) if len(s) > 1 else float("nan"),
            "ratio": _ratio(s),
            "ratio_centred": _ratio(centred),
            "rank": float(svd.rank),
            "above_threshold": float((s > self.threshold).sum()),
            "energy_first": float(s[0] ** 2 / (s**2).sum()),
            "energy_components": float((s[: self.components] ** 2).sum() / (s**2).sum()),
            "first_left_same_sign": float(max((first > 0).mean(), (first < 0).mean())),
            "first_left_constant": float(first.sum() ** 2 / len(first)),
            "first_right_largest": float(np.abs(svd.right[:, 0]).max()),
            "first_push_largest": float(s[0] * np.abs(first).max()),
            "bias_largest": float(np.abs(b).max()),
        }

    def table(self, vocabulary: Vocabulary, svd: SVD, steps: Steps) -> pd.DataFrame:
        """Returns one row per component: σ, share of Σσ², tokens at both ends, mean of u per type, use by the states.

        `projection` is the mean |⟨h, w_j⟩| over steps and `auc` how well the signed projection alone tells steps of
        `type` from others (0.5: not at all; below: they lie at its negative end); NaN beyond `components`.
        """
        ends = [strongest(u, vocabulary, self.named) for u in svd.left.T]
        table = pd.DataFrame({"component": np.arange(1, len(svd.values) + 1), "sigma": svd.values})
        table["energy"] = svd.values**2 / (svd.values**2).sum()
        table["raises"] = [" ".join(raised) for raised, _ in ends]
        table["lowers"] = [" ".join(lowered) for _, lowered in ends]
        for name in TYPES:
            ids = list(vocabulary.of_type(name))
            table[f"mean_{name}"] = svd.left[ids].mean(0) if ids else float("nan")
        table["projection"] = pd.Series(np.abs(steps.projections).mean(0))
        table["auc"] = pd.Series([auc(column, steps.positive) for column in steps.projections.T])
        return table

    def draw_planes(self, steps: Steps, planes: dict[str, Plane]) -> matplotlib.figure.Figure:
        shown = steps.tune < self.plane_tunes
        some = [planes[name] for name in ("asked", "best") if name in planes and np.isfinite(planes[name].auc)]
        pairs = list(dict.fromkeys(plane.components for plane in some)) or [(1, 1)]
        places = [[j - 1 for j in pair] for pair in pairs]
        return draw.planes(
            [steps.projections[shown][:, place] for place in places], pairs, steps.positive[shown], self.type
        )

    def caption_spectrum(self, svd: SVD) -> str:
        above = int((svd.values > self.threshold).sum())
        return (
            f"Singular values of W_s{' with centred columns' if self.centred else ''}: σ₁ = {svd.values[0]:.3g}, "
            f"{_ratio(svd.values):.2f} times σ₂; {above or 'none'} above {self.threshold:g}; rank {svd.rank}. For v2 "
            "the sources report σ₁ ≈ 509, more than 7.5 times all others, 30 above 15, rank 137 (part 3; Fig. 5)."
        )

    def caption_left(self, table: pd.DataFrame) -> str:
        parts = [
            f"u{row.component} raises {' '.join(row.raises.split()[:4])} and lowers {' '.join(row.lowers.split()[:4])}"
            for row in rows_of(table.head(self.left_vectors))
        ]
        return f"Left singular vectors over the tokens by type: {'; '.join(parts)}. After Fig. 4 (bottom) of the paper."

    def caption_projections(self, k: int, site: str) -> str:
        return (
            f"Tune {k}: {site} of {self.shown_units} units (top) and the magnitude of its projection onto the right "
            f"singular vectors (bottom) at every step, labelled by the token that it makes. After the paper's Fig. 6."
        )

    def caption_plane(self, steps: Steps, planes: dict[str, Plane]) -> str:
        told = {name: f"{p.auc:.3f} (95 % interval {p.low:.3f} to {p.high:.3f})" for name, p in planes.items()}
        asked = " × ".join(map(str, planes["asked"].components))
        best = f"; best plane, chosen on other tunes, {told['best']}" if "best" in planes else ""
        random = f"; the best of random directions {planes['random'].auc:.3f} on average" if "random" in planes else ""
        return (
            f"Hidden states of {min(self.plane_tunes, int(steps.tune.max()) + 1)} tunes in the plane of two right "
            f"singular vectors; {self.type} steps in orange. AUC over {int(steps.tune.max()) + 1} tunes: plane {asked} "
            f"{told['asked']}{best}{random}. After Fig. 7 of the paper (plane 5 × 15 of v2)."
        )


def decompose(W: np.ndarray) -> SVD:
    """Returns the SVD of `W [V, H]`, signs fixed so that the entry of largest magnitude of each left vector is > 0."""
    left, values, right = np.linalg.svd(W, full_matrices=False)
    sign = np.sign(left[np.abs(left).argmax(0), np.arange(len(values))])
    rank = int((values > values[0] * max(W.shape) * np.finfo(W.dtype).eps).sum())
    return SVD(left * sign, values, right.T * sign, rank)


def plane_metrics(planes: dict[str, Plane]) -> dict[str, float]:
    """Returns the AUC of each plane and its interval, and which components the best one has."""
    prefixes = {"asked": "plane", "best": "best_plane", "random": "random_plane"}
    found = {}
    for name, plane in planes.items():
        ends = {"": plane.auc, "_low": plane.low, "_high": plane.high}
        found |= {f"{prefixes[name]}_auc{end}": value for end, value in ends.items()}
    if "best" in planes:
        found |= dict(
            zip(("best_plane_first", "best_plane_second"), map(float, planes["best"].components), strict=True)
        )
    return found


def _ratio(values: np.ndarray) -> float:
    return float(values[0] / values[1]) if len(values) > 1 and values[1] > 0 else float("nan")


def _row(name: str, plane: Plane) -> dict[str, object]:
    first, second = plane.components
    return {"plane": name, "first": first, "second": second, "auc": plane.auc, "low": plane.low, "high": plane.high}


_CAPTION_RIGHT = (
    "Right singular vectors over the units of {site}. All entries lie within [−1, 1], so a state can point along "
    "each. After part 3 of the blog."
)

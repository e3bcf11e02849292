"""What do the gates listen to? (Part 4 of the blog; slides of the ICML 2018 talk.)

Every gate of every layer has an input matrix `[H, I]` and a recurrent matrix `[H, H]`. The one-hot input of layer 1
picks a column, so there columns are tokens; above, columns are units of the layer below. Gramians are those of unit
columns, that is cosines. Tokens that the data lack are left out of the similarities (their columns were never trained);
`least_count=0` takes all tokens, as part 4 does.

The columns of a recurrent matrix of full rank span everything, so principal angles are between leading subspaces: the
left singular vectors that hold the share `energy` of a matrix's squared singular values. Overlap is the mean squared
cosine over its value for random subspaces of the same sizes (1 is chance).

Where the initial parameters are known all of it is also said of the learned part, W − d W₀ (metrics `learned/…`; see
`analyses.measures.learned`): random columns are orthogonal, and what is left of them hides what was learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import gates as draw
from analyses.drawings.over_tokens import token_counts
from analyses.measures.columns import softmax_parameters
from analyses.measures.gate_tables import (
    Matrices,
    angle_table,
    cosine_table,
    layer_angles,
    layer_overlaps,
    norm_table,
    norms_by_type,
)
from analyses.measures.learned import CAPTION, learned_part, prefixed
from analyses.measures.multiple import holm
from analyses.measures.pitch_relations import RELATIONS, related_pairs, similarity
from analyses.measures.subspaces import cosines, leading, overlap
from analyses.measures.tables import rows_of
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.recurrent import GATES
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import TYPES, Vocabulary

LEARNED_TITLE = "{title}: the learned part"
LEARNED = ("norms", "l1_input", "l1_gramians", "similarity", "input_recurrent", "angles", "overlap")
"""Figures that are drawn of the learned part besides."""


@dataclass(frozen=True)
class GateParameters(Analysis[Observation]):
    """Heat maps, column norms, Gramians and subspaces of the gate matrices of every layer."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    repeated_on: ClassVar[tuple[str, ...]] = ("untrained",)
    main: ClassVar[Mapping[str, Main]] = {
        "deeper_input_recurrent_overlap": Main(
            "In deeper layers input and recurrent matrices share at most {:%} of their directions"
        ),
        "column_cosine_spread": Main("Sizes of cosines between columns spread by {}"),
        "type_subspace_overlap": Main("The subspaces of token types overlap by {}"),
        "initial_share": Main("{:%} of the matrices is still what they began with"),
    }

    least_count: int = 1
    """A token enters the similarities if the data hold it at least this often; 0: every token (part 4)."""
    energy: float = 0.9
    """Share of a matrix's squared singular values that its leading subspace holds."""
    shuffles: int = 1000
    """Permutations of tokens behind the chance interval of the similarities."""

    def __post_init__(self) -> None:
        if not 0 < self.energy <= 1:
            raise UserError(f"energy is {self.energy}; a share of the squared singular values lies in (0, 1]")

    def __call__(self, observation: Observation) -> Findings:
        found, part = self.look(observation), learned_part(observation)
        if part is None:
            return found
        learned = self.look(replace(observation, model=part.model))
        found.metrics = part.metrics() | found.metrics | prefixed(learned.metrics)
        found.tables |= {"initial": part.table} | prefixed(learned.tables, "_")
        said = CAPTION.format(share=part.metrics()["initial_share"])
        found.figures |= {
            f"learned_{name}": Figure(
                figure.drawing, f"Of {said}. {figure.caption}", title=LEARNED_TITLE.format(title=figure.title)
            )
            for name, figure in learned.figures.items()
            if name in LEARNED
        }
        return found

    def look(self, observation: Observation) -> Findings:
        """Returns the findings on the parameters as they are."""
        model, vocabulary = observation.model, observation.vocabulary
        rng = np.random.default_rng(observation.seed)
        layers = [gate_matrices(model, k) for k in range(len(model.layers))]
        norms = norm_table(vocabulary, layers[0][0])
        alike = self.similarities(observation, layers[0][0], rng)
        bases = [self.bases(*layer) for layer in layers]
        angles = [layer_angles(layer, rng) for layer in bases]
        shared = [layer_overlaps(layer) for layer in bases]
        types = self.type_overlaps(vocabulary, layers[0][0])
        columns = pd.concat([cosine_table(k, *layer) for k, layer in enumerate(layers, 1)], ignore_index=True)
        return Findings(
            metrics=metrics(norms, alike, columns, shared) | summary(columns, shared, types),
            figures={
                "norms": Figure(
                    draw.norms(vocabulary, layers[0][0]),
                    _CAPTIONS["norms"],
                    title="Norm of the column that each token picks in the input matrices of layer 1",
                ),
                "l1_input": Figure(
                    draw.token_columns(vocabulary, layers[0][0]),
                    _CAPTIONS["l1_input"],
                    title="Input matrices of layer 1, a column per token",
                ),
                "l1_gramians": Figure(
                    draw.token_gramians(vocabulary, layers[0][0]),
                    _CAPTIONS["l1_gramians"],
                    title="Cosines between the columns of tokens in the input matrices of layer 1",
                ),
                "similarity": Figure(
                    draw.similarity(alike),
                    self.caption_similarity(alike),
                    title="Are the columns of related pitches alike? Mean cosine and what chance gives",
                ),
                "norms_by_layer": Figure(
                    draw.sorted_norms(layers),
                    _CAPTIONS["norms_by_layer"],
                    title="Norms of the columns of every matrix, sorted",
                ),
                "input_recurrent": Figure(
                    draw.inner_products(layers),
                    self.caption_products(columns),
                    title="Cosines between input and recurrent columns of the same unit",
                ),
                "angles": Figure(
                    draw.angles(angles),
                    _CAPTIONS["angles"].format(energy=self.energy),
                    title="Principal angles between input and recurrent matrices of each gate",
                ),
                "overlap": Figure(
                    draw.overlaps(shared),
                    _CAPTIONS["overlap"].format(energy=self.energy),
                    title="Overlap of the leading subspaces of all matrices of a layer, against chance",
                ),
                **layer_figures(layers),
            },
            tables={
                "norms": norms,
                "norms_by_type": norms_by_type(norms),
                "similarity": alike,
                "cosines": columns,
                "angles": angle_table(angles),
                "type_subspaces": types,
            },
            arrays={
                f"l{k}_overlap": {"overlap": value, "matrices": np.array(names)}
                for k, (names, value) in enumerate(shared, 1)
            },
        )

    def similarities(self, observation: Observation, inputs: Matrices, rng: np.random.Generator) -> pd.DataFrame:
        """Returns the mean cosine of related pitch columns per gate, its chance interval, and that of the W_s rows."""
        vocabulary = observation.vocabulary
        ids = [i for i in vocabulary.of_type("pitch") if vocabulary.tokens[i] != "z"]
        if observation.data is not None:
            counts = token_counts(observation.data, vocabulary)
            ids = [i for i in ids if counts[i] >= self.least_count]
        pairs = related_pairs(vocabulary, ids)
        W, _ = softmax_parameters(observation.model)
        rows = []
        for name, matrix in {**{f"l1.{gate}": value for gate, value in inputs.items()}, "softmax": W.T}.items():
            C = cosines(matrix[:, ids])
            unrelated = _mean(C[tuple(pairs["unrelated"].T)])
            for kind in RELATIONS:
                seen, low, high, p = similarity(C, pairs[kind], self.shuffles, rng)
                row = {"matrix": name, "relation": kind, "pairs": len(pairs[kind]), "cosine": seen}
                rows.append(row | {"unrelated": unrelated, "chance_low": low, "chance_high": high, "p": p})
        table = pd.DataFrame(rows)
        return table.assign(p_holm=holm(table["p"].to_numpy()), comparisons=int(table["p"].notna().sum()))

    def bases(self, inputs: Matrices, recurrent: Matrices) -> Matrices:
        """Returns the leading subspace `[H, d]` of each matrix of a layer: the input ones (`xi`, …), then `hi`, …"""
        matrices = {f"x{gate}": W for gate, W in inputs.items()} | {f"h{gate}": W for gate, W in recurrent.items()}
        return {name: leading(W, self.energy) for name, W in matrices.items()}

    def type_overlaps(self, vocabulary: Vocabulary, inputs: Matrices) -> pd.DataFrame:
        """Returns the overlap of the spans of two token types' columns, per gate of layer 1 (ICML talk)."""
        spans = {
            gate: {name: leading(W[:, list(vocabulary.of_type(name))], self.energy) for name in _present(vocabulary)}
            for gate, W in inputs.items()
        }
        rows = [
            {"gate": gate, "type": one, "other": other, "overlap": overlap(of_type[one], of_type[other])}
            for gate, of_type in spans.items()
            for one, other in combinations(of_type, 2)
        ]
        return pd.DataFrame(rows, columns=["gate", "type", "other", "overlap"])

    def caption_similarity(self, alike: pd.DataFrame) -> str:
        pairs = alike.groupby("relation", sort=False)["pairs"].first()
        told = ", ".join(f"{count} {name}" for name, count in pairs.items())
        return (
            f"Mean cosine of the columns of related pitches ({told} pairs) in each gate of layer 1, and of the rows "
            f"of the softmax layer. Grey: 95 % of {self.shuffles} permutations of the tokens. Part 4 saw such "
            "relations of v2 in the candidate (cell gate) and the output gate."
        )

    def caption_products(self, columns: pd.DataFrame) -> str:
        both = columns[columns["between"] == "input_recurrent"]
        return (
            "Cosines of all columns of the input matrix with all columns of the recurrent matrix of the same gate, per "
            f"layer; the line is the density for random directions. Mean magnitudes: "
            f"{both['magnitude'].min():.3f} to {both['magnitude'].max():.3f}, chance {both['chance'].iloc[0]:.3f}. "
            "Part 4 calls v2's quite small."
        )


def gate_matrices(model: FolkRNN, layer: int) -> tuple[Matrices, Matrices]:
    """Returns the input matrices `[H, I]` and recurrent matrices `[H, H]` of a layer (from 0), per gate."""
    part = model.layers[layer]
    split = partial(np.split, indices_or_sections=len(GATES[model.cell]))
    both = (split(W.detach().cpu().double().numpy()) for W in (part.weight_ih, part.weight_hh))
    inputs, recurrent = (dict(zip(GATES[model.cell], blocks, strict=True)) for blocks in both)
    return inputs, recurrent


def metrics(
    norms: pd.DataFrame, alike: pd.DataFrame, columns: pd.DataFrame, shared: list[tuple[list[str], np.ndarray]]
) -> dict[str, float]:
    """Returns similarities, header norms, |cosines| and overlaps of input and recurrent matrix, per layer and gate."""
    found: dict[str, float] = {}
    for row in rows_of(alike.sort_values("relation", key=lambda kind: kind.map(RELATIONS.index), kind="stable")):
        found[f"{row.matrix}/{row.relation}_cosine"] = row.cosine
    for row in rows_of(alike):
        found[f"{row.matrix}/{row.relation}_p"] = row.p
        found[f"{row.matrix}/{row.relation}_p_holm"] = row.p_holm
        found[f"{row.matrix}/unrelated_cosine"] = row.unrelated
    header = norms["type"].isin(("meter", "mode"))
    for gate in norms.columns.drop(["token", "type"]):
        found[f"l1.{gate}/header_norm_ratio"] = float(norms.loc[header, gate].mean() / norms.loc[~header, gate].mean())
    for row in rows_of(columns[columns["between"] == "input_recurrent"]):
        found[f"l{row.layer}.{row.gate}/input_recurrent_cosine"] = row.magnitude
        found[f"l{row.layer}.{row.gate}/input_recurrent_chance"] = row.chance
    for k, (names, value) in enumerate(shared, 1):
        half = len(names) // 2
        for i in range(half):
            found[f"l{k}.{names[i][1:]}/input_recurrent_overlap"] = float(value[i, half + i])
    return found


def summary(columns: pd.DataFrame, shared: list[tuple[list[str], np.ndarray]], types: pd.DataFrame) -> dict[str, float]:
    """Returns the numbers of layers over their gates: |cosines|, overlaps of input and recurrent subspaces, of types.

    `column_cosine_spread` is the standard deviation over the gates of layer 1 of how alike their input columns are
    (mean |cosine|): 0 if all look the same in this respect. `deeper_…` is the largest of the layers above the first.
    """
    both = columns[(columns["between"] == "input_recurrent") & (columns["layer"] == 1)]
    own = columns[(columns["between"] == "input_input") & (columns["layer"] == 1)]
    overlaps = [
        float(np.mean([value[i, len(names) // 2 + i] for i in range(len(names) // 2)])) for names, value in shared
    ]
    return {
        "column_cosine_spread": float(own["magnitude"].std(ddof=0)),
        "l1_input_recurrent_cosine": float(both["magnitude"].mean()),
        "l1_input_recurrent_chance": float(both["chance"].mean()),
        "l1_input_recurrent_overlap": overlaps[0],
        "type_subspace_overlap": float(types["overlap"].mean()),
    } | ({"deeper_input_recurrent_overlap": max(overlaps[1:])} if len(overlaps) > 1 else {})


def layer_figures(layers: list[tuple[Matrices, Matrices]]) -> dict[str, Figure]:
    """Returns heat maps of the matrices and Gramians of each layer whose columns are units."""
    found = {}
    for k, (inputs, recurrent) in enumerate(layers, 1):
        rows = {"recurrent": recurrent} if k == 1 else {"input": inputs, "recurrent": recurrent}
        found[f"l{k}_matrices"] = Figure(
            draw.heat_maps(rows, k), _CAPTIONS["matrices"].format(layer=k), title=f"Gate matrices of layer {k}"
        )
        found[f"l{k}_unit_gramians"] = Figure(
            draw.unit_gramians(rows, k),
            _CAPTIONS["unit_gramians"].format(layer=k),
            title=f"|Cosine| between the columns of the gate matrices of layer {k}",
        )
    return found


def _present(vocabulary: Vocabulary) -> list[str]:
    return [name for name in TYPES if name in vocabulary.types]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


_CAPTIONS = {
    "norms": (
        "Euclidean norm of the column that each token picks in the input matrix of each gate of layer 1; dashed: mean. "
        "Part 4 finds v2's forget-gate columns of meter and mode tokens very small."
    ),
    "l1_input": (
        "Input matrices of layer 1: one column per token, by type; a token adds its column before the gate. "
        "After part 4 of the blog."
    ),
    "l1_gramians": (
        "Cosines between the columns that tokens pick in each gate of layer 1, tokens by type; pitches from low to "
        "high, so that octaves make diagonals. The diagonal is left out. After part 4 of the blog."
    ),
    "norms_by_layer": (
        "Euclidean norms of the columns of every matrix, sorted, per layer and gate: input columns solid, recurrent "
        "columns dashed."
    ),
    "angles": (
        "Cosines of the principal angles between the leading subspaces ({energy:.0%} of the squared singular values) "
        "of the input and the recurrent matrix of a gate; dashed: random subspaces of the same sizes."
    ),
    "overlap": (
        "Overlap of the leading subspaces ({energy:.0%} of the squared singular values) of all matrices of a layer (x: "
        "input, h: recurrent), as a multiple of chance; orange is more than chance, purple less."
    ),
    "matrices": "Matrices of layer {layer} whose columns are units, one panel per gate. After part 4 of the blog.",
    "unit_gramians": "Sizes of the cosines between columns of the matrices of layer {layer}, diagonal left out.",
}

"""Numbers of gate matrices as tables: norms and cosines of their columns, angles and overlaps of their subspaces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analyses.measures.subspaces import (
    chance_cosine,
    cosines,
    off_diagonal,
    overlap,
    principal_cosines,
    random_subspace,
)
from folkrnn.vocabulary import Vocabulary

Matrices = dict[str, np.ndarray]
"""Gate name to matrix, in the order in which the cell stacks them."""


def layer_angles(bases: Matrices, rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Returns, per gate, cosines of the principal angles of input and recurrent subspace, and of random ones."""
    found = {}
    for gate in [name[1:] for name in bases if name.startswith("x")]:
        A, B = bases[f"x{gate}"], bases[f"h{gate}"]
        random = (random_subspace(len(A), basis.shape[1], rng) for basis in (A, B))
        found[gate] = (principal_cosines(A, B), principal_cosines(*random))
    return found


def layer_overlaps(bases: Matrices) -> tuple[list[str], np.ndarray]:
    """Returns the names of all matrices of a layer and the overlaps of their leading subspaces, chance being 1."""
    return list(bases), np.array([[overlap(A, B) for B in bases.values()] for A in bases.values()])


def norm_table(vocabulary: Vocabulary, inputs: Matrices) -> pd.DataFrame:
    """Returns the Euclidean norm of every token's column, one row per token in plot order, one column per gate."""
    order = list(vocabulary.plot_order)
    table = pd.DataFrame({"token": vocabulary.decode(order), "type": [vocabulary.types[i] for i in order]})
    for gate, W in inputs.items():
        table[gate] = np.linalg.norm(W[:, order], axis=0)
    return table


def norms_by_type(norms: pd.DataFrame) -> pd.DataFrame:
    """Returns mean, smallest and largest norm of the columns of each type, per gate."""
    long = norms.melt(["token", "type"], var_name="gate", value_name="norm")
    return long.groupby(["gate", "type"], sort=False)["norm"].agg(["mean", "min", "max"]).reset_index()


def cosine_table(layer: int, inputs: Matrices, recurrent: Matrices) -> pd.DataFrame:
    """Returns mean and largest |cosine| within the input, within the recurrent columns and between them, per gate."""
    rows: list[dict[str, object]] = []
    for gate, name, values in _all_cosines(inputs, recurrent):
        size = np.abs(values)
        row: dict[str, object] = {
            "layer": layer,
            "gate": gate,
            "between": name,
            "magnitude": float(size.mean()) if size.size else float("nan"),
        }
        rows.append(row | {"largest": float(size.max(initial=0.0)), "chance": chance_cosine(len(inputs[gate]))})
    return pd.DataFrame(rows)


def _all_cosines(inputs: Matrices, recurrent: Matrices) -> Iterator[tuple[str, str, np.ndarray]]:
    for gate, W in inputs.items():
        yield gate, "input_input", off_diagonal(cosines(W))
        yield gate, "recurrent_recurrent", off_diagonal(cosines(recurrent[gate]))
        between = cosines(recurrent[gate], W)
        yield gate, "input_recurrent", between[np.isfinite(between)]


def angle_table(angles: list[dict[str, tuple[np.ndarray, np.ndarray]]]) -> pd.DataFrame:
    """Returns every principal angle in degrees, observed and of random subspaces, per layer and gate."""
    parts = [
        pd.DataFrame(
            {
                "layer": k,
                "gate": gate,
                "angle": range(1, len(seen) + 1),
                "degrees": np.degrees(np.arccos(seen)),
                "random_degrees": np.degrees(np.arccos(random)),
            }
        )
        for k, layer in enumerate(angles, 1)
        for gate, (seen, random) in layer.items()
    ]
    return pd.concat(parts, ignore_index=True)

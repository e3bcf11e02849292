"""Two activations of a layer: how their Gramians, and the products of their values, resemble each other and the
tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analyses.measures import centred, similarity

CELLS = ("c", "tanhc")
"""Activations that are not multiplied with others: they are states, not gates."""


def pairs_of(members: Sequence[str]) -> list[tuple[str, str]]:
    """Returns every two activations of a layer that are multiplied with each other: (vertical, horizontal) as drawn.

    The output gate stands on the vertical axis, as in part 9.
    """
    pairs = combinations([name for name in members if name not in CELLS], 2)
    return [(b, a) if b == "o" else (a, b) for a, b in pairs]


def cross_table(tokens: Sequence[str], activations: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Returns for every two activations of a layer what their products, and their Gramians, have in common.

    `similarity_read`: the likeness of the products to the one-hot Gramian; `centred_read`: the same of the activations
    without their means, with the 95 % quantile of what circular shifts give; `cka`: the alignment of the two, likewise.
    """
    rows = []
    for layer, members in activations_by_layer(list(activations)).items():
        for a, b in pairs_of(members):
            one, other = activations[f"{layer}.{a}"], activations[f"{layer}.{b}"]
            product, without = (
                similarity.cross(one, other),
                similarity.cross(centred.centred(one), centred.centred(other)),
            )
            without = np.abs(without + without.T) / 2
            rows.append(
                {
                    "layer": layer,
                    "first": a,
                    "second": b,
                    "mean_cosine": float(product.mean()),
                    "std_cosine": float(product.std()),
                    "similarity_read": similarity.to_one_hot(np.abs(product + product.T) / 2, tokens, 0),
                    "centred_read": similarity.to_one_hot(without, tokens, 0),
                    "centred_read_shifted": _upper(centred.likeness_of_shifts(without, tokens)),
                    "cka": centred.cka(one, other),
                    "cka_shifted": _upper(centred.cka_of_shifts(one, other)),
                }
            )
    return pd.DataFrame(rows, columns=["layer", "first", "second", *CROSS])


CROSS = (
    "mean_cosine",
    "std_cosine",
    "similarity_read",
    "centred_read",
    "centred_read_shifted",
    "cka",
    "cka_shifted",
)


def cross_metrics(cross: pd.DataFrame) -> dict[str, float]:
    """Returns how like the one-hot Gramian the products of two of i, f, o and h are, the pairs that part 9 looks at.

    The candidate, of which h is made, is left out. `cross_similarity` is the mean size over the pairs, `…_largest` that
    of the pair that is most alike; `cross_centred_…` the same of activations without their means, the largest with the
    quantile of circular shifts of its own pair, and `in_out_…` what becomes of the pair that part 9 draws, i × o.
    """
    part = cross[~(cross[["first", "second"]] == "g").any(axis=1)]
    part = part[part[["similarity_read", "centred_read"]].notna().all(axis=1)]
    if not len(part):
        return {}
    drawn = part[(part["first"] == "o") & (part["second"] == "i")]
    top = part.iloc[int(part["centred_read"].abs().to_numpy().argmax())]
    found = {
        "cross_similarity": float(part["similarity_read"].abs().mean()),
        "cross_similarity_largest": float(part["similarity_read"].abs().max()),
        "cross_centred_largest": float(abs(top["centred_read"])),
        "cross_centred_largest_shifted": float(top["centred_read_shifted"]),
        "cross_cka_largest": float(part["cka"].max()),
    }
    if len(drawn):
        found |= {
            "in_out_similarity_largest": float(drawn["similarity_read"].abs().max()),
            "in_out_centred_largest": float(drawn["centred_read"].abs().max()),
        }
    return found


def _upper(values: np.ndarray) -> float:
    """The 95 % quantile of what a null gives."""
    known = values[np.isfinite(values)]
    return float(np.quantile(known, 0.95)) if len(known) else float("nan")


def likeness(gram: dict[str, np.ndarray], name: str) -> dict[str, float]:
    """Returns Pearson's r over pairs of steps between an activation's |Gramian| and those of h and o of its layer."""
    layer, activation = name.split(".", 1)
    others = {other: gram.get(f"{layer}.{other}") for other in ("h", "o") if other != activation}
    return {
        f"likeness_to_{other}": similarity.correlation(similarity.pairs(gram[name]), similarity.pairs(theirs))
        for other, theirs in others.items()
        if theirs is not None
    }


def activations_by_layer(names: Sequence[str] | dict[str, Any]) -> dict[str, list[str]]:
    """Returns the activations of each layer, in order: {"l1": ["i", "f", …], …}."""
    found: dict[str, list[str]] = {}
    for name in names:
        layer, activation = name.split(".", 1)
        found.setdefault(layer, []).append(activation)
    return found

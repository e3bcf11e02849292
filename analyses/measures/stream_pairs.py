"""Two streams of a layer: how their Gramians, and the products of their values, resemble each other and the tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analyses.measures import similarity

CELLS = ("c", "tanhc")
"""Streams that are not multiplied with others: they are states, not gates."""


def pairs_of(members: Sequence[str]) -> list[tuple[str, str]]:
    """Returns every two streams of a layer that are multiplied with each other."""
    return list(combinations([name for name in members if name not in CELLS], 2))


def cross_table(tokens: Sequence[str], streams: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Returns for every two streams of a layer the mean cosine, the spread, and the likeness to the one-hot."""
    rows = []
    for layer, members in layers_of(streams).items():
        for a, b in pairs_of(members):
            product = similarity.cross(streams[f"{layer}.{a}"], streams[f"{layer}.{b}"])
            rows.append(
                {
                    "layer": layer,
                    "first": a,
                    "second": b,
                    "mean_cosine": float(product.mean()),
                    "std_cosine": float(product.std()),
                    "similarity_read": similarity.to_one_hot(np.abs(product + product.T) / 2, tokens, 0),
                }
            )
    columns = ["layer", "first", "second", "mean_cosine", "std_cosine", "similarity_read"]
    return pd.DataFrame(rows, columns=columns)


def cross_similarity(cross: pd.DataFrame) -> float:
    """Returns the mean size of the likeness to the one-hot Gramian over the products of two of i, f, o and h.

    These are the pairs that part 9 looks at; the candidate, of which h is made, is left out.
    """
    part = cross[~(cross[["first", "second"]] == "g").any(axis=1)]
    return similarity.mean(part["similarity_read"].abs())


def likeness(gram: dict[str, np.ndarray], name: str) -> dict[str, float]:
    """Returns Pearson's r over pairs of steps between a stream's |Gramian| and those of h and o of its layer."""
    layer, stream = name.split(".", 1)
    others = {other: gram.get(f"{layer}.{other}") for other in ("h", "o") if other != stream}
    return {
        f"likeness_to_{other}": similarity.correlation(similarity.pairs(gram[name]), similarity.pairs(theirs))
        for other, theirs in others.items()
        if theirs is not None
    }


def layers_of(names: Sequence[str] | dict[str, Any]) -> dict[str, list[str]]:
    """Returns the streams of each layer, in order: {"l1": ["i", "f", …], …}."""
    found: dict[str, list[str]] = {}
    for name in names:
        layer, stream = name.split(".", 1)
        found.setdefault(layer, []).append(stream)
    return found

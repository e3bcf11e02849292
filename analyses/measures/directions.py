"""What singular vectors of the softmax layer say of the tokens, and how the hidden states use them.

Left vectors `[V, R]` and right vectors `[H, R]` as columns; components are numbered from 1.
"""

from __future__ import annotations

import numpy as np

from analyses.measures.pitch_relations import literal_pitch
from analyses.measures.separability import auc
from analyses.measures.strongest import strongest
from folkrnn.vocabulary import Vocabulary


def left_lists(left: np.ndarray, vocabulary: Vocabulary, named: int) -> dict[str, list[str]]:
    """Returns the tokens at both ends of each left vector, `left_1_raises`, `left_1_lowers`, …"""
    found = {}
    for j, vector in enumerate(left.T, 1):
        found[f"left_{j}_raises"], found[f"left_{j}_lowers"] = strongest(vector, vocabulary, named)
    return found


def left_metrics(left: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
    """Returns what the left vectors tell apart, each by the one of them that does it best.

    `<type>_left_auc` for mode and measure tokens against all others (AUC of one vector's entries, up to its sign; 1:
    complete separation), with its number as `<type>_left`; `left_<j>_pitch_correlation`: Spearman's correlation of the
    entries with the pitch, over the pitch tokens.
    """
    found: dict[str, float] = {}
    for name in ("mode", "measure"):
        ids = vocabulary.of_type(name)
        if not ids:
            continue
        values = np.array([auc(vector, np.isin(range(len(left)), ids)) for vector in left.T])
        best = int(np.abs(values - 0.5).argmax())
        found[f"{name}_left_auc"] = float(max(values[best], 1 - values[best]))
        found[f"{name}_left"] = float(best + 1)
    heights = {i: literal_pitch(vocabulary.tokens[i]) for i in vocabulary.of_type("pitch")}
    pitched = [i for i, height in heights.items() if height is not None]
    if len(pitched) > 2:
        order = _ranks(np.array([heights[i] for i in pitched], dtype=float))
        for j, vector in enumerate(left.T, 1):
            found[f"left_{j}_pitch_correlation"] = float(np.corrcoef(order, _ranks(vector[pitched]))[0, 1])
    return found


def state_metrics(h: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Returns how much of the states `h [T, H]` lies along the first right vector: mean and smallest |cosine|.

    `first_is_largest`: the share of steps at which no other of the right vectors `[H, R]` has a larger projection.
    """
    h = h.astype(np.float64)
    size = np.abs(h @ right)
    cosine = size[:, 0] / np.maximum(np.linalg.norm(h, axis=1), 1e-12)
    return {
        "first_cosine_mean": float(cosine.mean()),
        "first_cosine_least": float(cosine.min()),
        "first_is_largest": float((size.argmax(1) == 0).mean()),
    }


def mode_components(projections: np.ndarray, makes_mode: np.ndarray, most: int = 2) -> list[str]:
    """Returns the components along which the step that makes the mode token stands out most from all other steps.

    `projections [T, R]`; by how many standard deviations of the others its size exceeds their largest; at most `most`
    components, those for which it is the largest of all. Empty where no step, or more than one, makes a mode token.
    """
    if makes_mode.sum() != 1 or len(projections) < 3:
        return []
    size = np.abs(projections)
    rest = size[~makes_mode]
    excess = (size[makes_mode][0] - rest.max(0)) / np.maximum(rest.std(0), 1e-12)
    return [str(j + 1) for j in np.argsort(-excess, kind="stable")[:most] if excess[j] > 0]


def type_components(projections: np.ndarray, positive: np.ndarray, most: int = 2) -> tuple[list[str], float]:
    """Returns the components that tell positive steps from others best, one by one, and the AUC of the best."""
    away = np.array([abs(auc(column, positive) - 0.5) for column in projections.T])
    if not np.isfinite(away).any():
        return [], float("nan")
    order = np.argsort(-np.nan_to_num(away), kind="stable")
    return [str(j + 1) for j in order[:most]], float(0.5 + away[order[0]])


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return rankdata(values)

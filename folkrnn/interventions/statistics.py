"""What units are ranked by: statistics of their activity, on tunes that the unchanged model wrote or reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from folkrnn import spectra
from folkrnn.datasets.batches import pad
from folkrnn.errors import UserError
from folkrnn.interventions.intervention import RunContext
from folkrnn.interventions.windows import token_ids
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import unhooked

STATISTICS = ("period", "norm", "mean", "largest", "variance", "token")
"""Share of power around a period; norm of the column by which it is read; mean, largest |h|; variance of h; correlation
with the type of the next token."""

BATCH = 16


class Statistic(Protocol):
    """Which of STATISTICS, and how it is measured: a selector that ranks by it, see `selectors.Ranked`."""

    @property
    def by(self) -> str: ...
    @property
    def period(self) -> float: ...
    @property
    def half_width(self) -> float: ...
    @property
    def dc(self) -> bool: ...
    @property
    def token(self) -> str: ...
    @property
    def tunes(self) -> int: ...


def score(rule: Statistic, layers: Sequence[int], model: FolkRNN, context: RunContext) -> dict[int, np.ndarray]:
    """Returns the statistic of every unit, `[H]` per layer; a unit that it says nothing about has 0."""
    if rule.by == "norm":
        return {layer: _column_norms(model, layer) for layer in layers}
    sums: dict[int, list[np.ndarray]] = {layer: [] for layer in layers}
    steps: list[int] = []
    wanted = token_ids(rule.token, context.vocabulary)
    for ids, activations in read_tunes(model, context.control()[: rule.tunes], [f"l{layer}.h" for layer in layers]):
        steps.append(len(ids) - 1)
        for layer in layers:
            sums[layer].append(_statistic(rule, activations[f"l{layer}.h"], np.isin(ids[1:], wanted)))
    if not steps:
        raise UserError("there are no tunes to measure units on")
    weights = np.array(steps, float)[:, None]
    return {layer: _over_tunes(rule.by, np.stack(found), weights) for layer, found in sums.items()}


def _statistic(rule: Statistic, h: np.ndarray, event: np.ndarray) -> np.ndarray:
    """The statistic of one tune: `[H]`; for those that need moments over all tunes, the moments `[H, M]`."""
    if rule.by == "period":
        return spectra.band_share(spectra.power(h, dc=rule.dc), len(h), rule.period, rule.half_width)
    if rule.by == "largest":
        return np.abs(h).max(0)
    if rule.by == "mean":
        return np.abs(h).mean(0)
    h = h.astype(np.float64)
    both = (h * event[:, None]).mean(0)
    return np.stack([h.mean(0), (h**2).mean(0), both, np.full(len(both), event.mean())], axis=-1)


def _over_tunes(by: str, found: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Statistics of all tunes `[N, H(, M)]` in one: the mean over tunes (of shares), over steps, or the largest."""
    if by == "period":
        known = np.isfinite(found)
        return np.where(known, found, 0).sum(0) / np.maximum(1, known.sum(0))
    if by == "largest":
        return found.max(0)
    if by == "mean":
        return (found * weights).sum(0) / weights.sum()
    mean, square, both, rate = ((found * weights[..., None]).sum(0) / weights.sum()).T
    variance = np.maximum(0, square - mean**2)
    if by == "variance":
        return variance
    scale = np.sqrt(variance * rate * (1 - rate))
    return np.abs(both - mean * rate) / np.where(scale > 0, scale, 1) * (scale > 0)


def _column_norms(model: FolkRNN, layer: int) -> np.ndarray:
    """The norm of the column of the softmax layer, or of the next layer's input matrix, by which a unit is read."""
    top = layer == len(model.layers)
    weight = model.softmax_weight if top else model.layers[layer].weight_ih
    return weight.detach().double().norm(dim=0).cpu().numpy()


@torch.no_grad()
def read_tunes(
    model: FolkRNN, tunes: Sequence[np.ndarray], sites: Sequence[str]
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields (token ids `[N]`, activations `[N − 1, units]`) of every tune, read by the model without edits."""
    plain = unhooked(model)
    for start in range(0, len(tunes), BATCH):
        some = list(tunes[start : start + BATCH])
        inputs, _ = pad(some, 0)
        activations = {name: value.cpu().numpy() for name, value in plain.trace(inputs.to(plain.device), sites).items()}
        for row, ids in enumerate(some):
            yield ids, {name: value[row, : len(ids) - 1] for name, value in activations.items()}


def column_auc(values: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Returns the AUC of each column of `values [N, Z]` for the rows marked in `label [N]`, `[Z]`."""
    from scipy.stats import rankdata

    up = int(label.sum())
    total = rankdata(values, axis=0)[label].sum(0)
    return (total - up * (up + 1) / 2) / (up * (len(label) - up))


def either_way(area: np.ndarray) -> np.ndarray:
    """Returns max(AUC, 1 − AUC): how well a quantity tells two sets apart, whichever has the larger values."""
    return np.maximum(area, 1 - area)

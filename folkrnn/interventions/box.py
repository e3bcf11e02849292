"""A push of the hidden state that stays inside the box: |h + Δ| ≤ 1 for every unit, whatever h is.

Wanted is V Δ = δ e_n. What a unit may still move depends on its present state, so each step of each tune has a problem
of its own: the least ‖V Δ − δ e_n‖ over the chosen units with −1 − h ≤ Δ ≤ 1 − h, found by accelerated projected
gradients for all tunes at once. Then Δ is moved, within the box, onto v_n · Δ = δ, so that the token gains what was
asked for wherever the box leaves room for it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

STEPS = 60
"""Projected gradients: as close to the solution as 1e-3 of δ."""
CORRECTIONS = 12
"""Projections onto v_n · Δ = δ and back into the box."""


class BoundedPush:
    """Δ of chosen units, `[B, S]`, given their present states `[B, S]`."""

    def __init__(self, columns: np.ndarray, n: int, delta: float, device: torch.device | str = "cpu") -> None:
        """`columns [V, S]` are those of V that belong to the units; `delta` is what the value of token n is to gain."""
        target = np.zeros(len(columns))
        target[n] = delta
        # what the token gains weighs as much as the direction that weighs most: it is to be met exactly in the end
        weight = np.linalg.norm(columns, 2) / max(np.linalg.norm(columns[n]), 1e-12)
        columns = columns.copy()
        row = columns[n].copy()
        columns[n] *= 3 * weight
        target[n] *= 3 * weight
        gram = columns.T @ columns
        free = np.linalg.lstsq(columns, target, rcond=None)[0]
        rate = 1 / max(np.linalg.eigvalsh(gram)[-1], 1e-12)
        self.gram, self.pull, self.free, self.row = (
            torch.from_numpy(np.ascontiguousarray(part)).to(torch.float32).to(device)
            for part in (gram, columns.T @ target, free, row)
        )
        self.rate, self.delta = float(rate), delta

    def __call__(self, h: Tensor) -> Tensor:
        low, high = -1 - h.float(), 1 - h.float()
        found = ahead = self.free.expand_as(low).clamp(low, high)
        weight = 1.0
        for _ in range(STEPS):
            before = found
            found = (ahead - self.rate * (ahead @ self.gram - self.pull)).clamp(low, high)
            after = (1 + (1 + 4 * weight**2) ** 0.5) / 2
            ahead = found + (weight - 1) / after * (found - before)
            weight = after
        for _ in range(CORRECTIONS):
            lacking = self.delta - found @ self.row
            movable = torch.where(lacking[:, None] * self.row > 0, found < high, found > low) * self.row
            size = movable.square().sum(1).clamp(min=1e-12)
            found = (found + (lacking / size)[:, None] * movable).clamp(low, high)
        return found.to(h.dtype)

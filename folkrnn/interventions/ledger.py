"""What edits did to the tunes of a run: counted on the finished tunes, whatever the company they were made in.

Each tune is read once more by the very steps that wrote it. A row of the table `steps` is a tune and a step (row t of
every stream, deciding token t + 1) at which something changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn.datasets.batches import pad
from folkrnn.interventions.edited import Edit, Edited, Moment, number
from folkrnn.interventions.intervention import Account, Setting
from folkrnn.models.draws import SMALLEST_BATCH

BATCH = 64
"""Tunes read at once."""

CHANGE = "change"
"""Σ|after − before| over the units of all sites of the edit; infinite values count as 1 each."""


class Watched:
    """An edit that writes down what it does."""

    def __init__(self, edit: Edit) -> None:
        self.edit, self.name, self.sites = edit, edit.name, edit.sites
        self.written: dict[str, Tensor] = {}

    def apply(self, site: str, value: Tensor, moment: Moment) -> Tensor:
        after = self.edit.apply(site, value, moment)
        notes = dict(self.edit.notes(site, value, after, moment))
        if after is not value:
            difference = torch.where(after == value, 0.0, (after - value).abs())
            notes[CHANGE] = torch.where(difference.isfinite(), difference, 1.0).sum(-1)
        for quantity, amount in notes.items():
            self.written[quantity] = self.written.get(quantity, 0) + amount
        return after

    def notes(self, site: str, before: Tensor, after: Tensor, moment: Moment) -> dict[str, Tensor]:
        return {}


@torch.no_grad()
def keep_accounts(
    model: Edited, accounts: Sequence[Account], tunes: Sequence[np.ndarray], setting: Setting
) -> list[Account]:
    """Returns the accounts, with the table `steps` and the sums over it; `model` is one of `composition.apply`."""
    watched = [Watched(edit) for edit in model.edits]
    reader = Edited(model.base, model.vocabulary, watched, model.rejections)
    rows: dict[str, list[pd.DataFrame]] = {account.name: [] for account in accounts}
    for start in range(0, len(tunes), BATCH):
        numbers = range(start, min(start + BATCH, len(tunes)))
        for name, frame in _read(reader, watched, tunes, numbers):
            rows[name].append(frame)
    return [_with_steps(account, rows[account.name], sum(len(ids) - 1 for ids in tunes)) for account in accounts]


def _read(
    reader: Edited, watched: list[Watched], tunes: Sequence[np.ndarray], numbers: range
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields (name of the intervention, its rows) of every step."""
    lengths = np.array([len(tunes[k]) - 1 for k in numbers])
    inputs, _ = pad([tunes[k] for k in numbers], reader.vocabulary.end)
    padded = torch.cat([inputs, inputs[:1].expand(max(0, SMALLEST_BATCH - len(inputs)), -1)]).to(reader.device)
    state = reader.initial_state(len(padded))
    number(reader, state, numbers)
    stepper = reader.stepper()
    for t in range(int(lengths.max())):
        _, state = stepper.step(padded[:, t], state)
        alive = np.flatnonzero(lengths > t)
        for edit in watched:
            written = {
                name: value[: len(numbers)].cpu().double().numpy()[alive] for name, value in edit.written.items()
            }
            edit.written.clear()
            frame = pd.DataFrame({"tune": np.array(numbers)[alive], "step": t} | written)
            kept = frame[(frame.drop(columns=["tune", "step"]).fillna(0) != 0).any(axis=1)]
            if len(kept):
                yield edit.name, kept


def _with_steps(account: Account, frames: list[pd.DataFrame], rows: int) -> Account:
    if not frames:
        return account
    table = pd.concat(frames, ignore_index=True).groupby(["tune", "step"], as_index=False).sum()
    sums = {name: float(table[name].sum()) for name in table.columns if name not in ("tune", "step")}
    metrics = account.metrics | {"steps": float(len(table)), "share_of_steps": len(table) / max(1, rows)} | sums
    return Account(account.name, metrics, account.tables | {"steps": table})

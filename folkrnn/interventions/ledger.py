"""What edits did to the tunes of a run: counted on the finished tunes, whatever the company they were made in.

Each tune is read once more by the very steps that wrote it. A row of the table `steps` is a tune and a step (row t of
every stream, deciding token t + 1) at which something changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn.interventions.edited import Edit, Edited, Moment, number
from folkrnn.interventions.intervention import Account
from folkrnn.models.draws import SMALLEST_BATCH
from folkrnn.vocabulary import Vocabulary

BATCH = 64
"""Tunes read at once."""

CHANGE = "change"
"""Σ|after − before| over the units of all sites of the edit; infinite values count as 1 each."""


TOKEN = "_token"
"""Ends the names of columns that hold tokens: −1 where there is none."""


class Played(Protocol):
    """A finished tune, such as a `Transcription`."""

    ids: np.ndarray
    """From `<s>` on, `[N]`."""
    uniform: np.ndarray
    """What drew each token, `[N − 1]`; NaN where nothing did."""


class Watched:
    """An edit that writes down what it does."""

    def __init__(self, edit: Edit) -> None:
        self.edit, self.name, self.sites = edit, edit.name, edit.sites
        self.of_parameters = getattr(edit, "of_parameters", False)
        self.written: dict[str, Tensor] = {}
        self.uniform: Tensor | None = None
        self.following: Tensor | None = None

    def apply(self, site: str, value: Tensor, moment: Moment) -> Tensor:
        after = self.edit.apply(site, value, moment)
        moment.uniform, moment.following = self.uniform, self.following
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
def keep_accounts(model: Edited, accounts: Sequence[Account], tunes: Sequence[Played]) -> list[Account]:
    """Returns the accounts, with the table `steps` and the sums over it; `model` is one of `composition.apply`."""
    watched = [Watched(edit) for edit in model.edits]
    reader = Edited(model.base, model.vocabulary, watched, model.rejections)
    found: dict[str, list[pd.DataFrame]] = {account.name: [] for account in accounts}
    for start in range(0, len(tunes), BATCH):
        numbers = range(start, min(start + BATCH, len(tunes)))
        for name, frame in _read(reader, watched, tunes, numbers):
            found[name].append(frame)
    rows = sum(len(tune.ids) - 1 for tune in tunes)
    return [_with_steps(account, found[account.name], rows, model.vocabulary) for account in accounts]


def _read(
    reader: Edited, watched: list[Watched], tunes: Sequence[Played], numbers: range
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields (name of the intervention, its rows) of every step."""
    some = [tunes[k] for k in numbers]
    lengths = np.array([len(tune.ids) - 1 for tune in some])
    height = max(SMALLEST_BATCH, len(some))
    tokens = torch.full((height, int(lengths.max()) + 1), reader.vocabulary.end)
    uniform = torch.full((height, int(lengths.max())), torch.nan, dtype=torch.float64)
    for row, tune in enumerate(some):
        tokens[row, : len(tune.ids)] = torch.from_numpy(tune.ids)
        uniform[row, : len(tune.ids) - 1] = torch.from_numpy(tune.uniform)
    tokens, uniform = tokens.to(reader.device), uniform.to(reader.device)
    state, stepper = reader.initial_state(height), reader.stepper()
    number(reader, state, numbers)
    for t in range(int(lengths.max())):
        alive = np.flatnonzero(lengths > t)
        for edit in watched:
            edit.uniform, edit.following = uniform[:, t], tokens[:, t + 1]
        _, state = stepper.step(tokens[:, t], state)
        for edit in watched:
            written = {name: value.cpu().double().numpy()[alive] for name, value in edit.written.items()}
            edit.written.clear()
            counts = [value != 0 for name, value in written.items() if not name.endswith(TOKEN)]
            if counts and (rows := np.any(counts, axis=0)).any():
                columns = {"tune": np.array(numbers)[alive], "step": np.full(len(alive), t)} | written
                yield edit.name, pd.DataFrame({name: value[rows] for name, value in columns.items()})


def _with_steps(account: Account, frames: list[pd.DataFrame], rows: int, vocabulary: Vocabulary) -> Account:
    if not frames:
        return account
    # an intervention may have several edits that act at one step
    table = pd.concat(frames, ignore_index=True).groupby(["tune", "step"], as_index=False).sum(min_count=1)
    amounts = [name for name in table.columns if name not in ("tune", "step") and not name.endswith(TOKEN)]
    metrics = account.metrics | {"steps": float(len(table)), "share_of_steps": len(table) / max(1, rows)}
    metrics |= {name: float(table[name].sum()) for name in amounts}
    words = ["", *vocabulary.tokens]
    for name in table.columns:
        if name.endswith(TOKEN):
            table[name] = [words[int(index) + 1] for index in table[name].fillna(-1)]
    return Account(account.name, metrics, account.tables | {"steps": table})

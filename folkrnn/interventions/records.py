"""Effect records: what edits did to the tunes of a run, counted on the finished tunes, whatever batch made them.

Each tune is read once more by the very steps that wrote it. A row of the table `steps` is a tune and a step (row t of
every activation, deciding token t + 1) at which something changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn.interventions.intervention import EffectRecord
from folkrnn.interventions.writes import Edit
from folkrnn.models.engine import InputTunes
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import Hook, Step, hooked, unhooked
from folkrnn.models.rng import SMALLEST_BATCH
from folkrnn.vocabulary import Vocabulary

BATCH = 64
"""Tunes read at once."""

CHANGE = "change"
"""Σ|after − before| over the units of all sites of the edit; infinite values count as 1 each."""


TOKEN = "_token"
"""Ends the names of columns that hold tokens: −1 where there is none."""


class FinishedTune(Protocol):
    """A finished tune, such as a `Transcription`."""

    @property
    def ids(self) -> np.ndarray:
        """From `<s>` on, `[N]`."""
        ...

    @property
    def uniform(self) -> np.ndarray:
        """What drew each token, `[N − 1]`; NaN where nothing did."""
        ...


class Record(Hook):
    """An edit that writes down what it does, one step after the other."""

    def __init__(self, edit: Edit, uniform: Tensor, following: Tensor) -> None:
        """`uniform [B, T]` drew the tokens `following [B, T]`; rows are those of the run."""
        self.edit, self.sites, self.of_parameters = edit, edit.sites, edit.of_parameters
        self.uniform, self.following = uniform, following
        self.frames: list[pd.DataFrame] = []
        self._step = Step()
        self._written: dict[str, Tensor] = {}

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        if step is not self._step:
            self.close()
            self._step = step
        after = self.edit.apply(site, value, step)
        step.uniform, step.following = (part[: len(value), step.time] for part in (self.uniform, self.following))
        notes = dict(self.edit.notes(site, value, after, step))
        if after is not value:
            difference = torch.where(after == value, 0.0, (after - value).abs())
            notes[CHANGE] = torch.where(difference.isfinite(), difference, 1.0).sum(-1)
        for quantity, amount in notes.items():
            self._written[quantity] = self._written.get(quantity, 0) + amount
        return after

    def close(self) -> None:
        """Files what was written at the latest step."""
        written, self._written = self._written, {}
        if not written:
            return
        (active,) = self._step.active
        columns = {name: value.cpu().double().numpy()[:active] for name, value in written.items()}
        counts = [value != 0 for name, value in columns.items() if not name.endswith(TOKEN)]
        if not (rows := np.any(counts, axis=0)).any():
            return
        place = {"tune": self._step.position.tune[:active].cpu().numpy(), "step": np.full(active, self._step.time)}
        self.frames.append(pd.DataFrame({name: value[rows] for name, value in (place | columns).items()}))


@torch.no_grad()
def recorded(model: FolkRNN, effects: Sequence[EffectRecord], tunes: Sequence[FinishedTune]) -> list[EffectRecord]:
    """Returns the effects, with the table `steps` and the sums over it; `model` is one of `composition.apply`."""
    edits = [hook for hook in model.hooks if isinstance(hook, Edit)]
    found: dict[str, list[pd.DataFrame]] = {effect.name: [] for effect in effects}
    order = sorted(range(len(tunes)), key=lambda k: len(tunes[k].ids), reverse=True)
    for start in range(0, len(tunes), BATCH):
        for record in _read(model, edits, tunes, order[start : start + BATCH]):
            found[record.edit.name] += record.frames
    rows = sum(len(tune.ids) - 1 for tune in tunes)
    return [_with_steps(effect, found[effect.name], rows, _vocabulary(model)) for effect in effects]


def _vocabulary(model: FolkRNN) -> Vocabulary:
    """The vocabulary that the hooks of a model follow it in."""
    assert model.tracker is not None, "a model with edits has a tracker"
    return model.tracker.vocabulary


def _read(model: FolkRNN, edits: Sequence[Edit], tunes: Sequence[FinishedTune], numbers: Sequence[int]) -> list[Record]:
    """The records of some tunes, from long to short."""
    some = [tunes[k] for k in numbers]
    source = InputTunes.of([tune.ids[:-1] for tune in some], numbers, known=False)
    height, steps = max(SMALLEST_BATCH, len(some)), len(some[0].ids) - 1
    following = torch.full((height, steps), _vocabulary(model).end)
    uniform = torch.full((height, steps), torch.nan, dtype=torch.float64)
    for row, tune in enumerate(some):
        following[row, : len(tune.ids) - 1] = torch.from_numpy(tune.ids[1:])
        uniform[row, : len(tune.ids) - 1] = torch.from_numpy(tune.uniform)
    records = [Record(edit, uniform.to(model.device), following.to(model.device)) for edit in edits]
    hooked(unhooked(model), records, model.tracker).engine().run(source)
    for record in records:
        record.close()
    return records


def _with_steps(effect: EffectRecord, frames: list[pd.DataFrame], rows: int, vocabulary: Vocabulary) -> EffectRecord:
    if not frames:
        return effect
    # an intervention may have several edits that act at one step
    table = pd.concat(frames, ignore_index=True).groupby(["tune", "step"], as_index=False).sum(min_count=1)
    amounts = [name for name in table.columns if name not in ("tune", "step") and not name.endswith(TOKEN)]
    metrics = effect.metrics | {"steps": float(len(table)), "share_of_steps": len(table) / max(1, rows)}
    metrics |= {name: float(table[name].sum()) for name in amounts}
    words = ["", *vocabulary.tokens]
    for name in table.columns:
        if name.endswith(TOKEN):
            table[name] = [words[int(index) + 1] for index in table[name].fillna(-1)]
    return replace(effect, metrics=metrics, tables=effect.tables | {"steps": table})

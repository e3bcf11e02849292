"""The hook that most interventions are made of: new values for some units of a site, at the rows of a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from folkrnn.interventions.windows import Rows
from folkrnn.models.hooks import Hook, Step, hooked
from folkrnn.models.model import Model
from folkrnn.models.positions import MelodyTracker, TuneTracker
from folkrnn.vocabulary import Vocabulary

M = TypeVar("M", bound=Model)

Make = Callable[[Tensor, Step], Tensor]
"""New values `[B, units]` from those that are there; `[units]` will do."""

Notes = Callable[[Tensor, Tensor, Step], dict[str, Tensor]]
"""What to write down, `[B]` per quantity, from all of a site before and after."""


class Edit(Hook):
    """A hook whose changes are written down, tune by tune, once the tunes are finished."""

    def notes(self, site: str, before: Tensor, after: Tensor, step: Step) -> dict[str, Tensor]:
        """Returns what to write down of this step beside the change itself, `[B]` per quantity."""
        return {}


def with_hooks(model: M, vocabulary: Vocabulary | None, hooks: Sequence[Hook]) -> M:
    """Returns the model with further hooks; `vocabulary` is None for a MusicVAE."""
    tracker = MelodyTracker(model.device) if vocabulary is None else TuneTracker(vocabulary, model.device)
    return hooked(model, hooks, tracker)


class Write(Edit):
    """Writes what `make` returns to `units` (None: all) of `site`."""

    def __init__(
        self,
        name: str,
        site: str,
        make: Make,
        rows: Rows,
        units: Tensor | None = None,
        *,
        looks_at: frozenset[str] = frozenset(),
        notes: Notes | None = None,
    ) -> None:
        """`looks_at` are further sites whose values `make` finds in `Step.seen`."""
        self.name, self.site, self.make, self.rows, self.units = name, site, make, rows, units
        self.sites = frozenset({site}) | looks_at
        self._notes = notes

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        if site != self.site:
            return value
        inside = self.rows(step.position)
        if (inside is not None and not inside.any()) or (self.units is not None and not len(self.units)):
            return value
        part = value if self.units is None else value[..., self.units]
        made = self.make(part, step)
        # rows of their own: a state is written to when a tune takes the place of a finished one
        if inside is None:
            new = made.expand_as(part).contiguous()
        else:
            new = torch.where(inside.view(-1, *[1] * (part.dim() - 1)), made, part)
        return new if self.units is None else value.index_copy(-1, self.units, new.to(value.dtype).contiguous())

    def notes(self, site: str, before: Tensor, after: Tensor, step: Step) -> dict[str, Tensor]:
        return self._notes(before, after, step) if self._notes and site == self.site and after is not before else {}

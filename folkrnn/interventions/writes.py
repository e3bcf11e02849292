"""The edit that most interventions are made of: new values for some units of a site, at the rows of a window."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from folkrnn.interventions.edited import Moment
from folkrnn.interventions.where import Where

Rows = Callable[[Where], Tensor | None]
"""Which rows are inside a window, `[B]` of bool; None for all."""

Make = Callable[[Tensor, Moment], Tensor]
"""New values `[B, units]` from those that are there; `[units]` will do."""

Notes = Callable[[Tensor, Tensor, Moment], dict[str, Tensor]]
"""What to account for, `[B]` per quantity, from all of a site before and after."""


class Write:
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
        """`looks_at` are further sites whose values `make` finds in `Moment.seen`."""
        self.name, self.site, self.make, self.rows, self.units = name, site, make, rows, units
        self.sites = frozenset({site}) | looks_at
        self._notes = notes

    def apply(self, site: str, value: Tensor, moment: Moment) -> Tensor:
        if site != self.site:
            return value
        inside = self.rows(moment.where)
        if (inside is not None and not inside.any()) or (self.units is not None and not len(self.units)):
            return value
        part = value if self.units is None else value[:, self.units]
        made = self.make(part, moment)
        # rows of their own: a state is written to when a tune takes the place of a finished one
        new = made.expand_as(part).contiguous() if inside is None else torch.where(inside.unsqueeze(1), made, part)
        return new if self.units is None else value.index_copy(1, self.units, new.to(value.dtype).contiguous())

    def notes(self, site: str, before: Tensor, after: Tensor, moment: Moment) -> dict[str, Tensor]:
        return self._notes(before, after, moment) if self._notes and site == self.site and after is not before else {}

"""Traces: a hook that keeps the activations of every step, and what is asked for cut out of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from folkrnn.models.hooks import Hook, Step
from folkrnn.models.pointwise import allocate
from folkrnn.sites import Site


class Trace(Hook):
    """Keeps the sites that `widths` names (with `probs`, the softmax of logits), of the first R rows over T steps.

    Rows of a tune that has ended hold anything.
    """

    by_windows = True

    def __init__(self, widths: Mapping[str, int], rows: int, steps: int, device: torch.device) -> None:
        self._kept = {name: allocate(steps, rows, width, device=device) for name, width in widths.items()}
        self.sites: Collection[str] = {"logits" if name == "probs" else name for name in widths}

    @property
    def activations(self) -> dict[str, Tensor]:
        """What was kept, `[R, T, units]` each; the rows of a step lie side by side in memory, as they are computed."""
        return {name: value.transpose(0, 1) for name, value in self._kept.items()}

    def room(self, site: str, step: Step, steps: int) -> Tensor | None:
        """Returns the memory of some steps, `[S, R, units]`."""
        return self._kept[site][step.time : step.time + steps] if site in self._kept else None

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        """Keeps `[B, units]` of a step or `[S, B, units]` of several, if they are not in its own memory already."""
        if site in self._kept:
            self._keep(site, value, step)
        if site == "logits" and "probs" in self._kept:
            self._keep("probs", value.softmax(-1), step)
        return value

    def _keep(self, name: str, value: Tensor, step: Step) -> None:
        kept = self._kept[name]
        target = kept[step.time] if value.dim() == 2 else kept[step.time : step.time + len(value)]
        if target.data_ptr() != value.data_ptr():
            rows = min(kept.shape[1], value.shape[-2])
            target[..., :rows, :] = value[..., :rows, :]


def asked(activations: Mapping[str, Tensor], sites: Sequence[Site] | Iterable[Site], alone: bool) -> dict[str, Tensor]:
    """Returns the sites asked for, with the units asked for, by their full names; `alone` takes the one tune out."""
    found = {}
    for site in sites:
        value = activations[site.name] if site.units is None else activations[site.name][..., list(site.units)]
        found[str(site)] = value[0] if alone else value
    return found

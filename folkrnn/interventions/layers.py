"""Which layers an intervention means."""

from __future__ import annotations

from collections.abc import Sequence

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN

Layers = tuple[int, ...] | None
"""None: the top one; empty: all. Layers count from 1."""


def layers_of(layers: Layers, model: FolkRNN) -> tuple[int, ...]:
    """Returns the layers meant, from 1; raises UserError for one that the model lacks."""
    if layers is None:
        return (len(model.layers),)
    for layer in layers:
        check_layer(layer, model)
    return layers or tuple(range(1, len(model.layers) + 1))


def check_layer(layer: int, model: FolkRNN) -> None:
    if not 1 <= layer <= len(model.layers):
        raise UserError(f"layer {layer} does not exist; this model has layers 1 to {len(model.layers)}")


def layers_named(layer: int | str | Sequence[int] | None) -> Layers:
    """Returns the layers that a setting names: a number from 1, a list of them, or "all"."""
    if layer is None:
        return None
    if layer == "all":
        return ()
    numbers = [layer] if isinstance(layer, int) else layer
    if isinstance(numbers, str) or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise UserError(f"layer={layer} is no layer; write a number from 1, a list of numbers, or all")
    return tuple(numbers) or None

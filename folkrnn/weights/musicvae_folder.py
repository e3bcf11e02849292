"""The sizes of a MusicVAE in a weights file: widths follow from the tensors, lengths stand in the file's metadata."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.models.musicvae import LENGTHS, MusicVAE

MARK = "encoder.mu.weight"
"""A tensor that every MusicVAE has and no FolkRNN."""


def musicvae_of(tensors: Mapping[str, Tensor], lengths: Mapping[str, object], source: str) -> MusicVAE:
    """Returns the MusicVAE that `tensors` are of, holding them; `lengths` are its metadata or a checkpoint's sizes.

    Raises UserError for missing, foreign or misshapen tensors, lengths that are none, and values that are not finite.
    """
    try:
        given = {name: int(str(lengths[name])) for name in LENGTHS}
    except (KeyError, ValueError):
        raise UserError(f"{source} holds a MusicVAE but does not say its {' and '.join(LENGTHS)}") from None
    sizes = {
        "encoder": _widths(tensors, "encoder.layers.{}.fw.weight_hh"),
        "decoder": _widths(tensors, "decoder.layers.{}.weight_hh"),
        "conductor": _widths(tensors, "conductor.layers.{}.weight_hh"),
        "z_size": _rows(tensors, MARK),
        "depth": _rows(tensors, "decoder.output.weight"),
        **given,
    }
    with torch.device("meta"):  # takes no memory, whatever sizes the file claims
        expected = {name: tuple(value.shape) for name, value in MusicVAE(**sizes).state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if wrong := sorted(set(expected.items()) ^ set(found.items())):
        raise UserError(f"{source} is not a whole MusicVAE: {wrong[0][0]} has another shape, lacks or is extra")
    broken = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise UserError(f"{source}: {broken[0]} holds values that are not finite")
    model = MusicVAE(**sizes)
    model.load_state_dict(dict(tensors))
    return model.eval()


def _widths(tensors: Mapping[str, Tensor], name: str) -> list[int]:
    """The units of each layer, from the recurrent weights `[4H, H]`."""
    found: list[int] = []
    while (key := name.format(len(found))) in tensors:
        found.append(int(tensors[key].shape[-1]))
    return found


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    return int(tensors[name].shape[0]) if name in tensors else 1

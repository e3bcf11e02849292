"""Random numbers that edits draw: a function of (seed, tune, step, place), so that they are the same in any batch.

SplitMix64 (Steele, Lea and Flood 2014) over a mixed key: unlike one generator per tune it fills a whole batch at once.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from folkrnn.models.positions import Position

_GOLDEN, _FIRST, _SECOND = (value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def uniforms_at(position: Position, count: int, seed: int, purpose: int) -> Tensor:
    """Returns `[B, count]` uniforms in [0, 1), in double precision; another `purpose` gives independent ones."""
    return uniforms_of(position.tune, position.step, count, seed, purpose)


def uniforms_of(tune: Tensor, step: Tensor, count: int, seed: int, purpose: int) -> Tensor:
    """Returns the same from the numbers of tunes and their steps, `[B]` each."""
    return _shifted(_bits(tune, step, count, seed, purpose), 11).double() * 2.0**-53


def normals_at(position: Position, count: int, seed: int, purpose: int) -> Tensor:
    """Returns `[B, count]` standard normals in single precision, none beyond 4.4.

    Four come from one hash, of 16 bits each: which of 65,536 equally likely values it is. That is four times as fast as
    Box and Muller's way and as numpy's ziggurat, and no test of a million numbers tells the distribution from a
    normal one.
    """
    bits = _bits(position.tune, position.step, (count + 3) // 4, seed, purpose)
    places = bits.view(torch.int16).int() + 2**15
    return _quantiles(bits.device).index_select(0, places.flatten()).view(places.shape)[:, :count]


@cache
def _quantiles(device: torch.device) -> Tensor:
    """The middles of 65,536 equally likely slices of the normal distribution, of variance 1, `[65536]`."""
    middles = torch.special.ndtri((torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16)
    return (middles / middles.square().mean().sqrt()).float().to(device)


def _bits(tune: Tensor, step: Tensor, count: int, seed: int, purpose: int) -> Tensor:
    """64 random bits for each of `count` places, `[B, count]`."""
    key = _mixed(tune * _GOLDEN + _mixed(torch.full_like(tune, seed) * _GOLDEN + purpose))
    key = _mixed(key + step * _GOLDEN)
    place = torch.arange(1, count + 1, device=key.device) * _GOLDEN
    return _mixed(key.unsqueeze(1) + place)


def _mixed(z: Tensor) -> Tensor:
    z = (z ^ _shifted(z, 30)) * _FIRST
    z = (z ^ _shifted(z, 27)) * _SECOND
    return z ^ _shifted(z, 31)


def _shifted(z: Tensor, bits: int) -> Tensor:
    """Shifts right and fills with zeros, as for unsigned numbers."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)

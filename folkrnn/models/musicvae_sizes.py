"""How a MusicVAE is built, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from folkrnn.errors import UserError

DEPTH = 90
"""Classes of the melody alphabet: nothing, note off, 88 pitches (facts on MusicVAE, section 5.1)."""


@dataclass(frozen=True)
class Sizes:
    """Everything that says how a MusicVAE is built; the keys of the constructor."""

    encoder: Sequence[int] = (512,)
    """Units per direction of each layer."""
    decoder: Sequence[int] = (256, 256)
    """Units of each layer; in hierarchical models of the core decoder."""
    z_size: int = 512
    max_seq_len: int = 32
    """Steps of the longest melody; a hierarchical model takes exactly these."""
    conductor: Sequence[int] = ()
    """Units of each layer; none makes the model flat. Magenta's conductors have the sizes of their core decoders."""
    segments: int = 1
    depth: int = DEPTH

    def __post_init__(self) -> None:
        """Makes tuples of what may be lists. Raises UserError for sizes that make no sense."""
        for name in ("encoder", "decoder", "conductor"):
            object.__setattr__(self, name, _layers(name, getattr(self, name)))
        for name in ("z_size", "max_seq_len", "segments", "depth"):
            _at_least_1(name, getattr(self, name))
        if not self.encoder or not self.decoder:
            raise UserError("model.encoder and model.decoder need at least one layer, for example [512]")
        if not self.conductor and self.segments != 1:
            raise UserError(f"model.segments is {self.segments}, but only a model with a conductor has segments")
        if self.max_seq_len % self.segments:
            raise UserError(f"model.max_seq_len={self.max_seq_len} does not divide into model.segments={self.segments}")

    def steps(self, asked: int | None = None) -> int:
        """Returns `asked`, or the longest length without it. Raises UserError for one that the model cannot take."""
        longest = self.max_seq_len
        steps = longest if asked is None else asked
        if steps > longest or steps < 1 or (self.conductor and steps != longest):
            allowed = f"exactly {longest}" if self.conductor else f"1 to {longest}"
            raise UserError(f"melodies of {steps} steps; this model takes {allowed}")
        return steps

    def __str__(self) -> str:
        layers = {"encoder": self.encoder, "conductor": self.conductor}
        layers["core decoder" if self.conductor else "decoder"] = self.decoder
        parts = [f"{name} {'-'.join(map(str, units))}" for name, units in layers.items() if units]
        each = self.max_seq_len // self.segments
        steps = f"{self.segments} segments of {each} steps" if self.conductor else f"{self.max_seq_len} steps"
        return f"{', '.join(parts)}, z {self.z_size}, {steps} of {self.depth} classes"


def _layers(name: str, units: object) -> tuple[int, ...]:
    if isinstance(units, str) or not isinstance(units, Sequence):
        raise UserError(f"model.{name} is {units!r}; give the units of each layer as a list, for example [512]")
    for width in units:
        _at_least_1(name, width)
    return tuple(units)


def _at_least_1(name: str, value: object) -> None:
    if not isinstance(value, int) or value < 1:
        raise UserError(f"model.{name} holds {value!r}; sizes are whole numbers from 1 on")

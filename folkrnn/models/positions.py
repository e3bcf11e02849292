"""Where in a tune or melody a model is. A position has one entry per row and is kept by the engine, beside the state.

Row t is the state after reading token t, which decides token t + 1; steps count rows from 0, bars from 1. A bar of a
tune is what stands between measure tokens and holds a note or rest, as in `folkrnn.notation.bars`: a pickup is one. A
bar of a melody is sixteen steps.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from folkrnn.melodies.grid import STEPS_PER_BAR
from folkrnn.vocabulary import Vocabulary


class Position(NamedTuple):
    """The place of each of B tunes, `[B]` of int64 each."""

    tune: Tensor
    """Number of the tune in the run, from 0."""
    step: Tensor
    """Of the row: 0 after `<s>`; −1 before."""
    last: Tensor
    """Id of the token just read."""
    bar: Tensor
    """Number of the bar that the next token belongs to, the measure token behind it included."""
    sounded: Tensor
    """1 if a note or rest stands in this bar already."""
    since: Tensor
    """Tokens read since the last measure token; 0 right after it."""
    part: Tensor
    """1, and one more after each `:|`."""


class Tracker(Protocol):
    """How what is read moves a position."""

    def begin(self, batch: int) -> Position:
        """Returns the position before anything was read; tunes are numbered by their row."""
        ...

    def after(self, position: Position, tokens: Tensor) -> Position:
        """Returns the position after reading `tokens [B]`."""
        ...


class TuneTracker:
    """Follows the tokens of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary, device: torch.device | str = "cpu") -> None:
        self.vocabulary = vocabulary
        flags = [(kind == "measure", kind == "pitch") for kind in vocabulary.types]
        self.measure, self.note = torch.tensor(flags, device=device).long().T.contiguous()
        self.closing = torch.tensor([token == ":|" for token in vocabulary.tokens], device=device).long()

    def begin(self, batch: int) -> Position:
        rows = torch.arange(batch, device=self.measure.device)
        zero = torch.zeros_like(rows)
        return Position(rows, zero - 1, zero, zero + 1, zero, zero, zero + 1)

    def after(self, position: Position, tokens: Tensor) -> Position:
        measure = self.measure[tokens]
        return Position(
            position.tune,
            position.step + 1,
            tokens.clone(),  # a caller may write the next ones into the same place
            position.bar + measure * position.sounded,
            (1 - measure) * (position.sounded | self.note[tokens]),
            (1 - measure) * (position.since + 1),
            position.part + self.closing[tokens],
        )


class MelodyTracker:
    """Follows the steps of melodies, all alike: row t, which has read the t steps before, decides step t."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = device

    def begin(self, batch: int) -> Position:
        rows = torch.arange(batch, device=self.device)
        return self.at(torch.full_like(rows, -1), rows, torch.full_like(rows, -1))

    def after(self, position: Position, tokens: Tensor) -> Position:
        return self.at(position.step + 1, position.tune, tokens.clone())

    def at(self, step: Tensor, tune: Tensor, last: Tensor) -> Position:
        """Returns the position of the melodies `tune [B]` at steps `[B]`; before the first it is that of latents."""
        one = torch.ones_like(tune)
        bar = step.clamp(min=0) // STEPS_PER_BAR + 1
        return Position(tune, step, last, bar, one, step % STEPS_PER_BAR, one)

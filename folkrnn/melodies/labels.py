"""A melody on the grid as a sequence of labelled tokens, as analyses of sequences read it.

The first label is `<s>`, what a decoder reads before the first step (nothing); then one label a step: `·` nothing new,
`off`, or the note that begins, `G4` (C4 is middle C). Bars have no token of their own: a bar line stands before every
sixteenth step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import SupportsIndex, overload

import numpy as np

from folkrnn.melodies.grid import FIRST_ON, HOLD, LOWEST, OFF, STEPS_PER_BAR
from folkrnn.vocabulary import START, token_type

NOTHING_NEW, ENDS = "·", "off"
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_NOTE = re.compile(r"[A-G]#?\d")


class MelodyLabels(list[str]):
    """Labels that know where in the melody they stand: a slice of them does too."""

    def __init__(self, labels: Iterable[str], first: int = 0) -> None:
        super().__init__(labels)
        self.first = first
        """How many labels of the melody stand before these."""

    @overload
    def __getitem__(self, place: SupportsIndex) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> MelodyLabels: ...

    def __getitem__(self, place: SupportsIndex | slice) -> str | MelodyLabels:
        if not isinstance(place, slice):
            return super().__getitem__(place)
        return MelodyLabels(super().__getitem__(place), self.first + place.indices(len(self))[0])

    @property
    def step(self) -> np.ndarray:
        """The step of the melody that each label stands for, from 0; −1 for `<s>`."""
        return np.arange(len(self)) + self.first - 1

    @property
    def place_in_bar(self) -> np.ndarray:
        """How many steps each stands behind a bar line; −1 for `<s>`."""
        return np.where(self.step < 0, -1, self.step % STEPS_PER_BAR)


def labels(classes: np.ndarray) -> MelodyLabels:
    """Returns `classes [T]` as T + 1 labels."""
    return MelodyLabels([START, *map(label, classes.tolist())])


def label(value: int) -> str:
    """Returns the label of one class."""
    if value < FIRST_ON:
        return {HOLD: NOTHING_NEW, OFF: ENDS}[value]
    pitch = value - FIRST_ON + LOWEST
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def type_of(token: str) -> str:
    """Returns the type of a label in the words of folk-rnn's seven; of any other token what `token_type` says.

    A note that begins is a `pitch`, nothing new a `duration`, and what ends a note a `grouping`.
    """
    if token in (NOTHING_NEW, ENDS):
        return "duration" if token == NOTHING_NEW else "grouping"
    return "pitch" if _NOTE.fullmatch(token) else token_type(token)

"""What counts as a melody in a MIDI file, and why nothing may come out of one (facts on MusicVAE, section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

from folkrnn.errors import UserError
from folkrnn.melodies.grid import STEPS_PER_BAR

MAX_BARS = 100
"""What a melody holds beyond this many bars of 4/4 is cut off."""

PER_FILE = 5
"""Slices that Magenta keeps of a file, and the source paper with it."""

METERS = ("4/4", "all")
POLYPHONY = ("highest", "skip")

REASONS = {
    "unreadable": "not a whole, sound MIDI file",
    "no_notes": "no note is ever ended, so none sounds",
    "drums_only": "nothing but drums",
    "programs": "no instrument that the rules admit (for two bars pianos to guitars, General MIDI programs 0 to 31)",
    "pitch_range": "no note on the keys of a piano, MIDI pitches 21 to 108",
    "meter": "nothing in a meter that the rules admit (Magenta takes 4/4 and 2/2 alone)",
    "polyphony": "several notes begin at once wherever there are notes",
    "too_short": "no melody as long as the slices are to be",
}
"""Why nothing comes out of a file: reason to a line that explains it, in the order in which the rules are applied."""


@dataclass(frozen=True)
class Rules:
    """What is taken for a melody. The defaults are Magenta's for two bars.

    `meters="all"` takes other meters than 4/4 too: melodies then begin on bar lines of their own meter, and so do the
    slices of them, which still are `bars` times sixteen steps long (two and two thirds bars of 6/8). A silence of a bar
    ends a melody; where bars are shorter, one of sixteen steps.
    """

    bars: int = 2
    """Length of a slice, in bars of sixteen steps."""
    programs: int | None = 32
    """How many General MIDI programs are admitted, counted from 0; all where None."""
    meters: str = "4/4"
    polyphony: str = "highest"
    """Of notes that begin together take the highest, or (`skip`) give the rest of that instrument up."""

    def __post_init__(self) -> None:
        if self.bars < 1:
            raise UserError(f"bars={self.bars}: a melody has at least one bar")
        for name, value, options in (("meters", self.meters, METERS), ("polyphony", self.polyphony, POLYPHONY)):
            if value not in options:
                raise UserError(f"{name}={value}: melodies are extracted with {name}={' or '.join(options)}")

    @property
    def steps(self) -> int:
        """Length of a slice in steps, T."""
        return self.bars * STEPS_PER_BAR


def magenta_rules(bars: int) -> Rules:
    """Returns the rules of Magenta's configs: two bars admit 32 programs, longer melodies all of them."""
    return Rules(bars=bars, programs=32 if bars <= 2 else None)

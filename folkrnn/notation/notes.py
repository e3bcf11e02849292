"""What a tune sounds like: its notes with onset, length and MIDI pitch, repeats and endings played out.

The key signature is implied by the mode token, as folk-rnn's tokens are written; an accidental holds to the end of its
bar, in every octave (ABC standard 2.1, section 11.3: the default of `propagate-accidentals`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from folkrnn.notation.bars import bars_of
from folkrnn.notation.events import Reading, read
from folkrnn.notation.repeats import repeats_of
from folkrnn.vocabulary import pitch_parts

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"^^": 2, "^": 1, "=": 0, "_": -1, "__": -2}
_FIFTHS = {"F": -1, "C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5}
_MODES = {"maj": 0, "ion": 0, "mix": -1, "dor": -2, "min": -3, "aeo": -3, "m": -3, "phr": -4, "loc": -5, "lyd": 1}
_KEY = re.compile(r"\[?K:(?P<tonic>[A-G](?P<alteration>[#b]?))? ?(?P<mode>[A-Za-z]*)\]?")


@dataclass(frozen=True, slots=True)
class Note:
    """One sounding note. A chord is several with the same onset."""

    onset: Fraction
    """Eighths since the start of the tune."""
    duration: Fraction
    """In eighths."""
    pitch: int
    """MIDI number; the token `C` is middle C, 60."""
    index: int
    """The pitch token that it comes from; with repeats played out several notes share one."""


def notes(tokens: Sequence[str], unfold: bool = True) -> list[Note]:
    """Returns the notes of any string of tokens by onset. Never raises.

    With `unfold`, repeats and endings are played out (at most twice each stretch); without, each bar sounds once in the
    order of writing. What is broken is read as `events.read` mends it.
    """
    tokens = list(tokens)
    reading = read(tokens)
    found = bars_of(tokens, reading)
    order = repeats_of(tokens, reading, found).order if unfold else list(range(len(found)))
    altered = alterations(tokens, reading)
    played: list[Note] = []
    now = Fraction(0)
    for bar in (found[i] for i in order):
        for event in bar.events:
            duration = event.duration
            sounding = {midi_pitch(tokens[i], altered[i]): i for i in reversed(event.pitches) if tokens[i][-1] != "z"}
            played += [Note(now, duration, pitch, i) for pitch, i in sorted(sounding.items())]
            now += duration
    return played


def signature(mode: str) -> int:
    """Returns the sharps (or, negative, flats) of a mode token: K:Cmaj 0, K:Cmix -1, K:Cdor -2, K:Cmin -3.

    0 for a token that names no key; a mode without tonic (`K:min`) has the tonic C.
    """
    match = _KEY.fullmatch(mode)
    if match is None:
        return 0
    name = match["mode"].lower()
    tonic = match["tonic"] or "C"
    alteration = {"#": 7, "b": -7, "": 0}[match["alteration"] or ""]
    return _FIFTHS[tonic[0]] + alteration + _MODES.get(name if name == "m" else name[:3], 0)


def signature_letters(fifths: int) -> dict[str, int]:
    """Returns the letters that a key signature alters, by semitones: -2 -> {"B": -1, "E": -1}."""
    letters, step = ("FCGDAEB", 1) if fifths > 0 else ("BEADGCF", -1)
    altered: dict[str, int] = {}
    for i in range(abs(fifths)):
        altered[letters[i % 7]] = altered.get(letters[i % 7], 0) + step
    return altered


def midi_pitch(token: str, alteration: int) -> int:
    """Returns the MIDI number of a pitch token that sounds `alteration` semitones off its letter: "c'", 0 -> 84."""
    _, letter, octave = pitch_parts(token)
    lifted = 12 * (letter.islower() + octave.count("'") - octave.count(","))
    return min(max(60 + _STEPS[letter.upper()] + lifted + alteration, 0), 127)


def alterations(tokens: list[str], reading: Reading) -> dict[int, int]:
    """Returns for each pitch token but rests, by index, the semitones between its letter and what sounds."""
    key: dict[str, int] = {}
    carried: dict[str, int] = {}
    found: dict[int, int] = {}
    for index, (token, kind) in enumerate(zip(tokens, reading.kinds, strict=True)):
        if kind == "mode":
            key = signature_letters(signature(token))
        elif kind == "measure":
            carried = {}
        elif kind == "pitch" and token[-1] != "z":
            accidental, letter, _ = pitch_parts(token)
            letter = letter.upper()
            if accidental:
                carried[letter] = _ACCIDENTALS[accidental]
            found[index] = carried.get(letter, key.get(letter, 0))
    return found

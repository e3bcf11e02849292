"""What musicology measures in a melody: the scalar melody, rhythm and pitch features of jSymbolic, as music21 has them.

Definitions: of the extractors that music21 registers, those that give one number and whose letter is M (melody), R
(rhythm) or P (pitch); facts on MusicVAE, section 7, and the jSymbolic manual tell what each is. Every number is what
music21's own extractor answers. An extractor asks for *forms* of a score, such as its histogram of intervals. To make
them from a score costs ten times what is then done with them; here they come straight from the grid of sixteenths, and
a form that the grid does not provide is made by music21 from the melody as its score.

A feature is NaN where it is undefined: where music21's extractor raises, as most do for intervals if there is only one
note, and everywhere in a melody without notes (music21 calls some features 0 there, which would pass for a pitch).
music21 calls M8 undefined as well if there are intervals but none of an arpeggio.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from folkrnn.melodies.grid import STEPS_PER_QUARTER, GridNote, to_notes

if TYPE_CHECKING:
    from music21.features.base import FeatureExtractor
    from music21.stream import Stream

GROUPS = {"M": "melody", "R": "rhythm", "P": "pitch"}
"""The first letter of a feature's number to what it is about."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One of jSymbolic's features: its number there, with a capital letter, its name and what it is."""

    number: str
    name: str
    description: str

    @property
    def group(self) -> str:
        return GROUPS[self.number[0]]


@cache
def features() -> tuple[Feature, ...]:
    """Returns the features in music21's order: melody, rhythm, pitch."""
    return tuple(_described(extractor) for extractor in _extractors())


@cache
def left_out() -> dict[str, str]:
    """Returns the number of every other feature that music21 registers, and why it is not used."""
    from music21.features import jSymbolic

    everything = [extractor() for extractor in jSymbolic.featureExtractors]
    return {_number(extractor): why for extractor in everything if (why := _reason(extractor))}


def measure(classes: np.ndarray, quarters_per_minute: np.ndarray) -> np.ndarray:
    """Returns the features of `classes [N, T]`, float `[N, F]`, each melody at its own tempo (`[N]`)."""
    found = [_measured(row, float(tempo)) for row, tempo in zip(classes, quarters_per_minute, strict=True)]
    return np.array(found, float).reshape(len(classes), len(features()))


def score(classes: np.ndarray, quarters_per_minute: float) -> Stream:
    """Returns `classes [T]` as a score of music21: 4/4, the tempo, and the notes where they stand."""
    from music21 import meter, note, stream, tempo

    found = stream.Stream()
    found.insert(0, meter.TimeSignature("4/4"))
    found.insert(0, tempo.MetronomeMark(number=quarters_per_minute))
    for each in to_notes(classes):
        length = (each.end - each.start) / STEPS_PER_QUARTER
        found.insert(each.start / STEPS_PER_QUARTER, note.Note(each.pitch, quarterLength=length))
    return found


@dataclass
class Forms:
    """What music21's extractors read instead of a `features.DataInstance`: forms of one melody, by their names there.

    Raises AttributeError for a form that music21 does not know either.
    """

    classes: np.ndarray
    quarters_per_minute: float
    partsCount: int = 0  # noqa: N815 (music21's name: no parts below the melody itself)

    def __getitem__(self, name: str) -> Any:
        return self.own[name] if name in self.own else self.from_score[name]

    @cached_property
    def from_score(self) -> Any:
        """The same melody as music21 prepares it."""
        from music21.features import DataInstance

        return DataInstance(score(self.classes, self.quarters_per_minute))

    @cached_property
    def notes(self) -> list[GridNote]:
        return to_notes(self.classes)

    @cached_property
    def own(self) -> dict[str, Any]:
        """The forms that the grid provides."""
        pitches = [note.pitch for note in self.notes]
        contour = [later - earlier for earlier, later in pairwise(pitches)]
        mark, signature = _signs(self.quarters_per_minute)
        return {
            "contourList": contour,
            "midiIntervalHistogram": _histogram([abs(interval) for interval in contour], 128),
            "pitches": [_pitch(number) for number in pitches],
            "pitches.midiPitchHistogram": Counter(pitches),
            "pitches.pitchClassHistogram": _histogram([number % 12 for number in pitches], 12),
            "flat.secondsMap": self.seconds(),
            "metronomeMarkBoundaries": [(0.0, len(self.classes) / STEPS_PER_QUARTER, mark)],
            "flat.getElementsByClass(TimeSignature)": [signature],
            "flat.getElementsByClass(Key)": [],
        }

    def seconds(self) -> list[dict[str, float]]:
        """Returns when each note begins and how long it lasts."""
        quarter = 60.0 / self.quarters_per_minute
        times = [
            (quarter * note.start / STEPS_PER_QUARTER, quarter * (note.end - note.start) / STEPS_PER_QUARTER)
            for note in self.notes
        ]
        return [
            {"offsetSeconds": begin, "durationSeconds": length, "endTimeSeconds": begin + length}
            for begin, length in times
        ]


def _measured(classes: np.ndarray, quarters_per_minute: float) -> list[float]:
    forms = Forms(classes, quarters_per_minute)
    if not forms.notes:
        return [float("nan")] * len(features())
    return [_answer(extractor, forms) for extractor in _extractors()]


def _answer(extractor: Any, forms: Forms) -> float:
    from music21.exceptions21 import Music21Exception

    extractor.data = forms
    try:
        return float(extractor.extract().vector[0])
    except (Music21Exception, ArithmeticError, ValueError, IndexError):
        return float("nan")  # how the extractors say that there is nothing to measure


@cache
def _extractors() -> tuple[FeatureExtractor, ...]:
    from music21.features import jSymbolic

    everything = [extractor() for extractor in jSymbolic.featureExtractors]
    return tuple(extractor for extractor in everything if not _reason(extractor))


def _reason(extractor: FeatureExtractor) -> str:
    """Why a registered feature is not used; empty if it is."""
    letter = _number(extractor)[0]
    if letter not in GROUPS:
        about = {"I": "instruments", "T": "how many voices there are"}.get(letter, "neither melody, rhythm nor pitch")
        return f"about {about}; a melody is one voice of one instrument"
    if extractor.dimensions != 1:
        return f"no scalar: {extractor.dimensions} numbers"
    return ""


def _number(extractor: Any) -> str:
    return extractor.id.upper()  # two have a small letter in music21: m10, m17


def _described(extractor: Any) -> Feature:
    return Feature(_number(extractor), extractor.name, " ".join((extractor.description or "").split()))


def _histogram(values: list[int], size: int) -> list[int]:
    counts = [0] * size
    for value in values:
        counts[value] += 1
    return counts


@cache
def _pitch(number: int) -> Any:
    from music21.pitch import Pitch

    return Pitch(midi=number)


@cache
def _signs(quarters_per_minute: float) -> tuple[Any, Any]:
    """music21's metronome mark of a tempo, and 4/4."""
    from music21 import meter, tempo

    return tempo.MetronomeMark(number=quarters_per_minute), meter.TimeSignature("4/4")

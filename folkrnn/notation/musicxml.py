"""Tunes as MusicXML, which notation programs open."""

from __future__ import annotations

from collections.abc import Sequence

from folkrnn.notation.score import to_abc


def to_musicxml(tokens: Sequence[str], title: str = "") -> bytes:
    """Returns MusicXML of a tune, as music21 makes it from its ABC: slips of grammar are mended there.

    Raises ValueError where music21 does not read the tune.
    """
    from music21 import converter
    from music21.exceptions21 import Music21Exception
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    try:
        return GeneralObjectExporter(converter.parse(to_abc(tokens, title), format="abc")).parse()
    except (Music21Exception, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"music21: {error}") from error

"""What a tune is to eyes and ears, with every note tied to its token: score, bars, notes in seconds, order of playing.

Tokens are counted in the whole transcription, from `<s>` (0) on, as rows of activations are. The score comes from
verovio, which gives each note the id of its token. Sound is made in the page from the notes: any passage can be heard,
the cursor knows which token sounds, and notes take a hundredth of what MP3s would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from folkrnn.notation.bars import Bar, bars_of
from folkrnn.notation.events import read
from folkrnn.notation.midi import tempo
from folkrnn.notation.notes import notes
from folkrnn.notation.repeats import repeats_of
from folkrnn.notation.score import engrave

START_TOKENS = 1
"""`<s>` stands before the tokens that are engraved and played."""


@dataclass(frozen=True)
class PlayableScore:
    """A tune to see and hear."""

    picture: str
    """The score as HTML; where verovio would not draw it, the tune in ABC and why."""
    mark: str
    """How the ids of notes begin; the number of the token, `<s>` not counted, follows. "" where there is no score."""
    note: str
    """What is wrong with the tune, in a line; "" where nothing is."""
    bars: np.ndarray
    """First token of each bar and the one behind its last, `[bars, 2]`."""
    notes: np.ndarray
    """Onset and length in seconds, MIDI pitch and token of each note, repeats played out, `[notes, 4]`, by onset."""
    path: np.ndarray
    """When which token is reached while the tune plays, seconds and token, `[M, 2]`, by time."""
    eighth: float
    """Seconds that an eighth lasts."""


def sheets(tunes: Sequence[Sequence[str]], seconds: float = 20.0) -> list[PlayableScore]:
    """Returns what to see and hear of tunes, given without `<s>` and `</s>`; never raises for the sake of a tune.

    One that takes verovio longer than `seconds`, or kills it, has no score.
    """
    return [
        _sheet(list(tokens), score.html, f"n{n}-t" if score.svg else "", score.note)
        for n, (tokens, score) in enumerate(zip(tunes, engrave(tunes, seconds), strict=True), 1)
    ]


def _sheet(tokens: list[str], picture: str, mark: str, note: str) -> PlayableScore:
    reading = read(tokens)
    found = bars_of(tokens, reading)
    order = repeats_of(tokens, reading, found).order
    eighth = 30.0 / tempo(tokens)
    played = [
        (float(n.onset) * eighth, float(n.duration) * eighth, n.pitch, n.index + START_TOKENS) for n in notes(tokens)
    ]
    path = [(time * eighth, token + START_TOKENS) for time, token in path_of(found, order, len(tokens))]
    bars = [(bar.start + START_TOKENS, bar.stop + START_TOKENS) for bar in found]
    return PlayableScore(
        picture,
        mark,
        note,
        np.array(bars, np.uint16).reshape(-1, 2),
        np.array(played, np.float32).reshape(-1, 4),
        np.array(path, np.float32).reshape(-1, 2),
        eighth,
    )


def path_of(found: Sequence[Bar], order: Sequence[int], length: int) -> list[tuple[float, int]]:
    """Returns when, in eighths, which of `length` tokens is reached when bars are played in this order.

    The tokens of a note, a rest or a chord (its length, the bar line behind it) share the time that it lasts, so that
    what follows the music passes over every token.
    """
    path: list[tuple[float, int]] = []
    now = 0.0
    for number in order:
        bar = found[number]
        behind = found[number + 1].start if number + 1 < len(found) else length
        edges = [bar.start, *(event.start for event in bar.events[1:]), behind]
        for event, start, stop in zip(bar.events, edges, edges[1:], strict=False):
            lasting = float(event.duration)
            path += [(now + lasting * step / (stop - start), start + step) for step in range(stop - start)]
            now += lasting
    return path

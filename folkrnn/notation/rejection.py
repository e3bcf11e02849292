"""Why a tune cannot be said in folk-rnn's tokens: the reasons by name, and the value that carries one."""

from __future__ import annotations

from dataclasses import dataclass, field

REASONS = {
    "no_key": "no key: without a tonic there is nothing to transpose to C",
    "key": "the key field cannot be read",
    "mode": "phrygian, lydian or locrian: the vocabulary has major, minor, dorian and mixolydian",
    "key_accidentals": "the key signature is spelt out by accidentals instead of a mode",
    "bagpipes": "K:HP or K:Hp, a bagpipe scale that is none of the four modes",
    "no_meter": "no meter, or free meter",
    "meter": "a meter that has no token (4/4, 6/8, 2/4, 3/4, 9/8, 12/8 and 3/2 have one)",
    "unit": "the unit note length cannot be read",
    "several_keys": "the key changes in the course of the tune",
    "several_meters": "the meter changes in the course of the tune",
    "several_voices": "more than one voice",
    "endings": "an ending other than the first or the second, or a list of endings",
    "double_accidental": "a double sharp or double flat, written or after transposition",
    "pitch": "a pitch that has no token: outside the four octaves from C, or spelt like ^e or _C,",
    "duration": "a note length that is no token when counted in eighths",
    "broken_rhythm": "doubly broken rhythm (>> or <<)",
    "tuplet": "a tuplet that no tokens say, such as (8 or (5:4:5",
    "chord": "chord brackets that are empty, nested, unbalanced or enclose more than notes",
    "multi_bar_rest": "a rest of whole bars (Z)",
    "sign": "a sign that is not part of ABC, or stands where it means nothing",
    "prose": "text among the music",
    "no_notes": "no notes",
    "length": "a text far longer than any tune",
}
"""Reason to a line that explains it, in the order in which tables show them."""


@dataclass(frozen=True)
class Rejection:
    """A tune that cannot be expressed: `reason` is a key of REASONS, `detail` names the offending piece."""

    reason: str
    detail: str
    where: str = field(default="", compare=False)
    """The place in the music, for people: "line 3 of the music, at 'c2 (8abc'"; "" where the header is to blame."""

    def __str__(self) -> str:
        return ", ".join(filter(None, [f"{REASONS[self.reason]}: {self.detail}", self.where]))


class Unfit(Exception):
    """Raised where something without a token is met; `tokenise` turns it into the Rejection that it carries."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{REASONS[reason]}: {detail}")
        self.reason, self.detail = reason, detail
        self.at: int | None = None
        """Where in the music code it was met."""

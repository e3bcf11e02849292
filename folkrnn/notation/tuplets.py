"""Tuplets `(p:q:r` of ABC (standard 2.1, section 4.13) in tokens, of which only `(2` to `(9` without q and r exist.

Where p notes last as long and are as many as `(p` alone says, `(p` says it. Else the same lengths are written in
another way if there is one: `(6:4` is two of `(3`, and under `(2:1` notes have half their length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from folkrnn.notation.events import is_compound, tuplet_shape
from folkrnn.notation.rejection import Unfit
from folkrnn.vocabulary import Vocabulary

_WRITTEN = re.compile(r"\((\d{1,2})(?::(\d{0,2}))?(?::(\d{0,3}))?", re.ASCII)
_ONE = Fraction(1)


@dataclass
class Tuplet:
    """What is still to come of a tuplet that is written in another way than it stands in the text."""

    written: str
    left: int
    """Notes, rests and chords."""
    token: str = ""
    """Begins every `size` of them, where a token says how long they last."""
    size: int = 1
    factor: Fraction = _ONE
    """By which their lengths are multiplied where none does."""

    def next(self) -> str:
        """Counts a note, rest or chord; returns the token that stands before it, or none."""
        begins = bool(self.token) and self.left % self.size == 0
        self.left -= 1
        return self.token if begins else ""


def read_tuplet(written: str, meter: str, vocabulary: Vocabulary) -> str | Tuplet:
    """Returns the token of a tuplet sign, or how its notes are written without; raises Unfit where there is no way.

    `meter` is the meter token, on which the length of 5, 7 and 9 notes depends.
    """
    bare = "".join(written.split())
    if bare in vocabulary.index:
        return bare
    match = _WRITTEN.fullmatch(bare)
    if match is None or any(number and not int(number) for number in match.groups()):
        raise Unfit("tuplet", written[:20])
    compound = is_compound(meter)
    p, q, r = tuplet_shape(bare, compound)
    plain = f"({p}"
    if (p, q, r) == tuplet_shape(plain, compound) and plain in vocabulary.index:
        return plain
    if match[2] is None and match[3] is None:
        raise Unfit("tuplet", written[:20])
    if p == q:
        return Tuplet(bare, r)
    for size in range(9, 1, -1):
        token = f"({size}"
        _, time, _ = tuplet_shape(token, compound)
        if token in vocabulary.index and r % size == 0 and Fraction(time, size) == Fraction(q, p):
            return Tuplet(bare, r, token, size)
    return Tuplet(bare, r, factor=Fraction(q, p))

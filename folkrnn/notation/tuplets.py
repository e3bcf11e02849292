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

_ITEM = r"[ \t]*(?:\[[^\[\]|:\n]*\]|[_^=]{0,3}[A-Ga-gxz][,']*+)[\d/]*+(?![ \t]*[<>])"
_PART = re.compile(rf"\((?P<p>[2-9]):(?P<q>\d?):(?P<r>[1-8])(?!\d)(?P<notes>(?:{_ITEM})++)[ \t]*")
"""A tuplet and the notes, rests and chords behind it, however many."""
_COUNTED = re.compile(_ITEM)


@dataclass
class OpenTuplet:
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


def joined(body: str) -> str:
    """Returns music code in which a tuplet that is written note by note, as `(3:2:1A(3:2:1B(3:2:1c`, is one.

    No character moves: blanks stand where the other signs stood.
    """
    if _PART.search(body) is None:
        return body
    pieces: list[str] = []
    parts: list[re.Match[str]] = []
    at = 0
    for part in _PART.finditer(body):
        if parts and (part.group("p", "q") != parts[0].group("p", "q") or part.start() != parts[-1].end()):
            parts = []
        parts.append(part)
        p, found = int(part["p"]), sum(int(each["r"]) for each in parts)
        more = len(_COUNTED.findall(part["notes"])) - int(part["r"])
        if found == p and len(parts) > 1 and more >= 0:
            for k, each in enumerate(parts):
                sign = body[each.start() : each.start("notes")]
                pieces += [body[at : each.start()], f"({p}:{each['q']}:{p}" if k == 0 else " " * len(sign)]
                at = each.start("notes")
        if found >= p or more:
            parts = []
    return "".join([*pieces, body[at:]])


def read_tuplet(written: str, meter: str, vocabulary: Vocabulary) -> str | OpenTuplet:
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
        return OpenTuplet(bare, r)
    for size in range(9, 1, -1):
        token = f"({size}"
        _, time, _ = tuplet_shape(token, compound)
        if token in vocabulary.index and r % size == 0 and Fraction(time, size) == Fraction(q, p):
            return OpenTuplet(bare, r, token, size)
    return OpenTuplet(bare, r, factor=Fraction(q, p))

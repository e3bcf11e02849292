"""What is drawn on the staff for a tune, before any engine draws it: symbols with their note values, ties, tuplets,
beams and accidentals, bar by bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from folkrnn.notation.bars import Bar, bars_of
from folkrnn.notation.beams import beam_groups
from folkrnn.notation.events import Event, Reading, nominal_length, read
from folkrnn.notation.notes import alterations, signature, signature_letters
from folkrnn.notation.repeats import Repeats, line_starts, repeats_of
from folkrnn.vocabulary import pitch_parts

_BREVE, _SHORTEST = Fraction(16), Fraction(1, 128)  # of an eighth: the note values that have names
_DOTS = {Fraction(1): 0, Fraction(3, 2): 1, Fraction(7, 4): 2}
_MOST_TIED = 16
_BAR_WEIGHT, _LINE_WEIGHT = 2, 60
"""How many symbols' room a bar line takes, and how many fit on a line."""


@dataclass(frozen=True)
class Head:
    """A note head: which pitch token it is, where it lies, and how it sounds."""

    index: int
    letter: str
    octave: int
    """Middle C begins octave 4."""
    alteration: int
    """Semitones between the letter and what sounds."""
    accidental_drawn: bool


@dataclass(frozen=True)
class Tuplet:
    """`count` notes in the time of `base`. `key` tells two neighbours apart."""

    key: str
    count: int
    base: int


@dataclass(frozen=True)
class Symbol:
    """One drawn note, rest or chord: an event is several of them, tied, where no single note value is as long."""

    value: Fraction
    """Eighths of the note value without its dots."""
    dots: int
    heads: tuple[Head, ...]
    """Empty for a rest."""
    tie: str = ""
    """`i`, `m`, `t`: first, inner or last of a chain of ties."""
    tuplets: tuple[Tuplet, ...] = ()
    """Outer first."""

    @property
    def flagged(self) -> bool:
        """Whether it can hang on a beam."""
        return self.value <= 1 and bool(self.heads)


@dataclass
class DrawnBar:
    """A bar between two bar lines, or a piece of one that is far too long."""

    number: int
    groups: list[list[Symbol]]
    """As beams show them."""
    begins_repeat: bool = False
    right: str = "single"
    """The bar line at its end: `single`, `double`, `end`, `repeat`, `none`."""
    ending: str = ""
    """The number of the ending it belongs to."""
    begins_ending: bool = False
    new_line: bool = False
    header: tuple[str, ...] = ()
    """Meter and mode tokens inside the tune that hold from here on."""

    @property
    def symbols(self) -> list[Symbol]:
        return [symbol for group in self.groups for symbol in group]


@dataclass
class Sheet:
    """A tune as it is drawn: header tokens, then bars."""

    header: tuple[str, ...] = ()
    bars: list[DrawnBar] = field(default_factory=list)


def lay_out(tokens: Sequence[str]) -> Sheet:
    """Returns what to draw for any string of tokens. Never raises.

    An accidental is drawn where a token writes one, and where the reader of a staff would otherwise take the note for
    another: on a staff it holds in its own octave, in ABC in all. Bars count from 1, a pickup is bar 0. A bar half as
    long again as it should be comes in pieces with no bar line between, so that lines can break.
    """
    tokens = list(tokens)
    reading = read(tokens)
    found = bars_of(tokens, reading)
    form = repeats_of(tokens, reading, found)
    starts = line_starts(found, form)
    spelling = _Spelling(tokens, alterations(tokens, reading))
    sheet = Sheet(tuple(tokens[: reading.body]))
    for token in sheet.header:
        spelling.hear_header(token)
    first_number = 0 if found and found[0].duration < found[0].nominal else 1
    for place, bar in enumerate(found):
        drawn = _signs(tokens, reading, found, form, place)
        drawn.number = first_number + place
        drawn.new_line = place > 0 and place in starts
        for token in drawn.header:
            spelling.hear_header(token)
        sheet.bars += _pieces(drawn, bar, spelling)
    _break_full_lines(sheet.bars)
    return sheet


def _break_full_lines(bars: list[DrawnBar]) -> None:
    """Divides each line that holds too many symbols for the width of a page into lines that hold about as many each."""
    starts = [0, *(i for i, bar in enumerate(bars) if bar.new_line and i), len(bars)]
    for start, stop in pairwise(starts):
        weights = [_BAR_WEIGHT + len(bar.symbols) for bar in bars[start:stop]]
        lines = -(-sum(weights) // _LINE_WEIGHT)
        filled = 0
        for bar, weight in zip(bars[start:stop], weights, strict=True):
            if filled and filled + weight / 2 > sum(weights) / lines:
                bar.new_line, filled = True, 0
            filled += weight


def _signs(tokens: list[str], reading: Reading, found: list[Bar], form: Repeats, place: int) -> DrawnBar:
    """A bar with what its measure tokens and the header tokens before it say, and nothing in it yet."""
    bar, last = found[place], place + 1 == len(found)
    before = found[place - 1].stop if place else reading.body
    after = len(tokens) if last else found[place + 1].start
    opening = [tokens[i] for i in range(before, bar.start) if reading.kinds[i] == "measure"]
    closing = [tokens[i] for i in range(bar.stop, after) if reading.kinds[i] == "measure"]
    since = found[place - 1].start if place else reading.body
    ending = form.endings[place]
    begins = bool(ending) and (place == 0 or form.endings[place - 1] != ending or any(s[-1].isdigit() for s in opening))
    ends_second = ending == "2" and (last or form.endings[place + 1] != "2")
    right = "double" if ends_second else "single"
    if any(sign.startswith(":") for sign in closing):
        right = "repeat"
    elif last:
        right = "end" if closing else "none"
    return DrawnBar(
        number=0,
        groups=[],
        begins_repeat=any(sign.endswith(":") for sign in opening),
        right=right,
        ending=ending,
        begins_ending=begins,
        header=tuple(tokens[i] for i in range(since, bar.start) if reading.kinds[i] in ("meter", "mode")),
    )


def _pieces(drawn: DrawnBar, bar: Bar, spelling: _Spelling) -> list[DrawnBar]:
    pieces = [DrawnBar(drawn.number, [], right="none", ending=drawn.ending)]
    filled = Fraction(0)
    for group in beam_groups(bar):
        if filled >= bar.nominal and bar.duration > bar.nominal * Fraction(3, 2):
            pieces.append(DrawnBar(drawn.number, [], right="none", ending=drawn.ending))
            filled = Fraction(0)
        pieces[-1].groups.append([symbol for event in group for symbol in spelling.symbols(event)])
        filled += sum((event.duration for event in group), Fraction(0))
    pieces[-1].right = drawn.right
    first = pieces[0]
    first.begins_repeat, first.begins_ending = drawn.begins_repeat, drawn.begins_ending
    first.new_line, first.header = drawn.new_line, drawn.header
    spelling.holding.clear()
    return pieces


class _Spelling:
    """Carries the accidentals that hold on the staff from note to note."""

    def __init__(self, tokens: list[str], altered: dict[int, int]) -> None:
        self.tokens, self.altered = tokens, altered
        self.key: dict[str, int] = {}
        self.holding: dict[tuple[str, int], int] = {}

    def hear_header(self, token: str) -> None:
        if token.strip("[]").startswith("K:"):
            self.key = signature_letters(signature(token))

    def symbols(self, event: Event) -> list[Symbol]:
        heads = self.heads(event)
        value, tuplets = event.length * event.swing, []
        if event.tuplet is not None:
            size = int(self.tokens[event.tuplet][1:].partition(":")[0])
            tuplets.append(Tuplet(f"tuplet {event.tuplet}", size, int(event.ratio * size)))
        odd = value.denominator // (value.denominator & -value.denominator)
        if odd > 1:  # a third of an eighth: a triplet that the tokens do not announce
            base = 1 << (odd.bit_length() - 1)
            value *= Fraction(odd, base)
            tuplets.append(Tuplet(f"of {odd}", odd, base))
        values = note_values(value)
        if not heads:
            return [Symbol(plain, dots, (), "", tuple(tuplets)) for plain, dots in values]
        ties = ["i", *["m"] * (len(values) - 2), "t"] if len(values) > 1 else [""]
        tied = tuple(Head(head.index, head.letter, head.octave, head.alteration, False) for head in heads)
        return [
            Symbol(plain, dots, heads if tie in ("", "i") else tied, tie, tuple(tuplets))
            for (plain, dots), tie in zip(values, ties, strict=True)
        ]

    def heads(self, event: Event) -> tuple[Head, ...]:
        drawn: dict[tuple[str, int, int], Head] = {}
        for i in event.pitches:
            accidental, letter, _ = pitch_parts(self.tokens[i])
            if letter == "z":
                continue
            name, octave = staff_place(self.tokens[i])
            sounding = self.altered[i]
            expected = self.holding.get((name, octave), self.key.get(name, 0))
            self.holding[name, octave] = sounding
            head = Head(i, name, octave, sounding, bool(accidental) or sounding != expected)
            drawn.setdefault((name, octave, sounding), head)
        return tuple(drawn.values())


def staff_place(token: str) -> tuple[str, int]:
    """Returns letter and octave of a pitch token, middle C in octave 4: "^c'" -> ("C", 6)."""
    _, letter, marks = pitch_parts(token)
    return letter.upper(), min(max(4 + letter.islower() + marks.count("'") - marks.count(","), 0), 9)


def meter_parts(token: str) -> tuple[int, int] | None:
    """Returns (beats, unit) of a meter token, None of any other."""
    if not nominal_length(token):
        return None
    beats, unit = token.strip("[]").removeprefix("M:").split("/")
    return int(beats), int(unit)


def note_values(length: Fraction) -> list[tuple[Fraction, int]]:
    """Returns the note values that make up a dyadic length in eighths, long ones first: 5 -> a half and an eighth.

    Each is (eighths without dots, dots). What is shorter than a 1024th, or longer than sixteen values, is cut off.
    """
    values = []
    while length >= _SHORTEST and len(values) < _MOST_TIED:
        plain = _BREVE
        while plain > length:
            plain /= 2
        dotted = max((factor for factor in _DOTS if plain * factor <= length), default=Fraction(1))
        values.append((plain, _DOTS[dotted]))
        length -= plain * dotted
    return values or [(_SHORTEST, 0)]


def tuplet_spans(symbols: list[Symbol]) -> list[tuple[int, int, Tuplet]]:
    """Returns start, stop and tuplet of each run of symbols inside the same one; outer ones before inner ones."""
    spans = []
    for depth in (0, 1):
        inside = [symbol.tuplets[: depth + 1] if len(symbol.tuplets) > depth else () for symbol in symbols]
        edges = [0, *(i for i in range(1, len(inside)) if inside[i] != inside[i - 1]), len(inside)]
        spans += [
            (start, stop, inside[start][depth]) for start, stop in pairwise(edges) if start < stop and inside[start]
        ]
    return spans


def beam_spans(groups: list[list[Symbol]]) -> list[tuple[int, int]]:
    """Returns start and stop, counted over all groups, of each run of two or more symbols that share a beam."""
    spans, offset = [], 0
    for group in groups:
        edges = [0]
        for i, (before, after) in enumerate(pairwise(group), 1):
            if not (before.flagged and after.flagged) or before.tuplets != after.tuplets:
                edges.append(i)
        edges.append(len(group))
        spans += [
            (start + offset, stop + offset)
            for start, stop in pairwise(edges)
            if stop - start > 1 and group[start].flagged
        ]
        offset += len(group)
    return spans

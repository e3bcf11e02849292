"""Meters and lengths: the M: and L: fields, and note lengths counted in eighths."""

from __future__ import annotations

import re
from fractions import Fraction

from folkrnn.notation.rejection import Unfit

METERS = ("4/4", "6/8", "2/4", "3/4", "9/8", "12/8", "3/2")
"""The meters that have a token."""

# Common and cut time fill a bar of eight eighths; cut time and 2/2 are one meter in two spellings.
_COMMON = {"C": "4/4", "C|": "4/4", "2/2": "4/4"}
_FREE = ("", "none", "free")
_RATIO = re.compile(r"(\d{1,3})\s*/\s*(\d{1,3})", re.ASCII)
_LENGTH = re.compile(r"(\d{0,4})((?:/\d{0,4}){0,6})", re.ASCII)


def read_meter(text: str) -> str:
    """Returns the meter token of an M: field: "C" and "C|" are M:4/4. Raises Unfit for one without a token."""
    name = text.partition("%")[0].strip()
    if name.lower() in _FREE:
        raise Unfit("no_meter", f"M:{name}")
    ratio = _RATIO.fullmatch(name)
    spelt = f"{int(ratio[1])}/{int(ratio[2])}" if ratio else name.upper()
    meter = _COMMON.get(spelt, spelt)
    if meter not in METERS:
        raise Unfit("meter", f"M:{name[:20]}")
    return f"M:{meter}"


def default_unit(meter: str) -> Fraction:
    """Returns ABC's unit note length where no L: gives one: a sixteenth below 3/4, else an eighth."""
    ratio = _RATIO.match(meter.strip())
    if ratio is None or int(ratio[2]) == 0:
        return Fraction(1, 8)
    return Fraction(1, 16) if Fraction(int(ratio[1]), int(ratio[2])) < Fraction(3, 4) else Fraction(1, 8)


def read_unit(text: str) -> Fraction:
    """Returns the unit note length of an L: field ("1/16", "1"). Raises Unfit for what is none."""
    name = text.partition("%")[0].strip()
    ratio = _RATIO.fullmatch(name)
    unit = Fraction(int(ratio[1]), int(ratio[2])) if ratio and int(ratio[2]) else Fraction(int(name == "1"))
    if unit == 0:
        raise Unfit("unit", f"L:{name[:20]}")
    return unit


def read_length(text: str) -> Fraction:
    """Returns how many units a written length is: "" 1, "3/2" 3/2, "/" 1/2, "//" 1/4. Raises Unfit for what is none."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise Unfit("duration", text[:20])
    numerator, slashes = match.groups()
    length = Fraction(int(numerator or 1))
    for denominator in slashes.split("/")[1:]:
        if denominator and int(denominator) == 0:
            raise Unfit("duration", text)
        length /= int(denominator or 2)
    if length == 0:
        raise Unfit("duration", text)
    return length


def length_token(eighths: Fraction) -> str:
    """Returns how folk-rnn writes a length counted in eighths: "" for one, "2", "/2", "3/2"."""
    if eighths == 1:
        return ""
    if eighths.denominator == 1:
        return str(eighths.numerator)
    return f"{'' if eighths.numerator == 1 else eighths.numerator}/{eighths.denominator}"

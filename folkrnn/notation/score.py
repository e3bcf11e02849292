"""A tune for eyes: ABC text as musicians write it, and an engraved score of any string of tokens."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from folkrnn.notation.bars import Bar, bars_of, flaws
from folkrnn.notation.beams import beam_groups
from folkrnn.notation.engraver import engrave_encodings
from folkrnn.notation.events import Flaw, Reading, read
from folkrnn.notation.mei import to_mei
from folkrnn.notation.mended import mended
from folkrnn.notation.repeats import line_starts, repeats_of

_FLAWS_NAMED = 4


@dataclass(frozen=True)
class Score:
    """An engraved tune: an SVG picture that refers to nothing outside itself, in the colour of the text around it."""

    svg: str
    """"" where verovio would not draw it."""
    note: str
    """Which flaws the tune has; "" where there is nothing to say."""
    refusal: str
    """Why there is no picture: "not engraved (verovio gave no answer in 20 s)"; "" where there is one."""
    abc: str
    """The tune in ABC, which is shown where there is no picture."""

    @property
    def html(self) -> str:
        """The picture, or the tune in ABC and why."""
        return self.svg or f"<p>{html.escape(self.refusal)}</p><pre>{html.escape(self.abc)}</pre>"


NARROW = {"pageWidth": 1050, "breaks": "auto"}
"""Options of scores for a telephone: lines end where the page does."""


def engrave(tunes: Sequence[Sequence[str]], seconds: float = 20.0, narrow: bool = False) -> list[Score]:
    """Returns a score of each tune, whatever its tokens are; never raises for the sake of a tune.

    verovio draws in one child process for the batch; a tune that kills it or takes it longer than `seconds` has no
    picture. `narrow`: for a telephone, with fewer bars on a line. In the `n`-th tune (from 1) the note of token `i` has
    the id `n{n}-t{i}`, in a narrow score `p{n}-t{i}`. Flaws are drawn as `events.read` mends them: a stray bracket is
    left out, a bar of a wrong length stays as it is.
    """
    letter, options = ("p", NARROW) if narrow else ("n", {})
    answers = engrave_encodings([to_mei(tune, f"{letter}{n}-") for n, tune in enumerate(tunes, 1)], seconds, options)
    scores = []
    for tune, answer in zip(tunes, answers, strict=True):
        refusal = "" if answer.svg else f"not engraved ({answer.refusal})"
        scores.append(Score(answer.svg, describe_flaws(flaws(tune)), refusal, to_abc(tune)))
    return scores


def describe_flaws(found: list[Flaw]) -> str:
    """Returns one line for a reader: "unmatched ] (token 12), bar too long (token 30: 9 of 8 eighths)"."""
    named = [str(flaw) for flaw in found]
    more = len(named) - _FLAWS_NAMED
    return ", ".join([*named[:_FLAWS_NAMED], f"{more} more"] if more > 0 else named)


def to_abc(tokens: Sequence[str], title: str = "", number: int = 1) -> str:
    """Returns a tune of ABC 2.1 for any string of tokens, ending in a newline. Never raises.

    Notes on one beam stand together, four bars make a line, a second ending and the tune end in double bars; none of
    this changes how a well-formed tune reads back into tokens. `L:1/8` is said: below 3/4 it is not ABC's default.
    A header token inside the tune becomes an inline field; what ABC has no sign for an annotation (`"^<s>"`). Slips of
    grammar are mended as they are where the score is drawn, and told in a line N:.
    """
    tokens, slips = mended(tokens)
    reading = read(tokens)
    header = dict(zip(reading.kinds[: reading.body], tokens, strict=False))
    meter = header.get("meter", "M:none").strip("[]")
    mode = header.get("mode", "K:none").strip("[]")
    remark = f"N:mended: {describe_flaws(slips)}" if slips else ""
    lines = [f"X:{number}", f"T:{' '.join(title.split())}", remark, meter, "L:1/8", mode, _body(tokens, reading)]
    return "\n".join(line for line in lines if line not in ("T:", "")) + "\n"


def _body(tokens: list[str], reading: Reading) -> str:
    found = bars_of(tokens, reading)
    form = repeats_of(tokens, reading, found)
    breaks = _line_breaks(tokens, found, line_starts(found, form))
    glued = _glued(tokens, reading, found)
    double = _double_bars(found, form.endings)
    text = ""
    for place in range(reading.body, len(tokens)):
        kind = reading.kinds[place]
        word = _word(tokens[place], kind)
        before = reading.kinds[place - 1] if place > reading.body else ""
        if place in double:
            word = double[place]
        if kind == before == "measure" and tokens[place][1:].isdigit() and tokens[place - 1] == ":|":
            text += tokens[place][1:]  # `:|` and `|2` are one sign, `:|2`
            continue
        text += ("\n" if place in breaks else "" if place in glued else " ") + word
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _word(token: str, kind: str) -> str:
    if kind in ("meter", "mode"):
        return f"[{token.strip('[]')}]"
    if kind in ("transcription", "unknown"):
        return '"^' + "".join(character for character in token if character.isprintable() and character != '"') + '"'
    return token


def _glued(tokens: list[str], reading: Reading, found: list[Bar]) -> set[int]:
    """The tokens that stand right behind the one before: inside a note or chord, and on one beam."""
    glued = {i for event in reading.events for i in range(event.start + 1, event.stop)}
    glued |= {event.start for event in reading.events if event.tuplet is not None and event.tuplet == event.start - 1}
    for group in (group for bar in found for group in beam_groups(bar)):
        glued |= {b.start for a, b in pairwise(group) if a.stop == b.start and a.tuplet == b.tuplet}
    return glued


def _line_breaks(tokens: list[str], found: list[Bar], starts: set[int]) -> set[int]:
    """The tokens before which a new line begins: `|:` goes with what it opens, other signs with what they close."""
    breaks = set()
    for number in starts - {0}:
        place = found[number].start
        while tokens[place - 1] == "|:":
            place -= 1
        breaks.add(place)
    return breaks


def _double_bars(found: list[Bar], endings: list[str]) -> dict[int, str]:
    """`||` after a second ending and `|]` after the tune, where a plain bar stands there."""
    double = {}
    for number, bar in enumerate(found):
        last = number + 1 == len(found)
        ends_second = endings[number] == "2" and (last or endings[number + 1] != "2")
        if bar.closing == ("|",) and (ends_second or last):
            double[bar.stop] = "|]" if last else "||"
    return double

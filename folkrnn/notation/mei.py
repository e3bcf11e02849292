"""A tune as MEI, the encoding that verovio engraves without guessing.

verovio 6.4 reads ABC too, but measured on folk-rnn's tokens it drops the length of a chord (`[CE]2`), writes 5 and 9
eighths as 6 and 7, forgets that an accidental holds through its bar, and dies on most broken strings. MEI says each
length, tie, beam and accidental outright, and is well-formed whatever the tokens are.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from folkrnn.notation.notes import signature
from folkrnn.notation.symbols import DrawnBar, Head, Symbol, beam_spans, lay_out, meter_parts, tuplet_spans

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><mei xmlns="http://www.music-encoding.org/ns/mei" meiversion="5.0">'
    "<meiHead><fileDesc><titleStmt><title/></titleStmt><pubStmt/></fileDesc></meiHead><music><body><mdiv><score>"
)
_TAIL = "</section></score></mdiv></body></music></mei>"
_EMPTY = '<measure right="end"><staff n="1"><layer n="1"/></staff></measure>'
_RIGHT = {"single": "single", "double": "dbl", "end": "end", "repeat": "rptend", "none": "invis"}
_ACCIDENTALS = {-2: "ff", -1: "f", 0: "n", 1: "s", 2: "x"}


def to_mei(tokens: Sequence[str], prefix: str = "") -> str:
    """Returns MEI of any string of tokens, drawn as `symbols.lay_out` says. Never raises.

    The note drawn for pitch token `i` has the id `{prefix}t{i}`.
    """
    sheet = lay_out(tokens)
    staff = f'<staffDef n="1" lines="5" clef.shape="G" clef.line="2"{_header(sheet.header)}/>'
    parts = [_HEAD, f"<scoreDef><staffGrp>{staff}</staffGrp></scoreDef><section>", "" if sheet.bars else _EMPTY]
    ending = ""
    for bar in sheet.bars:
        if ending and (bar.begins_ending or bar.ending != ending):
            parts.append("</ending>")
            ending = ""
        if bar.header:
            parts.append(f"<scoreDef{_header(bar.header)}/>")
        if bar.new_line:
            parts.append("<sb/>")
        if bar.begins_ending:
            ending = bar.ending
            parts.append(f'<ending n="{ending}" label="{ending}.">')
        parts.append(_measure(bar, prefix))
    return "".join([*parts, "</ending>" if ending else "", _TAIL])


def _header(tokens: tuple[str, ...]) -> str:
    """The attributes that meter and mode tokens set; the last of a kind holds."""
    attributes = {}
    for token in tokens:
        if parts := meter_parts(token):
            attributes["meter"] = f' meter.count="{parts[0]}" meter.unit="{parts[1]}"'
        elif token.strip("[]").startswith("K:"):
            fifths = min(max(signature(token), -7), 7)
            attributes["key"] = f' keysig="{abs(fifths)}{"s" if fifths > 0 else "f"}"' if fifths else ' keysig="0"'
    return "".join(attributes.values())


def _measure(bar: DrawnBar, prefix: str) -> str:
    left = ' left="rptstart"' if bar.begins_repeat else ""
    content = f'<staff n="1"><layer n="1">{_layer(bar, prefix)}</layer></staff>'
    return f'<measure n="{bar.number}"{left} right="{_RIGHT[bar.right]}">{content}</measure>'


def _layer(bar: DrawnBar, prefix: str) -> str:
    """Symbols inside the tags of their tuplets and beams, the longer stretch outside."""
    symbols = bar.symbols
    tags = [
        (start, stop, f'<tuplet num="{tuplet.count}" numbase="{tuplet.base}">', "</tuplet>")
        for start, stop, tuplet in tuplet_spans(symbols)
    ]
    tags += [(start, stop, "<beam>", "</beam>") for start, stop in beam_spans(bar.groups)]
    tags.sort(key=lambda tag: (tag[0], -tag[1]))
    text = []
    for place, symbol in enumerate(symbols):
        text += [opening for start, _, opening, _ in tags if start == place]
        text.append(_symbol(symbol, prefix))
        text += [closing for _, stop, _, closing in reversed(tags) if stop == place + 1]
    return "".join(text)


def _symbol(symbol: Symbol, prefix: str) -> str:
    length = f'dur="{_duration_name(symbol.value)}"' + (f' dots="{symbol.dots}"' if symbol.dots else "")
    if not symbol.heads:
        return f"<rest {length}/>"
    heads = [_head(head, symbol.tie, prefix) for head in symbol.heads]
    if len(heads) == 1:
        return f"<note {length}{heads[0]}/>"
    return f"<chord {length}>" + "".join(f"<note{head}/>" for head in heads) + "</chord>"


def _head(head: Head, tie: str, prefix: str) -> str:
    mark = "" if tie in ("m", "t") else f' xml:id="{prefix}t{head.index}"'
    accidental = f' accid{"" if head.accidental_drawn else ".ges"}="{_ACCIDENTALS.get(head.alteration, "n")}"'
    tied = f' tie="{tie}"' if tie else ""
    return f'{mark} pname="{head.letter.lower()}" oct="{head.octave}"{accidental}{tied}'


def _duration_name(value: Fraction) -> str:
    return "breve" if value == 16 else str(8 / value)

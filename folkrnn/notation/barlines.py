"""Bar lines, repeats and endings in their many spellings, as the five measure tokens (facts sheet section 4.4b)."""

from __future__ import annotations

from folkrnn.notation.rejection import Unfit

LONE_COLON = ":"
"""Half of a repeat sign whose other half has not come yet; no token."""

_MEASURE = frozenset(("|", "|:", ":|", "|1", "|2", LONE_COLON))

# What two measure signs with no note between them amount to. A pair that is not here stays as it is.
_JOINED = {
    ("|", "|"): ("|",),
    ("|", "|:"): ("|:",),
    ("|", ":|"): (":|",),
    ("|", "|1"): ("|1",),
    ("|", "|2"): ("|2",),
    ("|", ":"): ("|:",),
    (":|", "|"): (":|",),
    (":|", ":|"): (":|",),
    (":|", ":"): (":|", "|:"),
    ("|:", "|"): ("|:",),
    ("|:", "|:"): ("|:",),
    ("|1", "|"): ("|1",),
    ("|2", "|"): ("|2",),
    (":", "|"): (":|",),
    (":", ":|"): (":|",),
    (":", "|:"): (":|", "|:"),
    (":", ":"): (":|", "|:"),
    (":", "|1"): (":|", "|1"),
    (":", "|2"): (":|", "|2"),
}


def measure_tokens(sign: str) -> tuple[str, ...]:
    """Returns the tokens of one written bar sign (a run of `|`, `:`, `[`, `]`): "||" | , "::" :| |: , "[|:" |: .

    A colon on its own is returned as it is: its bar may follow.
    """
    bare = sign.replace("[", "").replace("]", "")
    colons = bare.strip("|")
    if not colons:
        return ("|",)
    if bare == ":":
        return (LONE_COLON,)
    opens, closes = bare[-1] == ":", bare[0] == ":"
    if opens == closes:  # "::", ":||:" and, with bars outside, "|::|"; but "|:|" is a closing sign
        return (":|", "|:") if len(colons) > 1 else (":|",)
    return ("|:",) if opens else (":|",)


def ending_token(number: str) -> str:
    """Returns `|1` or `|2` for the number of an ending; raises Unfit for others and for lists ("1,2", "1-3")."""
    name = number.rstrip(".,-")
    if name not in ("1", "2"):
        raise Unfit("endings", number[:20])
    return f"|{name}"


def write_measure(tokens: list[str], measure: str) -> None:
    """Appends a measure token to `tokens`, joined with one that stands directly before it."""
    last = tokens[-1] if tokens else ""
    if last not in _MEASURE:
        tokens.append(measure)
        return
    tokens[-1:] = _JOINED.get((last, measure), (last, measure))

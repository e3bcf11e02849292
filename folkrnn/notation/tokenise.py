"""Real ABC to folk-rnn tokens: any key to root C, lengths in eighths, repeats in the five measure tokens.

The rules are those of facts sheet section 4.4b, which reproduce the published tokens of the same tunes.
"""

from __future__ import annotations

import re
from fractions import Fraction

from folkrnn.errors import UserError, did_you_mean
from folkrnn.notation.abc import AbcTune, read_abc
from folkrnn.notation.barlines import LONE_COLON
from folkrnn.notation.changes import changes, changes_in_fragment
from folkrnn.notation.keys import Key, read_key
from folkrnn.notation.lexer import fields_before_notes
from folkrnn.notation.meters import read_meter, read_unit
from folkrnn.notation.rejection import REASONS, Rejection, Unfit
from folkrnn.notation.transcribe import Transcriber, transcribe, user_symbols, write_chord
from folkrnn.vocabulary import END, START, V2, Vocabulary, token_type

__all__ = ["REASONS", "Rejection", "prime_changes", "prime_tokens", "tokenise"]

_ON_C = Key("C", 0, "maj")
_HOW = "give tokens separated by spaces (M:6/8 K:Cdor G, C C 2) or plain ABC (M:6/8 K:Ador A2 B cde)"
_WHOLE_TUNE = re.compile(r"^[ \t]*[XT]:", re.MULTILINE)
_MODE_WORD = (
    r"(?i:m|maj(?:or)?|min(?:or)?|ion(?:ian)?|aeo(?:lian)?|dor(?:ian)?|mix(?:olydian)?"
    r"|phr(?:ygian)?|lyd(?:ian)?|loc(?:rian)?)"
)
_HEAD = re.compile(
    r"\s*(?:\[(?P<inline>[A-Za-z]):(?P<inside>[^\[\]\n]*)\]"
    rf"|K:[ \t]*(?P<key>\S+(?:[ \t]+{_MODE_WORD}(?!\S))?)"
    r"|(?P<name>[A-Za-z]):(?![|:])[ \t]*(?P<value>\S+))"
)
# In a prime a letter that is neither a note nor one of the usual decorations before a note is a slip, nothing to drop;
# so is a sign that ABC reserves.
_SLIP = re.compile(r"[IKNQUVWYhijl-twy#?@]|[HLMOPSTJRkuv]+(?!\S)")
_QUOTED = re.compile(r'"[^"\n]*"|![^!|\s]{1,30}!|\{[^{}\n]*\}|%[^\n]*|\[[A-Za-z]:[^\[\]\n]*\]')


LONGEST = 100_000
"""Characters of the longest tune that is read; the longest of folk-rnn's data has some 8,000."""

_AROUND = 12
"""Characters shown before and behind the place where a tune cannot be read."""


def tokenise(tune: AbcTune, vocabulary: Vocabulary = V2) -> list[str] | Rejection:
    """Returns the tokens of `tune`, meter and mode first, without `<s>` and `</s>`; or why there are none.

    Never raises, whatever the text; takes time in proportion to its length.
    """
    try:
        return _tokenise(tune, vocabulary)
    except Unfit as unfit:
        return Rejection(unfit.reason, unfit.detail, _place(tune.body, unfit.at))


def _place(body: str, at: int | None) -> str:
    """Where that is, in words, with some of the line before and behind it."""
    if at is None:
        return ""
    line = body.count("\n", 0, at) + 1
    start, stop = max(body.rfind("\n", 0, at) + 1, at - _AROUND), min(f"{body}\n".find("\n", at), at + _AROUND)
    return f"line {line} of the music, at {body[start:stop].strip()!r}"


def _tokenise(tune: AbcTune, vocabulary: Vocabulary) -> list[str]:
    if len(tune.body) > LONGEST:
        raise Unfit("length", f"{len(tune.body):,} characters, more than {LONGEST:,}")
    voices = {words.split()[0] for words in tune.fields.get("V", []) if words.strip()}
    if len(voices) > 1:
        raise Unfit("several_voices", " and ".join(sorted(voices))[:40])
    inside = fields_before_notes(tune.body)
    key, meter = read_key(inside.get("K", tune.key)), read_meter(inside.get("M", tune.meter))
    state = Transcriber(vocabulary, key, meter, read_unit(inside["L"]) if "L" in inside else tune.unit)
    if state.unit <= 0:
        raise Unfit("unit", "L:" + " ".join(tune.fields.get("L", []))[:20])
    state.symbols = user_symbols(tune.fields.get("U", ()))
    transcribe(tune.body, state)
    if state.chord is not None:
        raise Unfit("chord", "[ without ]")
    if not any(token_type(pitch) == "pitch" and pitch != "z" for pitch in state.pitches.values()):
        raise Unfit("no_notes", "nothing but rests" if state.tokens else "nothing after the key")
    return _checked([state.meter, state.key.token, *state.tokens], vocabulary)


def _checked(tokens: list[str], vocabulary: Vocabulary) -> list[str]:
    """`tokens`, all of them in the vocabulary (one without, say, brackets is possible)."""
    missing = next((token for token in tokens if token not in vocabulary.index), None)
    if missing is None:
        return tokens
    if missing == LONE_COLON:
        raise Unfit("sign", "a colon without its bar")
    raise Unfit("meter" if missing.startswith("M:") else "sign", missing)


def prime_tokens(text: str, vocabulary: Vocabulary = V2) -> list[str]:
    """Returns the tokens with which a generated tune is to begin, without `<s>`; none for empty text.

    `text` is tokens separated by spaces, or plain ABC: a whole tune with its X:, or a fragment that may break off
    anywhere and may begin with M:, L: and K: ("M:6/8 K:Ador A2 B cde", "[M:6/8][K:Dmaj] d2A"). A fragment is moved to C
    from its K:, is taken to stand on C where it has none, and counts in eighths where it has no L:, like the tokens.
    Raises UserError naming the piece that is neither.
    """
    if len(text) > LONGEST:
        raise UserError(f"prime: {len(text):,} characters, more than the {LONGEST:,} of the longest tune that is read")
    words = text.split()
    for mark in (START, END):
        if mark in words:
            raise UserError(f"prime: {mark} marks where tunes begin and end and is set by the sampler; leave it out")
    if all(word in vocabulary.index for word in words):
        return words
    try:
        if _WHOLE_TUNE.search(text):
            return _whole_tune(text, vocabulary)
        return _fragment(text, vocabulary)
    except Unfit as unfit:
        piece = _culprit(words, vocabulary) or unfit.detail
        raise UserError(
            f"prime: {piece!r} has no token{did_you_mean(piece, vocabulary.tokens)}: {REASONS[unfit.reason]}"
            f" ({unfit.detail}); {_HOW}"
        ) from unfit


def prime_changes(text: str, vocabulary: Vocabulary = V2) -> list[str]:
    """Returns what `prime_tokens` changes in a prime that it can read, in words; nothing in one of tokens."""
    if all(word in vocabulary.index for word in text.split()):
        return []
    if _WHOLE_TUNE.search(text):
        return changes(next(iter(read_abc(text, "prime"))))
    header, music = _parted(text)
    return changes_in_fragment(music, header)


def _whole_tune(text: str, vocabulary: Vocabulary) -> list[str]:
    tunes = list(read_abc(text, "prime"))
    if len(tunes) != 1:
        raise UserError(f"prime: {len(tunes)} tunes with a key; {_HOW}")
    return _tokenise(tunes[0], vocabulary)


def _fragment(text: str, vocabulary: Vocabulary) -> list[str]:
    state = Transcriber(vocabulary, _ON_C, "", Fraction(1, 8))
    header, music = _parted(text)
    if "L" in header:
        state.unit = read_unit(header["L"])
    if "M" in header:
        state.meter = read_meter(header["M"])
    if "K" in header:
        state.key = read_key(header["K"])
    slip = _SLIP.search(_QUOTED.sub(" ", music))
    if slip:
        raise Unfit("sign", slip[0])
    transcribe(music, state)
    if state.chord is not None:
        write_chord(state, closing="")
    tokens = [state.meter] * bool(state.meter) + [state.key.token] * ("K" in header) + state.tokens
    if not tokens:
        raise Unfit("no_notes", text.strip()[:40])
    return _checked(tokens, vocabulary)


def _parted(text: str) -> tuple[dict[str, str], str]:
    """The fields at the head of a fragment, and what comes behind them."""
    header = {}
    start = 0
    while match := _HEAD.match(text, start):
        name, value = _head_field(match)
        header[name] = value
        start = match.end()
    return header | fields_before_notes(text[start:]), text[start:]


def _head_field(match: re.Match[str]) -> tuple[str, str]:
    """Name and value of a field at the head of a fragment."""
    if match["key"]:
        return "K", match["key"]
    name = match["inline"] or match["name"]
    value = match["inside"] if match["inline"] else match["value"]
    if name not in "MLKQR":
        raise Unfit("sign", f"{name}:{value}"[:20])
    return name, value


def _culprit(words: list[str], vocabulary: Vocabulary) -> str | None:
    """The first word that is no token and no ABC on its own either; None where words are not to blame one by one."""
    for word in words:
        if word in vocabulary.index:
            continue
        try:
            _fragment(word, vocabulary)
        except Unfit:
            return word[:40]
    return None

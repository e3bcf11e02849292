"""The tokens of folk-rnn, their seven types and their index order.

Token ids count from 0; the paper "What do these 5,599,881 parameters mean?" counts from 1 (its token 106 is our 105).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from folkrnn.errors import UserError, did_you_mean

START, END = "<s>", "</s>"

TYPES = ("transcription", "meter", "mode", "measure", "pitch", "grouping", "duration")
"""The seven token types, in the order in which the paper and the blog draw them."""

_PITCH = re.compile(r"(?P<accidental>\^\^?|__?|=)?(?P<letter>[A-Ga-gz])(?P<octave>,+|'+)?")
_PATTERNS = {
    "transcription": re.compile(r"</?s>"),
    "meter": re.compile(r"\[?[ML]:.+\]?"),  # the Swedish models have a unit length before the meter
    "mode": re.compile(r"\[?K:.+\]?"),
    "measure": re.compile(r"[|:]+\]?|\|?\[?[1-9]"),
    "pitch": _PITCH,
    "grouping": re.compile(r"\(\d.*|[\[\]-]"),  # v3 has ties
    "duration": re.compile(r"(\d+|\d*/\d*)?[<>]*"),
}


@lru_cache(4096)  # a corpus asks a million times for a hundred tokens
def token_type(token: str) -> str:
    """Returns which of the seven TYPES a token is (facts sheet section 4.5: 2, 7, 4, 5, 85, 9 and 25 of v2's 137).

    Raises UserError for a token of none of them.
    """
    if token.isdigit():
        return "duration"
    for name, pattern in _PATTERNS.items():
        if token and pattern.fullmatch(token):
            return name
    raise UserError(f"{token!r} is not a folk-rnn token of any type ({', '.join(TYPES)})")


def pitch_parts(token: str) -> tuple[str, str, str]:
    """Returns (accidental, letter, octave marks) of a pitch token: "^c'" -> ("^", "c", "'")."""
    match = _PITCH.fullmatch(token)
    if match is None:
        raise UserError(f"{token!r} is not a pitch token")
    return match["accidental"] or "", match["letter"], match["octave"] or ""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in index order. Everything else follows from them."""

    tokens: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.tokens)) != len(self.tokens):
            raise UserError("a vocabulary names each token once; this one repeats some")
        missing = [token for token in (START, END) if token not in self.tokens]
        if missing:
            raise UserError(f"a vocabulary needs the tokens {START} and {END}; missing: {' '.join(missing)}")

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def index(self) -> dict[str, int]:
        """Token to id."""
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The type of each token, in index order."""
        return tuple(token_type(token) for token in self.tokens)

    @cached_property
    def plot_order(self) -> tuple[int, ...]:
        """Token ids grouped by type as the papers draw them; inside a type, in a musician's order."""
        return tuple(sorted(range(len(self)), key=lambda i: (TYPES.index(self.types[i]), *_rank(self.tokens[i]))))

    @property
    def start(self) -> int:
        return self.index[START]

    @property
    def end(self) -> int:
        return self.index[END]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the tokens in order, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.tokens).encode()).hexdigest()[:16]

    def of_type(self, *types: str) -> tuple[int, ...]:
        """Ids of all tokens of the given types, ascending."""
        unknown = [name for name in types if name not in TYPES]
        if unknown:
            raise UserError(
                f"no token type {unknown[0]!r}{did_you_mean(unknown[0], TYPES)}; there are {', '.join(TYPES)}"
            )
        return tuple(i for i, name in enumerate(self.types) if name in types)

    def encode(self, tokens: str | Iterable[str]) -> list[int]:
        """Ids of `tokens`, given as a list or as one string with spaces between them.

        Raises UserError naming the first token that is not in the vocabulary and its place.
        """
        words = tokens.split() if isinstance(tokens, str) else list(tokens)
        for place, word in enumerate(words):
            if word not in self.index:
                hint = did_you_mean(word, self.tokens)
                raise UserError(f"token {word!r} (number {place}) is not in the vocabulary of {len(self)}{hint}")
        return [self.index[word] for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Tokens of `ids`."""
        return [self.tokens[int(i)] for i in ids]


def counterparts(source: Vocabulary, target: Vocabulary) -> dict[str, str | None]:
    """Returns for every token of `source` the token of `target` that means the same, None where there is none.

    Models of different data write headers differently: `M:4/4` and `[M:4/4]`, `K:Cmaj`, `[K:CMaj]` and `K:maj`.
    """
    meanings = {_meaning(token): token for token in reversed(target.tokens)}
    return {token: token if token in target.index else meanings.get(_meaning(token)) for token in source.tokens}


def remap(tokens: Iterable[str], source: Vocabulary, target: Vocabulary) -> list[str]:
    """Returns tokens of `source` in the words of `target`. Raises UserError, naming every token without counterpart."""
    words = counterparts(source, target)
    found = [(token, words.get(token)) for token in tokens]
    lost = dict.fromkeys(token for token, word in found if word is None)
    if lost:
        raise UserError(f"the vocabulary of {len(target)} tokens has no counterpart of {' '.join(lost)}")
    return [word for _, word in found if word is not None]


def _meaning(token: str) -> str:
    """What spellings of the same header have in common; the mode of a C is a mode without a tonic."""
    bare = token.strip("[]")
    if not re.match(r"[KLM]:", bare):
        return token
    return re.sub(r"^k:c(?=maj|min|dor|mix)", "k:", bare.lower())


def _rank(token: str) -> tuple[float, float, str]:
    """Inside a type: pitches from low to high (flat, plain, natural, sharp), durations from short to long."""
    kind = token_type(token)
    if kind == "pitch":
        accidental, letter, octave = pitch_parts(token)
        if letter == "z":
            return (99.0, 0.0, token)
        step = "CDEFGAB".index(letter.upper()) + 7 * letter.islower() + 7 * octave.count("'") - 7 * octave.count(",")
        return (float(step), {"__": -2, "_": -1, "": 0, "=": 0.5, "^": 1, "^^": 2}[accidental], token)
    if kind == "duration":
        digits = token.rstrip("<>")
        numerator, _, denominator = digits.partition("/")
        length = float(numerator or 1) / float(denominator or (2 if "/" in digits else 1))
        return (float(len(token) - len(digits)), length, token)
    return (float(token != START), 0.0, token)


_V2 = """
    d' =A, ^c' =e =d =g =f =a =c =b _G _E _D _C _B _A 2< 2> =E =D _B, =F =A 4 =C =B _g 8 _e _d _c <
    _a (9 |2 D |1 (2 (3 |: (7 (4 (5 :| 9 3/2 3/4 =f' 2 d _E, B, 16 | ^A, b' _e' M:9/8 E, </s> 3 7
    ^F, =G, C G e' _d' ^f' [ b c z g ^G, =F, K:Cmin K:Cmix =c' C, <s> ] =G M:12/8 6 =E, K:Cmaj > B F
    c' ^C, 5/2 G, f =e' _b _A, F, /2> /2< f' M:6/8 4> M:4/4 A, M:2/4 =C, 5 M:3/4 12 M:3/2 K:Cdor A E
    a' (6 ^A ^C ^D ^F ^G a g' D, /4 e /3 7/2 =B, /8 ^a ^c ^d /2 ^f ^g
"""

V2 = Vocabulary(tuple(_V2.split()))
"""The 137 tokens of folk-rnn v2 in the index order of its pickle (facts sheet section 4.5)."""

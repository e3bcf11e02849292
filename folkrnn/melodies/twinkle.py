"""The melody of the source paper's examples: "Twinkle, twinkle, little star" in C, from middle C."""

from __future__ import annotations

import numpy as np

from folkrnn.errors import UserError
from folkrnn.melodies.from_tunes import from_tokens
from folkrnn.melodies.rules import Rules

TITLE = "Twinkle, twinkle, little star"

_A = "C 2 C 2 G 2 G 2 | A 2 A 2 G 4 | F 2 F 2 E 2 E 2 | D 2 D 2 C 4 |"
_B = "G 2 G 2 F 2 F 2 | E 2 E 2 D 4 | G 2 G 2 F 2 F 2 | E 2 E 2 D 4 |"


def twinkle(bars: int = 2) -> np.ndarray:
    """Returns the first `bars` of the song, uint8 `[T]`; after its twelve bars it begins again.

    Raises UserError for less than one bar.
    """
    if bars < 1:
        raise UserError(f"twinkle: {bars} bars; there is at least one")
    rounds = -(-bars // 12)
    tokens = f"M:4/4 K:Cmaj {' '.join([_A, _B, _A] * rounds)}".split()
    return from_tokens(tokens, Rules(bars=bars)).classes[0]

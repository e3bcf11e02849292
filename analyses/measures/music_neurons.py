"""Which of the music neurons is *pitch* and which *rhythm*: a written rule (facts on MusicVAE, section 6).

Which latents are music neurons `folkrnn.observation.music_neurons` decides. Shapes: F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pandas as pd

KINDS = {"P": "pitch", "R": "rhythm", "M": "melody"}
"""What a feature is about, by the first letter of its jSymbolic name."""


def kind_scores(strength: pd.DataFrame) -> pd.DataFrame:
    """Returns for each kind (pitch, rhythm, melody) and neuron the mean strength of association, `[kinds, neurons]`.

    `strength` has one row per feature, named as in jSymbolic (`P12…`, `R15…`, `M4…`), and one column per neuron; signs
    do not count, and NaN (a feature that is constant) is left out. Features of other letters are left out.
    """
    letters = strength.index.str[0].str.upper()
    rows = {
        name: strength[letters == letter].abs().mean() for letter, name in KINDS.items() if (letters == letter).any()
    }
    return pd.DataFrame(rows).T


@dataclass(frozen=True)
class Named:
    """The neurons named after a kind of feature, in the numbering of the table they were named from."""

    pitch: int | None
    rhythm: int | None
    melody: tuple[int, ...]
    """Those with more to do with melody than with pitch or rhythm, the strongest first (the paper's candidates)."""


def name_neurons(strength: pd.DataFrame, music: Sequence[int]) -> Named:
    """Returns which of the `music` neurons is *the* pitch and which *the* rhythm neuron.

    The rule: of the music neurons that have more to do with this kind of features than with the other of the two, the
    one with the highest mean strength over the kind's features. None where there is no such neuron. Melody candidates
    are those whose mean over M features exceeds both others (the paper finds none in its 2-bar model).
    """
    scores = kind_scores(strength).reindex(list(KINDS.values()))[list(music)].astype(float)

    of = scores.T

    def best(kind: str, other: str) -> int | None:
        own = of[kind][~(of[kind] <= of[other])].dropna()
        return int(cast("int", own.idxmax())) if len(own) else None

    above = of["melody"] > of[["pitch", "rhythm"]].max(axis=1)
    melody = of["melody"][above].sort_values(ascending=False, kind="stable")
    return Named(best("pitch", "rhythm"), best("rhythm", "pitch"), tuple(int(n) for n in melody.index))

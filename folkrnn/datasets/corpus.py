"""A named corpus: its tunes as tokens, what was left out and why, and the card that describes it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from folkrnn.refusal import Refusal
from folkrnn.vocabulary import V2, Vocabulary


@dataclass(frozen=True)
class Tune:
    """One transcription: meter token, mode token, body, without `<s>` and `</s>`."""

    tokens: tuple[str, ...]
    title: str = ""
    source: str = ""
    """The collection it comes from."""

    @property
    def meter(self) -> str:
        return self.tokens[0].strip("[]").removeprefix("M:")

    @property
    def mode(self) -> str:
        return self.tokens[1].strip("[]").removeprefix("K:")


@dataclass
class Corpus:
    """Distinct tunes, the count of every reason for which others were left out, and each collection's terms of use."""

    name: str
    tunes: list[Tune]
    rejections: Counter[str] = field(default_factory=Counter)
    terms: dict[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary = V2

    def __post_init__(self) -> None:
        if not self.tunes:
            reasons = ", ".join(f"{reason} {count}" for reason, count in self.rejections.most_common(5))
            raise Refusal(f"dataset {self.name} holds no usable tune" + (f" (left out: {reasons})" if reasons else ""))

    def __len__(self) -> int:
        return len(self.tunes)

    @cached_property
    def ids(self) -> list[np.ndarray]:
        """Each tune as token ids from `<s>` to `</s>`, int64."""
        v = self.vocabulary
        return [np.array([v.start, *v.encode(tune.tokens), v.end]) for tune in self.tunes]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all tunes in order, 16 hexadecimal digits."""
        text = "\n".join(" ".join(tune.tokens) for tune in self.tunes)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def profile(self) -> dict[str, float]:
        """Returns numbers for the dataset card: tunes, tokens (with `<s>`, `</s>`), quantiles of length."""
        lengths = np.array([len(ids) for ids in self.ids])
        quantiles = {f"length_q{q}": float(np.percentile(lengths, q)) for q in (0, 5, 25, 50, 75, 95, 100)}
        return {"tunes": float(len(self)), "tokens": float(lengths.sum())} | quantiles


def distinct(tunes: Iterable[Tune], rejections: Counter[str], vocabulary: Vocabulary = V2) -> list[Tune]:
    """Returns the tunes without exact repeats of an earlier one and without tokens foreign to the vocabulary.

    What is dropped is counted in `rejections` as `duplicate` or `token-not-in-vocabulary`.
    """
    seen: set[tuple[str, ...]] = set()
    kept: list[Tune] = []
    for tune in tunes:
        if any(token not in vocabulary.index for token in tune.tokens):
            rejections["token-not-in-vocabulary"] += 1
        elif tune.tokens in seen:
            rejections["duplicate"] += 1
        else:
            seen.add(tune.tokens)
            kept.append(tune)
    return kept


def shares(values: Sequence[str]) -> dict[str, float]:
    """Returns each distinct value's share, most frequent first."""
    return {value: count / len(values) for value, count in Counter(values).most_common()}

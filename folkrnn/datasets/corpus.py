"""A named corpus: its tunes as tokens, what was left out and why, and the card that describes it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from folkrnn.refusal import Refusal
from folkrnn.vocabulary import END, START, V2, Vocabulary, counterparts

HEADER = 3
"""Most tokens of a header: unit length, meter, mode."""


@dataclass(frozen=True)
class Tune:
    """One transcription: meter token, mode token (Swedish models: unit length before them), body; no `<s>`, `</s>`."""

    tokens: tuple[str, ...]
    title: str = ""
    source: str = ""
    """The collection it comes from."""

    @property
    def meter(self) -> str:
        return self._field("M:")

    @property
    def mode(self) -> str:
        return self._field("K:")

    def _field(self, letter: str) -> str:
        """The content of a header's field among the first tokens, empty where there is none."""
        fields = (token.strip("[]") for token in self.tokens[:HEADER])
        return next((field.removeprefix(letter) for field in fields if field.startswith(letter)), "")


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


def vocabulary_of(tunes: Iterable[Tune]) -> Vocabulary:
    """Returns v2's vocabulary if it has all tokens of the tunes, else their own, in the order of the alphabet."""
    tokens = {token for tune in tunes for token in tune.tokens}
    return V2 if tokens <= set(V2.tokens) else Vocabulary(tuple(sorted(tokens | {START, END})))


def in_vocabulary(corpus: Corpus, vocabulary: Vocabulary) -> Corpus:
    """Returns the corpus in the words of `vocabulary`: each token as its counterpart there.

    Tunes with a token that has none are left out and counted under that token's name. Raises Refusal where no tune
    remains.
    """
    if corpus.vocabulary.tokens == vocabulary.tokens:
        return corpus
    words = counterparts(corpus.vocabulary, vocabulary)
    rejections, kept = Counter(corpus.rejections), []
    for tune in corpus.tunes:
        lost = next((token for token in tune.tokens if words[token] is None), None)
        if lost is None:
            kept.append(replace(tune, tokens=tuple(words[token] or "" for token in tune.tokens)))
        else:
            rejections[f"the model has no {lost}"] += 1
    return Corpus(corpus.name, kept, rejections, corpus.terms, vocabulary)


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

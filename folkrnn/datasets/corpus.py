"""A named corpus: its tunes as tokens, what was left out and why, and the card that describes it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from folkrnn.errors import UserError
from folkrnn.notation.rejection import REASONS as TUNE_REASONS
from folkrnn.vocabulary import END, START, V2, Vocabulary, counterparts

HEADER = 3
"""Most tokens of a header: unit length, meter, mode."""

REASONS = {
    **TUNE_REASONS,
    "duplicate": "the same tune again",
    "token-not-in-vocabulary": "a token that folk-rnn has not",
    "no-header": "no meter and mode before the tokens",
    "row": "a row without abc, meter and mode",
    "broken_row": "a row that is neither CSV nor JSON",
    "several_tunes": "several tunes in one setting",
    "table": "a file of rows without a column abc",
    "no_tune": "a file without a tune",
    "empty": "an empty file",
    "binary": "a file that is no text",
    "archive": "an archive, which is not unpacked",
    "hidden": "a hidden file or folder",
    "other_kind": "a file of another kind, by its name",
    "unreadable": "a file that cannot be read",
}
"""Why a tune, a row or a file is left out of a corpus: reason to a line that explains it."""


class LeftOut(NamedTuple):
    """What is not in a corpus: where it stands, for people, a key of REASONS, and what is particular to it."""

    place: str
    reason: str
    detail: str = ""


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
    """Distinct tunes, what was left out and why, and each collection's terms of use."""

    name: str
    tunes: list[Tune]
    unused: list[LeftOut] = field(default_factory=list)
    terms: dict[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary = V2

    def __post_init__(self) -> None:
        if not self.tunes:
            raise UserError(f"dataset {self.name} holds no usable tune{self._excuse()}")

    def _excuse(self) -> str:
        """The most frequent reasons in words, each with one place."""
        reasons = [f"{count}: {why}, as in {example}" for _, count, why, example in self.reasons()[:3]]
        return f" (left out {'; '.join(reasons)})" if reasons else ""

    @property
    def rejections(self) -> Counter[str]:
        """How much was left out for each reason."""
        return Counter(left.reason for left in self.unused)

    def reasons(self) -> list[tuple[str, int, str, str]]:
        """Returns (reason, count, explanation, an example of a place and detail), the most frequent reason first."""
        first = {left.reason: left for left in reversed(self.unused)}
        return [
            (reason, count, REASONS.get(reason, reason), ": ".join(filter(None, [first[reason][0], first[reason][2]])))
            for reason, count in self.rejections.most_common()
        ]

    def __len__(self) -> int:
        return len(self.tunes)

    @cached_property
    def ids(self) -> list[np.ndarray]:
        """Each tune as token ids from `<s>` to `</s>`, int64."""
        v = self.vocabulary
        return [np.array([v.start, *v.encode(tune.tokens), v.end]) for tune in self.tunes]

    @property
    def digest(self) -> str:
        """SHA-256 over all tunes in order, 16 hexadecimal digits."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
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

    Tunes with a token that has none are left out and counted under that token's name. Raises UserError where no tune
    remains.
    """
    if corpus.vocabulary.tokens == vocabulary.tokens:
        return corpus
    words = counterparts(corpus.vocabulary, vocabulary)
    unused, kept = list(corpus.unused), []
    for tune in corpus.tunes:
        lost = next((token for token in tune.tokens if words[token] is None), None)
        if lost is None:
            kept.append(replace(tune, tokens=tuple(words[token] or "" for token in tune.tokens)))
        else:
            unused.append(LeftOut(_name(tune), f"the model has no {lost}"))
    return Corpus(corpus.name, kept, unused, corpus.terms, vocabulary)


def _name(tune: Tune) -> str:
    return f"{tune.source} ({tune.title or ' '.join(tune.tokens[:8])})"


def distinct(tunes: Iterable[Tune], unused: list[LeftOut], vocabulary: Vocabulary = V2) -> list[Tune]:
    """Returns the tunes without exact repeats of an earlier one and without tokens foreign to the vocabulary.

    What is dropped is added to `unused` as `duplicate` or `token-not-in-vocabulary`.
    """
    seen: set[tuple[str, ...]] = set()
    kept: list[Tune] = []
    for tune in tunes:
        foreign = next((token for token in tune.tokens if token not in vocabulary.index), None)
        if foreign is not None:
            unused.append(LeftOut(_name(tune), "token-not-in-vocabulary", foreign[:40]))
        elif tune.tokens in seen:
            unused.append(LeftOut(_name(tune), "duplicate"))
        else:
            seen.add(tune.tokens)
            kept.append(tune)
    return kept


def shares(values: Sequence[str]) -> dict[str, float]:
    """Returns each distinct value's share, most frequent first."""
    return {value: count / len(values) for value, count in Counter(values).most_common()}

"""What to generate, and what was generated: a tune and how each of its tokens came about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from folkrnn.errors import UserError
from folkrnn.models.products import Precision
from folkrnn.vocabulary import Vocabulary

Origin = Literal["given", "drawn", "replayed"]
Rng = Literal["per_tune", "legacy", "legacy_webapp"]


@dataclass(frozen=True)
class Sampling:
    """What to generate. The same names are the keys `sampling.*` on the command line."""

    tunes: int = 64
    temperature: float = 1.0
    prime: tuple[str, ...] = ()
    """Tokens that every tune begins with."""
    max_tokens: int = 1000
    """Most tokens a tune may have, the prime included, `<s>` and `</s>` not."""
    rng: Rng = "per_tune"
    batch_size: int = 256
    """Most tunes in progress at once; waiting tunes take the places of finished ones."""
    precision: Precision = "fp32"
    """In which the layers multiply. With bf16 probabilities differ from those of fp32 by some thousandths, and by less
    between batches of other sizes."""
    captured: bool = False
    """Whether a step into which nobody looks is made in memory that stays where it is, on a GPU as one graph."""

    def __post_init__(self) -> None:
        if self.tunes < 1:
            raise UserError(f"sampling.tunes is {self.tunes}; it must be at least 1")
        if not self.temperature > 0:
            raise UserError(f"sampling.temperature is {self.temperature}; it must be above 0")
        if self.max_tokens < 1:
            raise UserError(f"sampling.max_tokens is {self.max_tokens}; it must be at least 1")
        if self.batch_size < 1:
            raise UserError(f"sampling.batch_size is {self.batch_size}; it must be at least 1")
        if len(self.prime) > self.max_tokens:
            raise UserError(f"the prime has {len(self.prime)} tokens, more than sampling.max_tokens={self.max_tokens}")
        if self.rng not in ("per_tune", "legacy", "legacy_webapp"):
            raise UserError(f"sampling.rng is {self.rng!r}; it may be per_tune, legacy or legacy_webapp")
        if self.precision == "bf16" and self.rng != "per_tune":
            raise UserError(f"sampling.rng={self.rng} reproduces what fp32 drew; leave sampling.precision at fp32")
        if self.captured and self.rng != "per_tune":
            raise UserError(f"sampling.rng={self.rng} writes one tune at a time; leave sampling.captured out")


@dataclass(frozen=True)
class Transcription:
    """A tune and how it came about. Arrays have one entry per token of `ids[1:]`."""

    ids: np.ndarray
    """Token ids `[N]` from `<s>` on; the last is `</s>` if the tune ended by itself."""
    origin: tuple[Origin, ...]
    probability: np.ndarray
    """The distribution's probability of each token, `[N − 1]`; NaN where it was not computed."""
    uniform: np.ndarray
    """The uniform that drew each token, `[N − 1]`; NaN where none did."""
    ended: bool
    title: str = ""

    def tokens(self, vocabulary: Vocabulary) -> list[str]:
        """Meter, mode and body, without `<s>` and `</s>`."""
        return vocabulary.decode(self.ids[1:-1] if self.ended else self.ids[1:])


def input_tune(ids: Sequence[int], vocabulary: Vocabulary, title: str = "") -> Transcription:
    """Returns a transcription that was not generated: tokens (without markers) to be read with teacher forcing."""
    whole = np.array([vocabulary.start, *ids, vocabulary.end])
    unknown = np.full(len(whole) - 1, np.nan)
    return Transcription(whole, ("given",) * (len(whole) - 1), unknown, unknown, True, title)


def mark_replayed(transcription: Transcription, ids: Iterable[int]) -> Transcription:
    """Returns the transcription with the origin `replayed` where its tokens are those of the replayed tune."""
    model = list(ids)
    origin = tuple(
        "replayed" if t < len(model) and token == model[t] else how
        for t, (token, how) in enumerate(zip(transcription.ids[1:], transcription.origin, strict=True))
    )
    return replace(transcription, origin=origin)

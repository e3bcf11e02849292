"""What a dataset is, whatever it holds: a name, a digest, sizes, what was left out and why, terms of use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol


class Dataset(Protocol):
    """One entry of `dataset=`: a `Corpus` of tunes, a `MelodyCorpus`, or one of your own."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str:
        """SHA-256 of its content, 16 hexadecimal digits."""
        ...

    @property
    def terms(self) -> Mapping[str, str]:
        """By collection: whose it is and what may be done with it."""
        ...

    @property
    def rejections(self) -> Counter[str]:
        """How much was left out, by reason."""
        ...

    @property
    def unused(self) -> Sequence[tuple[str, str, str]]:
        """Place, reason and detail of what was left out, where that is known one by one."""
        ...

    def __len__(self) -> int: ...

    def profile(self) -> dict[str, float]:
        """Returns its sizes by name."""
        ...

    def reasons(self) -> Sequence[Sequence[object]]:
        """Returns (reason, count, explanation, …) of what was left out, the most frequent first."""
        ...

"""When an intervention acts: windows of steps, bars and parts of a tune (see `folkrnn.models.positions`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.models.positions import Position
from folkrnn.vocabulary import Vocabulary

Rows = Callable[[Position], Tensor | None]
"""Which rows are inside a window, `[B]` of bool; None for all."""

Range = tuple[int, int | None]
"""First and last, both included; None for the last: to the end."""


@dataclass(frozen=True)
class Window:
    """When an intervention acts: at rows where all of these hold. An empty window is all of a tune."""

    steps: Range | None = None
    """Of rows, from 0: step t decides token t + 1."""
    bars: Range | None = None
    """Of the bars that the decided tokens belong to, from 1."""
    parts: Range | None = None
    after: tuple[str, ...] = ()
    """Tokens or token types: only at rows that have just read one of them."""

    @property
    def always(self) -> bool:
        return self == ALWAYS

    def check(self, vocabulary: Vocabulary | None, max_tokens: int) -> None:
        """Raises UserError for a range or token that no tune can reach."""
        for name, first, limit in (("steps", 0, max_tokens), ("bars", 1, max_tokens), ("parts", 1, max_tokens)):
            found = getattr(self, name)
            if found is None:
                continue
            low, high = found
            if not first <= low <= limit or (high is not None and high < low):
                raise UserError(
                    f"{name}=[{low}, {'null' if high is None else high}] is no range of {name}: the first must lie "
                    f"between {first} and {limit} (sampling.max_tokens), the last not before it"
                )
        if self.after and vocabulary is None:
            raise UserError(f"after={list(self.after)} names tokens; melodies have none: give steps or bars")
        if vocabulary is not None:
            token_ids(self.after, vocabulary)

    def rows(self, vocabulary: Vocabulary | None, device: torch.device | str = "cpu") -> Rows:
        """Returns the function that says which rows are inside, `[B]` of bool, or None for all of them."""
        limits = [(Position._fields.index(name), getattr(self, key)) for name, key in _LIMITED if getattr(self, key)]
        wanted = torch.tensor(token_ids(self.after, vocabulary), device=device) if self.after else None

        def inside(position: Position) -> Tensor | None:
            parts = [position[k] >= low for k, (low, _) in limits]
            parts += [position[k] <= high for k, (_, high) in limits if high is not None]
            if wanted is not None:
                parts.append(torch.isin(position.last, wanted))
            return torch.stack(parts).all(0) if parts else None

        return inside


ALWAYS = Window()

_LIMITED = (("step", "steps"), ("bar", "bars"), ("part", "parts"))


def disjoint(one: Window, other: Window, vocabulary: Vocabulary | None) -> bool:
    """Whether no row can lie in both, by their steps, bars, parts or the token just read."""
    for key in ("steps", "bars", "parts"):
        first, second = getattr(one, key), getattr(other, key)
        if first and second and (_last(first) < second[0] or _last(second) < first[0]):
            return True
    if vocabulary is None or not (one.after and other.after):
        return False
    return not set(token_ids(one.after, vocabulary)) & set(token_ids(other.after, vocabulary))


def _last(limits: Range) -> float:
    return float("inf") if limits[1] is None else limits[1]


RangeSetting = int | Sequence[int | None] | None
"""A number, `[first, last]`, or `[first, null]` (to the end)."""


class When(TypedDict, total=False):
    """The settings of a window, as all that acts within one takes them: `def cut(…, **when: Unpack[When])`."""

    steps: RangeSetting
    bars: RangeSetting
    parts: RangeSetting
    after: str | Sequence[str] | None


def window(**when: Unpack[When]) -> Window:
    """Returns the window that settings describe."""
    after = when.get("after")
    words = after.split() if isinstance(after, str) else after or ()
    steps, bars, parts = (_range(name, when.get(name)) for name in ("steps", "bars", "parts"))
    return Window(steps, bars, parts, tuple(words))


def _range(name: str, value: RangeSetting) -> Range | None:
    if value is None:
        return None
    pair = [value, value] if isinstance(value, int) else list(value)
    whole = [number is None or (isinstance(number, int) and not isinstance(number, bool)) for number in pair]
    if len(pair) != 2 or not all(whole) or pair[0] is None:
        raise UserError(f"{name}={value} is no range; write a number, [first, last] or [first, null] (to the end)")
    return pair[0], pair[1]


def token_ids(words: str | Sequence[str], vocabulary: Vocabulary | None) -> tuple[int, ...]:
    """Returns the ids of tokens and token types (`|`, `measure`), ascending.

    Raises UserError for what is neither, and where a model without a vocabulary is to know a token.
    """
    found: set[int] = set()
    for word in words.split() if isinstance(words, str) else words:
        if vocabulary is None:
            raise UserError(f"{word} is a token; the melodies of this model have none")
        found |= set(vocabulary.of_type(word) if word in vocabulary.types else vocabulary.encode([word]))
    return tuple(sorted(found))

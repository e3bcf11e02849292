"""Where in a tune a model is: what schedules go by. It travels with the recurrent state, one row per tune.

Row t is the state after reading token t, which decides token t + 1; steps count rows from 0, bars from 1. A bar is what
stands between measure tokens and holds a note or rest, as in `folkrnn.notation.bars`: a pickup is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from folkrnn.refusal import Refusal
from folkrnn.vocabulary import Vocabulary


class Where(NamedTuple):
    """The place of each of B tunes, `[B]` of int64 each."""

    tune: Tensor
    """Number of the tune in the run, from 0."""
    step: Tensor
    """Of the row: 0 after `<s>`; −1 before."""
    last: Tensor
    """Id of the token just read."""
    bar: Tensor
    """Number of the bar that the next token belongs to, the measure token behind it included."""
    sounded: Tensor
    """1 if a note or rest stands in this bar already."""
    since: Tensor
    """Tokens read since the last measure token; 0 right after it."""
    part: Tensor
    """1, and one more after each `:|`."""


class Reading:
    """How the tokens of a vocabulary move the place."""

    def __init__(self, vocabulary: Vocabulary, device: torch.device | str = "cpu") -> None:
        flags = [(kind == "measure", kind == "pitch") for kind in vocabulary.types]
        self.measure, self.note = torch.tensor(flags, device=device).long().T.contiguous()
        self.closing = torch.tensor([token == ":|" for token in vocabulary.tokens], device=device).long()

    def begin(self, batch: int) -> Where:
        """Returns the place before `<s>`; tunes are numbered by their row."""
        rows = torch.arange(batch, device=self.measure.device)
        zero = torch.zeros_like(rows)
        return Where(rows, zero - 1, zero, zero + 1, zero, zero, zero + 1)

    def after(self, where: Where, tokens: Tensor) -> Where:
        """Returns the place after reading `tokens [B]`."""
        measure = self.measure[tokens]
        return Where(
            where.tune,
            where.step + 1,
            tokens.clone(),  # a caller may write the next ones into the same place
            where.bar + measure * where.sounded,
            (1 - measure) * (where.sounded | self.note[tokens]),
            (1 - measure) * (where.since + 1),
            where.part + self.closing[tokens],
        )


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

    def check(self, vocabulary: Vocabulary, max_tokens: int) -> None:
        """Raises Refusal for a range or token that no tune can reach."""
        for name, first, limit in (("steps", 0, max_tokens), ("bars", 1, max_tokens), ("parts", 1, max_tokens)):
            found = getattr(self, name)
            if found is None:
                continue
            low, high = found
            if not first <= low <= limit or (high is not None and high < low):
                raise Refusal(
                    f"{name}=[{low}, {'null' if high is None else high}] is no range of {name}: the first must lie "
                    f"between {first} and {limit} (sampling.max_tokens), the last not before it"
                )
        token_ids(self.after, vocabulary)

    def rows(self, vocabulary: Vocabulary, device: torch.device | str = "cpu") -> Callable[[Where], Tensor | None]:
        """Returns the function that says which rows are inside, `[B]` of bool, or None for all of them."""
        limits = [(Where._fields.index(name), getattr(self, key)) for name, key in _LIMITED if getattr(self, key)]
        wanted = torch.tensor(token_ids(self.after, vocabulary), device=device) if self.after else None

        def inside(where: Where) -> Tensor | None:
            parts = [where[k] >= low for k, (low, _) in limits]
            parts += [where[k] <= high for k, (_, high) in limits if high is not None]
            if wanted is not None:
                parts.append(torch.isin(where.last, wanted))
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


def window(
    steps: int | Sequence[int | None] | None = None,
    bars: int | Sequence[int | None] | None = None,
    parts: int | Sequence[int | None] | None = None,
    after: str | Sequence[str] | None = None,
) -> Window:
    """Returns the window that settings describe: each a number, `[first, last]` or `[first, null]` (to the end)."""
    words = after.split() if isinstance(after, str) else list(after or ())
    return Window(_range("steps", steps), _range("bars", bars), _range("parts", parts), tuple(words))


def _range(name: str, value: int | Sequence[int | None] | None) -> Range | None:
    if value is None:
        return None
    pair = [value, value] if isinstance(value, int) else list(value)
    whole = [number is None or (isinstance(number, int) and not isinstance(number, bool)) for number in pair]
    if len(pair) != 2 or not all(whole) or pair[0] is None:
        raise Refusal(f"{name}={value} is no range; write a number, [first, last] or [first, null] (to the end)")
    return pair[0], pair[1]


def token_ids(words: str | Sequence[str], vocabulary: Vocabulary) -> tuple[int, ...]:
    """Returns the ids of tokens and token types (`|`, `measure`), ascending; raises Refusal for what is neither."""
    found: set[int] = set()
    for word in words.split() if isinstance(words, str) else words:
        found |= set(vocabulary.of_type(word) if word in vocabulary.types else vocabulary.encode([word]))
    return tuple(sorted(found))

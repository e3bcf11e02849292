"""Which bars of a tune stood in it before, and tunes whose bars were exchanged without touching that.

A model copies if it predicts bars that repeat an earlier one better than those that do not. What it has to copy need
not be what the collection holds: a tune in which every distinct bar is replaced, all its occurrences alike, by a bar of
another tune repeats exactly where it did, and there are more such tunes than any training reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from folkrnn.notation.bars import Bar, bars
from folkrnn.vocabulary import token_type

CONTEXT = 2
"""Tokens of a bar after which a reader can know that it repeats an earlier one; nats are counted from the next on."""

SHORTEST = 3
"""Tokens of the shortest bar that can be a repetition: a bar of one or two tokens says the same by chance."""

NEITHER, NEW, COPIED = 0, 1, 2
"""Kinds of tokens: outside of what is counted, in a bar that is new to the tune, in one that stood in it before."""


def kinds(tokens: Sequence[str]) -> np.ndarray:
    """Returns NEITHER, NEW or COPIED for every token of a tune (without `<s>`, `</s>`), int8 `[N]`.

    A bar is copied if it equals an earlier bar of the tune, token by token. Its first CONTEXT tokens, bars with fewer
    than SHORTEST tokens and measure tokens are neither.
    """
    found = np.zeros(len(tokens), np.int8)
    seen: set[tuple[str, ...]] = set()
    for bar in bars(tokens):
        if len(bar.tokens) >= SHORTEST:
            found[bar.start + CONTEXT : bar.stop] = COPIED if bar.tokens in seen else NEW
            seen.add(bar.tokens)
    return found


def copied_in_parts(found: Sequence[Bar]) -> tuple[int, int]:
    """Returns how many of the bars of a tune stood before in their part, token by token, and how many could have.

    A part begins at every measure token but a plain bar line; bars with fewer than SHORTEST tokens do not count.
    """
    copied, counted = 0, 0
    part: set[tuple[str, ...]] = set()
    for bar in found:
        if _begins_part(bar):
            part = set()
        if len(bar.tokens) >= SHORTEST:
            copied += bar.tokens in part
            counted += 1
            part.add(bar.tokens)
    return copied, counted


def _begins_part(bar: Bar) -> bool:
    return not bar.opening or any(sign != "|" for sign in bar.opening)


@dataclass(frozen=True)
class _Slot:
    """A bar of a tune that may be exchanged."""

    start: int
    stop: int
    key: tuple[str, ...] | None
    """What a bar in its place must have in common with it; None: it stays."""
    place: int
    """Which bar of its part it is, from 0; a pickup does not count."""


class ExchangedBars:
    """Makes tunes out of given ones by exchanging bars; the bars come from the given tunes alone.

    A bar may be exchanged for one of the same meter and mode, first and last pitch, if it is full. Tokens come without
    `<s>` and `</s>`, meter and mode first.
    """

    def __init__(self, tunes: Sequence[Sequence[str]]) -> None:
        self.tunes = [tuple(tokens) for tokens in tunes]
        self._slots = [_slots(tokens) for tokens in self.tunes]
        pool: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
        for tokens, slots in zip(self.tunes, self._slots, strict=True):
            for slot in slots:
                if slot.key is not None:
                    pool[slot.key].append(tokens[slot.start : slot.stop])
        self._pool = dict(pool)

    def substituted(self, index: int, rng: np.random.Generator) -> tuple[str, ...]:
        """Returns a tune with every distinct bar that may be exchanged replaced, all its occurrences alike."""
        return self._join(index, self._substitutes(index, rng))

    def copying(self, index: int, lag: int, rng: np.random.Generator) -> tuple[str, ...]:
        """Returns a substituted tune in which every second group of `lag` bars of a part copies the group before it.

        With a lag of 2 the bars of a part are a b a b c d c d; a bar that cannot be exchanged stays as it is.
        """
        contents = self._substitutes(index, rng)
        slots = self._slots[index]
        for j, slot in enumerate(slots):
            before = j - lag
            copies = slot.key is not None and slot.place >= lag and (slot.place // lag) % 2 == 1
            if copies and slots[before].key is not None and slots[before].place == slot.place - lag:
                contents[j] = contents[before]
        return self._join(index, contents)

    def _substitutes(self, index: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
        tokens, chosen = self.tunes[index], {}
        contents = []
        for slot in self._slots[index]:
            old = tokens[slot.start : slot.stop]
            if slot.key is not None and old not in chosen:
                others = self._pool[slot.key]
                chosen[old] = others[int(rng.integers(len(others)))]
            contents.append(chosen.get(old, old) if slot.key is not None else old)
        return contents

    def _join(self, index: int, contents: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
        tokens, made, at = self.tunes[index], [], 0
        for slot, content in zip(self._slots[index], contents, strict=True):
            made += [*tokens[at : slot.start], *content]
            at = slot.stop
        return (*made, *tokens[at:])


def _slots(tokens: tuple[str, ...]) -> list[_Slot]:
    """Returns the bars of a tune with what may stand in the place of each."""
    slots: list[_Slot] = []
    place = -1
    for bar in bars(tokens):
        if _begins_part(bar):
            place = -1
        pickup = place < 0 and not bar.full
        place += not pickup
        slots.append(_Slot(bar.start, bar.stop, _key(tokens, bar), place))
    return slots


def _key(tokens: tuple[str, ...], bar: Bar) -> tuple[str, ...] | None:
    """Returns meter, mode, first and last pitch of a bar; None where it is not full, short or of another meter."""
    if not bar.full or len(bar.tokens) < SHORTEST or bar.meter != tokens[0]:
        return None
    pitches = [token for token in bar.tokens if token_type(token) == "pitch" and token != "z"]
    return (tokens[0], tokens[1], pitches[0], pitches[-1]) if pitches else None

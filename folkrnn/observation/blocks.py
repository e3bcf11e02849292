"""Tunes cut into blocks that are read at once: from long to short, so that those of a block are about as long."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Block = tuple[list[int], list[np.ndarray]]
"""The numbers of some tunes, and their token ids."""


class Blocks(Sequence[Block]):
    """Tunes in blocks, each made when it is asked for. `size(longest)` says how many go with one of so many tokens."""

    def __init__(self, tunes: Sequence[np.ndarray], size: Callable[[int], int]) -> None:
        self.tunes = tunes
        lengths = [len(ids) for ids in tunes]
        order = sorted(range(len(tunes)), key=lambda k: lengths[k], reverse=True)
        self.numbers: list[list[int]] = []
        start = 0
        while start < len(order):
            stop = start + size(lengths[order[start]])
            self.numbers.append(order[start:stop])
            start = stop

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, k: int) -> Block:  # type: ignore[override] # read by number, never by slice
        return self.numbers[k], [self.tunes[number] for number in self.numbers[k]]

"""An engine's steps in memory that stays where it is: on a GPU each is captured once as a graph, and replayed.

A step is some forty small operations, and launching one takes a GPU's driver longer than a small one takes the GPU; a
graph is launched as a whole. On a CPU the same steps are made in the same memory, without a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Protocol

import torch
from torch import Tensor

from folkrnn.models.hooks import AnyHook, State
from folkrnn.models.rng import SMALLEST_BATCH
from folkrnn.models.stack import Stack

_REHEARSALS = 3
"""Steps before a capture, in which libraries allocate and choose what they use."""


def height(rows: int) -> int:
    """Returns the number of rows that so many are padded to, a power of two: few sizes, few captures."""
    return max(SMALLEST_BATCH, 1 << (rows - 1).bit_length())


class Stepping(Protocol):
    """What is asked of an engine."""

    stack: Stack

    def step(self, tokens: Tensor, state: Sequence[State], hook: AnyHook | None = None) -> tuple[Tensor, list[State]]:
        """Returns logits `[B, V]` and the state after reading `tokens [B]`."""
        ...


class Captured:
    """Steps as an `Engine`'s, captured anew for each number of rows, and after a parameter was written to in place.

    What a step returns lies in its own memory, which the next step with as many rows overwrites.
    """

    def __init__(self, engine: Stepping) -> None:
        self.engine = engine
        self._of_rows: dict[int, _Fixed] = {}
        self._versions: list[int] = []

    def step(self, tokens: Tensor, state: Sequence[State], hook: AnyHook | None = None) -> tuple[Tensor, list[State]]:
        """Returns logits `[B, V]` and the state after reading `tokens [B]`; with a hook by the engine's own step."""
        return self.advance(tokens, state) if hook is None else self.engine.step(tokens, state, hook)

    def advance(self, tokens: Tensor, state: Sequence[State], *_: object) -> tuple[Tensor, list[State]]:
        """Returns logits and state as `step`, without hooks."""
        versions = [parameter._version for parameter in self.engine.stack.parameters]
        if versions != self._versions:
            self._of_rows, self._versions = {}, versions
        rows = len(tokens)
        if rows not in self._of_rows:
            self._of_rows[rows] = _Fixed(self.engine, rows)
        return self._of_rows[rows].step(tokens, state)


class _Fixed:
    """The step of so many rows."""

    def __init__(self, engine: Stepping, rows: int) -> None:
        stack, device = engine.stack, engine.stack.weight.device
        self._engine = engine
        self._tokens = torch.zeros(rows, dtype=torch.int64, device=device)
        self._state = [tuple(part.clone() for part in layer) for layer in stack.at_start(rows)]
        self._logits = torch.zeros(rows, stack.tokens, device=device)
        self._graph = self._captured() if device.type == "cuda" else None

    @torch.no_grad()
    def step(self, tokens: Tensor, state: Sequence[State]) -> tuple[Tensor, list[State]]:
        self._tokens.copy_(tokens, non_blocking=True)
        for mine, given in zip(chain(*self._state), chain(*state), strict=True):
            if mine is not given:
                mine.copy_(given)
        if self._graph is None:
            self._advance()
        else:
            self._graph.replay()
        return self._logits, self._state

    def _advance(self) -> None:
        logits, state = self._engine.step(self._tokens, self._state)
        self._logits.copy_(logits)
        for mine, found in zip(chain(*self._state), chain(*state), strict=True):
            mine.copy_(found)

    @torch.no_grad()
    def _captured(self) -> torch.cuda.CUDAGraph:
        with torch.cuda.device(self._logits.device):  # streams and graphs are those of the current device
            apart = torch.cuda.Stream()
            apart.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(apart):
                for _ in range(_REHEARSALS):
                    self._advance()
            torch.cuda.current_stream().wait_stream(apart)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._advance()
        return graph

"""The engine: steps recurrent layers over the tokens of a source, with hooks. The one loop over tokens of the package.

Three ways through a step, chosen here, with one meaning (to 1e-6):

- tokens that are known, and hooks that only read: a *window* of steps at a time, so that a layer's inputs are one
  product, and activations are written where they are wanted;
- else one step, its weights packed for the processor; or captured as a graph, where nobody looks (`captured`);
- with `packed=False` one step through which gradients flow.

Batches are padded to SMALLEST_BATCH rows, which makes steps batch-invariant.

Shapes: B rows, S steps of a window, V tokens, H units, G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from folkrnn.models.captured import Captured, height
from folkrnn.models.hooks import OUT, REJECTED, AnyHook, Hooks, See, State, Step
from folkrnn.models.positions import Position
from folkrnn.models.products import Precision, Product, UnpackedProduct
from folkrnn.models.recurrent import RecurrentLayer, gru_cell, lstm_cell, lstm_equations, recur
from folkrnn.models.rng import SMALLEST_BATCH
from folkrnn.models.stack import Stack

WINDOW = 16
"""Most steps whose inputs a layer multiplies in one product: enough for it to be fast."""

NO_HOOKS = Hooks()


class Batch(NamedTuple):
    """What a run reads next."""

    tokens: Tensor
    """`[S, R]` for the R tunes in progress: several steps only where they are known beforehand."""
    kept: np.ndarray | None = None
    """The rows of the batch before that go on, in this order; None: the first R."""
    begun: Sequence[tuple[int, int]] = ()
    """(row, number) of the rows at which another tune begins."""
    active: Sequence[int] | None = None
    """How many rows, from the first on, are still in progress at each of the S steps; None: all R."""


class Source(Protocol):
    """Where the tokens of a run come from: given tunes, a sampler."""

    numbers: Sequence[int]
    """Of the tunes in the rows of the first batch."""
    known: bool
    """Whether its tokens do not depend on logits."""

    def next(self, step: Step | None, most: int) -> Batch | None:
        """Returns what is read next, at most so many steps of it; None at the end.

        `step` is the one that was just made, None before the first; its logits `[R, V]` are of its tokens.
        """


class Engine:
    """Runs a stack. A parameter that is written to in place counts from the next step on.

    `precision` is that of the layers' products; states and the softmax layer stay in single precision.
    """

    def __init__(self, stack: Stack, precision: Precision = "fp32", *, packed: bool = True) -> None:
        self.stack, self.packed = stack, packed
        self._layers = [_Layer(layer, k == 0, stack.tokens, precision, packed) for k, layer in enumerate(stack.layers)]
        self._names = [f"{stack.prefix}l{k + 1}." for k in range(len(stack.layers))]
        self._x = f"{stack.prefix}x"
        self._read_out = (Product if packed else UnpackedProduct)([stack.weight], stack.bias)

    def step(self, tokens: Tensor, state: Sequence[State], hook: AnyHook | None = None) -> tuple[Tensor, list[State]]:
        """Returns logits `[B, V]` and the state after reading `tokens [B]`, without the stack's own hooks."""
        hooks = NO_HOOKS if hook is None else Hooks((), [hook], self.stack.sites)
        with self._gradients():
            return self._step(tokens, state, Step(before=state), hooks)

    def run(
        self,
        source: Source,
        hooks: Iterable[AnyHook] = (),
        *,
        state: Sequence[State] | None = None,
        added: Tensor | None = None,
        captured: bool = False,
        start: int = 0,
    ) -> None:
        """Steps until the source has nothing more to read, with the stack's hooks and these.

        Rows begin in `state`, if not in the stack's own, and are then padded by who gives it; `added [B, G·H]` goes
        into the first layer at every step. `start` is the time of the first step. With `captured` a step into which no
        hook looks is made in memory that stays where it is, on a GPU as one graph.
        """
        every, time, step = Hooks(self.stack.hooks, hooks, self.stack.sites), start, None
        captured = captured and not every
        windows = source.known and every.read_only and self.packed and added is None
        one = Captured(self).advance if captured else self._step
        padded = height if captured else self._height if state is None else int
        rows = _Rows(self, source.numbers, padded, state, bool(every.edited), start)
        with self._gradients():
            while (batch := source.next(step, WINDOW if windows else 1)) is not None:
                tokens = rows.follow(batch)
                step = Step(time, batch.active or [batch.tokens.shape[1]] * len(tokens), rows.state)
                if windows:
                    rows.state = self._window(tokens, rows.state, step, every)
                else:
                    step.read, step.at = tokens[0], rows.moved(tokens[0])
                    logits, rows.state = one(tokens[0], rows.state, step, every, added)
                    step.logits = logits[: step.active[0]]
                    step.rejected = self._rejected(logits, step, every)
                time += len(tokens)

    def _gradients(self) -> torch.set_grad_enabled:
        return torch.set_grad_enabled(not self.packed and torch.is_grad_enabled())

    def _height(self, rows: int) -> int:
        return max(SMALLEST_BATCH, rows) if self.packed else rows

    def _step(
        self, tokens: Tensor, state: Sequence[State], step: Step, hooks: Hooks, added: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        after: list[State] = []
        for layer, name, before in zip(self._layers, self._names, state, strict=True):
            see = hooks.of(name, step)
            if after:
                after.append(layer.read(after[-1][0], before, see))
                continue
            projection = (
                layer.project_input(hooks(self._x, self.stack.one_hot(tokens), step)) if self._x in hooks else None
            )
            projection = layer.lookup(tokens) if projection is None else projection
            after.append(layer.step_from(projection if added is None else added + projection, before, see))
        h = after[-1][0]
        logits = self._read_out(hooks(OUT, h, step) if OUT in hooks else h)
        return (hooks("logits", logits, step) if "logits" in hooks else logits), after

    def _window(self, tokens: Tensor, state: Sequence[State], step: Step, hooks: Hooks) -> list[State]:
        """The state after `tokens [S, B]`; the hooks are called with the values of all S steps."""
        if self._x in hooks:
            hooks(self._x, self.stack.one_hot(tokens), step)
        after: list[State] = []
        h = tokens
        for layer, name, before in zip(self._layers, self._names, state, strict=True):
            named = hooks.activations(name)
            rooms = {activation: hooks.room(site, step, len(tokens)) for activation, site in named.items()}
            found, last = layer.window(h, before, rooms)
            for activation, site in named.items():
                hooks(site, found[activation], step)
            h = found["h"]
            after.append(last)
        if OUT in hooks:
            hooks(OUT, h, step)
        if "logits" in hooks:
            hooks("logits", self._read_out(h.flatten(0, 1)).unflatten(0, h.shape[:2]), step)
        return after

    def _rejected(self, logits: Tensor, step: Step, hooks: Hooks) -> Tensor | None:
        if REJECTED not in hooks:
            return None
        return hooks(REJECTED, torch.zeros_like(logits, dtype=torch.bool), step)[: step.active[0]]


class _Rows:
    """The states and positions of the rows of a run, padded to a height."""

    def __init__(
        self,
        engine: Engine,
        numbers: Sequence[int],
        height: Callable[[int], int],
        state: Sequence[State] | None,
        tracked: bool,
        start: int,
    ) -> None:
        self.stack, self.height, self.size = engine.stack, height, height(len(numbers))
        first = self.stack.at_start(self.size) if state is None else state
        self.state: Sequence[State] = [tuple(part.clone() for part in layer) for layer in first]
        self.tracker = self.stack.tracker if tracked else None
        self.position = None
        if self.tracker is not None:
            self.position = self.tracker.begin(self.size)
            self.position.step.add_(start)
            self.position.tune[: len(numbers)] = torch.tensor(list(numbers), device=self.position.tune.device)

    def follow(self, batch: Batch) -> Tensor:
        """Returns the tokens of a batch, `[S, B]`, once the rows are those that it goes on with."""
        rows = batch.tokens.shape[1]
        size = self.height(rows)
        if batch.kept is not None:
            # what stands below the rows in progress only keeps the products from getting small
            missing = np.zeros(size - len(batch.kept), batch.kept.dtype)
            self._select(torch.from_numpy(np.concatenate([batch.kept, missing])))
        elif size < self.size:
            self._select(slice(size))
        self.size = size
        for row, number in batch.begun:
            self._begin(row, number)
        tokens = batch.tokens.to(self.stack.weight.device)
        return torch.cat([tokens, tokens[:, :1].expand(-1, size - rows)], dim=1) if size > rows else tokens

    def moved(self, tokens: Tensor) -> Position | None:
        """Returns the position after reading `tokens [B]`."""
        if self.tracker is not None and self.position is not None:
            self.position = self.tracker.after(self.position, tokens)
        return self.position

    def _select(self, rows: Tensor | slice) -> None:
        self.state = [tuple(part[rows] for part in layer) for layer in self.state]
        if self.position is not None:
            self.position = Position(*(part[rows] for part in self.position))

    def _begin(self, row: int, number: int) -> None:
        for layer, first in zip(self.state, self.stack.at_start(1), strict=True):
            for part, start in zip(layer, first, strict=True):
                part[row] = start[0]
        if self.tracker is not None and self.position is not None:
            for part, start in zip(self.position, self.tracker.begin(1), strict=True):
                part[row] = start[0]
            self.position.tune[row] = number


class _Layer:
    """The products of one layer. A GRU's candidate takes its two apart, so they are not made one."""

    def __init__(self, layer: RecurrentLayer, first: bool, tokens: int, precision: Precision, packed: bool) -> None:
        self.layer = layer
        self._cell = lstm_cell if layer.cell == "lstm" else gru_cell
        product: Any = partial(Product, precision=precision) if packed else UnpackedProduct
        # where more than tokens goes into the first layer, the rest and the bias come from outside
        whole = not first or layer.inputs == tokens
        self._weight = layer.weight_ih if whole else layer.weight_ih[:, :tokens]
        self._bias = layer.bias if whole else None
        self.project_input = product([self._weight], self._bias)
        self.recurrent = product([layer.weight_hh])
        both = packed and layer.cell == "lstm" and not first
        self._both = product([layer.weight_ih, layer.weight_hh], layer.bias) if both else None
        self._packed, self._versions = packed, []

    def read(self, x: Tensor, state: State, see: See | None) -> State:
        """Returns the state after reading `x [B, I]`."""
        if self._both is None:
            return self.step_from(self.project_input(x), state, see)
        return lstm_equations(self._both(torch.cat([x, state[0]], dim=1)), state[1], see)

    def step_from(self, projection: Tensor, state: State, see: See | None) -> State:
        """Returns the state after inputs that give W_x x + b, `projection [B, G·H]`."""
        return self._cell(self.recurrent, projection, state, see)

    def window(
        self, below: Tensor, state: State, rooms: Mapping[str, Tensor | None]
    ) -> tuple[Mapping[str, Tensor], State]:
        """Returns h and the activations of `rooms`, `[S, B, H]` each, and the state after reading what is below.

        That is tokens `[S, B]` or the states of the layer below, `[S, B, H]`. Activations are written to their room as
        they come, where it holds all B rows in one piece.
        """
        projection = (
            self.lookup(below)
            if below.dim() == 2
            else self.project_input(below.flatten(0, 1)).unflatten(0, below.shape[:2])
        )
        shape = (*projection.shape[:2], self.layer.units)
        into = {
            name: room
            for name, room in rooms.items()
            if room is not None and room.shape == shape and room.is_contiguous()
        }
        into |= {name: torch.empty(shape, device=projection.device) for name in {"h", *rooms} - into.keys()}
        _, after = recur(self.recurrent, projection, state, into)
        return into, after

    def lookup(self, tokens: Tensor) -> Tensor:
        """Returns W_x x + b `[…, G·H]` of one-hot inputs: a row of a table for each of `tokens […]`."""
        nothing = self._bias is None
        rows = nn.functional.embedding(tokens.clamp(min=0) if nothing else tokens, self._rows())
        return rows * (tokens >= 0).unsqueeze(-1) if nothing else rows

    def _rows(self) -> Tensor:
        versions = [part._version for part in (self._weight, self._bias) if part is not None]
        if not self._packed or self._versions != versions:
            table = self._weight.t() if self._bias is None else self._weight.t() + self._bias
            if not self._packed:
                return table
            self._table, self._versions = table.contiguous(), versions
        return self._table


class InputTunes:
    """A source of tunes that are read as they are, side by side: tokens `[R, T]`.

    With `lengths`, from long to short, rows past a tune's end drop out. They are read by the very steps that write
    tunes where they are not to be `known` beforehand.
    """

    def __init__(
        self,
        tokens: Tensor,
        numbers: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
        known: bool = True,
    ) -> None:
        self.tokens, self.time, self.known = tokens.t().contiguous(), 0, known
        self.numbers = range(len(tokens)) if numbers is None else numbers
        self.lengths = np.array([len(self.tokens)] * len(tokens) if lengths is None else lengths)

    @classmethod
    def of(cls, tunes: Sequence[np.ndarray], numbers: Sequence[int], known: bool = True) -> InputTunes:
        """Returns the source of tunes of different lengths, each `[T]`, sorted from long to short."""
        lengths = [len(ids) for ids in tunes]
        tokens = torch.zeros(len(tunes), max(lengths), dtype=torch.long)
        for row, ids in enumerate(tunes):
            tokens[row, : len(ids)] = torch.from_numpy(ids)
        return cls(tokens, numbers, lengths, known)

    def next(self, step: Step | None, most: int) -> Batch | None:
        times = range(self.time, min(self.time + most, len(self.tokens)))
        if not times:
            return None
        self.time = times.stop
        active = [int((self.lengths > t).sum()) for t in times]
        return Batch(self.tokens[times.start : times.stop, : active[0]], active=active)


def over(
    layer: RecurrentLayer, x: Tensor, state: State, name: str, hooks: Hooks, steps: Sequence[Step] | None
) -> Tensor:
    """Returns h of every step `[B, T, H]` for inputs that are all known, `x [B, T, I]`; gradients flow.

    Fused; step by step where hooks name a site of the layer, `name` being how those begin (`cond.l1.`).
    """
    if steps is None or not hooks.activations(name):
        return layer.fused(x, state)
    recurrent, projection = UnpackedProduct([layer.weight_hh]), layer.project_input(x).transpose(0, 1)
    hidden, _ = recur(recurrent, projection, state, see=lambda s: hooks.of(name, steps[s]))
    return torch.stack(hidden, dim=1)


def reconstructed(
    layer: RecurrentLayer, x: Tensor, h: Tensor, state: State, prefix: str, names: set[str]
) -> dict[str, Tensor]:
    """Returns those of the layer's sites that are in `names`, `[B, T, H]` each, given the h that `fused` made of x."""
    wanted = {name for name in names if name.startswith(prefix)}
    activations = {"h": h} if wanted <= {f"{prefix}h"} else layer.reconstruct(x, h, state)
    return {name: activations[name.removeprefix(prefix)] for name in wanted}

"""MusicVAE's decoders: the stack that writes steps, and the conductor that sets its course in hierarchical models.

Shapes: B melodies, S steps of a segment, K segments, D classes, C width of the condition, H units. See the facts on
MusicVAE, section 2. The condition (z itself, or the conductor's embedding of a segment) sets the initial state *and* is
read at every step beside the previous class. The step before the first is "nothing": zeros, written as class −1; there
is no start token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from folkrnn.models.engine import NO_HOOKS, Batch, Engine, Source, over, reconstructed
from folkrnn.models.hooks import AnyHook, Hook, Hooks, State, Step
from folkrnn.models.melody_tensors import NOTHING, one_hot
from folkrnn.models.positions import Tracker
from folkrnn.models.recurrent import ACTIVATIONS, RecurrentLayer
from folkrnn.models.rng import draw, probabilities
from folkrnn.models.stack import Stack
from folkrnn.models.traces import Trace


def recurrent_layers(inputs: Sequence[int], units: Sequence[int]) -> Sequence[RecurrentLayer]:
    """Returns LSTM layers of these widths as a module, typed as what it holds."""
    layers = (RecurrentLayer(width, height) for width, height in zip(inputs, units, strict=False))
    return cast("Sequence[RecurrentLayer]", nn.ModuleList(layers))


class InitialState(nn.Linear):
    """tanh(W z + b): the first c and h of every layer, in that order: c₁, h₁, c₂, h₂, …"""

    def __init__(self, inputs: int, units: Sequence[int]) -> None:
        super().__init__(inputs, 2 * sum(units))
        self.units = tuple(units)

    def states(self, condition: Tensor) -> list[State]:
        """Returns (h, c) of each layer, each `[B, H]`, for `condition [B, C]`."""
        parts = self(condition).tanh().split([width for width in self.units for _ in range(2)], dim=-1)
        return [(h, c) for c, h in zip(parts[::2], parts[1::2], strict=True)]


class Conductor(nn.Module):
    """z → one embedding per segment. Its input is a single zero at every step: z enters through the initial state only.

    The column of weights for that zero is kept, as in the published checkpoints, though nothing depends on it.
    """

    def __init__(self, z_size: int, units: Sequence[int]) -> None:
        super().__init__()
        self.initial = InitialState(z_size, units)
        self.layers = recurrent_layers([1, *units], units)

    @property
    def sites(self) -> dict[str, int]:
        return _sites("cond", self.layers)

    def forward(self, z: Tensor, segments: int, hooks: Hooks = NO_HOOKS, steps: Sequence[Step] | None = None) -> Tensor:
        """Returns the embeddings `[B, K, H]` of `segments` segments; step by step where hooks name a site."""
        x = z.new_zeros(len(z), segments, 1)
        for k, (layer, state) in enumerate(zip(self.layers, self.initial.states(z), strict=True)):
            x = over(layer, x, state, f"cond.l{k + 1}.", hooks, steps)
        return x

    def trace(
        self,
        z: Tensor,
        segments: int,
        names: set[str],
        edits: Hooks = NO_HOOKS,
        steps: Sequence[Step] | None = None,
    ) -> dict[str, Tensor]:
        """Returns the sites in `names`, `[B, K, H]` each."""
        if edits.within("cond."):
            trace = Trace({name: self.sites[name] for name in names}, len(z), segments, z.device)
            self(z, segments, edits.and_then(trace), steps)
            return trace.activations
        return _trace(self.layers, z.new_zeros(len(z), segments, 1), self.initial.states(z), "cond", names)


class Decoder(nn.Module):
    """(previous class, condition) → LSTM stack → logits of the next class.

    `name` is `dec` where the condition is z, `core` where it is a conductor's embedding.
    """

    def __init__(self, depth: int, condition: int, units: Sequence[int], name: str) -> None:
        super().__init__()
        self.depth, self.name = depth, name
        self.initial = InitialState(condition, units)
        widths = [depth + condition, *units]
        self.layers = recurrent_layers(widths, units)
        self.output = nn.Linear(widths[-1], depth)

    @property
    def sites(self) -> dict[str, int]:
        inner = _sites(self.name, self.layers)
        return {f"{self.name}.x": self.depth} | inner | {"logits": self.depth, "probs": self.depth}

    def forward(self, previous: Tensor, condition: Tensor) -> Tensor:
        """Returns logits `[B, S, D]` of the class at each step, given the classes before it, `previous [B, S]`."""
        x = self._inputs(previous, condition)
        for layer, state in zip(self.layers, self.initial.states(condition), strict=True):
            x = layer.fused(x, state)
        return self.output(x)

    def stepped(
        self,
        previous: Tensor,
        condition: Tensor,
        sampling_probability: float = 0.0,
        generator: torch.Generator | None = None,
        hook: AnyHook | None = None,
        uniforms: Tensor | None = None,
    ) -> Tensor:
        """Returns logits `[B, S, D]` as `forward` does, step by step: for a hook, or with inputs of the model's own."""
        source = Scheduled(previous, sampling_probability, generator, uniforms)
        self.run(self.engine(), source, condition, [] if hook is None else [hook])
        return torch.stack(source.logits, dim=1)

    def engine(self, hooks: tuple[Hook, ...] = (), tracker: Tracker | None = None) -> Engine:
        """Returns what steps the decoder; gradients flow where they are wanted."""
        stack = Stack(self.layers, self.output.weight, self.output.bias, None, f"{self.name}.", hooks, tracker)
        return Engine(stack, packed=not torch.is_grad_enabled())

    def run(
        self, engine: Engine, source: Source, condition: Tensor, reads: Iterable[AnyHook] = (), start: int = 0
    ) -> None:
        """Steps over a source, given the condition `[B, C]` of its rows, from the melody's step `start` on."""
        first = self.layers[0]
        # what the condition adds to layer 1 at every step: once instead of S times
        added = nn.functional.linear(condition, first.weight_ih[:, self.depth :], first.bias)
        engine.run(source, reads, state=self.initial.states(condition), added=added, start=start)

    def trace(self, previous: Tensor, condition: Tensor, names: set[str]) -> dict[str, Tensor]:
        """Returns the sites in `names`, `[B, S, units]` each."""
        x, states = self._inputs(previous, condition), self.initial.states(condition)
        activations = _trace(self.layers, x, states, self.name, names | {f"{self.name}.l{len(self.layers)}.h"})
        logits = self.output(activations[f"{self.name}.l{len(self.layers)}.h"])
        activations |= {f"{self.name}.x": x[..., : self.depth], "logits": logits, "probs": logits.softmax(-1)}
        return {name: activations[name] for name in names & activations.keys()}

    def _inputs(self, previous: Tensor, condition: Tensor) -> Tensor:
        repeated = condition.unsqueeze(1).expand(-1, previous.shape[1], -1)
        return torch.cat([one_hot(previous, self.depth).to(condition.dtype), repeated], dim=-1)


class Scheduled:
    """A source of melodies that are known, `previous [B, S]`, now and then replaced by the model's own samples.

    After each step, for each melody independently with `probability`, the next input is a sample at temperature 1 from
    the logits just made instead of the true class; the first input is never replaced (facts section 4). Of
    `uniforms [B, S, 2]` the first decides whether, the second which; without them `generator` does.
    """

    known = False

    def __init__(
        self,
        previous: Tensor,
        probability: float = 0.0,
        generator: torch.Generator | None = None,
        uniforms: Tensor | None = None,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.previous, self.probability, self.generator = previous, probability, generator
        self.uniforms = None if uniforms is None else uniforms.to(previous.device)
        self.numbers = range(len(previous)) if numbers is None else numbers
        self.logits: list[Tensor] = []
        """Of each step so far, `[B, D]`."""

    def next(self, step: Step | None, most: int) -> Batch | None:
        if step is not None:
            self.logits.append(step.made)
        t = len(self.logits)
        return Batch(self._classes(t)[None]) if t < self.previous.shape[1] else None

    def _classes(self, t: int) -> Tensor:
        true = self.previous[:, t]
        if t == 0 or self.probability == 0:
            return true
        distribution = self.logits[-1].detach()
        if self.uniforms is not None:
            own = draw(distribution.double().softmax(-1), self.uniforms[:, t, 1])
            return torch.where(self.uniforms[:, t, 0] < self.probability, own, true)
        own = torch.multinomial(distribution.softmax(-1), 1, generator=self.generator).squeeze(1)
        chance = torch.rand(own.shape, generator=self.generator, device=own.device)
        return torch.where(chance < self.probability, own, true)


class Free:
    """A source of melodies that the decoder writes itself, B at once: each step reads the one before.

    The likeliest classes; with a `temperature` classes drawn by `uniform [B, T]`. `segment` says how many steps the
    next run makes.
    """

    known = False

    def __init__(self, numbers: Sequence[int], temperature: float | None, uniform: Tensor | None) -> None:
        self.numbers, self.temperature, self.uniform = numbers, temperature, uniform
        self.written: list[Tensor] = []
        """The classes of each step so far, `[B]` each."""
        self._stop = 0

    def segment(self, steps: int) -> Free:
        self._stop += steps
        return self

    def next(self, step: Step | None, most: int) -> Batch | None:
        if step is not None:
            self.written.append(self._drawn(step.made))
        if len(self.written) == self._stop:
            return None
        return Batch(self.written[-1][None] if self.written else torch.full((1, len(self.numbers)), NOTHING))

    def _drawn(self, logits: Tensor) -> Tensor:
        if self.temperature is None or self.uniform is None:
            return logits.argmax(-1).cpu()
        return draw(probabilities(logits, self.temperature), self.uniform[:, len(self.written)]).cpu()


def _sites(name: str, layers: Sequence[RecurrentLayer]) -> dict[str, int]:
    return {
        f"{name}.l{k + 1}.{activation}": layer.units
        for k, layer in enumerate(layers)
        for activation in ACTIVATIONS["lstm"]
    }


def _trace(
    layers: Sequence[RecurrentLayer], x: Tensor, states: list[State], name: str, names: set[str]
) -> dict[str, Tensor]:
    activations: dict[str, Tensor] = {}
    for k, (layer, state) in enumerate(zip(layers, states, strict=True)):
        h = layer.fused(x, state)
        activations |= reconstructed(layer, x, h, state, f"{name}.l{k + 1}.", names)
        x = h
    return activations

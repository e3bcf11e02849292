"""MusicVAE's decoders: the stack that writes steps, and the conductor that sets its course in hierarchical models.

Shapes: B melodies, S steps of a segment, K segments, D classes, C width of the condition, H units. See the facts on
MusicVAE, section 2. The condition (z itself, or the conductor's embedding of a segment) sets the initial state *and* is
read at every step beside the previous class. The step before the first is "nothing": zeros, written as class −1; there
is no start token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from folkrnn.models.draws import draw
from folkrnn.models.melody_tensors import one_hot
from folkrnn.models.musicvae_encoder import SiteVisit
from folkrnn.models.recurrent import STREAMS, RecurrentLayer, State


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
        self.layers = nn.ModuleList(
            RecurrentLayer(inputs, width) for inputs, width in zip([1, *units], units, strict=False)
        )

    @property
    def sites(self) -> dict[str, int]:
        return _sites("cond", self.layers)

    def forward(self, z: Tensor, segments: int, visit: SiteVisit | None = None) -> Tensor:
        """Returns the embeddings `[B, K, H]` of `segments` segments; with `visit`, step by step."""
        states = self.initial.states(z)
        x = z.new_zeros(len(z), segments, 1)
        if visit is None:
            return _fused(self.layers, x, states)[-1]
        embeddings = []
        for k in range(segments):
            states = _step(self.layers, self.layers[0].drive(x[:, k]), states, "cond", visit)
            embeddings.append(states[-1][0])
        return torch.stack(embeddings, dim=1)

    def trace(self, z: Tensor, segments: int, names: set[str]) -> dict[str, Tensor]:
        """Returns the sites in `names`, `[B, K, H]` each."""
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
        self.layers = nn.ModuleList(RecurrentLayer(inputs, width) for inputs, width in zip(widths, units, strict=False))
        self.output = nn.Linear(widths[-1], depth)

    @property
    def sites(self) -> dict[str, int]:
        inner = _sites(self.name, self.layers)
        return {f"{self.name}.x": self.depth} | inner | {"logits": self.depth, "probs": self.depth}

    def forward(self, previous: Tensor, condition: Tensor) -> Tensor:
        """Returns logits `[B, S, D]` of the class at each step, given the classes before it, `previous [B, S]`."""
        x = self._inputs(previous, condition)
        return self.output(_fused(self.layers, x, self.initial.states(condition))[-1])

    def stepped(
        self,
        previous: Tensor,
        condition: Tensor,
        sampling_probability: float = 0.0,
        generator: torch.Generator | None = None,
        visit: SiteVisit | None = None,
        uniforms: Tensor | None = None,
    ) -> Tensor:
        """Returns logits `[B, S, D]` as `forward` does, step by step: for visits, or with inputs of the model's own.

        After each step, for each melody independently with `sampling_probability`, the next input is a sample at
        temperature 1 from the logits just made instead of the true class; the first input is never replaced (facts
        section 4). Of `uniforms [B, S, 2]` the first decides whether, the second which; without them `generator` does.
        """
        states, drive = self.initial.states(condition), self.condition_drive(condition)
        uniforms = None if uniforms is None else uniforms.to(condition.device)
        classes, logits = previous[:, 0], []
        for t in range(previous.shape[1]):
            if t > 0 and sampling_probability == 0:
                classes = previous[:, t]
            elif t > 0 and uniforms is not None:
                own = draw(logits[-1].detach().double().softmax(-1), uniforms[:, t, 1])
                classes = torch.where(uniforms[:, t, 0] < sampling_probability, own, previous[:, t])
            elif t > 0:
                own = torch.multinomial(logits[-1].detach().softmax(-1), 1, generator=generator).squeeze(1)
                chance = torch.rand(own.shape, generator=generator, device=own.device)
                classes = torch.where(chance < sampling_probability, own, previous[:, t])
            step, states = self.step(classes, drive, states, visit)
            logits.append(step)
        return torch.stack(logits, dim=1)

    def condition_drive(self, condition: Tensor) -> Tensor:
        """Returns what the condition adds to layer 1 at every step, W_c c + b `[B, 4H]`: once instead of S times."""
        first = self.layers[0]
        return nn.functional.linear(condition, first.weight_ih[:, self.depth :], first.bias)

    def step(
        self, previous: Tensor, condition_drive: Tensor, states: list[State], visit: SiteVisit | None = None
    ) -> tuple[Tensor, list[State]]:
        """Returns logits `[B, D]` and the states after reading `previous [B]`; sites are visited in order."""
        weight = self.layers[0].weight_ih[:, : self.depth]
        if visit is None:
            rows = nn.functional.embedding(previous.clamp(min=0), weight.t())
            drive = condition_drive + rows * (previous >= 0).unsqueeze(1)
        else:
            x = visit(f"{self.name}.x", one_hot(previous, self.depth).to(weight.dtype))
            drive = condition_drive + nn.functional.linear(x, weight)
        states = _step(self.layers, drive, states, self.name, visit)
        logits = self.output(states[-1][0])
        return (logits if visit is None else visit("logits", logits)), states

    def trace(self, previous: Tensor, condition: Tensor, names: set[str]) -> dict[str, Tensor]:
        """Returns the sites in `names`, `[B, S, units]` each."""
        x, states = self._inputs(previous, condition), self.initial.states(condition)
        streams = _trace(self.layers, x, states, self.name, names | {f"{self.name}.l{len(self.layers)}.h"})
        logits = self.output(streams[f"{self.name}.l{len(self.layers)}.h"])
        streams |= {f"{self.name}.x": x[..., : self.depth], "logits": logits, "probs": logits.softmax(-1)}
        return {name: streams[name] for name in names & streams.keys()}

    def _inputs(self, previous: Tensor, condition: Tensor) -> Tensor:
        repeated = condition.unsqueeze(1).expand(-1, previous.shape[1], -1)
        return torch.cat([one_hot(previous, self.depth).to(condition.dtype), repeated], dim=-1)


def _sites(name: str, layers: nn.ModuleList) -> dict[str, int]:
    return {f"{name}.l{k + 1}.{stream}": layer.units for k, layer in enumerate(layers) for stream in STREAMS["lstm"]}


def _fused(layers: nn.ModuleList, x: Tensor, states: list[State]) -> list[Tensor]:
    hidden = []
    for layer, state in zip(layers, states, strict=True):
        x = layer.fused(x, state)
        hidden.append(x)
    return hidden


def _step(layers: nn.ModuleList, drive: Tensor, states: list[State], name: str, visit: SiteVisit | None) -> list[State]:
    after: list[State] = []
    for k, (layer, before) in enumerate(zip(layers, states, strict=True)):
        if k > 0:
            drive = layer.drive(after[-1][0])
        after.append(layer.step(drive, before, None if visit is None else _of(visit, name, k)))
    return after


def _trace(layers: nn.ModuleList, x: Tensor, states: list[State], name: str, names: set[str]) -> dict[str, Tensor]:
    streams: dict[str, Tensor] = {}
    for k, (layer, state) in enumerate(zip(layers, states, strict=True)):
        h, prefix = layer.fused(x, state), f"{name}.l{k + 1}."
        wanted = {full for full in names if full.startswith(prefix)}
        all_of_them = {"h": h} if wanted <= {f"{prefix}h"} else layer.reconstruct(x, h, state)
        streams |= {full: all_of_them[full.removeprefix(prefix)] for full in wanted}
        x = h
    return streams


def _of(visit: SiteVisit, name: str, layer: int) -> SiteVisit:
    return lambda stream, value: visit(f"{name}.l{layer + 1}.{stream}", value)

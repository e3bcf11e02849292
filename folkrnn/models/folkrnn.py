"""The folk-rnn language model: one-hot tokens → recurrent layers, dropout after each → dense → softmax.

Three executions with one meaning (they agree to 1e-6 in single precision):
`forward` (fused kernels; training and plain reading), an `engine`'s run (generation, every activation of every step,
and the only one that hooks can change), reconstruction (every activation from what the fused kernels computed).

Shapes: B tunes, T steps, V tokens, H units, L layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from folkrnn import sites as grammar
from folkrnn.errors import UserError
from folkrnn.models.engine import Engine, InputTunes, reconstructed
from folkrnn.models.hooks import AnyHook, State
from folkrnn.models.model import Model
from folkrnn.models.positions import TuneTracker
from folkrnn.models.products import Precision
from folkrnn.models.recurrent import ACTIVATIONS, GATES, Cell, RecurrentLayer
from folkrnn.models.stack import Stack
from folkrnn.models.traces import Trace, asked

INPUT_STD = 0.5
"""Standard deviation of the initial weights of the one-hot input."""


class FolkRNN(Model):
    """`vocabulary_size` tokens in and out, `layers` recurrent layers of `units` (facts sheet section 1.1).

    With 137 tokens and 3 × 512 LSTM units it has exactly 5,599,881 parameters; `initial_state="learned"` adds the
    3,072 numbers of h₀ and c₀ that v2 trained as well (section 1.4).
    """

    family: ClassVar[str] = "folkrnn"
    cell: Cell
    tracker: TuneTracker | None
    _zero: Tensor

    def __init__(
        self,
        vocabulary_size: int = 137,
        units: int = 512,
        layers: int = 3,
        dropout: float = 0.5,
        cell: Cell = "lstm",
        initial_state: Literal["zero", "learned"] = "zero",
    ) -> None:
        super().__init__()
        _check(vocabulary_size, units, layers, dropout, cell, initial_state)
        self.vocabulary_size, self.units, self.cell, self.dropout = vocabulary_size, units, cell, dropout
        widths = [vocabulary_size] + [units] * layers
        layers_made = (RecurrentLayer(widths[k], units, cell) for k in range(layers))
        self.layers = cast("Sequence[RecurrentLayer]", nn.ModuleList(layers_made))
        self.softmax_weight = nn.Parameter(torch.empty(vocabulary_size, units))
        self.softmax_bias = nn.Parameter(torch.zeros(vocabulary_size))
        parts = 2 if cell == "lstm" else 1
        learned = initial_state == "learned"
        first = torch.zeros(layers, parts, units)
        self.initial = nn.Parameter(first) if learned else None
        self.register_buffer("_zero", first.clone(), persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws fresh parameters that leave the unigram plateau within some 50 updates (facts sheet section 2.5b).

        Recurrent matrices, and input matrices of the layers above the first, are orthogonal per gate; the one-hot input
        matrix is N(0, 0.5), since small one-hot weights starve the deeper layers; forget bias 1; softmax orthogonal.
        """
        if self.softmax_weight.is_meta:  # no numbers to draw, though torch would load its compiler first (2 s)
            return
        for k, layer in enumerate(self.layers):
            for block in layer.weight_hh.chunk(len(GATES[self.cell])):
                nn.init.orthogonal_(block, generator=generator)
            if k == 0:
                nn.init.normal_(layer.weight_ih, std=INPUT_STD, generator=generator)
            else:
                for block in layer.weight_ih.chunk(len(GATES[self.cell])):
                    nn.init.orthogonal_(block, generator=generator)
            layer.bias.zero_()
            if self.cell == "lstm":
                layer.bias[self.units : 2 * self.units] = 1.0
        nn.init.orthogonal_(self.softmax_weight, generator=generator)
        self.softmax_bias.zero_()

    @property
    def device(self) -> torch.device:
        return self.softmax_weight.device

    @property
    def sites(self) -> dict[str, int]:
        inner = {
            f"l{k + 1}.{activation}": self.units
            for k in range(len(self.layers))
            for activation in ACTIVATIONS[self.cell]
        }
        return {"x": self.vocabulary_size} | inner | {"logits": self.vocabulary_size, "probs": self.vocabulary_size}

    @property
    def top(self) -> str:
        """The site of the h that the softmax layer reads."""
        return f"l{len(self.layers)}.h"

    @property
    def shape(self) -> str:
        start = "" if self.initial is None else ", learned initial state"
        return f"{self.cell.upper()} {len(self.layers)} × {self.units} over {self.vocabulary_size} tokens{start}"

    @property
    def trained_as(self) -> str:
        return f"{self.shape}, dropout {self.dropout}"

    @property
    def depth(self) -> int:
        return len(self.layers)

    @property
    def stacked(self) -> str:
        return f"{self.cell} {self.depth} × {self.units}"

    def parameter_counts(self) -> dict[str, int]:
        """Returns the numbers of the facts sheet, section 1.3: weights, initial states, and Lasagne's total.

        Lasagne's counter also counts initial states, learned or not, and the fixed one-hot "embedding" V².
        """
        states = self._zero.numel()
        weights = sum(p.numel() for p in self.parameters()) - (states if self.initial is not None else 0)
        return {
            "weights": weights,
            "with_initial_states": weights + states,
            "as_lasagne_counts": weights + states + self.vocabulary_size**2,
        }

    def initial_state(self, batch: int) -> list[State]:
        """Returns the state before `<s>` of every layer, each part `[B, H]`."""
        first = self._zero if self.initial is None else self.initial
        return [tuple(part.expand(batch, -1) for part in layer.unbind()) for layer in first.unbind()]

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns logits `[B, T, V]` of the token after each of `tokens [B, T]`; fused, dropout only in training.

        With hooks it is step by step, and without gradients.
        """
        if self.hooks:
            return self.trace(tokens, "logits")["logits"]
        return self.read_out(self.hidden(tokens)[-1])

    def read_out(self, h: Tensor) -> Tensor:
        """Returns logits `[…, V]` of top-layer hidden states `[…, H]`."""
        return nn.functional.linear(h, self.softmax_weight, self.softmax_bias)

    def hidden(self, tokens: Tensor) -> list[Tensor]:
        """Returns what each layer hands on, `[B, T, H]` per layer (after dropout in training)."""
        if self.hooks:
            return list(self.trace(tokens, "l*.h").values())
        x = self.one_hot(tokens)
        outputs = []
        for layer, state in zip(self.layers, self.initial_state(len(tokens)), strict=True):
            x = nn.functional.dropout(layer.fused(x, state), self.dropout, self.training)
            outputs.append(x)
        return outputs

    @property
    def stack(self) -> Stack:
        """The layers as an engine runs them."""
        return Stack(
            self.layers,
            self.softmax_weight,
            self.softmax_bias,
            self.initial_state,
            hooks=self.hooks,
            tracker=self.tracker,
        )

    def engine(self, precision: Precision = "fp32") -> Engine:
        """Returns what steps the model over the tokens of a source, without gradients."""
        return Engine(self.stack, precision)

    def step(self, tokens: Tensor, state: Sequence[State], hook: AnyHook | None = None) -> tuple[Tensor, list[State]]:
        """Returns logits `[B, V]` and the state after reading `tokens [B]`; gradients flow, dropout is never applied.

        `hook` is the only one that is called; those of the model belong to whole runs.
        """
        return Engine(self.stack, packed=False).step(tokens, state, hook)

    @torch.no_grad()
    def trace(
        self,
        tokens: Tensor,
        patterns: str | Iterable[str] = "l*.h",
        *,
        reconstruct: bool | None = None,
        tunes: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        """Returns the activations that `patterns` name, each `[B, T, units]` (`[T, units]` for one tune `[T]`).

        Row t is the state after reading token t; row t of `probs` is the distribution of token t + 1 at temperature 1.
        `tunes` are the numbers of the tunes, which the model's hooks may go by; by default their rows. On a CPU the
        engine is as fast as the fused kernels and reconstruction, and gives a tune the same numbers in any batch; both
        agree to 1e-6. Raises UserError for a site that the model lacks.
        """
        wanted = grammar.parse(patterns, self.sites)
        batch = tokens.unsqueeze(0) if tokens.dim() == 1 else tokens
        if reconstruct is None:
            reconstruct = self.device.type != "cpu" and not self.hooks
        names = {site.name for site in wanted}
        if reconstruct:
            return asked(self._reconstructed(batch, names), wanted, tokens.dim() == 1)
        trace = Trace({name: self.sites[name] for name in names}, len(batch), batch.shape[1], self.device)
        self.engine().run(InputTunes(batch, tunes), [trace])
        return asked(trace.activations, wanted, tokens.dim() == 1)

    def one_hot(self, tokens: Tensor) -> Tensor:
        """Returns the inputs `[…, V]` that tokens `[…]` are."""
        return nn.functional.one_hot(tokens, self.vocabulary_size).to(self.softmax_weight.dtype)

    def _reconstructed(self, tokens: Tensor, names: set[str]) -> dict[str, Tensor]:
        x = self.one_hot(tokens)
        activations = {"x": x}
        for k, (layer, state) in enumerate(zip(self.layers, self.initial_state(len(tokens)), strict=True)):
            h = layer.fused(x, state)
            activations |= reconstructed(layer, x, h, state, f"l{k + 1}.", names)
            x = h
        activations["logits"] = self.read_out(x)
        activations["probs"] = activations["logits"].softmax(-1)
        return {name: activations[name] for name in names}


def _check(vocabulary_size: int, units: int, layers: int, dropout: float, cell: str, initial_state: str) -> None:
    for name, value in {"vocabulary_size": vocabulary_size, "units": units, "layers": layers}.items():
        if value < 1:
            raise UserError(f"model.{name} is {value}; it must be at least 1")
    if not 0 <= dropout < 1:
        raise UserError(f"model.dropout is {dropout}; it must lie in [0, 1)")
    if cell not in GATES:
        raise UserError(f"model.cell is {cell!r}; there are {', '.join(GATES)}")
    if initial_state not in ("zero", "learned"):
        raise UserError(f"model.initial_state is {initial_state!r}; it may be zero or learned")

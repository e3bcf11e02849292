"""The folk-rnn language model: one-hot tokens → recurrent layers, dropout after each → dense → softmax.

Three executions with one meaning (they agree to 1e-6 in single precision):
`forward` (fused kernels; training and plain reading), `step` (one token at a time; generation, and the only one that
writes), `trace` (every stream of every step).

Shapes: B tunes, T steps, V tokens, H units, L layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from folkrnn import sites as grammar
from folkrnn.models.draws import SMALLEST_BATCH
from folkrnn.models.pointwise import roomy
from folkrnn.models.products import Precision
from folkrnn.models.recurrent import GATES, STREAMS, Cell, RecurrentLayer, State
from folkrnn.models.stepper import Stepper
from folkrnn.models.visits import SiteVisit, Visitor, of_layer, wants
from folkrnn.refusal import Refusal

INPUT_STD = 0.5
"""Standard deviation of the initial weights of the one-hot input."""


class FolkRNN(nn.Module):
    """`vocabulary_size` tokens in and out, `layers` recurrent layers of `units` (facts sheet section 1.1).

    With 137 tokens and 3 × 512 LSTM units it has exactly 5,599,881 parameters; `initial_state="learned"` adds the
    3,072 numbers of h₀ and c₀ that v2 trained as well (section 1.4).
    """

    family = "folkrnn"

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
        self.layers = nn.ModuleList(RecurrentLayer(widths[k], units, cell) for k in range(layers))
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
        """Every site of this model and its number of units."""
        inner = {f"l{k + 1}.{stream}": self.units for k in range(len(self.layers)) for stream in STREAMS[self.cell]}
        return {"x": self.vocabulary_size} | inner | {"logits": self.vocabulary_size, "probs": self.vocabulary_size}

    @property
    def shape(self) -> str:
        """What kind of network this is, in a few words; two models with the same shape can hold the same weights."""
        start = "" if self.initial is None else ", learned initial state"
        return f"{self.cell.upper()} {len(self.layers)} × {self.units} over {self.vocabulary_size} tokens{start}"

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
        return [tuple(part.expand(batch, -1) for part in layer) for layer in first]

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns logits `[B, T, V]` of the token after each of `tokens [B, T]`; fused, dropout only in training."""
        return self.read_out(self.hidden(tokens)[-1])

    def read_out(self, h: Tensor) -> Tensor:
        """Returns logits `[…, V]` of top-layer hidden states `[…, H]`."""
        return nn.functional.linear(h, self.softmax_weight, self.softmax_bias)

    def hidden(self, tokens: Tensor) -> list[Tensor]:
        """Returns what each layer hands on, `[B, T, H]` per layer (after dropout in training)."""
        x = self.one_hot(tokens)
        outputs = []
        for layer, state in zip(self.layers, self.initial_state(len(tokens)), strict=True):
            x = nn.functional.dropout(layer.fused(x, state), self.dropout, self.training)
            outputs.append(x)
        return outputs

    def step(self, tokens: Tensor, state: list[State], visit: SiteVisit | None = None) -> tuple[Tensor, list[State]]:
        """Returns logits `[B, V]` and the state after reading `tokens [B]`; never applies dropout.

        `visit(site, value)` is called for every site (or those in its `sites`) in the order of computation and may
        replace the value, within this step and, for c and h, for all that follow. Gradients flow; a loop over steps
        that needs none is faster by `stepper`.
        """
        after: list[State] = []
        drive = self._first_drive(tokens, visit)
        for k, (layer, before) in enumerate(zip(self.layers, state, strict=True)):
            if k > 0:
                drive = layer.drive(after[-1][0])
            after.append(layer.step(drive, before, of_layer(visit, self._names(k))))
        logits = self.read_out(after[-1][0])
        return (visit("logits", logits) if wants(visit, "logits") else logits), after

    def stepper(self, precision: Precision = "fp32") -> Stepper:
        """Returns what makes the same steps faster while the parameters stay as they are."""
        return Stepper(self, precision)

    @torch.no_grad()
    def trace(
        self, tokens: Tensor, patterns: str | Iterable[str] = "l*.h", *, reconstruct: bool | None = None
    ) -> dict[str, Tensor]:
        """Returns the streams that `patterns` name, each `[B, T, units]` (`[T, units]` for one tune `[T]`).

        Row t is the state after reading token t; row t of `probs` is the law of token t + 1 at temperature 1. On a CPU
        a loop over steps is as fast as the fused kernels and reconstruction, and gives a tune the same numbers in any
        company; both agree to 1e-6. The tunes of a step lie side by side in memory, as they are computed. Raises
        Refusal for a site that the model lacks.
        """
        wanted = grammar.parse(patterns, self.sites)
        batch = tokens.unsqueeze(0) if tokens.dim() == 1 else tokens
        if reconstruct is None:
            reconstruct = self.device.type != "cpu"
        names = {site.name for site in wanted}
        streams = (self._reconstructed if reconstruct else self._stepped)(batch, names)
        cut = {
            str(site): streams[site.name] if site.units is None else streams[site.name][..., list(site.units)]
            for site in wanted
        }
        return {name: value[0] for name, value in cut.items()} if tokens.dim() == 1 else cut

    def one_hot(self, tokens: Tensor) -> Tensor:
        """Returns the inputs `[…, V]` that tokens `[…]` are."""
        return nn.functional.one_hot(tokens, self.vocabulary_size).to(self.softmax_weight.dtype)

    def _first_drive(self, tokens: Tensor, visit: SiteVisit | None) -> Tensor:
        """W_x x + b of layer 1. A one-hot product is a row lookup, unless somebody looks at x."""
        first = self.layers[0]
        if wants(visit, "x"):
            return first.drive(visit("x", self.one_hot(tokens)))
        return nn.functional.embedding(tokens, first.weight_ih.t()) + first.bias

    def _names(self, k: int) -> dict[str, str]:
        return {stream: f"l{k + 1}.{stream}" for stream in STREAMS[self.cell]}

    def _stepped(self, tokens: Tensor, names: set[str]) -> dict[str, Tensor]:
        rows, T = tokens.shape
        kept = {name: roomy(T, rows, self.sites[name], device=self.device).transpose(0, 1) for name in names}
        tokens = torch.cat([tokens, tokens[:1].expand(max(0, SMALLEST_BATCH - rows), -1)])
        stepper = self.stepper()
        if self.cell == "lstm":
            stepper.read(tokens, kept)
            return kept
        state, t = self.initial_state(len(tokens)), 0

        def keep(site: str, value: Tensor) -> Tensor:
            kept[site][:, t] = value[:rows]
            return value

        visitor = Visitor(kept.keys() - {"probs"}, keep)
        for t in range(T):
            logits, state = stepper.step(tokens[:, t], state, visitor)
            if "probs" in kept:
                kept["probs"][:, t] = logits[:rows].softmax(-1)
        return kept

    def _reconstructed(self, tokens: Tensor, names: set[str]) -> dict[str, Tensor]:
        x = self.one_hot(tokens)
        streams = {"x": x}
        for k, (layer, state) in enumerate(zip(self.layers, self.initial_state(len(tokens)), strict=True)):
            h = layer.fused(x, state)
            mine = {name for name in names if name.startswith(f"l{k + 1}.")}
            if mine <= {f"l{k + 1}.h"}:
                streams[f"l{k + 1}.h"] = h
            else:
                streams |= {f"l{k + 1}.{stream}": value for stream, value in layer.reconstruct(x, h, state).items()}
            x = h
        streams["logits"] = self.read_out(x)
        streams["probs"] = streams["logits"].softmax(-1)
        return {name: streams[name] for name in names}


def _check(vocabulary_size: int, units: int, layers: int, dropout: float, cell: str, initial_state: str) -> None:
    for name, value in {"vocabulary_size": vocabulary_size, "units": units, "layers": layers}.items():
        if value < 1:
            raise Refusal(f"model.{name} is {value}; it must be at least 1")
    if not 0 <= dropout < 1:
        raise Refusal(f"model.dropout is {dropout}; it must lie in [0, 1)")
    if cell not in GATES:
        raise Refusal(f"model.cell is {cell!r}; there are {', '.join(GATES)}")
    if initial_state not in ("zero", "learned"):
        raise Refusal(f"model.initial_state is {initial_state!r}; it may be zero or learned")

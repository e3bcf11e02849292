"""folk-rnn's own pickles ⇄ `FolkRNN` (facts sheet section 1.6).

`param_values` is a list of float arrays in Lasagne's order: the embedding (the identity, `[V, V]`), then for each layer
three arrays per gate (`W_x [I, H]`, `W_h [H, H]`, `b [H]`) and its initial states, each `[1, H]`; last `W [H, V]` and
`b [V]`. Matrices are (inputs × units), here (units × inputs). An LSTM has the gates i, f, c, o and the initial states
c, h: 45 arrays for three layers. A GRU (victorwegeborn/folk-rnn) has update, reset, candidate and h: 33 arrays;
its h ← (1 − u)⊙h + u⊙n has u where ours has 1 − u, so the sign of everything that goes into u changes.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.files.download import git_blob
from folkrnn.files.whole import write_whole
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.recurrent import Cell
from folkrnn.vocabulary import V2, Vocabulary
from folkrnn.weights.curve import Curve
from folkrnn.weights.folder import Weights, digest, model_of
from folkrnn.weights.losses import curve_of, to_metadata
from folkrnn.weights.unpickling import read_pickle

GATES: dict[Cell, str] = {"lstm": "ifgo", "gru": "urn"}
"""Gates in the order in which Lasagne keeps their arrays; `g` is its `c`."""

STATES: dict[Cell, str] = {"lstm": "ch", "gru": "h"}
"""Initial states in Lasagne's order."""

OURS: dict[Cell, str] = {"lstm": "ifgo", "gru": "run"}

MOST_LAYERS = 64

_ARRAYS, _ARRAYS_BEFORE_NUMPY_2 = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
"""Where pickles say that arrays are at home."""

_NUMBERS = ("epoch_since_start", "iters_since_start", "learning_rate", "num_layers", "default_tempo", "order")
_TEXTS = ("experiment_id", "configuration", "name", "metadata_path", "default_meter", "default_mode")


@dataclass(frozen=True)
class _Layout:
    """Which arrays a pickle has, as far as their shapes tell."""

    cell: Cell
    layers: int
    units: int

    @property
    def step(self) -> int:
        """Arrays of a layer."""
        return 3 * len(GATES[self.cell]) + len(STATES[self.cell])


def load(path: Path) -> Weights:
    """Returns the model in a pickle of folk-rnn: the original layout, or the web app's dict.

    Cell, depth, width, vocabulary and its order, and initial states follow from the pickle. A learned embedding is
    multiplied into the first layer's matrices, which is the same network. The losses that the authors' training script
    kept come along. Raises UserError where the file is no such pickle, or names anything but arrays and plain values.
    """
    content = read_pickle(path)
    if not isinstance(content, dict) or not {"token2idx", "param_values"} <= set(content):
        held = ", ".join(map(repr, content)) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path} is no pickle of folk-rnn: it holds {held[:200]}, not token2idx and param_values")
    vocabulary = _vocabulary(content["token2idx"], str(path))
    arrays = _arrays(content["param_values"], str(path))
    layout = _layout([array.shape for array in arrays], len(vocabulary), str(path))
    tensors, embedding = _tensors(arrays, layout)
    model = model_of(tensors, str(path), vocabulary)
    curve = curve_of(content, str(path))
    card = _card(content, model, path, embedding, curve)
    return Weights(model, vocabulary, str(path), digest(model), card, curve, blob=git_blob(path))


def param_values(model: FolkRNN) -> list[np.ndarray]:
    """Returns the parameters as Lasagne keeps them, in single precision: the inverse of loading."""
    state = {name: value.detach().to("cpu", torch.float32) for name, value in model.state_dict().items()}
    first = state.get("initial", torch.zeros(len(model.layers), len(STATES[model.cell]), model.units))
    arrays = [torch.eye(model.vocabulary_size)]
    for k in range(len(model.layers)):
        blocks = {
            part: dict(zip(OURS[model.cell], state[f"layers.{k}.{part}"].chunk(len(OURS[model.cell])), strict=True))
            for part in ("weight_ih", "weight_hh", "bias")
        }
        for gate in GATES[model.cell]:
            sign = -1.0 if gate == "u" else 1.0
            arrays += [sign * blocks[part][gate].t() for part in ("weight_ih", "weight_hh", "bias")]
        # ours stand in the order h, c
        arrays += [first[k]["hc".index(name)].unsqueeze(0) for name in STATES[model.cell]]
    arrays += [state["softmax_weight"].t(), state["softmax_bias"]]
    return [np.ascontiguousarray(array.numpy()) for array in arrays]


def save(file: Path, weights: Weights) -> None:
    """Writes the pickle that folk-rnn's own scripts load, whole or not at all; loading it gives the same values."""
    data = pickle.dumps(metadata(weights), protocol=2)  # which Python 2 reads
    write_whole(file, data.replace(_ARRAYS, _ARRAYS_BEFORE_NUMPY_2, 1), durable=True)


def metadata(weights: Weights) -> dict[str, Any]:
    """Returns the dict that the authors' training script pickles, for the parameters, vocabulary and losses given."""
    if weights.model.family != FolkRNN.family or weights.vocabulary is None:
        raise UserError("folk-rnn's pickle holds a FolkRNN; a MusicVAE is exported as a Magenta checkpoint")
    return {
        "configuration": "config5",
        "experiment_id": weights.source,
        **to_metadata(weights.curve),
        "learning_rate": 0.003,
        "token2idx": dict(weights.vocabulary.index),
        "param_values": param_values(cast("FolkRNN", weights.model)),
    }


def _vocabulary(token2idx: object, source: str) -> Vocabulary:
    if not isinstance(token2idx, dict) or not all(isinstance(token, str) for token in token2idx):
        raise UserError(f"{source}: token2idx is no map from tokens to indices")
    if sorted(token2idx.values(), key=lambda index: index if type(index) is int else -1) != list(range(len(token2idx))):
        raise UserError(f"{source}: token2idx does not number its {len(token2idx)} tokens from 0 without gaps")
    return Vocabulary(tuple(sorted(token2idx, key=token2idx.__getitem__)))


def _arrays(values: object, source: str) -> list[np.ndarray]:
    if not isinstance(values, list) or not all(isinstance(v, np.ndarray) and v.dtype.kind == "f" for v in values):
        raise UserError(f"{source}: param_values is no list of arrays of floating-point numbers")
    return values


def _layout(shapes: Sequence[tuple[int, ...]], tokens: int, source: str) -> _Layout:
    """What kind of network has arrays of these shapes. Raises UserError, naming the first that fits none."""
    if len(shapes) < 3 or len(shapes[-1]) != 1 or len(shapes[-2]) != 2:
        raise UserError(f"{source} has {len(shapes)} arrays that end with no softmax layer; folk-rnn v2 has 45")
    units = shapes[-2][0]
    reasons = []
    for cell in GATES:
        layout = _Layout(cell, 0, units)
        layers, rest = divmod(len(shapes) - 3, layout.step)
        if rest or not 0 < layers <= MOST_LAYERS:
            continue
        layout = _Layout(cell, layers, units)
        wrong = _first_wrong(shapes, layout, tokens)
        if wrong is None:
            return layout
        reasons.append(f"as {cell.upper()} {layers} × {units}, {wrong}")
    why = "; ".join(reasons) or "three layers of LSTM make 45 arrays, three of GRU 33"
    raise UserError(f"{source}: its {len(shapes)} arrays are no folk-rnn over {tokens} tokens: {why}")


def _first_wrong(shapes: Sequence[tuple[int, ...]], layout: _Layout, tokens: int) -> str | None:
    H = layout.units
    width = shapes[0][1] if len(shapes[0]) == 2 else 0
    wanted: list[tuple[int, ...]] = [(tokens, width)]
    for k in range(layout.layers):
        inputs = width if k == 0 else H
        wanted += [(inputs, H), (H, H), (H,)] * len(GATES[layout.cell]) + [(1, H)] * len(STATES[layout.cell])
    wanted += [(H, tokens), (tokens,)]
    pairs = enumerate(zip(shapes, wanted, strict=True))
    return next((f"array {n} is {list(has)}, not {list(want)}" for n, (has, want) in pairs if has != want), None)


def _tensors(arrays: Sequence[np.ndarray], layout: _Layout) -> tuple[dict[str, Tensor], str]:
    """The model's own tensors, and in words what became of an embedding that is not the identity."""
    values = [torch.from_numpy(array.astype(np.float64)) for array in arrays]
    embedding, tensors, initial = values[0], {}, []
    one_hot = embedding.shape[0] == embedding.shape[1] and bool(
        torch.equal(embedding, torch.eye(len(embedding)).double())
    )
    for k in range(layout.layers):
        base = 1 + k * layout.step
        blocks: dict[str, dict[str, Tensor]] = {"weight_ih": {}, "weight_hh": {}, "bias": {}}
        for g, gate in enumerate(GATES[layout.cell]):
            sign = -1.0 if gate == "u" else 1.0
            for p, part in enumerate(blocks):
                value = values[base + 3 * g + p]
                if p == 0 and k == 0 and not one_hot:
                    value = embedding @ value
                blocks[part][gate] = sign * (value.t() if value.dim() == 2 else value)
        for part, by_gate in blocks.items():
            tensors[f"layers.{k}.{part}"] = torch.cat([by_gate[gate] for gate in OURS[layout.cell]])
        states = dict(zip(STATES[layout.cell], values[base + 3 * len(GATES[layout.cell]) :], strict=False))
        initial.append(torch.cat([states[name] for name in "hc" if name in states]))
    states = torch.stack(initial)
    if bool(states.any()):  # else they are the zeros that a model without learned ones begins with
        tensors["initial"] = states
    tensors |= {"softmax_weight": values[-2].t(), "softmax_bias": values[-1]}
    said = "" if one_hot else f"a learned embedding {list(embedding.shape)}, multiplied into the first layer"
    return {name: value.float().contiguous() for name, value in tensors.items()}, said


def _card(content: Mapping[Any, Any], model: FolkRNN, path: Path, embedding: str, curve: Curve | None) -> str:
    """What the pickle says of itself, in Markdown."""
    facts: dict[str, object] = {name: content[name] for name in _TEXTS if isinstance(content.get(name), str)}
    facts |= {name: _number(content[name]) for name in _NUMBERS if _number(content.get(name)) is not None}
    whose = "those of v2" if set(content["token2idx"]) == set(V2.tokens) else "its own"
    facts["vocabulary"] = f"{len(content['token2idx'])} tokens, {whose}, in the pickle's index order"
    if embedding:
        facts["embedding"] = embedding
    if curve is not None:
        facts["losses"] = (
            f"{len(curve.training):,} of training, {len(curve.validation):,} of validation (nats per tune)"
        )
    lines = [f"- **{name}**: {' '.join(str(value).split())[:300]}" for name, value in facts.items()]
    return "\n".join([f"# {path.stem}: {model.shape}", "", "Read from a pickle of folk-rnn.", "", *lines, ""])


def _number(value: object) -> float | int | None:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

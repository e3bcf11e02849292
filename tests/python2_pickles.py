"""Pickles as Python 2 wrote them, by the writer of the standard library with Python 2's text and numpy's old names."""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any, ClassVar

import numpy as np

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.vocabulary import Vocabulary


class _Python2(pickle._Pickler):
    """Protocol 2: text as byte strings, `numpy.core` as the home of arrays, `__builtin__` for `builtins`."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, 2)

    def save_text(self, text: str) -> None:
        data = text.encode("latin-1")
        self.write(b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    def save_bytes(self, data: bytes) -> None:
        self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(data)

    def save_function(self, function: Any) -> None:
        module = function.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{function.__qualname__}\n".encode())
        self.memoize(function)

    dispatch[str], dispatch[bytes], dispatch[type(pickle.dumps)] = save_text, save_bytes, save_function
    dispatch[type(lambda: 0)] = save_function


def python2(value: Any) -> bytes:
    """The pickle that Python 2's cPickle would write of `value` at its highest protocol."""
    file = io.BytesIO()
    _Python2(file).dump(value)
    return file.getvalue()


def lasagne_arrays(model: FolkRNN) -> list[np.ndarray]:
    """`get_all_param_values` of the authors' network with these parameters, written out gate by gate."""
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    H, lstm = model.units, model.cell == "lstm"
    arrays = [np.eye(model.vocabulary_size, dtype=np.float32)]
    for k in range(len(model.layers)):
        w, u, b = (state[f"layers.{k}.{part}"] for part in ("weight_ih", "weight_hh", "bias"))
        rows = {name: slice(n * H, (n + 1) * H) for n, name in enumerate("ifgo" if lstm else "run")}
        for name in "ifgo" if lstm else "urn":
            sign = -1 if name == "u" else 1
            arrays += [sign * w[rows[name]].T, sign * u[rows[name]].T, sign * b[rows[name]]]
        h = state["initial"][k, 0] if "initial" in state else np.zeros(H, np.float32)
        c = state["initial"][k, 1] if "initial" in state and lstm else np.zeros(H, np.float32)
        arrays += [c[None], h[None]] if lstm else [h[None]]
    return [np.asarray(a, np.float32) for a in [*arrays, state["softmax_weight"].T, state["softmax_bias"]]]


def original(model: FolkRNN, vocabulary: Vocabulary, losses: int = 0) -> dict[str, Any]:
    """The dict of `train_rnn.py`, with `losses` iterations behind it, each loss an array of its own as Theano's are."""
    rng = np.random.default_rng(0)
    return {
        "configuration": "config5",
        "experiment_id": "config5-wrepeats-20160112-222521",
        "epoch_since_start": 1,
        "iters_since_start": losses + 1,
        "losses_train": [np.array(x, np.float32) for x in 100 + rng.random(losses)],
        "losses_eval_valid": [np.float32(90.5)] * ((losses + 1) // 1000),
        "learning_rate": np.array(0.003, np.float32),
        "token2idx": vocabulary.index,
        "param_values": lasagne_arrays(model),
    }


def webapp(model: FolkRNN, vocabulary: Vocabulary) -> dict[str, Any]:
    """The dict of the web app."""
    return {
        "name": "folkwiki.se",
        "order": 2,
        "token2idx": vocabulary.index,
        "param_values": lasagne_arrays(model),
        "num_layers": len(model.layers),
        "metadata_path": "/folk_rnn/metadata/x.pkl",
        "default_meter": "3/4",
        "default_mode": "DMin",
        "default_tempo": 105,
        "l_freqs": {"[M:3/4]": {"[L:1/8]": 0.5}},
        "header_m_tokens": ["[M:3/4]"],
        "header_k_tokens": ["[K:DMin]"],
    }

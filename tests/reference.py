"""An LSTM and a GRU in plain numpy, from their equations (facts sheet section 1.2), to hold the models against."""

from __future__ import annotations

import numpy as np

from folkrnn.models.folkrnn import FolkRNN


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def parameters(model: FolkRNN) -> dict[str, np.ndarray]:
    return {name: value.detach().double().numpy() for name, value in model.state_dict().items()}


def run_lstm(model: FolkRNN, tokens: list[int]) -> dict[str, np.ndarray]:
    """Every activation of a FolkRNN with LSTM cells, `[T, H]`, one tune, in double precision."""
    p, H = parameters(model), model.units
    activations: dict[str, list[np.ndarray]] = {}
    L = len(model.layers)
    start = p.get("initial", np.zeros((L, 2, H)))
    h, c = list(start[:, 0]), list(start[:, 1])
    for token in tokens:
        x = np.eye(model.vocabulary_size)[token]
        for k in range(L):
            w_x, w_h, b = (p[f"layers.{k}.{name}"] for name in ("weight_ih", "weight_hh", "bias"))
            rows = [slice(g * H, (g + 1) * H) for g in range(4)]
            pre = {g: w_x[r] @ x + w_h[r] @ h[k] + b[r] for g, r in zip("ifgo", rows, strict=True)}
            i, f, o, g = sigmoid(pre["i"]), sigmoid(pre["f"]), sigmoid(pre["o"]), np.tanh(pre["g"])
            c[k] = f * c[k] + i * g
            h[k] = o * np.tanh(c[k])
            values = {"i": i, "f": f, "g": g, "o": o, "c": c[k], "tanhc": np.tanh(c[k]), "h": h[k]}
            for name, value in (values | {f"{gate}.pre": v for gate, v in pre.items()}).items():
                activations.setdefault(f"l{k + 1}.{name}", []).append(value)
            x = h[k]
        activations.setdefault("logits", []).append(p["softmax_weight"] @ x + p["softmax_bias"])
    return {name: np.array(rows) for name, rows in activations.items()}


def run_gru(model: FolkRNN, tokens: list[int]) -> dict[str, np.ndarray]:
    """Every activation of a FolkRNN with GRU cells, `[T, H]`, one tune, in double precision."""
    p, H = parameters(model), model.units
    activations: dict[str, list[np.ndarray]] = {}
    h = [np.zeros(H) for _ in model.layers]
    for token in tokens:
        x = np.eye(model.vocabulary_size)[token]
        for k in range(len(model.layers)):
            w_x, w_h, b = (p[f"layers.{k}.{name}"] for name in ("weight_ih", "weight_hh", "bias"))
            xr, xu, xn = np.split(w_x @ x + b, 3)
            hr, hu, hn = np.split(w_h @ h[k], 3)
            r, u = sigmoid(xr + hr), sigmoid(xu + hu)
            n = np.tanh(xn + r * hn)
            h[k] = (1 - u) * n + u * h[k]
            for name, value in {"r": r, "u": u, "n": n, "h": h[k], "n.pre": xn + r * hn}.items():
                activations.setdefault(f"l{k + 1}.{name}", []).append(value)
            x = h[k]
        activations.setdefault("logits", []).append(p["softmax_weight"] @ x + p["softmax_bias"])
    return {name: np.array(rows) for name, rows in activations.items()}


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max())
    return e / e.sum()


def legacy_sampler(model: FolkRNN, start: int, end: int, seed: int, tunes: int, prime: list[int], temperature: float):
    """The authors' fast sampler in plain numpy (facts sheet section 3.1): one RandomState through all tunes."""
    rng = np.random.RandomState(seed)
    p, H, V = parameters(model), model.units, model.vocabulary_size
    for _ in range(tunes):
        ids = [start]
        h, c = np.zeros((len(model.layers), H)), np.zeros((len(model.layers), H))
        while ids[-1] != end and len(ids) <= 1000:
            x = np.eye(V)[ids[-1]]
            for k in range(len(model.layers)):
                pre = p[f"layers.{k}.weight_ih"] @ x + p[f"layers.{k}.weight_hh"] @ h[k] + p[f"layers.{k}.bias"]
                i, f, g, o = np.split(pre, 4)
                c[k] = sigmoid(f) * c[k] + sigmoid(i) * np.tanh(g)
                h[k] = sigmoid(o) * np.tanh(c[k])
                x = h[k]
            distribution = softmax((p["softmax_weight"] @ x + p["softmax_bias"]) / temperature)
            place = len(ids) - 1
            ids.append(prime[place] if place < len(prime) else int(rng.choice(np.arange(V), p=distribution)))
        yield ids

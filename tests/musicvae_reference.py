"""MusicVAE in plain numpy, from Magenta's variables by name (facts on MusicVAE, section 2 and 3), one melody at a time.

`mistake` names an error that re-implementations make; with it the functions compute what such a one would.
"""

from __future__ import annotations

import numpy as np

Variables = dict[str, np.ndarray]

MISTAKES_OF_THE_ENCODER = ("gate order", "no forget bias", "log variance", "backward at the end", "padding read")
MISTAKES_OF_THE_DECODER = ("gate order", "no forget bias", "c and h swapped", "z only at first", "start token")
MISTAKES_OF_SEGMENTS = ("state carried over", "silence between segments", "z instead of embedding")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def cell(v: Variables, name: str, x: np.ndarray, state: tuple, mistake: str = "") -> tuple[np.ndarray, np.ndarray]:
    """(c, h) after one step of `BasicLSTMCell`."""
    c, h = state
    gates = np.concatenate([x, h]) @ v[f"{name}/kernel"].astype(float) + v[f"{name}/bias"]
    i, j, f, o = np.split(gates, 4)
    if mistake == "gate order":
        j, f = f, j
    c = c * sigmoid(f + (mistake != "no forget bias")) + sigmoid(i) * np.tanh(j)
    return c, sigmoid(o) * np.tanh(c)


def dense(v: Variables, name: str, x: np.ndarray) -> np.ndarray:
    return x @ v[f"{name}/kernel"].astype(float) + v[f"{name}/bias"]


def units(v: Variables, name: str) -> list[int]:
    """Units of the layers `name.format(0)`, `name.format(1)`, …"""
    found = []
    while f"{name.format(len(found))}/bias" in v:
        found.append(len(v[f"{name.format(len(found))}/bias"]) // 4)
    return found


def encode(v: Variables, melody: np.ndarray, length: int, mistake: str = "") -> tuple[np.ndarray, np.ndarray]:
    """μ and σ of the first `length` steps of a melody of classes."""
    name = "encoder/cell_{}/bidirectional_rnn/%s/multi_rnn_cell/cell_0/lstm_cell"
    x = np.eye(90)[melody] if mistake == "padding read" else np.eye(90)[melody[:length]]
    for k, width in enumerate(units(v, name % "fw")):
        outputs, last = [], []
        for direction in ("fw", "bw"):
            state, hidden = (np.zeros(width), np.zeros(width)), []
            for row in x if direction == "fw" else x[::-1]:
                state = cell(v, (name % direction).format(k), row, state, mistake)
                hidden.append(state[1])
            outputs.append(hidden if direction == "fw" else hidden[::-1])
            last.append(hidden[0 if mistake == "backward at the end" and direction == "bw" else -1])
        x = np.concatenate(outputs, axis=1)
    code = np.concatenate(last)
    spread = dense(v, "encoder/sigma", code)
    return dense(v, "encoder/mu", code), np.exp(spread / 2) if mistake == "log variance" else np.log1p(np.exp(spread))


def first_states(v: Variables, name: str, condition: np.ndarray, widths: list[int], mistake: str = "") -> list[tuple]:
    parts = np.split(np.tanh(dense(v, name, condition)), np.cumsum(np.repeat(widths, 2))[:-1])
    states = list(zip(parts[::2], parts[1::2], strict=True))
    return [(h, c) for c, h in states] if mistake == "c and h swapped" else states


def embeddings(v: Variables, z: np.ndarray, segments: int) -> list[np.ndarray]:
    """What a conductor makes of z: one embedding per segment."""
    name = "decoder/hierarchical_level_0"
    widths = units(v, name + "/cell_{}/lstm_cell")
    states, found = first_states(v, f"{name}/initial_state", z, widths), []
    for _ in range(segments):
        x = np.zeros(1)
        for k in range(len(widths)):
            states[k] = cell(v, f"{name}/cell_{k}/lstm_cell", x, states[k])
            x = states[k][1]
        found.append(x)
    return found


def decode(v: Variables, z: np.ndarray, melody: np.ndarray, segments: int = 1, mistake: str = "") -> np.ndarray:
    """Teacher-forced logits `[T, 90]`."""
    flat = "decoder/z_to_initial_state/kernel" in v
    name = "decoder" if flat else "core_decoder/decoder"
    conditions = [z] if flat else embeddings(v, z, segments)
    if mistake == "z instead of embedding":
        conditions = [z[: len(conditions[0])]] * segments
    widths = units(v, name + "/multi_rnn_cell/cell_{}/lstm_cell")
    previous = np.eye(90)[0] if mistake == "start token" else np.zeros(90)
    logits, states = [], None
    for condition, segment in zip(conditions, np.split(melody, segments), strict=True):
        if states is None or mistake != "state carried over":
            states = first_states(v, f"{name}/z_to_initial_state", condition, widths, mistake)
        if mistake == "silence between segments":
            previous = np.zeros(90)
        for token in segment:
            x = np.concatenate([previous, condition * (not logits or mistake != "z only at first")])
            for k in range(len(widths)):
                states[k] = cell(v, f"{name}/multi_rnn_cell/cell_{k}/lstm_cell", x, states[k], mistake)
                x = states[k][1]
            logits.append(dense(v, f"{name}/output_projection", x))
            previous = np.eye(90)[token]
    return np.array(logits)

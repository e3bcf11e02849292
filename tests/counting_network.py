"""An LSTM whose weights are set by hand: it counts notes in a cell and writes a bar line after every K of them.

One layer, three units, every gate saturated. Unit 0 counts: its cell grows by STEP with each note and is forgotten at
a bar line. Unit 1 announces: it is on while the last note of a bar has just been read, and off otherwise. Unit 2 is
always off. The softmax layer asks unit 0 alone: `|` where K notes were counted, `C` otherwise.
"""

from __future__ import annotations

import math

import torch

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.vocabulary import V2

K, STEP = 8, 0.1
ON = math.tanh(1.0)
"""What a unit is while its candidate is saturated at 1 and its output gate is open."""
_OPEN, _SURE = 40.0, 1000.0


def counting_network() -> FolkRNN:
    model = FolkRNN(units=3, layers=1).eval()
    (layer,) = model.layers
    bar, note = V2.index["|"], V2.index["C"]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        i, f, g, o = (slice(3 * n, 3 * n + 3) for n in range(4))
        layer.bias[o] = _OPEN
        layer.bias[i], layer.bias[f] = -_OPEN, -_OPEN
        layer.weight_ih[i.start, note] = layer.weight_ih[f.start, note] = 2 * _OPEN  # it counts notes alone
        layer.bias[f.start] = _OPEN  # and keeps the count,
        layer.weight_ih[f.start, bar] = -2 * _OPEN  # but for a bar line
        layer.bias[g.start] = math.atanh(STEP)
        layer.bias[i.start + 1] = _OPEN
        layer.bias[g.start + 1] = -_SURE * (math.tanh(STEP * (K - 1.5)) + 1.0)
        layer.weight_hh[g.start + 1, 0] = _SURE  # K − 1 notes were counted before this one
        layer.weight_ih[g.start + 1, note] = _SURE
        model.softmax_weight[bar, 0] = _SURE
        model.softmax_bias[:] = -_SURE
        model.softmax_bias[note] = 0.0
        model.softmax_bias[bar] = -_SURE * math.tanh(STEP * (K - 0.5))
    return model

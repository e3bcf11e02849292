"""Initial parameters as the authors of folk-rnn drew them in two eras (facts sheet, sections 1.4 and 1.5)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.recurrent import GATES

Era = Literal[2015, 2016]


@torch.no_grad()
def initialise(model: FolkRNN, era: Era, generator: torch.Generator | None = None) -> None:
    """Draws the parameters as the authors' code of October 2015 or of March 2016 and later did.

    2015: all gate matrices N(0, 0.1), forget bias 0. 2016: input matrices uniform within ± √(6 / (inputs + units)),
    recurrent matrices orthogonal per gate, forget bias 5. In both, biases are 0 otherwise, the softmax matrix is
    orthogonal, c₀ is 0 and h₀ a random vector of length 1 (where the model learns its initial states).
    """
    for layer in model.layers:
        layer.bias.zero_()
        if era == 2015:
            nn.init.normal_(layer.weight_ih, std=0.1, generator=generator)
            nn.init.normal_(layer.weight_hh, std=0.1, generator=generator)
            continue
        bound = math.sqrt(6 / (layer.inputs + layer.units))
        nn.init.uniform_(layer.weight_ih, -bound, bound, generator=generator)
        for block in layer.weight_hh.chunk(len(GATES[layer.cell])):
            nn.init.orthogonal_(block, generator=generator)
        if layer.cell == "lstm":
            layer.bias[layer.units : 2 * layer.units] = 5.0
    nn.init.orthogonal_(model.softmax_weight, generator=generator)
    model.softmax_bias.zero_()
    if model.initial is not None:
        model.initial.zero_()
        for state in model.initial:
            drawn = torch.randn(model.units, generator=generator)
            state[0] = drawn / drawn.norm()

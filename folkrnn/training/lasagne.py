"""What Lasagne did in folk-rnn's training and torch does otherwise: RMSprop, and the initialisations of two eras.

Facts sheet, sections 1.4, 1.5 and 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.recurrent import GATES

Era = Literal[2015, 2016]


class LasagneRMSprop(torch.optim.Optimizer):
    """r ← ρ r + (1 − ρ) g²; w ← w − η g / √(r + ε): with ε inside the root, where torch's RMSprop has it outside.

    The denominator never falls below √ε, so where gradients are small a step is one of plain gradient descent with the
    rate η / √ε (3, by default).
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float = 0.003, rho: float = 0.9, epsilon: float = 1e-6
    ) -> None:
        super().__init__(parameters, {"lr": lr, "rho": rho, "epsilon": epsilon})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Updates all parameters that have a gradient; returns the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["mean_square"] = torch.zeros_like(parameter)
                mean = state["mean_square"].mul_(group["rho"])
                mean.addcmul_(parameter.grad, parameter.grad, value=1 - group["rho"])
                parameter.addcdiv_(parameter.grad, (mean + group["epsilon"]).sqrt_(), value=-group["lr"])
        return loss


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


def learn_initial_states(model: FolkRNN) -> None:
    """Makes h₀ and c₀ parameters: nominally fixed in the authors' code, in fact trained (section 1.4)."""
    if model.initial is None:
        model.initial = nn.Parameter(model._zero.clone())


def decayed(rate: float, epoch: int, factor: float = 0.97, after: int = 20) -> float:
    """Returns the rate of an epoch (from 0): it is multiplied by `factor` after each one whose number exceeds `after`.

    The authors' code computes, prints and stores this number but trains at the constant rate (section 2.2): after 100
    epochs 0.003 has become 0.0002705 there.
    """
    return rate * factor ** max(0, epoch - after - 1)

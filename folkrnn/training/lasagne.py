"""What Lasagne did in folk-rnn's training and torch does otherwise: RMSprop, the decay of its rate, initial states.

Facts sheet, sections 1.4, 1.5 and 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from folkrnn.models.folkrnn import FolkRNN


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

"""What a MusicVAE is trained to do: the evidence lower bound and its schedules (facts on MusicVAE, section 4).

Shapes: B melodies, T steps, D classes, Z latents. Logarithms are natural; times are numbers of updates so far.
Magenta's quirks are kept where they make its numbers: reconstruction is summed over time, free bits apply to the whole
KL, and rates enter their powers in single precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor, nn

from folkrnn.errors import UserError

SamplingSchedule = Literal["constant", "exponential", "inverse_sigmoid"]


@dataclass(frozen=True)
class Elbo:
    """The terms of the loss. Those of single melodies `[B]` are in nats."""

    loss: Tensor
    """mean(reconstruction) + β · mean(kl_cost), `[]`: what is minimised."""
    reconstruction: Tensor
    """Cross entropy summed over a melody's valid steps, `[B]`."""
    kl: Tensor
    """KL(q(z|x) ‖ N(0, I)), `[B]`, before free bits."""
    kl_cost: Tensor
    """What of the KL lies above the free bits, `[B]`."""
    beta: float


def elbo(
    logits: Tensor,
    melodies: Tensor,
    valid: Tensor,
    mu: Tensor,
    sigma: Tensor,
    beta: float,
    free_bits: float = 0.0,
) -> Elbo:
    """Returns the loss of `logits [B, T, D]` for `melodies [B, T]`, of which the steps `valid [B, T]` count.

    `mu` and `sigma` `[B, Z]` are mean and standard deviation of q(z|x); `free_bits` of the whole KL cost nothing.
    """
    reconstruction = reconstruction_loss(logits, melodies, valid)
    kl = kl_divergence(mu, sigma)
    kl_cost = (kl - free_bits * math.log(2)).clamp(min=0)
    return Elbo(reconstruction.mean() + beta * kl_cost.mean(), reconstruction, kl, kl_cost, beta)


def reconstruction_loss(logits: Tensor, melodies: Tensor, valid: Tensor) -> Tensor:
    """Returns −Σ_t ln p(x_t) over the valid steps of each melody, `[B]`: a sum, not a mean."""
    each = nn.functional.cross_entropy(logits.transpose(1, 2), melodies.clamp(min=0), reduction="none")
    return (each * valid).sum(-1)


def kl_divergence(mu: Tensor, sigma: Tensor) -> Tensor:
    """Returns KL(N(μ, σ²) ‖ N(0, I)) of each melody, `[B]`, in nats; σ is a standard deviation."""
    variance = sigma.square()
    return 0.5 * (mu.square() + variance - 1 - variance.log()).sum(-1)


def beta_at(step: int, max_beta: float = 0.2, beta_rate: float = 0.99999) -> float:
    """Returns the weight of the KL: max_beta · (1 − beta_rate^step). A rate of 0 gives 0 at step 0, then max_beta."""
    return max_beta * (1 - _single(beta_rate) ** step)


def learning_rate_at(step: int, first: float = 1e-3, last: float = 1e-5, decay: float = 0.9999) -> float:
    """Returns the learning rate: (first − last) · decay^step + last."""
    return (first - last) * _single(decay) ** step + last


def sampling_probability_at(step: int, schedule: SamplingSchedule, rate: float) -> float:
    """Returns the probability with which an input of the decoder is its own sample instead of the truth.

    `constant` is the rate itself; `exponential` 1 − rate^step; `inverse_sigmoid` 1 − k / (k + exp(step / k)), k = rate.
    Raises UserError for other schedules and for rates that give no probability.
    """
    if schedule == "inverse_sigmoid" and rate >= 1:
        # the same as in the docstring, in a form whose exponential cannot overflow
        return 1 / (1 + rate * math.exp(-step / rate))
    if schedule == "constant" and 0 <= rate <= 1:
        return rate
    if schedule == "exponential" and 0 < rate < 1:
        return 1 - _single(rate) ** step
    raise UserError(
        f"sampling schedule {schedule!r} with rate {rate}: constant takes 0 to 1, exponential a rate between 0 and 1, "
        "inverse_sigmoid one of at least 1"
    )


def clip_gradients(parameters: Iterable[nn.Parameter], norm: float = 1.0, zero_from: float = 10_000.0) -> Tensor:
    """Scales gradients down to a global norm of `norm`, and returns the norm that they had, `[]`.

    From `zero_from` on (or where it is not a number) the whole update is set to zero, as in Magenta.
    """
    parameters = [parameter for parameter in parameters if parameter.grad is not None]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    before = nn.utils.get_total_norm(gradients)
    if not bool(before < zero_from):
        for gradient in gradients:
            gradient.zero_()
    else:
        nn.utils.clip_grads_with_norm_(parameters, norm, before)
    return before


def _single(rate: float) -> float:
    """A rate as single precision holds it, which over 50,000 steps shifts β by 0.1 %, as in Magenta's own runs."""
    return float(np.float32(rate))

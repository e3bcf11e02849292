"""Pushing the top hidden state so that one token alone gets likelier (paper, section 4.3 and Fig. 14).

Wanted is Δh with V Δh = e_n, V the softmax layer as the interventions before have left it: adding δ Δh to h then adds
δ before the softmax to token n and nothing to the others. `minimum_norm` is the solution of least L2 norm, pinv(V) e_n.
`sparse` minimises ½ ‖V Δh − e_n‖² + λ ‖Δh‖₁ (LASSO), with λ the largest that leaves a residual below `residual`. The
paper asks for |h + δ Δh| ≤ 1, which its solver does not see: `box=solve` takes the units from it and finds at every
step the best push within the box (see `interventions.box`); the other choices only check |δ Δh| ≤ 1. Temperature acts
before, as in `displacement`: at T, what is added to h is T δ Δh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Unpack, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.interventions.box import BoundedPush
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.readout import softmax_of
from folkrnn.interventions.windows import ALWAYS, When, Window, window
from folkrnn.interventions.writes import Write, with_hooks
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import OUT, Step, unhooked

Method = Literal["sparse", "minimum_norm"]
Where = Literal["output", "recurrence"]
Box = Literal["solve", "refuse", "clip", "ignore"]


@dataclass(frozen=True)
class PushHidden(Intervention[FolkRNN]):
    """δ Δh added to the top layer's h: as the softmax layer alone sees it (`output`), or as the next step does too."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    token: str
    delta: float = 1.0
    method: Method = "sparse"
    residual: float = 0.1
    """Of the sparse solution: the largest ‖V Δh − e_n‖₂ that will do."""
    where: Where = "output"
    box: Box = "ignore"
    """Solve within |h + Δ| ≤ 1 at every step; or, where an entry of δ Δh exceeds 1 in magnitude: refuse, clip h + δ Δh
    to [−1, 1], or only say so."""
    window: Window = ALWAYS

    @property
    def watched(self) -> tuple[str, ...]:
        return (self.token,)

    def __post_init__(self) -> None:
        for name, kinds in (("method", Method), ("where", Where), ("box", Box)):
            if getattr(self, name) not in get_args(kinds):
                raise UserError(f"{name}={getattr(self, name)}: it may be {', '.join(get_args(kinds))}")

    def check(self, model: FolkRNN, context: RunContext) -> None:
        context.words.encode([self.token])
        if not np.isfinite(self.delta):
            raise UserError(f"delta is {self.delta:g}; it must be a finite number")
        if not 0 < self.residual < 1:
            raise UserError(f"residual is {self.residual:g}; it must lie between 0 and 1, the residual of Δh = 0")
        self.window.check(context.vocabulary, context.max_tokens)

    def edit(self, model: FolkRNN, context: RunContext) -> tuple[FolkRNN, EffectRecord]:
        base = unhooked(model)
        matrix = softmax_of(model)[0].double().cpu().numpy()
        (n,) = context.words.encode([self.token])
        push = minimum_norm(matrix, n) if self.method == "minimum_norm" else sparse(matrix, n, self.residual)
        target = np.eye(len(matrix))[n]
        asked = self.delta * context.temperature  # δ counts after the temperature has divided
        step = asked * push
        units = np.flatnonzero(push)
        solve = BoundedPush(matrix[:, units], n, asked, base.device) if self.box == "solve" else None
        if solve is not None:  # what is said at once is of a state in the middle of the box
            step[units] = solve(torch.zeros(1, len(units), device=base.device)).double().cpu().numpy()[0]
            push = step / asked if asked else push
        metrics = {
            "delta": self.delta,
            "nonzero_units": float(np.count_nonzero(push)),
            "norm": float(np.linalg.norm(push)),
            "largest_entry": float(np.abs(step).max()),
            "inside_box": float(np.abs(step).max() <= 1),
            "residual": float(np.linalg.norm(matrix @ push - target)),
        }
        if self.box == "refuse" and not metrics["inside_box"]:
            raise UserError(
                f"δ Δh for {self.token} has an entry of {metrics['largest_entry']:.2f}, outside the box of ±1; "
                f"|delta| may be at most {abs(self.delta) / metrics['largest_entry']:.3g}, or set box=clip or ignore"
            )
        table = pd.DataFrame({"layer": len(base.layers), "unit": units, "push": step[units]})
        effect = EffectRecord("", metrics, {"units": table})
        if self.delta == 0:
            return model, effect
        added = torch.from_numpy(step).to(base.softmax_weight.dtype).to(base.device)

        places = torch.from_numpy(units).to(base.device)
        weight, bias = (part.detach().double() for part in softmax_of(model))

        def pushed(h: Tensor, step: Step) -> Tensor:
            if solve is not None:
                return h.index_add(1, places, solve(h[:, places]))
            return (h + added).clamp(-1, 1) if self.box == "clip" else h + added

        def notes(before: Tensor, after: Tensor, step: Step) -> dict[str, Tensor]:
            return {"units_outside": (after.abs() > 1 + 1e-5).sum(1).double()} | reached(before, after)

        def reached(before: Tensor, after: Tensor) -> dict[str, Tensor]:
            """ln α of the token, as it is and as δ alone would have it, and half the change of all others'
            distribution.
            """
            one, other = (((h.double() @ weight.T + bias) / context.temperature).softmax(-1) for h in (before, after))
            rest = [part / (1 - part[:, n : n + 1]) for part in (one, other)]
            moved = (rest[1] - rest[0]).abs()
            moved[:, n] = 0
            gained = self.delta - torch.log1p(one[:, n] * (math.exp(self.delta) - 1))
            return {
                "ln_alpha": (other[:, n] / one[:, n]).log(),
                "ln_alpha_asked": gained,
                "others_moved": 0.5 * moved.sum(1),
            }

        site = OUT if self.where == "output" else base.top
        write = Write("", site, pushed, self.window.rows(context.vocabulary, base.device), notes=notes)
        return with_hooks(model, context.vocabulary, [write]), effect


def push_hidden(
    token: str = "A,",
    delta: float = 1.0,
    method: Method = "sparse",
    residual: float = 0.1,
    where: Where = "output",
    box: Box = "ignore",
    **when: Unpack[When],
) -> PushHidden:
    """Returns the push of a token."""
    return PushHidden(token, delta, method, residual, where, box, window(**when))


def minimum_norm(matrix: np.ndarray, n: int) -> np.ndarray:
    """Returns pinv(V) e_n, `[H]`, for V `[V, H]`: exact where V has full row rank."""
    return np.linalg.pinv(matrix)[:, n]


def sparse(matrix: np.ndarray, n: int, residual: float) -> np.ndarray:
    """Returns the LASSO solution Δh `[H]` with the largest λ for which ‖V Δh − e_n‖₂ ≤ `residual`.

    Raises UserError where no λ of the path gets there.
    """
    from sklearn.linear_model import lasso_path

    target = np.eye(len(matrix))[n]
    largest = np.abs(matrix[n]).max() / len(matrix)  # from here on Δh = 0
    _, found, _ = lasso_path(matrix, target, alphas=np.geomspace(largest, 1e-5 * largest, 100), max_iter=5000)
    distance = np.linalg.norm(matrix @ found - target[:, None], axis=0)
    enough = np.flatnonzero(distance <= residual)
    if not len(enough):
        raise UserError(
            f"no sparse push leaves a residual of {residual:g} or less (the least is {distance.min():.3g}); raise "
            "residual, or use method=minimum_norm"
        )
    return found[:, enough[0]]

"""How far one model goes from another: the first token that differs, and the divergence of distributions on the same
tokens.

D(Q‖P) = Σ q log(q/p), in nats, of the changed model's distribution Q from the control's P. An intervention may exclude
what the control allows (a suppressed token: then D is −log of what P leaves), and P excludes nothing, so this direction
is finite and needs no smallest probability. It splits by token type without a rest: D between the distributions of the
next token's type, plus, for each type, q(type) times D between the distributions within it. The first part tells *when*
something comes (a bar line or a note), the second *which* one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import REJECTED, Hooks, Step
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import TYPES

PARTS = ("all", "type", *TYPES, "total_variation")
"""What is compared at each step: the whole divergence, its parts, and the total variation."""


@dataclass
class Distributions:
    """How the distributions of other models differ from the control's on the control's own tokens."""

    changed: np.ndarray
    """Per tune the sum over steps, and the number of steps, of each of PARTS, `[N, 10, 2]`."""
    matched: list[np.ndarray]
    by_step: list[np.ndarray]
    """The mean divergence at each step, NaN where no tune is that long: after the intervention, then of each draw."""


def compare_distributions(observation: Observation, control: Observation, most: int) -> Distributions:
    """Returns the divergence of the distributions of the changed model, and of each matched one, on `most` control
    tunes.
    """
    tunes, types = list(control.transcriptions[:most]), control.vocabulary.types
    sides = [observation, *observation.matched]
    readers = [Observation(o.model, control.vocabulary, tunes, seed=control.seed) for o in (control, *sides)]
    longest = max(len(t.ids) for t in tunes) - 1
    sums = np.zeros((len(sides), len(tunes), len(PARTS), 2))
    total, count = np.zeros((len(sides), longest)), np.zeros(longest)
    for activations in zip(*(reader.each(["logits"]) for reader in readers), strict=True):
        (k, own), *others = activations
        P, steps = softmax(own["logits"].astype(float), axis=-1), len(own["logits"])
        count[:steps] += 1
        for side, (_, other) in enumerate(others):
            Q = accepted(sides[side].model, tunes[k].ids[:-1], softmax(other["logits"].astype(float), axis=-1))
            every = compared(P, Q, types)
            sums[side, k] = [(every[name].sum(), steps) for name in PARTS]
            total[side, :steps] += every["all"]
    with np.errstate(invalid="ignore"):
        by_step = list(total / count)
    return Distributions(sums[0], list(sums[1:]), by_step)


def accepted(model: FolkRNN, ids: np.ndarray, distribution: np.ndarray) -> np.ndarray:
    """Returns the distribution `[T, V]` of what is drawn after each of `ids [T]` once rejected draws are drawn again.

    For a model that rejects nothing it is the distribution itself.
    """
    hooks = Hooks(model.hooks)
    if REJECTED not in hooks:
        return distribution
    assert model.tracker is not None, "a model with edits has a tracker"
    found, position = distribution.astype(float), model.tracker.begin(1)
    none = torch.zeros(1, distribution.shape[1], dtype=torch.bool, device=model.device)
    for t, token in enumerate(ids):
        position = model.tracker.after(position, torch.tensor([int(token)], device=model.device))
        rejected = hooks(REJECTED, none, Step(t, at=position))[0].cpu().numpy()
        if rejected.any():
            found[t, rejected] = 0.0
            found[t] *= distribution[t].sum() / found[t].sum()
    return found


def compared(P: np.ndarray, Q: np.ndarray, types: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns each of PARTS at each step, `[T]`, of distributions `[T, V]`."""
    return {
        "all": divergence(Q, P),
        **divergence_by_type(Q, P, types),
        "total_variation": total_variation(P, Q),
    }


def first_difference(one: Sequence[int] | np.ndarray, other: Sequence[int] | np.ndarray) -> float:
    """Returns the index of the first token at which two transcriptions differ, ∞ where they are the same.

    Where one is the beginning of the other, they differ at its end.
    """
    a, b = np.asarray(one), np.asarray(other)
    n = min(len(a), len(b))
    different = np.flatnonzero(a[:n] != b[:n])
    if len(different):
        return float(different[0])
    return float("inf") if len(a) == len(b) else float(n)


def survival(steps: np.ndarray, longest: int) -> np.ndarray:
    """Returns the share of tunes that are still as the control after each step 0 … longest, `[longest + 1]`.

    `steps [N]` are the indices of the first differing tokens, ∞ for none.
    """
    return (np.asarray(steps)[None, :] > np.arange(longest + 1)[:, None]).mean(1)


def divergence(Q: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Returns D(Q‖P) of each row, in nats, `[T]`, of distributions `[T, V]`; infinite where Q has what P excludes."""
    return _terms(Q.astype(float), P.astype(float)).sum(-1)


def divergence_by_type(Q: np.ndarray, P: np.ndarray, types: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the parts of D(Q‖P), each `[T]`, nats: "type" for when, then each of the seven types for which.

    They add up to the whole. A type that the vocabulary lacks has part 0.
    """
    Q, P = Q.astype(float), P.astype(float)
    own = np.array([TYPES.index(name) for name in types])
    members = np.eye(len(TYPES))[own]
    between = _terms(Q @ members, P @ members)
    terms = _terms(Q, P)
    found = {"type": between.sum(-1)}
    for k, name in enumerate(TYPES):
        found[name] = terms[:, own == k].sum(-1) - between[:, k] + 0.0
    return found


def total_variation(P: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Returns ½ Σ |p − q| of each row, `[T]`, between 0 (the same) and 1 (nothing in common)."""
    return 0.5 * np.abs(P.astype(float) - Q.astype(float)).sum(-1)


def _terms(Q: np.ndarray, P: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((Q > 0) & (P != Q), Q * (np.log(Q) - np.log(P)), 0.0)

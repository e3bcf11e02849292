"""The losses that folk-rnn's training script keeps in its pickles, as a curve (facts sheet section 1.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from folkrnn.errors import UserError
from folkrnn.weights.curve import Curve

_USUAL = (1000, 500, 250, 100, 2000, 200, 50, 20, 10)
"""Updates between validations; 1,000 in folk-rnn's configurations (facts sheet section 2.5)."""

MOST = 10_000_000
"""Losses that are read, and updates or epochs that are believed."""


def curve_of(content: Mapping[Any, Any], source: str) -> Curve | None:
    """Returns the losses in the dict of folk-rnn's training script, in nats per tune; None where there are none.

    Raises UserError where they are no numbers.
    """
    training = _numbers(content.get("losses_train", []), "losses_train", source)
    validation = _numbers(content.get("losses_eval_valid", []), "losses_eval_valid", source)
    if not len(training) and not len(validation):
        return None
    iterations, epoch = content.get("iters_since_start"), content.get("epoch_since_start")
    # the script's counter begins at 1 and is raised after each update; a resumed training keeps only its own losses
    done = iterations - 1 if type(iterations) is int and len(training) < iterations < MOST else len(training)
    before = done - len(training)
    epochs = epoch + 1 if type(epoch) is int and 0 <= epoch < MOST else 0
    return Curve(
        np.stack([before + 1 + np.arange(len(training)), training], axis=1),
        np.stack([_validated_after(len(validation), before, done), validation], axis=1),
        unit="tune",
        updates_per_epoch=done / epochs if done and epochs else float("nan"),
    )


def to_metadata(curve: Curve | None) -> dict[str, Any]:
    """Returns the entries of the training script's dict that tell how a training went: the inverse of `curve_of`.

    Losses per token have no place there, and are left out.
    """
    known = curve if curve is not None and curve.unit == "tune" else None
    training, validation = (known.training, known.validation) if known else (np.zeros((0, 2)), np.zeros((0, 2)))
    done = int(training[-1, 0]) if len(training) else 0
    epochs = round(done / known.updates_per_epoch) if known and known.updates_per_epoch > 0 else 0
    return {
        "epoch_since_start": max(0, epochs - 1),
        "iters_since_start": done + 1,
        "losses_train": training[:, 1].tolist(),
        "losses_eval_valid": validation[:, 1].tolist(),
    }


def _numbers(values: object, name: str, source: str) -> np.ndarray:
    """The values `[N]`, float64, each of which may be a number or an array of one."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        values = values.tolist()
    if not isinstance(values, list) or len(values) > MOST:
        raise UserError(f"{source}: {name} is no list of losses")
    plain = [value.item() if isinstance(value, np.ndarray) and value.size == 1 else value for value in values]
    if not all(isinstance(value, float) or (type(value) is int and abs(value) < 2**53) for value in plain):
        raise UserError(f"{source}: {name} holds what is no number")
    return np.array(plain, np.float64)


def _validated_after(count: int, before: int, done: int) -> np.ndarray:
    """When the script validated: its counter, one ahead of the updates, was then a multiple of a round number."""
    for every in _USUAL:
        after = np.arange(every, done + 2, every) - 1
        after = after[after > before]
        if len(after) == count:
            return after
    return np.linspace(before, done, count + 1)[1:]

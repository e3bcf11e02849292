"""The random streams of tunes: each its own, or made so that a given tune comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from folkrnn.models.draws import SMALLEST_BATCH, probabilities, stream
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.sampling.transcription import Sampling
from folkrnn.vocabulary import Vocabulary

Uniforms = Callable[[int], np.ndarray]
"""Maps a tune's number to the uniforms of its steps, `[max_tokens]`: entry t draws the token after row t."""


def tune_uniforms(seed: int, length: int) -> Uniforms:
    """Returns the `per_tune` streams: a counter-based generator keyed by (seed, tune)."""
    return lambda tune: stream(seed, tune).random(length)


@torch.no_grad()
def replay_uniforms(
    model: FolkRNN, vocabulary: Vocabulary, ids: Sequence[int], sampling: Sampling, seed: int
) -> Uniforms:
    """Returns streams under which the unchanged model draws exactly the transcription `ids` (without markers).

    Step t of tune n gets a uniform inside the cumulative interval of its token, at the place inside it that the tune's
    own stream picks; past the end of the transcription the stream goes on as usual. An intervention then departs from
    the transcription only where it moves the law far enough.
    """
    whole = torch.tensor([vocabulary.start, *ids, vocabulary.end])
    law = probabilities(_stepped_logits(model, whole[:-1]), sampling.temperature)
    cumulative = law.cumsum(-1) / law.sum(-1, keepdim=True)
    rows, targets = torch.arange(len(whole) - 1), whole[1:]
    upper = cumulative[rows, targets].numpy()
    lower = np.where(targets.numpy() > 0, cumulative[rows, (targets - 1).clamp(min=0)].numpy(), 0.0)
    own = tune_uniforms(seed, max(sampling.max_tokens + 1, len(whole)))

    def uniforms(tune: int) -> np.ndarray:
        stream = own(tune)
        # the middle 98 % of the interval: rounding of the cumulative sum must not tip a draw into a neighbour
        inside = 0.01 + 0.98 * stream[: len(upper)]
        stream[: len(upper)] = lower + (upper - lower) * inside
        return stream

    return uniforms


def _stepped_logits(model: FolkRNN, tokens: Tensor) -> Tensor:
    """Logits after each of `tokens [T]`, `[T, V]`, by the very steps that generation takes."""
    state = [tuple(part.clone() for part in layer) for layer in model.initial_state(SMALLEST_BATCH)]
    rows, stepper = [], model.stepper()
    for token in tokens:
        logits, state = stepper.step(token.expand(SMALLEST_BATCH).to(model.device), state)
        rows.append(logits[0])
    return torch.stack(rows)

"""The random streams of tunes: each its own, or made so that a given tune comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from folkrnn.models.draws import SMALLEST_BATCH, probabilities, stream
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.sampling.transcription import Sampling
from folkrnn.vocabulary import Vocabulary

Uniforms = Callable[[int], np.ndarray]
"""Maps a tune's number to the uniforms of its steps, `[max_tokens]`: entry t draws the token after row t."""


def tune_uniforms(seed: int, length: int) -> Uniforms:
    """Returns the `per_tune` streams: a counter-based generator keyed by (seed, tune)."""
    return lambda tune: stream(seed, tune).random(length)


def replay_uniforms(
    model: FolkRNN, vocabulary: Vocabulary, tunes: Sequence[Sequence[int]], sampling: Sampling, seed: int
) -> Uniforms:
    """Returns streams under which the unchanged model draws exactly these `tunes` (token ids without markers).

    Tune n is `tunes[n]`, and where there are more than these, they come in turn. Step t gets a uniform inside the
    cumulative interval of its token, at the place inside it that the tune's own stream picks; past the end of the
    transcription the stream goes on as usual. An intervention then departs from the transcription only where it moves
    the law far enough.
    """
    whole = [np.array([vocabulary.start, *ids, vocabulary.end]) for ids in tunes]
    intervals = _intervals(model, whole, sampling)
    own = tune_uniforms(seed, max(sampling.max_tokens + 1, *map(len, whole)))
    return lambda tune: _inside(intervals[tune % len(intervals)], own(tune))


def resume_uniforms(
    model: FolkRNN, beginnings: Sequence[np.ndarray], sampling: Sampling, seed: int, uniforms: Uniforms
) -> Uniforms:
    """Returns streams under which the unchanged model goes on from other tunes: a control that starts where they do.

    Tune n first draws the token ids `beginnings[n] [≥ 1]` (from `<s>` on), then goes on with `uniforms(n)`.
    """
    intervals = _intervals(model, beginnings, sampling)
    own = tune_uniforms(seed, sampling.max_tokens + 1)

    def resumed(tune: int) -> np.ndarray:
        steps, stream = len(beginnings[tune]) - 1, uniforms(tune).copy()
        stream[:steps] = _inside(intervals[tune], own(tune)[:steps])
        return stream

    return resumed


def _inside(interval: np.ndarray, stream: np.ndarray) -> np.ndarray:
    """The stream with its first T entries moved into `interval [2, T]`."""
    lower, upper = interval
    # the middle 98 % of the interval: rounding of the cumulative sum must not tip a draw into a neighbour
    places = 0.01 + 0.98 * stream[: len(upper)]
    stream[: len(upper)] = lower + (upper - lower) * places
    return stream


@torch.no_grad()
def _intervals(model: FolkRNN, tunes: Sequence[np.ndarray], sampling: Sampling) -> list[np.ndarray]:
    """The cumulative interval of each token after the first, `[2, N − 1]` per tune, by the steps of generation."""
    lengths = [len(ids) for ids in tunes]
    tokens = torch.zeros(max(SMALLEST_BATCH, len(tunes)), max(lengths), dtype=torch.long)
    for row, ids in enumerate(tunes):
        tokens[row, : len(ids)] = torch.from_numpy(ids)
    ends = np.zeros((2, *tokens.shape))
    state = [tuple(part.clone() for part in layer) for layer in model.initial_state(len(tokens))]
    stepper = model.stepper(sampling.precision)
    for t in range(max(lengths) - 1):
        logits, state = stepper.step(tokens[:, t].to(model.device), state)
        law, target = probabilities(logits, sampling.temperature).cpu(), tokens[:, t + 1 : t + 2]
        cumulative = nn.functional.pad(law.cumsum(-1) / law.sum(-1, keepdim=True), (1, 0))
        ends[:, :, t] = torch.cat([cumulative.gather(1, target), cumulative.gather(1, target + 1)], dim=1).T
    return [ends[:, row, : length - 1] for row, length in enumerate(lengths)]

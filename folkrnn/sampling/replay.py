"""The random streams of tunes: each its own, or made so that a given tune comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from folkrnn.models.engine import InputTunes
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import Hook, Step
from folkrnn.models.rng import probabilities, stream
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
    the distribution far enough.
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
    order = sorted(range(len(tunes)), key=lambda k: len(tunes[k]), reverse=True)
    source = InputTunes.of([tunes[k][:-1] for k in order], order)
    intervals = _Intervals(InputTunes.of([tunes[k][1:] for k in order], order).tokens, sampling.temperature)
    model.engine(sampling.precision).run(source, [intervals])
    found = dict(zip(order, intervals.ends, strict=True))
    return [found[k][:, : len(ids) - 1] for k, ids in enumerate(tunes)]


class _Intervals(Hook):
    """A hook that keeps the cumulative interval of the tokens that follow, `following [T, R]`: `ends [R, 2, T]`."""

    sites = ("logits",)

    def __init__(self, following: Tensor, temperature: float) -> None:
        self.following, self.temperature = following, temperature
        self.ends = np.zeros((following.shape[1], 2, len(following)))

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        (rows,) = step.active
        distribution, target = (
            probabilities(value[:rows], self.temperature).cpu(),
            self.following[step.time, :rows, None],
        )
        cumulative = nn.functional.pad(distribution.cumsum(-1) / distribution.sum(-1, keepdim=True), (1, 0))
        self.ends[:rows, :, step.time] = torch.cat([cumulative.gather(1, target), cumulative.gather(1, target + 1)], 1)
        return value

"""Tunes that a model writes, by one process or by several: a tune is the same whoever writes it, and beside whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.rng import SMALLEST_BATCH
from folkrnn.parallel.blocks import each_block
from folkrnn.parallel.shards import ALONE, Arrays, Progress, Workers
from folkrnn.sampling import Sampling, Transcription, Transcriptions, Uniforms, generate
from folkrnn.sampling.transcriptions import packed
from folkrnn.vocabulary import Vocabulary

SHARE = 4096
"""Most tunes of a block: few enough that what is not packed yet stays small, many enough that rows are seldom idle."""


def written(
    model: FolkRNN,
    vocabulary: Vocabulary,
    sampling: Sampling,
    seed: int,
    processes: Workers = ALONE,
    uniforms: Uniforms | None = None,
    progress: Progress | None = None,
) -> Transcriptions:
    """Returns the transcriptions that `generate` returns, packed, written by several processes.

    Tunes that share one random stream (`sampling.rng` other than per_tune) are written here, one after the other, and
    so are tunes too few for two processes: fewer than 16 at once take as long as 16.
    """
    if sampling.rng != "per_tune":
        return Transcriptions.of(generate(model, vocabulary, sampling, seed, progress=progress))
    count = min(processes.count, -(-sampling.tunes // SMALLEST_BATCH))
    blocks = shares(sampling.tunes, count)
    work = Writing(model, vocabulary, sampling, seed, uniforms)
    parts = [Transcriptions(arrays) for arrays in each_block(work, blocks, processes, progress)]
    return parts[0] if len(parts) == 1 else Transcriptions.of(_in_order(parts, sampling.tunes))


def shares(tunes: int, processes: int) -> list[range]:
    """Returns the numbers of the tunes of each block: every n-th tune, for as many blocks a process as it needs."""
    n = processes * -(-tunes // (processes * SHARE))
    return [range(first, tunes, n) for first in range(n)]


def _in_order(parts: Sequence[Transcriptions], tunes: int) -> Iterator[Transcription]:
    for number in range(tunes):
        yield parts[number % len(parts)][number // len(parts)]


@dataclass(frozen=True)
class Writing:
    """The work of writing tunes: a block is their numbers."""

    model: FolkRNN
    vocabulary: Vocabulary
    sampling: Sampling
    seed: int
    uniforms: Uniforms | None = None

    def __call__(self, numbers: Sequence[int], progress: Progress) -> Arrays:
        tunes = generate(
            self.model,
            self.vocabulary,
            self.sampling,
            self.seed,
            uniforms=self.uniforms,
            progress=progress,
            numbers=numbers,
        )
        return packed(tunes)

"""Batched generation of transcriptions, each token with an account of how it was drawn.

Streams of random numbers (`sampling.rng`):

`per_tune` (default): tune n has its own stream, keyed by (seed, n), and step t consumes the t-th uniform of it, also
where a token is given. On a CPU in single precision sampling is then batch-invariant: a tune does not depend on
batch size, threads, processes, or what else is drawn. On a GPU, and with `sampling.precision=bf16`, the sums of a
product are taken in an order that depends on its number of rows (`sampling.batch_size`, `sampling.captured`, the number
of processes): the probabilities differ in their last bits, and a tune departs where its uniform lies that close to the
border between two tokens.
`legacy`: one numpy RandomState(seed) runs through all tunes, as in the authors' fast script (facts sheet section 3.1).
`legacy_webapp`: RandomState(seed) anew for each tune, consuming a draw during the prime as well, as folkrnn.org does.

In all of them a token is drawn by inverting the cumulative distribution in double precision: the first token whose
cumulative probability exceeds the uniform.
"""

from __future__ import annotations

from folkrnn.sampling.replay import Uniforms, replay_uniforms, resume_uniforms, tune_uniforms
from folkrnn.sampling.sampler import generate
from folkrnn.sampling.transcription import Sampling, Transcription, input_tune, mark_replayed
from folkrnn.sampling.transcriptions import Transcriptions

__all__ = [
    "Sampling",
    "Transcription",
    "Transcriptions",
    "Uniforms",
    "generate",
    "input_tune",
    "mark_replayed",
    "replay_uniforms",
    "resume_uniforms",
    "tune_uniforms",
]

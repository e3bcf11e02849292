"""How a folk-rnn plays: tunes drawn by the seed, replays of tunes, and how it goes on from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from folkrnn.datasets.corpus import Corpus
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.notation.tokenise import prime_tokens
from folkrnn.observation import replayed
from folkrnn.observation.observation import Observation
from folkrnn.parallel.shards import Workers, processes
from folkrnn.report import artifacts
from folkrnn.sampling import (
    Sampling,
    Transcription,
    Transcriptions,
    Uniforms,
    mark_replayed,
    replay_uniforms,
    resume_uniforms,
)
from folkrnn.sampling.cached import kept_tunes
from folkrnn.sampling.writing import written
from folkrnn.vocabulary import Vocabulary
from folkrnn.weights.folder import Weights

if TYPE_CHECKING:
    from omegaconf import DictConfig

_OTHER = 9
"""Keeps the seeds of unchanged tunes to compare with apart from other uses of the seed."""


def sampling_of(config: DictConfig, vocabulary: Vocabulary) -> Sampling:
    """Returns the settings of `sampling.*`, the prime as tokens."""
    prime = prime_tokens(config.sampling.prime, vocabulary) if config.sampling.prime else []
    names = ("tunes", "temperature", "max_tokens", "rng", "batch_size", "precision", "captured")
    return Sampling(prime=tuple(prime), **{name: config.sampling[name] for name in names})


def observers(config: DictConfig) -> Workers:
    """Returns the processes that play and observe: one on each device of the trainer."""
    return processes(config.trainer.accelerator, config.trainer.devices)


def other_seeds(seed: int) -> tuple[int, int]:
    """Returns two seeds of random numbers that have nothing to do with those of `seed`."""
    first, second = np.random.SeedSequence([seed, _OTHER]).generate_state(2).tolist()
    return first, second


def replays(config: DictConfig, vocabulary: Vocabulary, corpus: Corpus) -> list[list[int]] | None:
    """Returns the token ids of the tunes that are replayed, in turn; None where none is."""
    sampling = config.sampling
    if not sampling.replay:
        return None
    return replayed.tunes_of(sampling.replay, sampling.tunes, sampling.max_tokens, vocabulary, corpus, config.seed)


def resume(
    config: DictConfig,
    model: FolkRNN,
    weights: Weights[FolkRNN],
    observation: Observation,
    control: Observation,
    uniforms: Uniforms,
) -> Transcriptions:
    """Returns what the unchanged model makes of every tune from the first token on that is not the control's.

    The numbers that it draws with from there on are `uniforms`.
    """
    vocabulary, sampling = weights.words, sampling_of(config, weights.words)
    pairs = zip(observation.transcriptions, control.transcriptions, strict=True)
    beginnings = [beginning(changed.ids, control.ids) for changed, control in pairs]
    uniforms = resume_uniforms(model, beginnings, sampling, config.seed, uniforms)
    with artifacts.progress("Resuming", sampling.tunes) as advance:
        return written(model, vocabulary, sampling, config.seed, observers(config), uniforms, advance)


def beginning(ids: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the tokens of a tune up to and with the first that another tune does not have there."""
    shared = min(len(ids), len(others))
    different = np.flatnonzero(ids[:shared] != others[:shared])
    return ids[: (different[0] if len(different) else shared) + 1]


def control_tunes(
    config: DictConfig, model: FolkRNN, weights: Weights[FolkRNN], replay: list[list[int]] | None, seed: int
) -> Sequence[Transcription]:
    """Returns what the unchanged model plays, kept on disk: the jobs of a sweep share it."""
    vocabulary, sampling = weights.words, sampling_of(config, weights.words)
    return kept_tunes(
        weights.digest,
        vocabulary.digest,
        sampling,
        seed,
        replay,
        model.device,
        lambda: play(config, model, weights, replay, seed),
        observers(config).count,
    )


def play(
    config: DictConfig, model: FolkRNN, weights: Weights[FolkRNN], replay: list[list[int]] | None, seed: int
) -> Transcriptions:
    """Returns generated tunes; with tunes to `replay` drawn so that the unchanged model writes these, in turn."""
    vocabulary, sampling = weights.words, sampling_of(config, weights.words)
    unchanged = weights.model
    uniforms = None if replay is None else replay_uniforms(unchanged, vocabulary, replay, sampling, seed)
    with artifacts.progress("Generating", sampling.tunes) as advance:
        tunes = written(model, vocabulary, sampling, seed, observers(config), uniforms, advance)
    if replay is None:
        return tunes
    return Transcriptions.of(mark_replayed(tune, replay[k % len(replay)]) for k, tune in enumerate(tunes))

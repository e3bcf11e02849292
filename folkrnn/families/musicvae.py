"""What is the MusicVAE family's own: what it encodes and writes back, and how its melodies are filed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from folkrnn import filing
from folkrnn.build import build
from folkrnn.datasets.melodies import MelodyCorpus
from folkrnn.findings import Findings
from folkrnn.interventions import composition
from folkrnn.interventions.composition import Interventions
from folkrnn.interventions.intervention import Setting
from folkrnn.melodies.grid import to_midi
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.shards import processes
from folkrnn.refusal import Refusal
from folkrnn.tracking import TrackedRun
from folkrnn.weights.folder import Weights

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.training.fit import Fitted

DATA = MelodyCorpus
"""What its datasets are."""

EFFECT = "latent_effect"
"""The analysis that compares interventions with their control."""

SHOWN = 8
"""Melodies that are filed as MIDI, each beside what the model writes back from its μ."""


def given(config: DictConfig, _: object) -> list[Any]:
    """Returns nothing: melodies to observe come from the dataset. Refuses a transcription, a prime, a replay, melodies
    as MusicXML, and devices that are not there."""
    if "musicxml" in config.files:
        raise Refusal("files=[musicxml] is for folk-rnn; melodies of a MusicVAE are filed as midi")
    for key, value in {"transcription": config.transcription, **config.sampling}.items():
        if key in ("transcription", "prime", "replay") and value:
            raise Refusal(f"{key}= is for folk-rnn; a MusicVAE observes the melodies of dataset=")
    processes(config.trainer.accelerator, config.trainer.devices)
    return []


def in_one_vocabulary(
    config: DictConfig, weights: Weights, corpus: MelodyCorpus, to_train: bool
) -> tuple[Weights, MelodyCorpus]:
    """Returns both as they are: melodies have the same 90 classes in every MusicVAE."""
    return weights, corpus


def check_room(config: DictConfig, model: MusicVAE, given: list[Any], analyses: Mapping[str, Any]) -> None:
    """Refuses nothing: a melody has 256 steps at most."""


def check_training(config: DictConfig) -> None:
    """Refuses a recipe or trainer that cannot train."""
    from folkrnn.training.fit import TrainerSettings, check_precision

    check_precision(build(config.recipe, "recipe"), TrainerSettings(**trainer_settings(config)))


def fit(
    config: DictConfig, weights: Weights, corpus: MelodyCorpus, checkpoints: Path, tracked: TrackedRun | None
) -> Fitted:
    """Returns the model trained as `recipe=` and `trainer=` say; what `tracked` is None for files nothing."""
    from folkrnn.tracking.lightning import RunLogger
    from folkrnn.training.fit import MELODIES, TrainerSettings
    from folkrnn.training.fit import fit as train
    from folkrnn.training.melody_watch import MelodyWatch

    check_length(corpus, weights.model)
    recipe, trainer = build(config.recipe, "recipe").settled(weights.model), TrainerSettings(**trainer_settings(config))
    logger, callbacks = None, []
    if tracked is not None:
        logger = RunLogger(tracked)
        file_summary = partial(filing.file_summary, tracked)

        def file_melody(midi: bytes, step: int) -> None:
            tracked.log_bytes(midi, f"training/melody_after_{step:06d}.mid")

        callbacks = [MelodyWatch(config.observation.sites, tracked.log_metrics, file_summary, file_melody)]
    return train(weights.model, corpus, recipe, trainer, config.seed, checkpoints, logger, callbacks, MELODIES)


def check_length(corpus: MelodyCorpus, model: MusicVAE) -> None:
    """Refuses a corpus whose melodies are not as long as the model's."""
    if corpus.classes.shape[1] != model.sizes.max_seq_len:
        raise Refusal(
            f"dataset {corpus.name} has melodies of {corpus.classes.shape[1]} steps, the model reads "
            f"{model.sizes.max_seq_len}; set dataset.bars={model.sizes.max_seq_len // 16}"
        )


def trainer_settings(config: DictConfig) -> dict[str, Any]:
    """Returns the keys `trainer.*` that the training takes."""
    from folkrnn.training.fit import TrainerSettings

    return {name: config.trainer[name] for name in TrainerSettings.__dataclass_fields__ if name in config.trainer}


def setting_of(config: DictConfig, _: object) -> Setting:
    """Returns what interventions may know of the run."""
    return Setting(None, config.seed, config.sampling.temperature)


def observe(
    config: DictConfig,
    model: MusicVAE,
    weights: Weights,
    corpus: MelodyCorpus,
    _: list[Any],
    interventions: Interventions,
) -> LatentObservation:
    """Returns `sampling.tunes` melodies of the corpus, drawn by the seed (all, where there are fewer), encoded.

    With interventions the model as it is comes along as the control, on the same melodies, and so do `cut.controls`
    draws of random neurons in the place of chosen ones.
    """
    count = min(config.sampling.tunes, len(corpus))
    chosen = np.sort(np.random.default_rng(config.seed).choice(len(corpus), count, replace=False))
    check_length(corpus, model)
    titles = [corpus.title(i) for i in chosen]
    tempi = corpus.quarters_per_minute[chosen]
    control = LatentObservation(
        model,
        corpus.classes[chosen],
        titles,
        corpus,
        config.seed,
        tempi,
        chosen,
        processes=processes(config.trainer.accelerator, config.trainer.devices),
        progress=filing.progress,
    )
    if not interventions:
        return control
    setting = replace(setting_of(config, None), latents=lambda: (control.classes, *control.latents))
    settled = composition.settle(interventions, model, setting)
    matched = tuple(
        replace(control, model=composition.apply(others, model, setting)[0], _once={})
        for draw in range(config.cut.controls)
        if (others := composition.matched(settled, draw, config.seed)) is not None
    )
    changed, accounts = composition.apply(settled, model, setting)
    return replace(control, model=changed, control=control, matched=matched, accounts=accounts, _once={})


def dataset_card(corpus: MelodyCorpus) -> str:
    """Returns the dataset card in Markdown: sizes, what was left out and why, terms."""
    lines = [
        f"# Dataset {corpus.name}",
        "",
        f"{len(corpus):,} melodies of {corpus.classes.shape[1]} sixteenths; digest `{corpus.digest}`.",
        "",
        "| quantity | value |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {value:g} |" for name, value in corpus.profile().items()),
        "",
        "| left out | count | because |",
        "|---|---|---|",
        *(f"| {reason} | {count} | {why} |" for reason, count, why in corpus.reasons()),
        "",
        "## Terms",
        "",
        *(f"- **{name}**: {terms}" for name, terms in corpus.terms.items()),
    ]
    return "\n".join(lines) + "\n"


def remarks(config: DictConfig, vocabulary: object) -> list[str]:
    """Returns nothing: melodies are read as they stand, and what has no place on the grid is counted on the card."""
    return []


def file_tunes(tracked: TrackedRun, observation: LatentObservation, formats: Sequence[str]) -> None:
    """Files all melodies as an archive of MIDI, if that is asked for."""
    if "midi" in formats:
        filing.file_archive(tracked, "midi", "mid", (partial(to_midi, classes) for classes in observation.classes))


def observed(observation: LatentObservation) -> str:
    """Returns how much was observed, in words: 5,000 melodies."""
    return f"{len(observation):,} melod{'y' if len(observation) == 1 else 'ies'}"


def file_observation(tracked: TrackedRun, observation: LatentObservation, settings: DictConfig) -> None:
    """Files the latents of all melodies, the first ones as MIDI with what comes back, and the summary of streams."""
    arrays = {"mu": observation.mu, "sigma": observation.sigma, "classes": observation.classes}
    tracked.log_findings("observation", Findings(arrays={"latents": arrays}))
    for account in observation.accounts:
        tracked.log_findings(f"intervention/{account.name}", Findings(account.metrics, tables=account.tables))
    for k in range(min(SHOWN, len(observation.classes))):
        tracked.log_bytes(to_midi(observation.classes[k]), f"tunes/{k + 1:02d}.mid")
        tracked.log_bytes(to_midi(observation.reconstruction(k)), f"tunes/{k + 1:02d}_from_mu.mid")
    filing.file_summary(tracked, observation.summary(settings.sites))
    if settings.keep:
        for k, batch in enumerate(observation.each_kept(settings.keep)):
            tracked.log_findings("traces", Findings(arrays={f"batch{k:04d}": batch}))


def report_entries(tracked: TrackedRun, observation: LatentObservation) -> list[Any]:
    """Returns nothing: a MusicVAE's report shows figures; its melodies are filed as MIDI."""
    return []

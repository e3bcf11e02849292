"""The MusicVAE family: autoencoders of melodies, which encode them and write them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from folkrnn.config.build import build
from folkrnn.datasets.melodies import MelodyCorpus
from folkrnn.errors import UserError
from folkrnn.explorer.melodies import as_tokens
from folkrnn.families.family import Family, trainer_settings
from folkrnn.findings import Findings
from folkrnn.interventions import composition
from folkrnn.interventions.composition import Interventions
from folkrnn.melodies.grid import melody_to_midi
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.observed import ObservedInput
from folkrnn.parallel.shards import processes
from folkrnn.report import artifacts
from folkrnn.tracking import TrackedRun
from folkrnn.weights.folder import Weights

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.report.page import ReportEntry
    from folkrnn.training.fit import Fitted

PAIRS = 4
"""Melodies in the report, each with what comes back of it."""

SHOWN = 8
"""Melodies that are filed as MIDI, each beside what the model writes back from its μ."""


class MusicVAEFamily(Family[MusicVAE, MelodyCorpus, ObservedInput, LatentObservation]):
    """Trains on melodies; observes what becomes of melodies of a dataset."""

    data = MelodyCorpus
    effect = "latent_effect"
    playable = True
    explorable = True

    def fit(
        self,
        config: DictConfig,
        weights: Weights[MusicVAE],
        corpus: MelodyCorpus,
        checkpoints: Path,
        tracked: TrackedRun | None,
    ) -> Fitted:
        """Returns the model trained as `recipe=` and `trainer=` say; what `tracked` is None for files nothing."""
        from folkrnn.tracking.lightning import RunLogger
        from folkrnn.training.fit import MELODIES, TrainerSettings
        from folkrnn.training.fit import fit as train
        from folkrnn.training.melody_curves import MelodyCurves

        model = weights.model
        check_length(corpus, model)
        recipe, trainer = build(config.recipe, "recipe").resolved(model), TrainerSettings(**trainer_settings(config))
        logger, callbacks = None, []
        if tracked is not None:
            logger = RunLogger(tracked)
            file_summary = partial(artifacts.file_summary, tracked)

            def file_melody(midi: bytes, step: int) -> None:
                tracked.log_bytes(midi, f"training/melody_after_{step:06d}.mid")

            callbacks = [MelodyCurves(config.observation.sites, tracked.log_metrics, file_summary, file_melody)]
        return train(
            model, corpus, recipe, trainer, config.seed, checkpoints, logger, callbacks, MELODIES, weights.start
        )

    def observe(
        self,
        config: DictConfig,
        model: MusicVAE,
        weights: Weights[MusicVAE],
        corpus: MelodyCorpus,
        inputs: Sequence[ObservedInput],
        interventions: Interventions[MusicVAE],
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
            progress=artifacts.progress,
        )
        if not interventions:
            return control
        context = replace(self.run_context_of(config, None), latents=lambda: (control.classes, *control.latents))
        resolved = composition.resolve(interventions, model, context)
        matched = tuple(
            control.with_model(composition.apply(others, model, context)[0])
            for draw in range(config.cut.controls)
            if (others := composition.matched(resolved, draw, config.seed)) is not None
        )
        changed, effects = composition.apply(resolved, model, context)
        return replace(control.with_model(changed), control=control, matched=matched, effects=effects)

    def observed(self, observation: LatentObservation) -> str:
        return f"{len(observation):,} melod{'y' if len(observation) == 1 else 'ies'}"

    def file_tunes(self, tracked: TrackedRun, observation: LatentObservation, formats: Sequence[str]) -> None:
        if "midi" in formats:
            artifacts.file_archive(
                tracked, "midi", "mid", (partial(melody_to_midi, classes) for classes in observation.classes)
            )

    def in_a_line(self, corpus: MelodyCorpus) -> str:
        return f"{len(corpus):,} melodies of {corpus.classes.shape[1]} sixteenths"

    def file_observation(self, tracked: TrackedRun, observation: LatentObservation, settings: DictConfig) -> None:
        """Files the latents of all melodies, the first as MIDI with what comes back, and the summary of activations."""
        arrays = {"mu": observation.mu, "sigma": observation.sigma, "classes": observation.classes}
        tracked.log_findings("observation", Findings(arrays={"latents": arrays}))
        for effect in observation.effects:
            tracked.log_findings(f"intervention/{effect.name}", Findings(effect.metrics, tables=effect.tables, main={}))
        for k in range(min(SHOWN, len(observation.classes))):
            tracked.log_bytes(melody_to_midi(observation.classes[k]), f"tunes/{k + 1:02d}.mid")
            tracked.log_bytes(melody_to_midi(observation.reconstruction(k)), f"tunes/{k + 1:02d}_from_mu.mid")
        artifacts.file_summary(tracked, observation.summary(settings.sites))
        if settings.keep:
            for k, batch in enumerate(observation.each_kept(settings.keep)):
                tracked.log_findings("traces", Findings(arrays={f"batch{k:04d}": batch}))

    def report_entries(self, tracked: TrackedRun, observation: LatentObservation) -> list[ReportEntry]:
        """Returns the first melodies, each with what comes back of it, as the report shows them; files all it shows."""
        played = []
        for k in range(min(PAIRS, len(observation.classes))):
            both = {"": observation.classes[k], "_from_mu": observation.reconstruction(k)}
            for ending, classes in both.items():
                title = f"Melody {k + 1}{' as it comes back' if ending else ''}"
                played.append(
                    artifacts.PlayableTune(f"{k + 1:02d}{ending}", title, as_tokens(classes), melody_to_midi(classes))
                )
        return artifacts.file_played(tracked, played)

    def check_training(self, config: DictConfig) -> None:
        """Refuses a recipe or trainer that cannot train."""
        from folkrnn.training.fit import TrainerSettings, check_trainer_precision

        check_trainer_precision(build(config.recipe, "recipe"), TrainerSettings(**trainer_settings(config)))


def check_length(corpus: MelodyCorpus, model: MusicVAE) -> None:
    """Refuses a corpus whose melodies are not as long as the model's."""
    if corpus.classes.shape[1] != model.sizes.max_seq_len:
        raise UserError(
            f"dataset {corpus.name} has melodies of {corpus.classes.shape[1]} steps, the model reads "
            f"{model.sizes.max_seq_len}; set dataset.bars={model.sizes.max_seq_len // 16}"
        )


FAMILY = MusicVAEFamily()

"""The folk-rnn family: LSTM and GRU language models over tokens of tunes, which write and read tunes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.analysis import Analysis
from folkrnn.config.build import build
from folkrnn.datasets.corpus import Corpus, in_vocabulary
from folkrnn.errors import UserError
from folkrnn.families.family import Family, trainer_settings
from folkrnn.families.folkrnn import tunes as filed
from folkrnn.families.folkrnn.playing import (
    control_tunes,
    observers,
    other_seeds,
    play,
    replays,
    resume,
    sampling_of,
)
from folkrnn.findings import Findings
from folkrnn.interventions import composition
from folkrnn.interventions.composition import Interventions
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.notation.midi import to_midi
from folkrnn.notation.musicxml import to_musicxml
from folkrnn.notation.tokenise import prime_changes
from folkrnn.observation import replayed
from folkrnn.observation.input_tunes import changes_of, read_transcriptions
from folkrnn.observation.observation import Observation, check_longest, check_size
from folkrnn.observation.summary import summarise
from folkrnn.report import artifacts
from folkrnn.sampling import Transcription, Transcriptions, Uniforms, replay_uniforms, tune_uniforms
from folkrnn.tracking import TrackedRun
from folkrnn.vocabulary import Vocabulary
from folkrnn.weights.folder import Weights
from folkrnn.weights.sources import scratch

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.report.page import ReportEntry
    from folkrnn.training.fit import Fitted

SHOWN = 8
"""Tunes that are engraved, rendered and shown in the report; all are filed as ABC."""

USUAL_DROPOUT = 0.5
"""What `model=folkrnn` has, as published: a recipe's dropout replaces it. Another was asked for."""


class FolkRNNFamily(Family[FolkRNN, Corpus, Transcription, Observation]):
    """Trains on corpora of tunes; observes tunes that the model writes, or that were given."""

    data = Corpus
    effect = "effect"
    playable = True
    explorable = True

    def fit(
        self,
        config: DictConfig,
        weights: Weights[FolkRNN],
        corpus: Corpus,
        checkpoints: Path,
        tracked: TrackedRun | None,
    ) -> Fitted:
        """Returns the model trained as `recipe=` and `trainer=` say; what `tracked` is None for files nothing."""
        from folkrnn.tracking.lightning import RunLogger
        from folkrnn.training.activation_curves import ActivationCurves
        from folkrnn.training.fit import TrainerSettings
        from folkrnn.training.fit import fit as train

        recipe, trainer = build(config.recipe, "recipe"), TrainerSettings(**trainer_settings(config))
        logger, callbacks = None, []
        if tracked is not None:
            logger = RunLogger(tracked)
            file_summary = partial(artifacts.file_summary, tracked)

            def file_tune(abc: str, step: int) -> None:
                tracked.log_text(abc, f"training/tune_after_{step:06d}.abc")

            sites = config.observation.sites
            callbacks = [ActivationCurves(corpus, sites, config.seed, tracked.log_metrics, file_summary, file_tune)]
        return train(
            weights.model,
            corpus,
            recipe,
            trainer,
            config.seed,
            checkpoints,
            logger,
            callbacks,
            start=weights.start,
        )

    def observe(
        self,
        config: DictConfig,
        model: FolkRNN,
        weights: Weights[FolkRNN],
        corpus: Corpus,
        inputs: Sequence[Transcription],
        interventions: Interventions[FolkRNN],
    ) -> Observation:
        """Returns what the model, after all interventions, wrote, or reads where transcriptions were given.

        With interventions the model as it is comes along as the control, drawing with the same random numbers, and so
        do `cut.controls` draws of random units in the place of selected ones, and what no change looks like: the model
        as it is with other random numbers. Of replays it goes on from where each tune left the replayed one.
        """
        vocabulary = weights.words
        tunes_read = replays(config, vocabulary, corpus)

        def seen(changed: FolkRNN, seed: int = config.seed, **beside: Any) -> Observation:
            alone = changed is model and bool(interventions)
            make = partial(control_tunes if alone else play, config, changed, weights, tunes_read, seed)
            tunes = Transcriptions.of(inputs or make())
            check_size(changed, tunes, list(config.observation.keep), config.observation.limit_gib * 2**30)
            shared = {"processes": observers(config), **beside}
            return Observation(changed, vocabulary, tunes, corpus, config.seed, **shared)

        control = seen(model, curve=weights.curve, initial=weights.initial)
        if not interventions:
            return control
        context = replace(
            self.run_context_of(config, vocabulary), control=lambda: [tune.ids for tune in control.transcriptions]
        )
        resolved = composition.resolve(interventions, model, context)
        changed, known = composition.apply(resolved, model, context)
        matched = [
            seen(composition.apply(others, model, context)[0])
            for draw in range(config.cut.controls)
            if (others := composition.matched(resolved, draw, config.seed)) is not None
        ]
        observation = seen(changed, control=control, matched=tuple(matched))
        observation.effects = composition.with_steps(changed, known, observation.transcriptions)
        if inputs:
            return observation
        if tunes_read is None:
            observation.null, observation.null_again = (seen(model, seed) for seed in other_seeds(config.seed))
            return observation
        seed = other_seeds(config.seed)[0]
        own = replay_uniforms(model, vocabulary, tunes_read, sampling_of(config, vocabulary), config.seed)
        others = tune_uniforms(seed, config.sampling.max_tokens + 1)

        def resumed(uniforms: Uniforms) -> Observation:
            tunes = resume(config, model, weights, observation, control, uniforms)
            return Observation(model, vocabulary, tunes, corpus, config.seed)

        observation.resumed = observation.null = resumed(own)
        observation.null_again = resumed(others)
        return observation

    def file_observation(self, tracked: TrackedRun, observation: Observation, settings: DictConfig) -> None:
        """Files all tunes (those of the control too), how each token was drawn, the summary of activations, what
        interventions changed, and the activations that are to be kept."""
        tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions]
        tracked.log_text(filed.as_abc(observation), "tunes/all.abc")
        if observation.control is not None:
            tracked.log_text(filed.as_abc(observation.control), "tunes/control.abc")
        for effect in observation.effects:
            tracked.log_findings(f"intervention/{effect.name}", Findings(effect.metrics, tables=effect.tables, main={}))
        tracked.log_text(
            "\n\n".join("\n".join([*tokens[:2], " ".join(tokens[2:])]) for tokens in tunes) + "\n",
            "tunes/all.tokens.txt",
        )
        tracked.log_text("".join(filed.draws(observation)), "tunes/draws.csv")
        with artifacts.progress("Observing", len(tunes)) as advance:
            summary = summarise(observation.model, observation.ids, settings.sites, observation.processes, advance)
        artifacts.file_summary(tracked, summary)
        if settings.keep:
            with artifacts.progress("Tracing", len(tunes)) as advance:
                for k, activations in observation.each_kept(settings.keep, advance):
                    tracked.log_findings("traces", Findings(arrays={f"tune{k:04d}": activations}))

    def check_training(self, config: DictConfig) -> None:
        """Refuses a recipe or trainer that cannot train."""
        from folkrnn.training.fit import TrainerSettings, check_trainer_precision

        own, replaced = config.model.get("dropout"), config.recipe.get("dropout")
        if replaced is not None and own not in (None, USUAL_DROPOUT, replaced):
            raise UserError(
                f"model.dropout={own} and recipe.dropout={replaced} contradict each other: recipe.dropout=null "
                "keeps the model's"
            )
        check_trainer_precision(build(config.recipe, "recipe"), TrainerSettings(**trainer_settings(config)))

    def inputs(self, config: DictConfig, vocabulary: Vocabulary | None) -> list[Transcription]:
        """Returns the transcriptions to observe in the place of generated ones; refuses what cannot be read or played.

        The settings of sampling, the prime, the replay and the devices are checked here too.
        """
        assert vocabulary is not None  # that of a model that reads tokens
        sampling_of(config, vocabulary)
        observers(config)
        if config.sampling.replay:
            replayed.check(config.sampling.replay, vocabulary)
        return read_transcriptions(config.transcription, vocabulary) if config.transcription else []

    def remarks(self, config: DictConfig, vocabulary: Vocabulary | None) -> list[str]:
        assert vocabulary is not None  # that of a model that reads tokens
        found = prime_changes(config.sampling.prime, vocabulary) if config.sampling.prime else []
        lines = [f"sampling.prime: {'; '.join(found)}"] if found else []
        changed = changes_of(config.transcription, vocabulary) if config.transcription else []
        return lines + [f"transcription: {line}" for line in changed]

    def check_room(
        self,
        config: DictConfig,
        model: FolkRNN,
        inputs: Sequence[Transcription],
        analyses: Mapping[str, Analysis[Observation]],
    ) -> None:
        """Refuses an analysis that would hold more of a tune at once than `observation.limit_gib`."""
        steps = max((len(t.ids) - 1 for t in inputs), default=config.sampling.max_tokens)
        limit = config.observation.limit_gib * 2**30
        for name, analysis in analyses.items():
            check_longest(model, steps, analysis.sites, limit, f"analysis={name}", analysis.pairs_of_steps)

    def in_one_vocabulary(
        self, config: DictConfig, weights: Weights[FolkRNN], corpus: Corpus, fresh: bool
    ) -> tuple[Weights[FolkRNN], Corpus, dict[str, Any]]:
        """Returns a fresh model over the tokens of the corpus, or the corpus in the words of a loaded model.

        Raises UserError where a fresh model was asked to have another number of tokens, and where no tune of the corpus
        can be said in the words of the model.
        """
        if not fresh:
            return weights, in_vocabulary(corpus, weights.words), {}
        size = len(corpus.vocabulary)
        if corpus.vocabulary.tokens == weights.words.tokens:
            return weights, corpus, {}
        if config.model.vocabulary_size not in (size, len(weights.words)):
            raise UserError(
                f"model.vocabulary_size={config.model.vocabulary_size}, but {corpus.name} has {size} tokens"
            )
        model = build({**config.model, "vocabulary_size": size}, "model")
        return scratch(model, config.seed, corpus.vocabulary), corpus, {"model.vocabulary_size": size}

    def observed(self, observation: Observation) -> str:
        count = len(observation.transcriptions)
        return f"{count:,} tune{'s' * (count != 1)}"

    def file_tunes(self, tracked: TrackedRun, observation: Observation, formats: Sequence[str]) -> None:
        tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions]
        titled = list(zip(tunes, filed.titles_of(observation), strict=True))
        if "midi" in formats:
            artifacts.file_archive(tracked, "midi", "mid", (partial(to_midi, tokens) for tokens, _ in titled))
        if "musicxml" in formats:
            made = (partial(to_musicxml, tokens, title) for tokens, title in titled)
            artifacts.file_archive(tracked, "musicxml", "musicxml", made)

    def dataset_card(self, corpus: Corpus) -> str:
        return filed.dataset_card(corpus)

    def report_entries(self, tracked: TrackedRun, observation: Observation) -> list[ReportEntry]:
        """Returns the first tunes with score, sound and MIDI, as the report shows them; files all three."""
        tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions[:SHOWN]]
        titles = filed.titles_of(observation)
        return artifacts.file_played(
            tracked,
            [
                artifacts.PlayableTune(f"{k + 1:02d}", titles[k], tokens, to_midi(tokens))
                for k, tokens in enumerate(tunes)
            ],
        )


FAMILY = FolkRNNFamily()

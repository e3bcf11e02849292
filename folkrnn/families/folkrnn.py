"""What is the folk-rnn family's own: how it is trained, played and observed, and how its tunes are filed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from folkrnn import filing
from folkrnn.analysis import Analysis
from folkrnn.build import build
from folkrnn.datasets.corpus import Corpus, in_vocabulary, shares
from folkrnn.findings import Findings
from folkrnn.interventions import composition
from folkrnn.interventions.composition import Interventions
from folkrnn.interventions.intervention import Setting
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.notation.audio import record
from folkrnn.notation.bars import flaws, share_of_full_bars
from folkrnn.notation.midi import to_midi
from folkrnn.notation.musicxml import to_musicxml
from folkrnn.notation.score import engrave, to_abc
from folkrnn.notation.tokenise import prime_changes, prime_tokens
from folkrnn.observation import replayed
from folkrnn.observation.given import changes_of, read_transcriptions
from folkrnn.observation.observation import Observation, check_longest, check_size
from folkrnn.observation.shards import Processes, processes
from folkrnn.observation.summary import summarise
from folkrnn.observation.writing import written
from folkrnn.refusal import Refusal
from folkrnn.sampling import (
    Sampling,
    Transcription,
    Transcriptions,
    Uniforms,
    mark_replayed,
    replay_uniforms,
    resume_uniforms,
    tune_uniforms,
)
from folkrnn.sampling.keep import kept
from folkrnn.tracking import TrackedRun
from folkrnn.vocabulary import Vocabulary
from folkrnn.weights.folder import Weights
from folkrnn.weights.sources import scratch

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.tracking.report import Tune
    from folkrnn.training.fit import Fitted

DATA = Corpus
"""What its datasets are."""

EFFECT = "effect"
"""The analysis that compares interventions with their control."""

_OTHER = 9
"""Keeps the seeds of unchanged tunes to compare with apart from other uses of the seed."""

AT_ONCE = 256
"""Tunes whose rows of `tunes/draws.csv` are one table."""

SHOWN = 8
"""Tunes that are engraved, rendered and shown in the report; all are filed as ABC."""


def given(config: DictConfig, vocabulary: Vocabulary) -> list[Transcription]:
    """Returns the transcriptions to observe in the place of generated ones; refuses what cannot be read or played.

    The settings of sampling, the prime, the replay and the devices are checked here too, before anything slow starts.
    """
    sampling_of(config, vocabulary)
    observers(config)
    if config.sampling.replay:
        replayed.check(config.sampling.replay, vocabulary)
    return read_transcriptions(config.transcription, vocabulary) if config.transcription else []


def remarks(config: DictConfig, vocabulary: Vocabulary) -> list[str]:
    """Returns what was changed in what the user gave to make tokens of it, a line each."""
    found = prime_changes(config.sampling.prime, vocabulary) if config.sampling.prime else []
    lines = [f"sampling.prime: {'; '.join(found)}"] if found else []
    given = changes_of(config.transcription, vocabulary) if config.transcription else []
    return lines + [f"transcription: {line}" for line in given]


def check_room(
    config: DictConfig, model: FolkRNN, given: list[Transcription], analyses: Mapping[str, Analysis]
) -> None:
    """Refuses an analysis that would hold more of a tune at once than `observation.limit_gib`, before it is read."""
    steps = max((len(t.ids) - 1 for t in given), default=config.sampling.max_tokens)
    limit = config.observation.limit_gib * 2**30
    for name, analysis in analyses.items():
        check_longest(model, steps, analysis.sites, limit, f"analysis={name}", analysis.pairs_of_steps)


def observed(observation: Observation) -> str:
    """Returns how much was observed, in words: 64 tunes."""
    count = len(observation.transcriptions)
    return f"{count:,} tune{'s' * (count != 1)}"


def in_one_vocabulary(config: DictConfig, weights: Weights, corpus: Corpus, to_train: bool) -> tuple[Weights, Corpus]:
    """Returns a fresh model over the tokens of the corpus, or the corpus in the words of a loaded model.

    Raises Refusal where a fresh model was asked to have another number of tokens, and where no tune of the corpus can
    be said in the words of the model.
    """
    if not to_train:
        return weights, in_vocabulary(corpus, weights.vocabulary)
    size = len(corpus.vocabulary)
    if corpus.vocabulary.tokens == weights.vocabulary.tokens:
        return weights, corpus
    if config.model.vocabulary_size not in (size, len(weights.vocabulary)):
        raise Refusal(f"model.vocabulary_size={config.model.vocabulary_size}, but {corpus.name} has {size} tokens")
    config.model.vocabulary_size = size
    return scratch(build(config.model, "model"), config.seed, corpus.vocabulary), corpus


def sampling_of(config: DictConfig, vocabulary: Vocabulary) -> Sampling:
    """Returns the settings of `sampling.*`, the prime as tokens."""
    prime = prime_tokens(config.sampling.prime, vocabulary) if config.sampling.prime else []
    names = ("tunes", "temperature", "max_tokens", "rng", "live", "precision", "captured")
    return Sampling(prime=tuple(prime), **{name: config.sampling[name] for name in names})


USUAL_DROPOUT = 0.5
"""What `model=folkrnn` has, as published: a recipe's dropout replaces it. Another was asked for."""


def observers(config: DictConfig) -> Processes:
    """Returns the processes that play and observe: one on each device of the trainer."""
    return processes(config.trainer.accelerator, config.trainer.devices)


def check_training(config: DictConfig) -> None:
    """Refuses a recipe or trainer that cannot train."""
    from folkrnn.training.fit import TrainerSettings, check_precision

    own, replaced = config.model.get("dropout"), config.recipe.get("dropout")
    if replaced is not None and own not in (None, USUAL_DROPOUT, replaced):
        raise Refusal(
            f"model.dropout={own} and recipe.dropout={replaced} contradict each other: recipe.dropout=null keeps the "
            f"model's"
        )
    check_precision(build(config.recipe, "recipe"), TrainerSettings(**trainer_settings(config)))


def trainer_settings(config: DictConfig) -> dict[str, Any]:
    """Returns the keys `trainer.*` that the training takes."""
    from folkrnn.training.fit import TrainerSettings

    return {name: config.trainer[name] for name in TrainerSettings.__dataclass_fields__ if name in config.trainer}


def fit(config: DictConfig, weights: Weights, corpus: Corpus, checkpoints: Path, tracked: TrackedRun | None) -> Fitted:
    """Returns the model trained as `recipe=` and `trainer=` say; what `tracked` is None for files nothing."""
    from folkrnn.tracking.lightning import RunLogger
    from folkrnn.training.fit import TrainerSettings
    from folkrnn.training.fit import fit as train
    from folkrnn.training.watch import Watch

    recipe, trainer = build(config.recipe, "recipe"), TrainerSettings(**trainer_settings(config))
    logger, callbacks = None, []
    if tracked is not None:
        logger = RunLogger(tracked)
        file_summary = partial(filing.file_summary, tracked)

        def file_tune(abc: str, step: int) -> None:
            tracked.log_text(abc, f"training/tune_after_{step:06d}.abc")

        sites = config.observation.sites
        callbacks = [Watch(corpus, sites, config.seed, tracked.log_metrics, file_summary, file_tune)]
    return train(weights.model, corpus, recipe, trainer, config.seed, checkpoints, logger, callbacks)


def setting_of(config: DictConfig, vocabulary: Vocabulary | None, control: Sequence[Transcription] = ()) -> Setting:
    """Returns what interventions may know of the run; `control` is what selectors measure the unchanged model on."""
    sampling = config.sampling
    return Setting(
        vocabulary, config.seed, sampling.temperature, sampling.max_tokens, lambda: [tune.ids for tune in control]
    )


def observe(
    config: DictConfig,
    model: FolkRNN,
    weights: Weights,
    corpus: Corpus,
    transcriptions: list[Transcription],
    interventions: Interventions,
) -> Observation:
    """Returns what the model, after all interventions, wrote, or reads where `transcriptions` were given.

    With interventions the model as it is comes along as the control, drawing with the same random numbers, and so do
    `cut.controls` draws of random units in the place of selected ones, and what no change looks like: the model as it
    is with other random numbers. Of replays it goes on from where each tune left the replayed one.
    """
    tunes_read = replays(config, weights.vocabulary, corpus)

    def seen(changed: FolkRNN, seed: int = config.seed, **beside: Any) -> Observation:
        alone = changed is model and bool(interventions)
        make = partial(control_tunes if alone else play, config, changed, weights, tunes_read, seed)
        tunes = Transcriptions.of(transcriptions or make())
        check_size(changed, tunes, list(config.observation.keep), config.observation.limit_gib * 2**30)
        shared = {"processes": observers(config), **beside}
        return Observation(changed, weights.vocabulary, tunes, corpus, config.seed, **shared)

    control = seen(model, curve=weights.curve, initial=weights.initial)
    if not interventions:
        return control
    setting = setting_of(config, weights.vocabulary, control.transcriptions)
    settled = composition.settle(interventions, model, setting)
    changed, known = composition.apply(settled, model, setting)
    matched = [
        seen(composition.apply(others, model, setting)[0])
        for draw in range(config.cut.controls)
        if (others := composition.matched(settled, draw, config.seed)) is not None
    ]
    observation = seen(changed, control=control, matched=tuple(matched))
    observation.accounts = composition.account(changed, known, observation.transcriptions)
    if transcriptions:
        return observation
    if tunes_read is None:
        observation.null, observation.null_again = (seen(model, seed) for seed in other_seeds(config.seed))
        return observation
    seed = other_seeds(config.seed)[0]
    own = replay_uniforms(model, weights.vocabulary, tunes_read, sampling_of(config, weights.vocabulary), config.seed)
    for name, uniforms in (("resumed", own), ("null_again", tune_uniforms(seed, config.sampling.max_tokens + 1))):
        tunes = resume(config, model, weights, observation, uniforms)
        setattr(observation, name, Observation(model, weights.vocabulary, tunes, corpus, config.seed))
    observation.null = observation.resumed
    return observation


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
    config: DictConfig, model: FolkRNN, weights: Weights, observation: Observation, uniforms: Uniforms
) -> Transcriptions:
    """Returns what the unchanged model makes of every tune from the first token on that is not the replayed one's.

    The numbers that it draws with from there on are `uniforms`.
    """
    vocabulary, sampling = weights.vocabulary, sampling_of(config, weights.vocabulary)
    pairs = zip(observation.transcriptions, observation.control.transcriptions, strict=True)
    beginnings = [beginning(changed.ids, control.ids) for changed, control in pairs]
    uniforms = resume_uniforms(model, beginnings, sampling, config.seed, uniforms)
    with filing.progress("Resuming", sampling.tunes) as advance:
        return written(model, vocabulary, sampling, config.seed, observers(config), uniforms, advance)


def beginning(ids: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the tokens of a tune up to and with the first that another tune does not have there."""
    shared = min(len(ids), len(others))
    different = np.flatnonzero(ids[:shared] != others[:shared])
    return ids[: (different[0] if len(different) else shared) + 1]


def control_tunes(
    config: DictConfig, model: FolkRNN, weights: Weights, replay: list[list[int]] | None, seed: int
) -> Sequence[Transcription]:
    """Returns what the unchanged model plays, kept on disk: the jobs of a sweep share it."""
    vocabulary, sampling = weights.vocabulary, sampling_of(config, weights.vocabulary)
    return kept(
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
    config: DictConfig, model: FolkRNN, weights: Weights, replay: list[list[int]] | None, seed: int
) -> Transcriptions:
    """Returns generated tunes; with tunes to `replay` drawn so that the unchanged model writes these, in turn."""
    vocabulary, sampling = weights.vocabulary, sampling_of(config, weights.vocabulary)
    uniforms = None if replay is None else replay_uniforms(weights.model, vocabulary, replay, sampling, seed)
    with filing.progress("Generating", sampling.tunes) as advance:
        tunes = written(model, vocabulary, sampling, seed, observers(config), uniforms, advance)
    if replay is None:
        return tunes
    return Transcriptions.of(mark_replayed(tune, replay[k % len(replay)]) for k, tune in enumerate(tunes))


def dataset_card(corpus: Corpus) -> str:
    """Returns the dataset card in Markdown: sizes, meters, modes, share of full bars, what was left out, terms."""
    profile = corpus.profile()
    quantiles = {name.removeprefix("length_q"): value for name, value in profile.items() if name.startswith("length_q")}
    full = share_of_full_bars([list(tune.tokens) for tune in corpus.tunes])
    lines = [
        f"# Dataset {corpus.name}",
        "",
        f"{len(corpus):,} tunes, {profile['tokens']:,.0f} tokens with `<s>` and `</s>`; digest `{corpus.digest}`.",
        "",
        "| quantile | " + " | ".join(f"{name} %" for name in quantiles) + " |",
        "|---|" + "---|" * len(quantiles),
        "| length in tokens | " + " | ".join(f"{value:g}" for value in quantiles.values()) + " |",
        "",
        "| meter | share of tunes | share of full bars |",
        "|---|---|---|",
        *(
            f"| {meter} | {share:.1%} | {full['M:' + meter].share:.1%} |"
            for meter, share in shares([tune.meter for tune in corpus.tunes]).items()
        ),
        f"| all | 100 % | {full['all'].share:.1%} |",
        "",
        "| mode | share of tunes |",
        "|---|---|",
        *(f"| {mode} | {share:.1%} |" for mode, share in shares([tune.mode for tune in corpus.tunes]).items()),
        "",
        "| left out | tunes | because | for example |",
        "|---|---|---|---|",
        *(
            f"| {reason} | {count} | {why} | {example.replace('|', chr(92) + '|')} |"
            for reason, count, why, example in corpus.reasons()
        ),
        "",
        "## Terms",
        "",
        *(f"- **{name}**: {terms}" for name, terms in corpus.terms.items()),
    ]
    return "\n".join(lines) + "\n"


def file_observation(tracked: TrackedRun, observation: Observation, settings: DictConfig) -> None:
    """Files all tunes (those of the control too), how each token was drawn, the summary of activations, what
    interventions changed, and the streams that are to be kept."""
    tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions]
    tracked.log_text(as_abc(observation), "tunes/all.abc")
    if observation.control is not None:
        tracked.log_text(as_abc(observation.control), "tunes/control.abc")
    for account in observation.accounts:
        tracked.log_findings(f"intervention/{account.name}", Findings(account.metrics, tables=account.tables))
    tracked.log_text(
        "\n\n".join("\n".join([*tokens[:2], " ".join(tokens[2:])]) for tokens in tunes) + "\n", "tunes/all.tokens.txt"
    )
    tracked.log_text("".join(draws(observation)), "tunes/draws.csv")
    with filing.progress("Observing", len(tunes)) as advance:
        summary = summarise(observation.model, observation.ids, settings.sites, observation.processes, advance)
    filing.file_summary(tracked, summary)
    if settings.keep:
        with filing.progress("Tracing", len(tunes)) as advance:
            for k, streams in observation.each_kept(settings.keep, advance):
                tracked.log_findings("traces", Findings(arrays={f"tune{k:04d}": streams}))


def file_tunes(tracked: TrackedRun, observation: Observation, formats: Sequence[str]) -> None:
    """Files all tunes as an archive of each of these formats, midi or musicxml."""
    tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions]
    titled = list(zip(tunes, titles_of(observation), strict=True))
    if "midi" in formats:
        filing.file_archive(tracked, "midi", "mid", (partial(to_midi, tokens) for tokens, _ in titled))
    if "musicxml" in formats:
        made = (partial(to_musicxml, tokens, title) for tokens, title in titled)
        filing.file_archive(tracked, "musicxml", "musicxml", made)


def as_abc(observation: Observation) -> str:
    """Returns all tunes as one ABC text."""
    tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions]
    titled = enumerate(zip(tunes, titles_of(observation), strict=True), 1)
    return "\n".join(to_abc(tokens, title, k) for k, (tokens, title) in titled)


def draws(observation: Observation) -> Iterator[str]:
    """Yields CSV with one row per token: tune, step, token, origin (given, drawn, replayed), probability, uniform.

    In parts of AT_ONCE tunes: as one table those of many take ten times the memory of their text.
    """
    for first in range(0, len(observation.transcriptions), AT_ONCE):
        numbers = range(len(observation.transcriptions))[first : first + AT_ONCE]
        table = pd.concat([draws_of(observation, k) for k in numbers], ignore_index=True)
        yield table.to_csv(index=False, header=first == 0)


def draws_of(observation: Observation, k: int) -> pd.DataFrame:
    """Returns these rows of transcription k."""
    t = observation.transcriptions[k]
    return pd.DataFrame(
        {
            "tune": k,
            "step": np.arange(len(t.ids) - 1),
            "token": observation.vocabulary.decode(t.ids[1:]),
            "origin": t.origin,
            "probability": t.probability,
            "uniform": t.uniform,
        }
    )


def titles_of(observation: Observation) -> list[str]:
    """Returns a title for each transcription: its own, or its number."""
    return [t.title or f"No. {k + 1}" for k, t in enumerate(observation.transcriptions)]


def report_entries(tracked: TrackedRun, observation: Observation) -> list[Tune]:
    """Returns the first tunes with score, sound and MIDI, as the report shows them; files score and MIDI."""
    from folkrnn.tracking.report import Tune

    tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions[:SHOWN]]
    entries = []
    for k, (title, tokens, score) in enumerate(zip(titles_of(observation), tunes, engrave(tunes), strict=False), 1):
        midi, recording = to_midi(tokens), record(tokens)
        if score.svg:
            tracked.log_text(score.svg, f"tunes/{k:02d}.svg")
        tracked.log_bytes(midi, f"tunes/{k:02d}.mid")
        notes = [*map(str, flaws(tokens)), recording.note, score.refusal]
        abc = to_abc(tokens, title, k)
        entries.append(Tune(title, tokens, abc, score.svg, recording.mp3, midi, [note for note in notes if note]))
    return entries

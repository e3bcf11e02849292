"""The sentence that is the architecture, as code:

dataset → model(weights) → intervention → observation → analyses → findings → MLflow
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn import filing
from folkrnn.build import build
from folkrnn.datasets.corpus import Corpus
from folkrnn.digest import digest
from folkrnn.notation.tokenise import prime_tokens
from folkrnn.observation.given import read_transcriptions
from folkrnn.observation.observation import Observation, check_size
from folkrnn.observation.summary import summarise
from folkrnn.published import ids_of
from folkrnn.refusal import Refusal
from folkrnn.sampling import Sampling, Transcription, generate, mark_replayed, replay_uniforms
from folkrnn.sites import parse
from folkrnn.sweep import parent
from folkrnn.tracking import TrackedRun, open_store, start_run
from folkrnn.weights.folder import Weights
from folkrnn.weights.sources import scratch

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.findings import Findings
    from folkrnn.interventions.intervention import Intervention
    from folkrnn.training.fit import Fitted

REPOSITORY = Path(__file__).resolve().parent.parent

CHECKPOINTS = "FOLKRNN_CHECKPOINTS"
"""Set while a training runs: a process that finds it was started to share the training, not to make a run."""


@dataclass
class Plan:
    """Everything that a run needs, built and checked against everything else before anything slow starts."""

    config: DictConfig
    overrides: list[str]
    corpus: Corpus
    weights: Weights
    """Untrained where `weights=scratch`."""
    interventions: dict[str, Intervention]
    sampling: Sampling
    given: list[Transcription]
    """Transcriptions to observe in the place of generated ones, if any."""
    analyses: dict[str, Any]
    to_train: bool

    @property
    def digest(self) -> str:
        """A short name for everything that determines the result."""
        given = b"".join(t.ids.tobytes() for t in self.given)
        return digest(
            self.config,
            weights=self.weights.digest,
            data=self.corpus.digest,
            given=hashlib.sha256(given).hexdigest(),
        )


def run(config: DictConfig, overrides: list[str]) -> int:
    """Does what `config` describes and files it; returns the exit status (1 if an analysis failed)."""
    began = time.monotonic()
    plan = prepare(config, overrides)
    if CHECKPOINTS in os.environ:
        return help_training(plan, Path(os.environ[CHECKPOINTS]))
    home = REPOSITORY / (config.tracking.folder or "")
    store = open_store(config.tracking.uri, config.tracking.experiment, home)
    folder = filing.results_folder(home / "runs", plan.digest, config.trainer.resume)
    with start_run(
        store,
        filing.run_name(overrides),
        folder,
        overrides=overrides,
        parent=parent(),
        device=str(device(config)),
        resume=config.trainer.resume,
        vector=config.tracking.vector,
    ) as tracked:
        filing.file_inputs(tracked, config, plan.corpus, "training" if plan.to_train else "reference")
        weights = train(plan, tracked) if plan.to_train else plan.weights
        filing.file_weights(tracked, weights)
        observation = observe(plan, weights)
        summary = summarise(observation.model, [t.ids for t in observation.transcriptions], config.observation.sites)
        filing.file_observation(tracked, observation, summary, config.observation.keep)
        findings = analyse(plan, observation, tracked)
        filing.file_report(tracked, overrides, weights, observation, findings)
        failed = bool(tracked.failures)
    filing.show(tracked, weights, observation, findings, time.monotonic() - began)
    return int(failed)


def prepare(config: DictConfig, overrides: list[str]) -> Plan:
    """Returns the plan of a run. Raises Refusal for whatever does not exist, does not fit or cannot be expressed."""
    to_train = config.weights.name == "scratch"
    analyses = {name: build(node) for name, node in config.analysis.items()}
    interventions = {name: build(node) for name, node in config.intervention.items()}
    weights = scratch(build(config.model), config.seed) if to_train else build(config.weights)
    if not to_train and any(word.startswith(("model=", "model.")) for word in overrides):
        check_model(config, weights)
    for name, analysis in analyses.items():
        check_analysis(name, analysis, weights)
    for pattern in [*config.observation.sites, *config.observation.keep]:
        parse(pattern, weights.model.sites)
    for intervention in interventions.values():
        intervention.check(weights.model)
    prime = prime_tokens(config.sampling.prime, weights.vocabulary) if config.sampling.prime else []
    names = ("tunes", "temperature", "max_tokens", "rng", "live")
    sampling = Sampling(prime=tuple(prime), **{name: config.sampling[name] for name in names})
    if config.sampling.replay:
        ids_of(config.sampling.replay, weights.vocabulary)
    given = read_transcriptions(config.transcription, weights.vocabulary) if config.transcription else []
    corpus = build(config.dataset)
    return Plan(config, overrides, corpus, weights, interventions, sampling, given, analyses, to_train)


def check_model(config: DictConfig, weights: Weights) -> None:
    """Refuses a model that was asked for by name but is not the one whose weights were loaded."""
    asked = build(config.model).shape
    if asked != weights.model.shape:
        raise Refusal(
            f"model={config.model.name} asks for {asked}, but weights={config.weights.name} are {weights.model.shape}; "
            "leave model= out, or train with weights=scratch"
        )


def check_analysis(name: str, analysis: Any, weights: Weights) -> None:
    """Refuses an analysis of another model family or of sites that the model lacks."""
    if weights.model.family not in analysis.families:
        raise Refusal(
            f"analysis={name} looks into {', '.join(analysis.families)}; these weights are of a {weights.model.family}"
        )
    for pattern in getattr(analysis, "sites", ()):
        parse(pattern, weights.model.sites)


def train(plan: Plan, tracked: TrackedRun) -> Weights:
    """Returns the weights of the best validation epoch."""
    from folkrnn.tracking.lightning import RunLogger
    from folkrnn.training.watch import Watch

    checkpoints = tracked.folder / "checkpoints"
    watch = Watch(partial(filing.file_summary, tracked), plan.corpus, plan.config.observation.sites)
    os.environ[CHECKPOINTS] = str(checkpoints)  # for the processes that Lightning may start
    try:
        fitted = fit_plan(plan, checkpoints, RunLogger(tracked), [watch])
    finally:
        del os.environ[CHECKPOINTS]
    tracked.log_metrics({"validation/best_loss": fitted.validation_loss})
    return filing.keep_weights(tracked, fitted, plan.weights.vocabulary, plan.config.model.name)


def help_training(plan: Plan, checkpoints: Path) -> int:
    """Does one process's share of a training that another process, which started this one, files and observes."""
    fit_plan(plan, checkpoints, None, [])
    return 0


def fit_plan(plan: Plan, checkpoints: Path, logger: Any, callbacks: list[Any]) -> Fitted:
    """Returns the plan's model trained as `recipe=` and `trainer=` say."""
    from folkrnn.training.fit import TrainerSettings, fit

    config = plan.config
    settings = {name: config.trainer[name] for name in TrainerSettings.__dataclass_fields__ if name in config.trainer}
    recipe, trainer = build(config.recipe), TrainerSettings(**settings)
    return fit(plan.weights.model, plan.corpus, recipe, trainer, config.seed, checkpoints, logger, callbacks)


def observe(plan: Plan, weights: Weights) -> Observation:
    """Returns what the (intervened) model wrote, or reads where transcriptions were given."""
    model = weights.model.to(device(plan.config))
    for intervention in plan.interventions.values():
        model = intervention.edit(model)
    transcriptions = plan.given or play(plan, model, weights)
    keep = list(plan.config.observation.keep)
    check_size(model, transcriptions, keep, plan.config.observation.limit_gib * 2**30)
    return Observation(model, weights.vocabulary, transcriptions, plan.corpus, plan.config.seed)


def play(plan: Plan, model: Any, weights: Weights) -> list[Transcription]:
    """Returns generated tunes; with `sampling.replay` drawn so that the unchanged model writes the named tune."""
    seed, sampling, vocabulary = plan.config.seed, plan.sampling, weights.vocabulary
    with filing.progress("Generating", sampling.tunes) as advance:
        if not plan.config.sampling.replay:
            return generate(model, vocabulary, sampling, seed, progress=advance)
        ids = ids_of(plan.config.sampling.replay, vocabulary)
        uniforms = replay_uniforms(weights.model, vocabulary, ids, sampling, seed)
        tunes = generate(model, vocabulary, sampling, seed, uniforms=uniforms, progress=advance)
        return [mark_replayed(tune, ids) for tune in tunes]


def analyse(plan: Plan, observation: Observation, tracked: TrackedRun) -> dict[str, Findings]:
    """Returns the findings of every analysis. One that fails is filed with its traceback; the others still run."""
    findings: dict[str, Findings] = {}
    for name, analysis in plan.analyses.items():
        try:
            findings[name] = analysis(observation)
            tracked.log_findings(name, findings[name])
        except Exception as error:  # whatever an analysis raises is its own; the run ends FAILED all the same
            tracked.log_failure(name, error)
    return findings


def device(config: DictConfig) -> Any:
    """Returns the device on which the model plays and is observed: that of the trainer."""
    import torch

    wants_gpu = config.trainer.accelerator in ("auto", "gpu", "cuda")
    if config.trainer.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise Refusal(
            f"trainer.accelerator={config.trainer.accelerator}, but this machine has no GPU; use trainer=auto"
        )
    return torch.device("cuda" if wants_gpu and torch.cuda.is_available() else "cpu")

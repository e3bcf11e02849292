"""The sentence that is the architecture, as code:

dataset → model(weights) → intervention → observation → analyses → findings → MLflow
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from folkrnn import filing
from folkrnn.build import build
from folkrnn.digest import digest
from folkrnn.families import family_of
from folkrnn.refusal import Refusal
from folkrnn.sites import parse
from folkrnn.sweep import parent
from folkrnn.tracking import TrackedRun, open_store, start_run
from folkrnn.weights.folder import Weights
from folkrnn.weights.sources import scratch

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.findings import Findings
    from folkrnn.interventions.intervention import Intervention

REPOSITORY = Path(__file__).resolve().parent.parent

CHECKPOINTS = "FOLKRNN_CHECKPOINTS"
"""Set while a training runs: a process that finds it was started to share the training, not to make a run."""


@dataclass
class Plan:
    """Everything that a run needs, built and checked against everything else before anything slow starts."""

    config: DictConfig
    overrides: list[str]
    family: ModuleType
    corpus: Any
    weights: Weights
    """Untrained where `weights=scratch`."""
    interventions: dict[str, Intervention]
    given: list[Any]
    """What to observe in the place of what the model writes, if anything."""
    analyses: dict[str, Any]
    to_train: bool

    @property
    def digest(self) -> str:
        """A short name for everything that determines the result."""
        given = hashlib.sha256(b"".join(t.ids.tobytes() for t in self.given)).hexdigest()
        return digest(self.config, weights=self.weights.digest, data=self.corpus.digest, given=given)


def run(config: DictConfig, overrides: list[str]) -> int:
    """Does what `config` describes and files it; returns the exit status (1 if an analysis failed)."""
    began = time.monotonic()
    plan = prepare(config, overrides)
    if CHECKPOINTS in os.environ:
        plan.family.fit(config, plan.weights, plan.corpus, Path(os.environ[CHECKPOINTS]), None)
        return 0
    home = REPOSITORY / (config.tracking.folder or "")
    store = open_store(config.tracking.uri, config.tracking.experiment, home)
    with start_run(
        store,
        filing.run_name(overrides),
        filing.results_folder(home / "runs", plan.digest, config.trainer.resume),
        overrides=overrides,
        parent=parent(),
        device=str(device(config)),
        resume=config.trainer.resume,
        vector=config.tracking.vector,
    ) as tracked:
        card = plan.family.dataset_card(plan.corpus)
        filing.file_inputs(tracked, config, plan.corpus, card, "training" if plan.to_train else "reference")
        weights = train(plan, tracked) if plan.to_train else plan.weights
        filing.file_weights(tracked, weights)
        observation = observe(plan, weights)
        plan.family.file_observation(tracked, observation, config.observation)
        findings = analyse(plan, observation, tracked)
        entries = plan.family.report_entries(tracked, observation)
        filing.file_report(tracked, overrides, weights, plan.corpus, config.seed, entries, findings)
        failed = bool(tracked.failures)
    filing.show(tracked, weights, entries[0].abc if entries else "", findings, time.monotonic() - began)
    return int(failed)


def prepare(config: DictConfig, overrides: list[str]) -> Plan:
    """Returns the plan of a run. Raises Refusal for whatever does not exist, does not fit or cannot be expressed."""
    to_train = config.weights.name == "scratch"
    device(config)
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
    family = family_of(weights.model)
    if to_train:
        family.check_training(config)
    given = family.given(config, weights.vocabulary)
    corpus = build(config.dataset)
    if not isinstance(corpus, family.DATA):
        raise Refusal(
            f"dataset={config.dataset.name} does not hold what a {weights.model.family} reads; choose a model first "
            "(model=… brings a dataset and analyses that fit), or another dataset"
        )
    return Plan(config, overrides, family, corpus, weights, interventions, given, analyses, to_train)


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
    checkpoints = tracked.folder / "checkpoints"
    os.environ[CHECKPOINTS] = str(checkpoints)  # for the processes that Lightning may start
    try:
        fitted = plan.family.fit(plan.config, plan.weights, plan.corpus, checkpoints, tracked)
    finally:
        del os.environ[CHECKPOINTS]
    tracked.log_metrics({"validation/best_loss": fitted.validation_loss})
    return filing.keep_weights(tracked, fitted, plan.weights.vocabulary, plan.config.model.name)


def observe(plan: Plan, weights: Weights) -> Any:
    """Returns what the model, after all interventions, does."""
    model = weights.model.to(device(plan.config))
    for intervention in plan.interventions.values():
        model = intervention.edit(model)
    return plan.family.observe(plan.config, model, weights, plan.corpus, plan.given)


def analyse(plan: Plan, observation: Any, tracked: TrackedRun) -> dict[str, Findings]:
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

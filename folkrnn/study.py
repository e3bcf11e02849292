"""The sentence that is the architecture, as code:

dataset → model(weights) → intervention → observation → analyses → findings → MLflow
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn import style
from folkrnn.analysis import main_of
from folkrnn.claims import document, documents
from folkrnn.config import figures as figure_settings
from folkrnn.config.build import build
from folkrnn.config.digest import analyses_chosen, job_key, run_digest, trains
from folkrnn.config.parameters import parameters
from folkrnn.errors import UserError
from folkrnn.families import family_of
from folkrnn.files.places import CONF
from folkrnn.interventions import composition
from folkrnn.parallel.shards import processes as processes_of
from folkrnn.report import artifacts
from folkrnn.report import claims as claims_report
from folkrnn.report.sentences import sentences
from folkrnn.sites import parse
from folkrnn.sweep.environment import DIGEST, job_tags, parent
from folkrnn.tracking import TrackedRun, check_store, folders, located, open_store, start_run
from folkrnn.training import processes
from folkrnn.weights.folder import Weights
from folkrnn.weights.initial import OWN, Initial
from folkrnn.weights.sources import scratch

if TYPE_CHECKING:
    import torch
    from omegaconf import DictConfig

    from folkrnn.analysis import Analysis
    from folkrnn.claims import Document
    from folkrnn.config.figures import Figures
    from folkrnn.datasets.dataset import Dataset
    from folkrnn.families.family import Family
    from folkrnn.findings import Findings
    from folkrnn.interventions.intervention import Intervention
    from folkrnn.models.model import Model
    from folkrnn.observation.observed import Observed, ObservedInput

    Control = Callable[[Observed, Model], Observed]
    """Makes the control's observation from the observation and the model as it is without interventions."""

CHECKPOINTS = "FOLKRNN_CHECKPOINTS"
"""Set while a training runs: a process that finds it was started to share the training, not to make a run."""


@dataclass(frozen=True)
class Plan:
    """Everything that a run needs, built and checked against everything else before anything slow starts."""

    config: DictConfig
    """Resolved and read-only, with what the weights, the data and the family decide of it."""
    overrides: list[str]
    family: Family[Model, Dataset, ObservedInput, Observed]
    corpus: Dataset
    weights: Weights[Model]
    """As they are before the training, if there is one; untrained where `weights=scratch`."""
    interventions: dict[str, Intervention[Model]]
    inputs: list[ObservedInput]
    """What to observe in the place of what the model writes, if anything."""
    analyses: dict[str, Analysis[Observed]]
    controls: dict[str, Control]
    """By name; none where the run has no control."""
    documents: list[Document]
    """Those whose claims are judged."""
    figures: Figures
    """Which figures are filed, how wide and as what."""
    to_train: bool
    job_key: str
    """By which a sweep knows its jobs before it builds any, see `digest.job_key`."""

    @property
    def digest(self) -> str:
        """A short name for everything that determines the result."""
        inputs = hashlib.sha256(b"".join(t.ids.tobytes() for t in self.inputs)).hexdigest()
        return run_digest(self.config, weights=self.weights.digest, data=self.corpus.digest, given=inputs)

    def resuming(self, resume: bool) -> Plan:
        """Returns the plan that goes on with an unfinished training, or not."""
        return replace(self, config=with_settings(self.config, {"trainer.resume": resume}))


def run(config: DictConfig, overrides: list[str]) -> int:
    """Does what `config` describes and files it; returns the exit status (1 if an analysis failed)."""
    began = time.monotonic()
    uri, home = located(config.tracking.uri, config.tracking.folder)
    check_store(uri, home)
    plan = prepare(config, overrides)
    if CHECKPOINTS in os.environ:
        plan.family.fit(plan.config, plan.weights, plan.corpus, Path(os.environ[CHECKPOINTS]), None)
        return 0
    if processes.group().rank > 0:
        return join_training(plan)
    if plan.to_train and (parent() is not None or processes.restarted()):
        plan = plan.resuming(config.trainer.resume or folders.is_unfinished(home / "runs", plan.digest))
    with processes.broadcasting(plan.to_train) as broadcast:
        return run_on_rank_zero(plan, uri, home, began, broadcast)


def join_training(plan: Plan) -> int:
    """Trains along with the process that torchrun or SLURM started first, and makes no run of its own."""
    received = processes.receive() if plan.to_train else None
    if received is None:
        return int(plan.to_train)
    plan = plan.resuming(received["resume"])
    plan.family.fit(plan.config, plan.weights, plan.corpus, Path(received["checkpoints"]), None)
    return 0


def run_on_rank_zero(
    plan: Plan, uri: str, home: Path, began: float, broadcast: Callable[[dict[str, Any]], None]
) -> int:
    """Makes the run; `broadcast` is for the other processes of its training. Returns the exit status."""
    config, overrides = plan.config, plan.overrides
    name = folders.run_name(overrides, config.transcription)
    store = open_store(uri, config.tracking.experiment, home)
    with (
        start_run(
            store,
            name,
            folders.results_folder(home / "runs", name, plan.digest, config.trainer.resume),
            overrides=overrides,
            tags={DIGEST: plan.job_key, **job_tags()},
            parent=parent(),
            device=str(device(config)),
            resume=config.trainer.resume,
            figures=plan.figures,
            wanted=[config.sweep.metric] if config.sweep.metric else [],
        ) as tracked,
        style.page(plan.figures.width),
    ):
        tracked.apart = artifacts.APART
        tracked.log_provenance({"digest": plan.digest})
        remarks = plan.family.remarks(config, plan.weights.vocabulary)
        artifacts.say(remarks)
        card = plan.family.dataset_card(plan.corpus)
        settings = parameters(config, overrides, CONF)
        artifacts.file_inputs(
            tracked, config, settings, plan.corpus, card, "training" if plan.to_train else "reference"
        )
        weights = train(plan, tracked, broadcast) if plan.to_train else plan.weights
        artifacts.file_weights(tracked, weights)
        if plan.to_train and plan.family.playable:
            artifacts.log_model(tracked)
        if not plan.to_train:
            artifacts.file_training(tracked, weights)
        observation = observe(plan, weights)
        plan.family.file_observation(tracked, observation, config.observation)
        plan.family.file_tunes(tracked, observation, config.files)
        findings = analyse(plan.analyses, observation, tracked, plan.figures)
        controls = repeat(plan, observation, weights, tracked)
        beside = claims_report.beside(findings, controls, plan.family.observed(observation))
        tracked.log_findings("control", beside)
        verdicts = claims_report.file_claims(tracked, config, plan.documents, weights, plan.corpus, findings, controls)
        if config.explorer and plan.family.explorable:
            show_inside(tracked, weights, observation, findings)
        entries = plan.family.report_entries(tracked, observation)
        said = sentences(findings, controls, verdicts)
        artifacts.file_report(
            tracked, overrides, weights, plan.corpus, config.seed, entries, findings, said, beside, verdicts, remarks
        )
        failed = bool(tracked.failures)
    artifacts.show(tracked, weights, entries[0].abc if entries else "", findings, time.monotonic() - began)
    return int(failed)


def prepare(config: DictConfig, overrides: list[str]) -> Plan:
    """Returns the plan of a run. Raises UserError for whatever does not exist, does not fit or cannot be expressed.

    Where interventions are chosen and no analyses, what they do is compared with the control beside the default ones.
    """
    job = job_key(config, overrides)
    config = with_settings(config, {})
    to_train, fresh = trains(config), config.weights.name == "scratch"
    device(config)
    analyses: dict[str, Analysis[Observed]] = {name: build(node, "analysis") for name, node in config.analysis.items()}
    interventions = {name: build(node, "intervention") for name, node in config.intervention.items()}
    weights = scratch(build(config.model, "model"), config.seed) if fresh else build(config.weights, "weights")
    if not fresh and any(word.startswith(("model=", "model.")) for word in overrides):
        check_model(config, weights)
    family = family_of(weights.model)
    if interventions and family.effect is not None and not analyses_chosen(overrides):
        config = with_analysis(config, family.effect)
        analyses[family.effect] = build(config.analysis[family.effect], "analysis")
    for name, analysis in analyses.items():
        check_analysis(name, analysis, weights, bool(interventions))
    controls = build_controls(config, analyses)
    for pattern in [*config.observation.sites, *config.observation.keep]:
        parse(pattern, weights.model.sites)
    composition.check(interventions, weights.model, family.run_context_of(config, weights.vocabulary))
    if to_train:
        family.check_training(config)
    inputs = family.inputs(config, weights.vocabulary)
    family.check_room(config, weights.model, inputs, analyses)
    corpus = build(config.dataset, "dataset")
    if not isinstance(corpus, family.data):
        raise UserError(
            f"dataset={config.dataset.name} does not hold what a {weights.model.family} reads; choose a model first "
            "(model=… brings a dataset and analyses that fit), or another dataset"
        )
    agreed, corpus, settings = family.in_one_vocabulary(config, weights, corpus, fresh)
    config = with_settings(config, settings)
    if agreed is not weights:
        weights, inputs = agreed, family.inputs(config, agreed.vocabulary)
    judged = [document(name) for name in (documents() if config.claims is None else config.claims)]
    figures = figure_settings.read(config.figures)
    return Plan(
        config,
        overrides,
        family,
        corpus,
        weights,
        interventions,
        inputs,
        analyses,
        controls,
        judged,
        figures,
        to_train,
        job,
    )


def with_settings(config: DictConfig, settings: Mapping[str, Any]) -> DictConfig:
    """Returns the configuration, resolved and read-only, with other settings; the one given stays as it is."""
    from omegaconf import OmegaConf

    from folkrnn.config.settings import resolved

    changed = resolved(config)
    for key, value in settings.items():
        OmegaConf.update(changed, key, value, force_add=True)
    OmegaConf.set_readonly(changed, True)
    return changed


def with_analysis(config: DictConfig, name: str) -> DictConfig:
    """Returns the configuration with one more analysis, as its file describes it."""
    from omegaconf import OmegaConf

    node = OmegaConf.select(OmegaConf.load(CONF / "analysis" / f"{name}.yaml"), name)
    return with_settings(config, {f"analysis.{name}": node})


def check_model(config: DictConfig, weights: Weights[Model]) -> None:
    """Refuses a model that was asked for by name but is not the one whose weights were loaded."""
    asked = build(config.model, "model").shape
    if asked != weights.model.shape:
        raise UserError(
            f"model={config.model.name} asks for {asked}, but weights={config.weights.name} are {weights.model.shape}; "
            "leave model= out, or train with weights=scratch"
        )


def check_analysis(name: str, analysis: Analysis[Observed], weights: Weights[Model], intervened: bool) -> None:
    """Refuses an analysis of another model family, of sites that the model lacks, or of an intervention without one."""
    if weights.model.family not in analysis.families:
        raise UserError(
            f"analysis={name} looks into {', '.join(analysis.families)}; these weights are of a {weights.model.family}"
        )
    if analysis.of_interventions and not intervened:
        raise UserError(
            f"analysis={name} compares an intervention with the model as it is, and there is none; choose one with "
            "intervention= (--help lists them)"
        )
    for pattern in analysis.sites:
        parse(pattern, weights.model.sites)


def build_controls(config: DictConfig, analyses: dict[str, Analysis[Observed]]) -> dict[str, Control]:
    """Returns what makes each control, by name; refuses one that none of the analyses can be repeated on."""
    nodes = {name: node for name, node in config.control.items() if name != "name"}
    if "_target_" in nodes:
        nodes = {config.control.name: config.control}
    fits = {name for analysis in analyses.values() for name in analysis.repeated_on}
    if nodes and analyses and not fits.intersection(nodes):
        raise UserError(
            f"control={config.control.name} would change nothing that {', '.join(analyses)} look at"
            + (f"; control={' or '.join(sorted(fits))} would" if fits else "")
        )
    return {name: build(node, "control") for name, node in nodes.items()}


def train(plan: Plan, tracked: TrackedRun, broadcast: Callable[[dict[str, Any]], None]) -> Weights[Model]:
    """Returns the weights of the best validation epoch; `broadcast` says to other processes what they share in."""
    checkpoints = tracked.folder / "checkpoints"
    broadcast({"checkpoints": str(checkpoints), "resume": plan.config.trainer.resume})
    os.environ[CHECKPOINTS] = str(checkpoints)  # for the processes that Lightning may start
    try:
        fitted = plan.family.fit(plan.config, plan.weights, plan.corpus, checkpoints, tracked)
    finally:
        del os.environ[CHECKPOINTS]
    tracked.log_metrics({"validation/best_loss": fitted.validation_loss})
    return artifacts.keep_weights(tracked, fitted, plan.weights, plan.config.model.name, initial_of(plan))


def initial_of(plan: Plan) -> Initial | None:
    """Returns how the parameters were drawn before their first update; None where a finetuned model does not say."""
    if plan.config.weights.name != "scratch":
        return plan.weights.initial
    return Initial(plan.config.seed, str(plan.config.recipe.get("init") or OWN))


def observe(plan: Plan, weights: Weights[Model]) -> Observed:
    """Returns what the model, after all interventions, does; with interventions also what it does without them."""
    model = weights.model.to(device(plan.config))
    return plan.family.observe(plan.config, model, weights, plan.corpus, plan.inputs, plan.interventions)


def analyse(
    analyses: Mapping[str, Analysis[Observed]], observation: Observed, tracked: TrackedRun, figures: Figures
) -> dict[str, Findings]:
    """Returns the findings of every analysis, filed under its name, with the figures that `figures` keeps.

    One that fails is filed with its traceback; the others still run.
    """
    findings: dict[str, Findings] = {}
    room = figures.room(list(analyses))
    for left, (name, analysis) in zip(range(len(analyses), 0, -1), analyses.items(), strict=True):
        try:
            found = analysis(observation)
            kept = figures.kept(name, found.figures, -(-room // left))
            room -= len(set(kept).intersection(found.figures))
            main = main_of(analysis.main, found.metrics) if found.main is None else found.main
            findings[name] = replace(found, figures=kept, main=main)
            tracked.log_findings(name, findings[name])
        except Exception as error:  # whatever an analysis raises is its own; the run ends FAILED all the same
            tracked.log_failure(name, error)
    return findings


def show_inside(
    tracked: TrackedRun, weights: Weights[Model], observation: Observed, findings: dict[str, Findings]
) -> None:
    """Files the page in which the observation is explored; if that fails, the run ends FAILED with all else filed."""
    try:
        artifacts.file_explorer(tracked, weights, observation, findings)
    except Exception as error:  # as with an analysis: what was found without it is worth keeping
        tracked.log_failure("explorer", error)


def repeat(
    plan: Plan, observation: Observed, weights: Weights[Model], tracked: TrackedRun
) -> dict[str, dict[str, Findings]]:
    """Returns by control the findings of the analyses on it, those left out that look at nothing which it changes.

    They have no figures of their own: their numbers stand beside the model's, in one table and one figure. Those of a
    single control are also filed as tables under `control/`.
    """
    found: dict[str, dict[str, Findings]] = {}
    for name, control in plan.controls.items():
        analyses = {key: analysis for key, analysis in plan.analyses.items() if name in analysis.repeated_on}
        found[name] = answers(analyses, control(observation, weights.model), tracked, name)
        for key, one in found[name].items():
            if len(plan.controls) == 1:
                tracked.log_control(name, key, one)
            else:
                tracked.numbers.beside(name, key, one.metrics)
    return found


def answers(
    analyses: Mapping[str, Analysis[Observed]], observation: Observed, tracked: TrackedRun, of: str
) -> dict[str, Findings]:
    """Returns the findings of every analysis but for what it drew, without filing any; one that fails is filed with its
    traceback."""
    findings: dict[str, Findings] = {}
    for name, analysis in analyses.items():
        try:
            findings[name] = replace(analysis(observation), figures={}, animations={}, pages={})
        except Exception as error:  # whatever an analysis raises is its own; the run ends FAILED all the same
            tracked.log_failure(f"{of}/{name}", error)
    return findings


def device(config: DictConfig) -> torch.device:
    """Returns the device on which the model plays and is observed: that of the trainer, of several its first."""
    import torch

    wants_gpu = config.trainer.accelerator in ("auto", "gpu", "cuda")
    if config.trainer.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise UserError(
            f"trainer.accelerator={config.trainer.accelerator}, but this machine has no GPU; use trainer=auto"
        )
    if not (wants_gpu and torch.cuda.is_available()):
        return torch.device("cpu")
    return torch.device("cuda", processes_of(config.trainer.accelerator, config.trainer.devices).gpus[0])

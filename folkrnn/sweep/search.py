"""A sweep that looks for the best job: Optuna proposes values, a job is run with them, Optuna is told its metric.

python run.py -m 'cut.fraction=interval(0.01,0.5)' sweep.metric=tune_statistics/full_bars sweep.trials=20
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.config.settings import check
from folkrnn.errors import UserError, did_you_mean
from folkrnn.sweep import execution
from folkrnn.sweep.jobs import Job, Outcome

if TYPE_CHECKING:
    import optuna
    from hydra.core.override_parser.types import Override

    from folkrnn.sweep.execution import Perform, Sweep

Compose = Callable[[list[str]], list[Job]]
"""Returns the jobs of the words given."""


def run(
    words: Sequence[str], compose: Compose, known: Collection[str], typed: Sequence[str], root: Path, perform: Perform
) -> int:
    """Runs `sweep.trials` jobs, as many at once as the launcher takes; returns how many failed, at most 100.

    What is a sweep among `words` (`a,b`, `range`, `interval`) is what Optuna chooses from. The rest is as for
    `run_sweep`; the parent names the best trial. Raises UserError for values that cannot be searched, and where a
    job has no metric of the name asked for.
    """
    execution.started_once()
    fixed, space = _space(words)
    first = compose([*fixed, *(f"{key}={_least(override)}" for key, override in space.items())])
    common = frozenset(word for word in first[0].overrides if word.partition("=")[0] not in space)
    launcher = execution.checked(first, known)
    study = _study(first[0])
    with execution.opened(first, typed) as sweep:
        outcomes, stopped = list[Outcome](), None
        trials = int(first[0].config.sweep.trials)
        while len(outcomes) < trials and stopped is None:
            count = min(execution.at_once(launcher) or 1, trials - len(outcomes))
            asked = [study.ask({key: _distribution(override) for key, override in space.items()}) for _ in range(count)]
            sweep.jobs = [
                replace(_composed(trial, fixed, compose), number=len(outcomes) + n, common=common)
                for n, trial in enumerate(asked, 1)
            ]
            for job in sweep.jobs:
                check(job.config, known)
            found, stopped = execution.all_of(sweep, launcher, root, perform, trials)
            for trial, outcome in zip(asked, found, strict=True):
                _tell(study, trial, _value(sweep, outcome))
            outcomes += found
        sweep.jobs = [outcome.job for outcome in outcomes]
        return execution.closed(sweep, outcomes, stopped, _best(sweep, study, outcomes))


def _space(words: Sequence[str]) -> tuple[list[str], dict[str, Override]]:
    """The words that are the same in all jobs, and by its key what is searched."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    typed = [word for word in words if word.startswith("~") or ("=" in word and not word.startswith("-"))]
    parsed = zip(typed, OverridesParser.create().parse_overrides(typed), strict=True)
    space = {override.get_key_element(): (word, override) for word, override in parsed if override.is_sweep_override()}
    if not space:
        raise UserError("sweep.metric: no values to choose from; write seed=1,2,3 or 'cut.fraction=interval(0,0.5)'")
    if fast := [key for key in space if key.split(".")[0] in ("launcher", "sweep", "tracking")]:
        raise UserError(f"{fast[0]}: the whole sweep has one; Optuna cannot choose it")
    searched = {word for word, _ in space.values()}
    return [word for word in words if word not in searched], {key: override for key, (_, override) in space.items()}


def _distribution(override: Override) -> optuna.distributions.BaseDistribution:
    from hydra.core.override_parser.types import IntervalSweep, RangeSweep
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        kind: Any = IntDistribution if whole else FloatDistribution
        return kind(value.start, value.end, log="log" in value.tags)
    if isinstance(value, RangeSweep) and all(isinstance(part, int) for part in (value.start, value.stop, value.step)):
        values = list(value.range())
        return IntDistribution(min(values), max(values), step=abs(int(value.step)))
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _least(override: Override) -> Any:
    distribution: Any = _distribution(override)
    return distribution.choices[0] if hasattr(distribution, "choices") else distribution.low


def _study(job: Job) -> optuna.Study:
    try:
        import optuna
    except ModuleNotFoundError:
        raise UserError(
            'sweep.metric needs Optuna: pip install "folkrnn-lab[optuna]" (or pip install optuna)'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=int(job.config.seed))
    return optuna.create_study(direction=job.config.sweep.direction, sampler=sampler)


def _composed(trial: optuna.Trial, fixed: Sequence[str], compose: Compose) -> Job:
    return compose([*fixed, *(f"{key}={value}" for key, value in trial.params.items())])[0]


def _value(sweep: Sweep, outcome: Outcome) -> float | None:
    """The metric of a job, None where it has not come to its end. Raises UserError where it has no such metric."""
    from folkrnn.tracking import child, child_numbers

    if outcome.failed or not outcome.run:
        return None
    run, name = child(sweep.store, outcome.run), outcome.job.config.sweep.metric
    metrics = run.metrics if name in run.metrics else child_numbers(sweep.store, run) | dict(run.metrics)
    if name not in metrics:
        raise UserError(f"sweep.metric={name}: no such metric in job {outcome.job.number}{did_you_mean(name, metrics)}")
    return metrics[name]


def _tell(study: optuna.Study, trial: optuna.Trial, value: float | None) -> None:
    from optuna.trial import TrialState

    if value is None or not math.isfinite(value):
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)


def _best(sweep: Sweep, study: optuna.Study, outcomes: Sequence[Outcome]) -> str:
    """Files the trials and the best of them on the parent; returns a line on it."""
    from folkrnn.findings import Findings

    table = study.trials_dataframe(attrs=("value", "params", "state"))
    table.insert(0, "run", [outcome.run for outcome in outcomes])
    table.insert(0, "job", [outcome.job.number for outcome in outcomes])
    told = [trial for trial in study.trials if trial.value is not None]
    if not told:
        sweep.tracked.log_findings("sweep", Findings(tables={"trials": table}))
        return "no job came to a value of the metric"
    best, name = study.best_trial, outcomes[0].job.config.sweep.metric
    sweep.tracked.log_findings("sweep", Findings(metrics={"best": study.best_value}, tables={"trials": table}))
    outcome = outcomes[best.number]
    values = " ".join(f"{key}={value}" for key, value in best.params.items())
    sweep.tracked.set_tags({"best": values, "best.run": outcome.run})
    return f"best     {name} {best.value:g} in job {outcome.job.number}: {values} (run {outcome.run[:12]})"

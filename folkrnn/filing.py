"""What every study files and shows, whatever its model: inputs, weights, activations, the report, the summary."""

from __future__ import annotations

import io
import shlex
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from folkrnn import style
from folkrnn import verdicts as verdicts_of
from folkrnn.findings import Figure, Findings
from folkrnn.observation.summary import GATES, Summary
from folkrnn.places import COMMAND
from folkrnn.refusal import Refusal
from folkrnn.tracking import TrackedRun
from folkrnn.weights import folder as weights_folder
from folkrnn.weights.curve import Curve, to_csv
from folkrnn.weights.folder import Weights
from folkrnn.weights.initial import Initial
from folkrnn.weights.losses import by_epoch

if TYPE_CHECKING:
    import matplotlib.figure
    from omegaconf import DictConfig

    from folkrnn.claims import Verdict
    from folkrnn.datasets.dataset import Dataset
    from folkrnn.tracking.report import Tune
    from folkrnn.training.fit import Fitted
    from folkrnn.vocabulary import Vocabulary

NAME_LENGTH = 60
"""Longest name of a run: MLflow's cards grow as wide, and as high, as it is, and push the image out of sight."""
_CONTROL = (
    "The same analyses on controls: what an untrained model finds in the same tunes (untrained), and the model in "
    "tunes whose tokens come in random order (shuffled)."
)
_QUANTITIES = {"mean": "mean", "std": "standard deviation", "saturated share": "share of steps saturated"}
REPORT = "report.html"
_MOST_REMARKS = 12
EXPLORER = "explore.html"
_WHERE = ("tracking=", "tracking.", "hydra.", "hydra/", "launcher=", "launcher.")


def run_name(overrides: Sequence[str]) -> str:
    """Returns the name of a run: what was typed, but for where it is filed, or "default"."""
    words = " ".join(word for word in overrides if not word.startswith(_WHERE))
    name = " ".join(words.split()) or "default"
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"


def results_folder(runs: Path, digest: str, resume: bool) -> Path:
    """Returns where a run keeps its results: `runs/<digest>`, or beside it if another run of this digest is there.

    A new folder is made at once, so that no process that starts at the same time takes it too. With `resume` it is the
    latest one, whose training was cut off. Raises Refusal where such a training is there and is not to be resumed, and
    where there is none to resume.
    """
    latest, _ = _places(runs, digest)
    unfinished = is_unfinished(runs, digest)
    if resume and not unfinished:
        raise Refusal(f"trainer.resume=true, but there is no unfinished training of this configuration ({latest})")
    if unfinished and not resume:
        raise Refusal(f"{latest} holds an unfinished training of this configuration; go on with trainer.resume=true")
    return latest if resume else _taken(runs, digest)


def _taken(runs: Path, digest: str) -> Path:
    while True:
        _, free = _places(runs, digest)
        try:
            free.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError:
            pass  # no folder can be made there: whoever opens the run says so
        return free


def is_unfinished(runs: Path, digest: str) -> bool:
    """Whether the latest run of this digest has a training that was cut off, or was cut off after its training."""
    latest, _ = _places(runs, digest)
    return (latest / "checkpoints" / "last.ckpt").is_file() and not (latest / REPORT).is_file()


def _places(runs: Path, digest: str) -> tuple[Path, Path]:
    """The folder of the latest run of a digest (or where the first would be), and that for another."""
    places = [runs / digest, *(runs / f"{digest}-{n}" for n in range(2, 10_000))]
    free = next(k for k, place in enumerate(places) if not place.exists())
    return places[max(0, free - 1)], places[free]


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; yields the function that advances it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def file_inputs(tracked: TrackedRun, config: DictConfig, corpus: Dataset, card: str, context: str) -> None:
    """Files the configuration, and the dataset with its card and what was left out, by reason and by place."""
    from omegaconf import OmegaConf

    tracked.log_params(cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True)))
    tracked.log_dataset(corpus.name, corpus.digest, " | ".join(corpus.terms), corpus.profile(), context)
    tracked.log_text(card, "dataset/card.md")
    reasons = pd.DataFrame([row[:3] for row in corpus.reasons()], columns=["reason", "tunes", "because"])
    tracked.log_text(reasons.to_csv(index=False), "dataset/left_out.csv")
    if corpus.unused:
        places = pd.DataFrame(corpus.unused, columns=["place", "reason", "detail"])
        tracked.log_text(places.to_csv(index=False), "dataset/left_out_places.csv")


def file_weights(tracked: TrackedRun, weights: Weights) -> None:
    """Files where the weights came from, their digest and their card."""
    tracked.set_tags({"weights.source": weights.source, "weights.digest": weights.digest, "model": weights.model.shape})
    tracked.log_params({"parameters": weights.model.parameter_counts()}, file=None)
    if weights.terms:
        tracked.set_tags({"weights.terms": weights.terms})
    if weights.card:
        tracked.log_text(weights.card, "weights/card.md")


def offer(tracked: TrackedRun) -> None:
    """Files trained weights as a model that `mlflow.pyfunc` plays."""
    from folkrnn.tracking.models import file_model

    file_model(tracked, tracked.folder / "weights")


def file_training(tracked: TrackedRun, weights: Weights) -> None:
    """Files the losses that came with weights of an earlier training: metrics `training/…`, and all of them as CSV."""
    if weights.curve is None:
        return
    tracked.log_series(f"training/nats_per_{weights.curve.unit}", by_epoch(weights.curve))
    tracked.log_series(f"training/validation_nats_per_{weights.curve.unit}", weights.curve.validation)
    tracked.log_text(to_csv(weights.curve), "weights/curve.csv")


def keep_weights(
    tracked: TrackedRun, fitted: Fitted, vocabulary: Vocabulary | None, name: str, initial: Initial | None = None
) -> Weights:
    """Writes what training arrived at as a weights folder, files it, and returns it."""
    place = tracked.folder / "weights"
    unit = "token" if vocabulary is not None else "melody"
    card = (
        f"# {name}: {fitted.model.shape}\n\nTrained by the run {tracked.run_id} in {fitted.updates} updates: "
        f"{fitted.validation_loss:.4f} nats per {unit} on the validation side.\n"
    )
    if initial is not None and vocabulary is not None:
        card += f"\n{initial.line()}"
    curve = curve_of(tracked, unit)
    dtype = next(fitted.model.parameters()).dtype
    weights_folder.save(place, fitted.model, vocabulary, card, dtype, curve)
    for file in sorted(place.iterdir()):
        tracked.log_file(file)
    digest = weights_folder.digest(fitted.model)
    return Weights(fitted.model, vocabulary, "scratch", digest, card, curve)


def curve_of(tracked: TrackedRun, unit: str) -> Curve:
    """Returns how the training that `tracked` holds went, in nats per `unit`; Lightning counts its steps from 0."""
    names = {name for name in tracked.metrics if name.startswith("baseline/")}
    history = tracked.history("train/loss", "validation/loss", *names)
    training, validation = (
        [(step + 1, value) for step, value in history[name]] for name in ("train/loss", "validation/loss")
    )
    baselines = {name.removeprefix("baseline/"): history[name][-1][1] for name in sorted(names) if history[name]}
    return Curve.of(training, validation, unit=unit, baselines=baselines)


def file_summary(tracked: TrackedRun, summary: Summary, step: int | None = None) -> None:
    """Files the summary: metrics `activations/<site>/<quantity>`; once per run also a table of units and a figure."""
    tracked.log_metrics(
        {f"activations/{site}/{name}": value for site in summary.units for name, value in summary.row(site).items()},
        step,
    )
    if step is not None:
        return
    units = pd.concat(
        [
            pd.DataFrame({"site": site, "unit": np.arange(len(unit["mean"]))} | unit)
            for site, unit in summary.units.items()
        ]
    )
    figure = Figure(
        draw_summary(summary),
        f"Every observed stream over {summary.rows:,} steps: the spread over its units of their mean, their standard "
        "deviation and the share of steps at which they are saturated (gates below 0.1 or above 0.9, others beyond "
        "±0.8). Boxes hold the middle half of the units, whiskers 98 % of them. Orange: gates; grey: all else. The "
        "first two axes are logarithmic beyond ±1.",
        f"The units of every observed stream over {summary.rows:,} steps",
    )
    tracked.log_findings(
        "summary",
        Findings(figures={"streams": figure}, tables={"units": units, "streams": pd.DataFrame(summary.table())}),
    )


def draw_summary(summary: Summary) -> matplotlib.figure.Figure:
    """Returns a figure with one box per stream: the units' means, standard deviations, and share of saturated steps."""
    sites, thin = list(summary.units), {"linewidth": 0.7}
    from matplotlib.patches import Patch

    drawing = style.figure(height=4.6)
    rows = drawing.subplots(3, 1, sharex=True)
    for axes, quantity in zip(rows, ("mean", "std", "saturated share"), strict=True):
        values = [
            unit["low"] + unit["high"] if quantity == "saturated share" else unit[quantity]
            for unit in summary.units.values()
        ]
        boxes = axes.boxplot(
            values,
            patch_artist=True,
            widths=0.6,
            whis=(1, 99),
            showfliers=False,
            medianprops={"color": "k"},
            boxprops=thin,
            whiskerprops=thin,
            capprops=thin,
        )
        for box, site in zip(boxes["boxes"], sites, strict=True):
            box.set_facecolor(style.ACCENT if site.split(".")[-1] in GATES else style.SOFT)
        axes.set_ylabel(_QUANTITIES[quantity])
        if quantity != "saturated share":  # cells may lie at ±10 and more, all else within ±1
            axes.set_yscale("symlog", linthresh=1)
    rows[-1].set_xticks(range(1, len(sites) + 1), sites, rotation=60, ha="right", rotation_mode="anchor")
    keys = [Patch(facecolor=colour, edgecolor="k", linewidth=0.7) for colour in (style.ACCENT, style.SOFT)]
    drawing.legend(keys, ["gates", "candidates, cells, states"], loc="outside lower center", ncols=2)
    return drawing


def file_explorer(tracked: TrackedRun, weights: Weights, observation: Any, findings: dict[str, Findings]) -> None:
    """Files `explore.html`, the page in which the observation is explored."""
    from folkrnn.explorer import explore

    page = explore(observation, findings, tracked.name, {"model": weights.model.shape, "weights": weights.source})
    tracked.log_file(page.save(tracked.folder / EXPLORER))


def file_archive(tracked: TrackedRun, name: str, ending: str, made: Iterable[Callable[[], bytes]]) -> None:
    """Files `tunes/<name>.zip`, in which tunes are numbered from 1; in place of one that cannot be written, why."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, make in enumerate(made, 1):
            try:
                archive.writestr(zipfile.ZipInfo(f"{number:04d}.{ending}"), make(), zipfile.ZIP_DEFLATED)
            except ValueError as error:
                archive.writestr(zipfile.ZipInfo(f"{number:04d}.not_written.txt"), f"{error}\n")
    tracked.log_bytes(buffer.getvalue(), f"tunes/{name}.zip")


def file_report(
    tracked: TrackedRun,
    overrides: Sequence[str],
    weights: Weights,
    corpus: Dataset,
    seed: int,
    entries: Sequence[Tune],
    findings: dict[str, Findings],
    beside: Findings | None = None,
    verdicts: Sequence[Verdict] = (),
    remarks: Sequence[str] = (),
) -> None:
    """Files `report.html`, which holds everything worth reading, and heads the run's page with its first tune."""
    from folkrnn.tracking.report import Report, Section, write_report

    facts = {
        "model": weights.model.shape,
        "weights": f"{weights.source} ({weights.digest})",
        "data": f"{corpus.name} ({corpus.digest})",
        "seed": str(seed),
        **({"changed in what was given": " · ".join(remarks[:_MOST_REMARKS])} if remarks else {}),
        "run": tracked.run_id,
    }
    sections = [Section(name, found) for name, found in findings.items()]
    if beside is not None and beside.tables:
        sections.append(Section("control", beside, _CONTROL))
    claims = [verdicts_of.shown_claim(verdict) for verdict in verdicts]
    command = shlex.join([*COMMAND, *overrides])
    explorer = EXPLORER if (tracked.folder / EXPLORER).is_file() else ""
    report = Report(tracked.name, facts, entries, sections, claims, {}, command, tracked.failures, explorer)
    write_report(tracked.folder / REPORT, report)
    tracked.log_file(tracked.folder / REPORT)
    first = f"\n\n```\n{entries[0].abc}```" if entries and entries[0].abc else ""
    tracked.describe(f"`{command}`{first}")


def say(remarks: Sequence[str]) -> None:
    """Prints what was changed in a tune or a prime of the user's, before anything is made of it."""
    for line in remarks[:_MOST_REMARKS]:
        print(f"note     {line}", flush=True)
    if len(remarks) > _MOST_REMARKS:
        print(f"note     and {len(remarks) - _MOST_REMARKS:,} tunes more, changed likewise", flush=True)


def show(tracked: TrackedRun, weights: Weights, first: str, findings: dict[str, Findings], seconds: float) -> None:
    """Prints the short summary that ends a run: one tune, the key figures, where everything is."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    console = Console(width=max(80, min(110, shutil.get_terminal_size().columns)))
    if first:
        console.print(Panel(first.strip(), title="one of the tunes", highlight=False))
    table = Table(show_header=False, box=None)
    for name, found in findings.items():
        for quantity, value in list(found.metrics.items())[:6]:
            table.add_row(f"{name}/{quantity}", f"{value:.4g}")
    console.print(table)
    for failure in tracked.failures:
        console.print(f"[red]failed:[/red] {failure}", highlight=False)
    lines = [
        f"model    {weights.model.shape} from {weights.source}",
        *verdicts_of.in_a_line(tracked.metrics),
        f"results  {tracked.folder}",
        f"report   {tracked.folder / REPORT}",
        *([f"explore  {tracked.folder / EXPLORER}"] if (tracked.folder / EXPLORER).is_file() else []),
        f"MLflow   {tracked.link}",
        *([f"missing  the store lacks part of this run: {tracked.upload_command}"] if tracked.upload_command else []),
        f"time     {seconds:.0f} s",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)

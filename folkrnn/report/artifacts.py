"""What every study files and shows, whatever its model: inputs, weights, activations, the report, the summary."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from folkrnn import style
from folkrnn.files.places import COMMAND
from folkrnn.findings import Figure, Findings
from folkrnn.notation.audio import record
from folkrnn.notation.bars import flaws
from folkrnn.notation.score import engrave, to_abc
from folkrnn.observation.summary import GATES, Summary
from folkrnn.report import claims as claims_report
from folkrnn.tracking import TrackedRun
from folkrnn.tracking.folders import REPORT
from folkrnn.weights import folder as weights_folder
from folkrnn.weights.curve import Curve, to_csv
from folkrnn.weights.folder import Weights
from folkrnn.weights.initial import Initial

if TYPE_CHECKING:
    import matplotlib.figure
    from omegaconf import DictConfig

    from folkrnn.claims import Verdict
    from folkrnn.datasets.dataset import Dataset
    from folkrnn.models.model import Model
    from folkrnn.observation.observed import Observed
    from folkrnn.report.page import ReportEntry
    from folkrnn.training.fit import Fitted

_CONTROL = (
    "The same analyses on controls: what an untrained model finds in the same tunes (untrained), and the model in "
    "tunes whose tokens come in random order (shuffled)."
)
_QUANTITIES = {"mean": "mean", "std": "standard deviation", "saturated share": "share of steps saturated"}
_MOST_REMARKS = 12
OF_HIDDEN = ("mean_abs", "sparsity", "saturation")
"""What is a metric of a hidden state: mean |h|, the share near zero, the share beyond ±0.8."""

APART = re.compile(
    r"baseline/(?!5gram$|always_hold_onsets$).*|train/(steps|learning_rate|gradient_norm)"
    r"|validation/(nats_per_tune|forced_(steps|onsets)|active_by_(variance|kl|gap)|music_kl_share|between_share)"
)
"""Curves of a training that stand in a table alone: MLflow shows every metric."""

MOST_HIDDEN = 3
"""Of more layers, those nearest to the output; all are in `tables/summary_activations.csv`."""

EXPLORER = "explore.html"
SAID = 3
"""Sentences that head the page of a run in MLflow."""


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; yields the function that advances it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def file_inputs(
    tracked: TrackedRun, config: DictConfig, parameters: Mapping[str, Any], corpus: Dataset, card: str, context: str
) -> None:
    """Files the configuration, and the dataset with its card and what was left out, by reason and by place."""
    from omegaconf import OmegaConf

    tracked.log_text(OmegaConf.to_yaml(config, resolve=True), "config.yaml")
    tracked.log_params(parameters, file=None)
    tracked.log_dataset(corpus.name, corpus.digest, " | ".join(corpus.terms), corpus.profile(), context)
    tracked.log_text(card, "dataset/card.md")
    reasons = pd.DataFrame([row[:3] for row in corpus.reasons()], columns=["reason", "tunes", "because"])
    tracked.log_text(reasons.to_csv(index=False), "dataset/left_out.csv")
    if corpus.unused:
        places = pd.DataFrame(corpus.unused, columns=["place", "reason", "detail"])
        tracked.log_text(places.to_csv(index=False), "dataset/left_out_places.csv")


def file_weights(tracked: TrackedRun, weights: Weights[Model]) -> None:
    """Files where the weights came from, their digest and their card."""
    facts = {"weights.source": weights.source, "weights.digest": weights.digest, "model.shape": weights.model.shape}
    tracked.log_provenance(facts | ({"weights.terms": weights.terms} if weights.terms else {}))
    tracked.log_params({"parameters": weights.model.parameter_counts()["weights"]}, file=None)
    if weights.card:
        tracked.log_text(weights.card, "weights/README.md")


def log_model(tracked: TrackedRun) -> None:
    """Files trained weights as a model that `mlflow.pyfunc` plays."""
    from folkrnn.tracking.models import file_model

    file_model(tracked, tracked.folder / "weights")


def file_training(tracked: TrackedRun, weights: Weights[Model]) -> None:
    """Files the losses that came with weights of an earlier training, as CSV."""
    if weights.curve is not None:
        tracked.log_text(to_csv(weights.curve), "weights/curve.csv")


def keep_weights(
    tracked: TrackedRun, fitted: Fitted, began: Weights[Model], name: str, initial: Initial | None = None
) -> Weights[Model]:
    """Writes what a training that began with `began` arrived at as a weights folder, files it, and returns it."""
    vocabulary = began.vocabulary
    place = tracked.folder / "weights"
    unit = "token" if vocabulary is not None else "melody"
    card = (
        f"# {name}: {fitted.model.shape}\n\nTrained by the run {tracked.run_id} in {fitted.updates} updates: "
        f"{fitted.validation_loss:.4f} nats per {unit} on the validation side.\n"
    )
    if began.source != "scratch":
        card += f"\nIt went on from {began.source} ({began.digest}).\n"
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
    # of melodies they are shares of steps, and a curve is in nats
    names = {name for name in tracked.metrics if name.startswith("baseline/") and unit != "melody"}
    history = tracked.history("train/loss", "validation/loss", *names)
    training, validation = (
        [(step + 1, value) for step, value in history[name]] for name in ("train/loss", "validation/loss")
    )
    baselines = {name.removeprefix("baseline/"): history[name][-1][1] for name in sorted(names) if history[name]}
    return Curve.of(training, validation, unit=unit, baselines=baselines)


def file_summary(tracked: TrackedRun, summary: Summary, step: int | None = None) -> None:
    """Files of hidden states the metrics `activations/<site>/<quantity>`; once per run tables of all and a figure."""
    hidden = [site for site in summary.units if site.split(".")[-1] == "h"][-MOST_HIDDEN:]
    rows = {site: summary.row(site) for site in hidden}
    tracked.log_metrics({f"activations/{site}/{name}": rows[site][name] for site in hidden for name in OF_HIDDEN}, step)
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
        f"Every observed activation over {summary.rows:,} steps: the spread over its units of their mean, their "
        "standard deviation and the share of steps at which they are saturated (gates below 0.1 or above 0.9, others "
        "beyond ±0.8). Boxes hold the middle half of the units, whiskers 98 % of them. Orange: gates; grey: all "
        "else. The first two axes are logarithmic beyond ±1.",
        f"The units of every observed activation over {summary.rows:,} steps",
    )
    tracked.log_findings(
        "summary",
        Findings(
            figures={"activations": figure}, tables={"units": units, "activations": pd.DataFrame(summary.table())}
        ),
    )


def draw_summary(summary: Summary) -> matplotlib.figure.Figure:
    """Returns a figure with one box per activation: the units' means, standard deviations, and share of saturated
    steps.
    """
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


@dataclass(frozen=True)
class PlayableTune:
    """A tune to be shown and heard."""

    stem: str
    """Of its files: "01"."""
    title: str
    tokens: Sequence[str]
    midi: bytes


def file_played(tracked: TrackedRun, tunes: Sequence[PlayableTune]) -> list[ReportEntry]:
    """Files score (`tunes/01.svg`), sound (`.mp3`) and MIDI of tunes, and returns them as the report shows them."""
    from folkrnn.report.page import ReportEntry

    tokens = [tune.tokens for tune in tunes]
    entries = []
    scores = zip(engrave(tokens), engrave(tokens, narrow=True), strict=True)
    for number, (tune, (score, narrow)) in enumerate(zip(tunes, scores, strict=True), 1):
        recording = record(tune.tokens)
        if score.svg:
            tracked.log_text(score.svg, f"tunes/{tune.stem}.svg")
        tracked.log_bytes(tune.midi, f"tunes/{tune.stem}.mid")
        tracked.log_bytes(recording.mp3, f"tunes/{tune.stem}.mp3")
        notes = [note for note in (*map(str, flaws(tune.tokens)), recording.note, score.refusal) if note]
        abc = to_abc(tune.tokens, tune.title, number)
        entries.append(
            ReportEntry(tune.title, tune.tokens, abc, score.svg, narrow.svg, recording.mp3, tune.midi, notes)
        )
    return entries


def file_explorer(
    tracked: TrackedRun, weights: Weights[Model], observation: Observed, findings: dict[str, Findings]
) -> None:
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
    weights: Weights[Model],
    corpus: Dataset,
    seed: int,
    entries: Sequence[ReportEntry],
    findings: dict[str, Findings],
    said: Sequence[str] = (),
    beside: Findings | None = None,
    verdicts: Sequence[Verdict] = (),
    remarks: Sequence[str] = (),
) -> None:
    """Files `report.html`, which holds everything worth reading, and heads the run's page with its first tune."""
    from folkrnn.report.page import Report, Section, write_report

    facts = {
        "model": weights.model.shape,
        "weights": f"{weights.source} ({weights.digest})",
        "data": f"{corpus.name} ({corpus.digest})",
        "seed": str(seed),
        "run": tracked.run_id,
    }
    sections = [Section(name, found) for name, found in findings.items()]
    if beside is not None and beside.tables:
        sections.append(Section("control", beside, _CONTROL))
    claims = [claims_report.shown_claim(verdict) for verdict in verdicts]
    command = shlex.join([*COMMAND, *overrides])
    explorer = EXPLORER if (tracked.folder / EXPLORER).is_file() else ""
    every = Findings(tables={"all numbers": tracked.numbers.table()})
    summary = tracked.folder / "tables" / "summary_activations.csv"
    if summary.is_file():  # of a family that files one
        every.tables["activations of every site"] = pd.read_csv(summary)
    report = Report(
        title=tracked.name,
        said=said,
        remarks=remarks[:_MOST_REMARKS],
        facts=facts,
        tunes=entries,
        sections=sections,
        claims=claims,
        command=command,
        warnings=tracked.failures,
        explorer=explorer,
        numbers=every,
    )
    write_report(tracked.folder / REPORT, report)
    tracked.log_file(tracked.folder / REPORT)
    tracked.describe(note(said, entries[0].abc if entries else "", command))


def note(said: Sequence[str], abc: str, command: str) -> str:
    """Returns what heads the page of a run in Markdown: what was found, in three sentences, a tune, and the command."""
    found = "\n\n".join(part for part in (" ".join(said[:SAID]), f"```\n{abc}```" if abc else "") if part)
    return f"{found}\n\n`{command}`" if found else f"`{command}`"


def say(remarks: Sequence[str]) -> None:
    """Prints what was changed in a tune or a prime of the user's, before anything is made of it."""
    for line in remarks[:_MOST_REMARKS]:
        print(f"note     {line}", flush=True)
    if len(remarks) > _MOST_REMARKS:
        print(f"note     and {len(remarks) - _MOST_REMARKS:,} tunes more, changed likewise", flush=True)


def show(
    tracked: TrackedRun, weights: Weights[Model], first: str, findings: dict[str, Findings], seconds: float
) -> None:
    """Prints the short summary that ends a run: one tune, the key figures, where everything is."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    from folkrnn.report.page import number

    console = Console(width=max(80, min(110, shutil.get_terminal_size().columns)))
    if first:
        console.print(Panel(first.strip(), title="one of the tunes", highlight=False))
    table = Table(show_header=False, box=None)
    for name, found in findings.items():
        for quantity, value in ((key, found.metrics[key]) for key in found.foremost):
            table.add_row(f"{name}/{quantity}", number(value))
    console.print(table)
    for failure in tracked.failures:
        console.print(f"[red]failed:[/red] {failure}", highlight=False)
    lines = [
        f"model    {weights.model.shape} from {weights.source}",
        *claims_report.in_a_line(tracked.metrics),
        f"results  {tracked.folder}",
        f"report   {tracked.folder / REPORT}",
        *([f"explore  {tracked.folder / EXPLORER}"] if (tracked.folder / EXPLORER).is_file() else []),
        f"MLflow   {tracked.link}",
        f"all runs {tracked.store.page()}",
        *([f"missing  the store lacks part of this run: {tracked.upload_command}"] if tracked.upload_command else []),
        f"time     {seconds:.0f} s",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)

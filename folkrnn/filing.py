"""What a study files and shows: inputs, weights, tunes with their scores, the summary of activations, the report."""

from __future__ import annotations

import io
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from folkrnn import style
from folkrnn.datasets.corpus import Corpus, shares
from folkrnn.findings import Figure, Findings
from folkrnn.notation.audio import record
from folkrnn.notation.bars import flaws, share_of_full_bars
from folkrnn.notation.midi import to_midi
from folkrnn.notation.score import Score, engrave, to_abc
from folkrnn.observation.observation import Observation
from folkrnn.observation.summary import GATES, Summary
from folkrnn.refusal import Refusal
from folkrnn.tracking import TrackedRun
from folkrnn.weights import folder as weights_folder
from folkrnn.weights.folder import Weights

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.training.fit import Fitted

SHOWN = 8
"""Tunes that are engraved, rendered and shown in the report; all are filed as ABC."""

NAME_LENGTH = 120
REPORT = "report.html"


def run_name(overrides: Sequence[str]) -> str:
    """Returns the name of a run: what was typed, or "default"."""
    return " ".join(" ".join(overrides).split())[:NAME_LENGTH] or "default"


def results_folder(runs: Path, digest: str, resume: bool) -> Path:
    """Returns where a run keeps its results: `runs/<digest>`, or beside it if a finished run of this digest is there.

    With `resume` it is the latest one, whose training was cut off. Raises Refusal where such a training is there and is
    not to be resumed, and where there is none to resume.
    """
    places = [runs / digest, *(runs / f"{digest}-{n}" for n in range(2, 10_000))]
    free = next(k for k, place in enumerate(places) if not place.exists())
    latest = places[max(0, free - 1)]
    unfinished = (latest / "checkpoints" / "last.ckpt").is_file() and not (latest / REPORT).is_file()
    if resume and not unfinished:
        raise Refusal(f"trainer.resume=true, but there is no unfinished training of this configuration ({latest})")
    if unfinished and not resume:
        raise Refusal(f"{latest} holds an unfinished training of this configuration; go on with trainer.resume=true")
    return latest if resume else places[free]


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; yields the function that advances it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def file_inputs(tracked: TrackedRun, config: DictConfig, corpus: Corpus, context: str) -> None:
    """Files the configuration and the dataset with its card and its table of reasons for leaving tunes out."""
    from omegaconf import OmegaConf

    tracked.log_params(OmegaConf.to_container(config, resolve=True))
    tracked.log_dataset(corpus.name, corpus.digest, " | ".join(corpus.terms), corpus.profile(), context)
    tracked.log_text(dataset_card(corpus), "dataset/card.md")
    reasons = pd.DataFrame(corpus.rejections.most_common(), columns=["reason", "tunes"])
    tracked.log_text(reasons.to_csv(index=False), "dataset/left_out.csv")


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
        "| left out because | tunes |",
        "|---|---|",
        *(f"| {reason} | {count} |" for reason, count in corpus.rejections.most_common()),
        "",
        "## Terms",
        "",
        *(f"- **{name}**: {terms}" for name, terms in corpus.terms.items()),
    ]
    return "\n".join(lines) + "\n"


def file_weights(tracked: TrackedRun, weights: Weights) -> None:
    """Files where the weights came from, their digest and their card."""
    tracked.set_tags({"weights.source": weights.source, "weights.digest": weights.digest, "model": weights.model.shape})
    tracked.log_params({"parameters": weights.model.parameter_counts()}, file=None)
    if weights.card:
        tracked.log_text(weights.card, "weights/card.md")


def keep_weights(tracked: TrackedRun, fitted: Fitted, vocabulary: object, name: str) -> Weights:
    """Writes what training arrived at as a weights folder, files it, and returns it."""
    place = tracked.folder / "weights"
    card = (
        f"# {name}: {fitted.model.shape}\n\nTrained by the run {tracked.run_id} in {fitted.updates} updates: "
        f"{fitted.validation_loss:.4f} nats per token on the validation tunes.\n"
    )
    weights_folder.save(place, fitted.model, vocabulary, card, dtype=fitted.model.softmax_weight.dtype)
    for file in sorted(place.iterdir()):
        tracked.log_file(file)
    loaded = weights_folder.load(place)
    return Weights(fitted.model, loaded.vocabulary, "scratch", loaded.digest, card)


def file_observation(tracked: TrackedRun, observation: Observation, summary: Summary, keep: Sequence[str]) -> None:
    """Files all tunes, how each token was drawn, the summary of activations, and the streams that are to be kept."""
    tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions]
    titles = titles_of(observation)
    abc = "\n".join(to_abc(tokens, title, k + 1) for k, (tokens, title) in enumerate(zip(tunes, titles, strict=True)))
    tracked.log_text(abc, "tunes/all.abc")
    tracked.log_text(
        "\n\n".join("\n".join([*tokens[:2], " ".join(tokens[2:])]) for tokens in tunes) + "\n", "tunes/all.tokens.txt"
    )
    tracked.log_text(draws(observation).to_csv(index=False), "tunes/draws.csv")
    file_summary(tracked, summary)
    if keep:
        for k, streams in observation.each(keep):
            tracked.log_findings("traces", Findings(arrays={f"tune{k:04d}": streams}))


def draws(observation: Observation) -> pd.DataFrame:
    """Returns one row per token: tune, step, token, origin (given, drawn, replayed), its probability, the uniform."""
    parts = [
        pd.DataFrame(
            {
                "tune": k,
                "step": np.arange(len(t.ids) - 1),
                "token": observation.vocabulary.decode(t.ids[1:]),
                "origin": t.origin,
                "probability": t.probability,
                "uniform": t.uniform,
            }
        )
        for k, t in enumerate(observation.transcriptions)
    ]
    return pd.concat(parts, ignore_index=True)


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
        draw_summary(summary), f"Every observed stream over {summary.rows} steps: the spread over its units."
    )
    tracked.log_findings(
        "summary", Findings({}, {"streams": figure}, {"units": units, "streams": pd.DataFrame(summary.table())})
    )


def draw_summary(summary: Summary) -> object:
    """Returns a figure with one box per stream: the units' means, standard deviations, and share of saturated steps."""
    sites = list(summary.units)
    drawing = style.figure(width=10.0, height=6.0)
    rows = drawing.subplots(3, 1, sharex=True)
    for axes, quantity in zip(rows, ("mean", "std", "saturated share"), strict=True):
        values = [
            unit["low"] + unit["high"] if quantity == "saturated share" else unit[quantity]
            for unit in summary.units.values()
        ]
        boxes = axes.boxplot(
            values, patch_artist=True, widths=0.6, flierprops={"markersize": 1.5}, medianprops={"color": "k"}
        )
        for box, site in zip(boxes["boxes"], sites, strict=True):
            box.set_facecolor(style.ACCENT if site.split(".")[-1] in GATES else style.SOFT)
        axes.set_ylabel(quantity)
    rows[-1].set_xticks(range(1, len(sites) + 1), sites, rotation=60, ha="right")
    return drawing


def titles_of(observation: Observation) -> list[str]:
    """Returns a title for each transcription: its own, or its number."""
    return [t.title or f"No. {k + 1}" for k, t in enumerate(observation.transcriptions)]


def shown_tunes(observation: Observation) -> list[tuple[str, list[str], Score]]:
    """Returns (title, tokens, score) of the first tunes."""
    tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions[:SHOWN]]
    return list(zip(titles_of(observation), tunes, engrave(tunes), strict=False))


def file_report(
    tracked: TrackedRun,
    overrides: Sequence[str],
    weights: Weights,
    observation: Observation,
    findings: dict[str, Findings],
) -> None:
    """Files the scores, MIDI and audio of the first tunes and `report.html`, which holds everything worth reading."""
    from folkrnn.tracking.report import Report, Section, Tune, write_report

    entries, tunes = [], shown_tunes(observation)
    for k, (title, tokens, score) in enumerate(tunes, start=1):
        midi, recording = to_midi(tokens), record(tokens)
        tracked.log_text(score.svg, f"tunes/{k:02d}.svg")
        tracked.log_bytes(midi, f"tunes/{k:02d}.mid")
        notes = [*map(str, flaws(tokens)), recording.note, score.note if score.engine == "matplotlib" else ""]
        abc = to_abc(tokens, title, k)
        entries.append(Tune(title, tokens, abc, score.svg, recording.mp3, midi, [note for note in notes if note]))
    facts = {
        "model": weights.model.shape,
        "weights": f"{weights.source} ({weights.digest})",
        "data": f"{observation.data.name} ({observation.data.digest})" if observation.data else "none",
        "seed": str(observation.seed),
        "run": tracked.run_id,
    }
    sections = [Section(name, found) for name, found in findings.items()]
    command = " ".join(["python run.py", *map(shlex.quote, overrides)])
    report = Report(tracked.name, facts, entries, sections, command=command, warnings=tracked.failures)
    write_report(tracked.folder / REPORT, report)
    title, tokens, _ = tunes[0]
    tracked.describe(
        f"`{command}`\n\nOne of {len(observation.transcriptions)} tunes:\n\n```\n{to_abc(tokens, title, 1)}```\n"
    )
    tracked.log_file(tracked.folder / REPORT)


def show(
    tracked: TrackedRun, weights: Weights, observation: Observation, findings: dict[str, Findings], seconds: float
) -> None:
    """Prints the short summary that ends a run: one tune, the key figures, where everything is."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table

    console = Console(width=max(80, min(110, shutil.get_terminal_size().columns)))
    abc = to_abc(observation.transcriptions[0].tokens(observation.vocabulary), titles_of(observation)[0], 1)
    console.print(Panel(abc.strip(), title=f"one of {len(observation.transcriptions)} tunes", highlight=False))
    table = Table(show_header=False, box=None)
    for name, found in findings.items():
        for quantity, value in list(found.metrics.items())[:6]:
            table.add_row(f"{name}/{quantity}", f"{value:.4g}")
    console.print(table)
    for failure in tracked.failures:
        console.print(f"[red]failed:[/red] {failure}", highlight=False)
    buffer = io.StringIO()
    print(f"model    {weights.model.shape} from {weights.source}", file=buffer)
    print(f"results  {tracked.folder}", file=buffer)
    print(f"report   {tracked.folder / 'report.html'}", file=buffer)
    print(f"MLflow   {tracked.link}", file=buffer)
    print(f"time     {seconds:.0f} s", file=buffer, end="")
    console.print(buffer.getvalue(), highlight=False, soft_wrap=True, markup=False)

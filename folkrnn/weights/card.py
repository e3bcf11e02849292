"""The card of weights, made from the runs that trained and measured them: no number in it is typed by hand."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from folkrnn.errors import UserError
from folkrnn.files.places import COMMAND
from folkrnn.weights import folder
from folkrnn.weights.curve import Curve
from folkrnn.weights.folder import Weights

PROVENANCE = "provenance.json"
METRICS, CONFIG, DATASET = "metrics.json", "config.yaml", "dataset/card.md"
COLLECTIONS = "tables/held_out_melodies_collections.csv"
"""Files of a run's folder."""

ELSEWHERE = (
    *("tracking.", "tracking=", "trainer=", "trainer.devices", "trainer.accelerator", "trainer.resume", "launcher"),
    *("weights.path", "weights=checkpoint"),
)
"""Words of a command that say where it ran or where its weights lay, not what it computed."""

SHORTFALL = 0.9
"""A quantity below this share of what it is beside is named among the limits."""

COMMIT = re.compile(r"[0-9a-f]{12}")

WENT_ON = r"It went on from .* \((\w{16})\)\."
"""What a training that did not begin with fresh parameters says in the card that its run files."""

POINTS = 12
"""Validations that the card's curve shows."""


@dataclass(frozen=True)
class CardMetric:
    """A metric that a card states, and the metric or number that it should reach."""

    words: str
    unit: str = "share"
    """`share` (printed in percent), `nats` or `number`."""
    beside: str | float | None = None
    whose: str = "in the data"
    """What `beside` is of."""


QUANTITIES: dict[str, CardMetric] = {
    "held_out/nats_per_token": CardMetric("nats per held-out token", "nats"),
    "held_out/new_nats": CardMetric("nats per token in bars that are new to their tune", "nats"),
    "held_out/copied_nats": CardMetric("nats per token in bars that stood in their tune before", "nats"),
    "held_out/copying_gain": CardMetric("nats that a copied bar costs less than a new one", "nats"),
    "tune_statistics/full_bars": CardMetric("full bars", beside="tune_statistics/data_full_bars"),
    "tune_statistics/copied_in_part": CardMetric(
        "bars that stood before in their part", beside="tune_statistics/data_copied_in_part"
    ),
    "tune_statistics/two_repeated_8_bar_parts": CardMetric(
        "tunes of exactly two repeated parts of eight bars", beside="tune_statistics/data_two_repeated_8_bar_parts"
    ),
    "tune_statistics/flawless_share": CardMetric(
        "tunes without a flaw of notation", beside="tune_statistics/data_flawless_share"
    ),
    "tune_statistics/ended_share": CardMetric("tunes that end by themselves", beside=1.0, whose="wanted"),
    "tune_statistics/length_median": CardMetric(
        "median length in tokens", "number", beside="tune_statistics/data_length_median"
    ),
    "activations/l3.h/sparsity": CardMetric(
        "activations of l3.h near zero", beside=0.8, whose="in folk-rnn v2 (facts on folk-rnn, section 4)"
    ),
    "held_out_melodies/free_steps": CardMetric("steps written back exactly from μ", beside=1.0, whose="wanted"),
    "held_out_melodies/free_onsets": CardMetric("onsets written back exactly from μ", beside=1.0, whose="wanted"),
    "held_out_melodies/forced_steps": CardMetric("steps exact reading the true ones"),
    "held_out_melodies/forced_onsets": CardMetric("onsets exact reading the true steps"),
    "held_out_melodies/whole_melodies": CardMetric("melodies written back whole"),
    "held_out_melodies/always_hold_steps": CardMetric("steps exact for whoever never begins a note"),
    "latent_spread/music_neurons_by_sigma": CardMetric("latents that carry music: mean σ below 0.9", "number"),
    "latent_spread/music_neurons_by_kl": CardMetric("latents that carry music: mean KL above 0.1 nats", "number"),
    "latent_spread/between_share": CardMetric("latents between: mean σ from 0.6 to 0.9"),
    "latent_spread/kl": CardMetric("KL of a melody, nats", "number"),
    "latent_spread/kl_in_music_neurons": CardMetric("of it in the latents that carry music"),
    "real_vs_random/excited_noise/real_median": CardMetric(
        "other latents that a median melody excites, |μ| > 0.1", "number"
    ),
    "real_vs_random/excited_noise/random_median": CardMetric("the same, of random notes", "number"),
}
"""What a card states of the metrics that its runs filed, in this order."""


@dataclass(frozen=True)
class FiledRun:
    """What a run's folder says of it."""

    place: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    words: Sequence[str] = ()
    """Of the command, without what belongs to the machine that it ran on."""
    dataset: str = ""
    commit: str = ""
    collections: Sequence[Mapping[str, str]] = ()
    """The rows of COLLECTIONS, where the run filed it."""

    @property
    def command(self) -> str:
        return shlex.join([*COMMAND, *self.words])

    @classmethod
    def read(cls, place: Path) -> FiledRun:
        """Reads a run's folder. Raises UserError where it is none or the run has not ended."""
        missing = [name for name in (METRICS, CONFIG) if not (place / name).is_file()]
        if missing:
            raise UserError(
                f"{place} is not the folder of a finished run: it lacks {missing[0]}; every run prints its folder as "
                "'results'"
            )
        told = _provenance(place)
        words = [word for word in _overrides(told.get("command", "")) if not word.startswith(ELSEWHERE)]
        dataset = (place / DATASET).read_text(encoding="utf-8") if (place / DATASET).is_file() else ""
        return cls(
            place,
            yaml.safe_load((place / CONFIG).read_text(encoding="utf-8")),
            json.loads((place / METRICS).read_text(encoding="utf-8")),
            words,
            dataset,
            told.get("git.commit", ""),
            _rows(place / COLLECTIONS),
        )


def _rows(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _overrides(command: str) -> list[str]:
    """The words after the program's name, `folkrnn-lab` where it is installed and `python run.py` in a checkout."""
    words = shlex.split(command)
    return words[1:] if words[:1] == ["folkrnn-lab"] else words[2:]


def _provenance(place: Path) -> dict[str, str]:
    """Returns what a run says of where it came from; older ones said it in the tags that they filed first."""
    if (place / PROVENANCE).is_file():
        return json.loads((place / PROVENANCE).read_text(encoding="utf-8"))
    journal = place / ".tracking" / "entries.jsonl"
    if not journal.is_file():
        return {}
    with journal.open(encoding="utf-8") as lines:
        entries = (json.loads(line) for line in lines)
        return next((entry["tags"] for entry in entries if entry["kind"] == "tags"), {})


@dataclass(frozen=True)
class Measured:
    """Every stated metric with the run that filed it; the last run that filed one wins."""

    runs: Sequence[FiledRun]
    of: Mapping[str, FiledRun] = field(init=False)

    def __post_init__(self) -> None:
        found = {name: run for run in self.runs for name in run.metrics if name in QUANTITIES or _is_initial(name)}
        object.__setattr__(self, "of", found)

    def value(self, name: str) -> float:
        return float(self.of[name].metrics[name])

    def beside(self, name: str) -> float | None:
        """Returns what a quantity should reach, from the same run; None where there is no such thing."""
        wanted = QUANTITIES[name].beside
        return self.of[name].metrics.get(wanted) if isinstance(wanted, str) else wanted

    def interval(self, name: str) -> tuple[float, float] | None:
        low, high = (self.of[name].metrics.get(f"{name}_{end}") for end in ("low", "high"))
        return None if low is None or high is None else (float(low), float(high))

    def stated(self) -> list[str]:
        return [name for name in QUANTITIES if name in self.of]


def _is_initial(name: str) -> bool:
    """Whether a metric is the share of a matrix, or of all, that is still as it was drawn."""
    return name.endswith("initial_share")


def card(
    name: str, weights: Weights, training: FiledRun, measured: Sequence[FiledRun] = (), began: Weights | None = None
) -> str:
    """Returns the card of trained weights in Markdown, with the metadata that the Hugging Face hub reads.

    `training` is the run that made them; `measured` are runs that looked into them; `began` are the weights that the
    training went on from, whose own card says where they came from. What the model falls short of comes first.
    """
    found = Measured([training, *measured])
    parts = [
        _metadata(weights),
        f"# {name}: {weights.model.shape}\n\n{_parameters(weights)} parameters, half precision.",
        "## What it cannot do\n\n" + "\n".join(_limits(found)),
        "## Where it comes from\n\n" + "\n".join([*_origin(weights, training), *_earlier(began)]),
        "## Figures\n\n" + "\n".join(_figures(found)),
        *_by_collection(found),
        *_initial(found),
        "## How the training went\n\n" + "\n".join(_curve(weights.curve)),
        "## Terms\n\n" + _terms(training.dataset),
    ]
    return "\n\n".join(parts) + "\n"


def write(name: str, run: Path, target: Path, measured: Sequence[Path] = (), began: Path | None = None) -> str:
    """Writes the weights that a run trained to a folder, in half precision, with their card; returns what was done.

    Raises UserError where a folder is not that of a run, the run trained nothing, went on from weights other than those
    in `began` or none are given, or the target is there already.
    """
    import torch

    if target.exists():
        raise UserError(f"{target} is there already; name another place")
    training = FiledRun.read(run)
    if not (run / "weights" / folder.PARAMETERS).is_file():
        raise UserError(f"{run} trained nothing: it has no weights/{folder.PARAMETERS}")
    weights = folder.load(run / "weights")
    before = _went_on_from(weights, run, began)
    text = card(name, weights, training, [FiledRun.read(place) for place in measured], before)
    folder.save(target, weights.model, weights.vocabulary, text, torch.float16, weights.curve)
    return f"{weights.model.shape} from {run} ({weights.digest}) written to {target} with its card"


def _went_on_from(weights: Weights, run: Path, began: Path | None) -> Weights | None:
    """Returns the weights that a training went on from, as the card that it filed says; None for fresh ones."""
    said = re.search(WENT_ON, weights.card)
    if said is None:
        if began is not None:
            raise UserError(f"{run} trained fresh parameters: leave --began out")
        return None
    if began is None:
        raise UserError(f"{run} went on from parameters of the digest {said[1]}: name their folder with --began")
    before = folder.load(began)
    if before.digest != said[1]:
        raise UserError(f"{run} went on from parameters of the digest {said[1]}; those in {began} have {before.digest}")
    return before


def _metadata(weights: Weights) -> str:
    tags = ["music", "folk-rnn" if weights.vocabulary is not None else "musicvae"]
    return "\n".join(["---", "license: mit", "library_name: folkrnn-lab", f"tags: [{', '.join(tags)}]", "---"])


def _parameters(weights: Weights) -> str:
    return f"{sum(p.numel() for p in weights.model.parameters()):,}"


def _limits(found: Measured) -> list[str]:
    """Returns a line for each quantity that falls short of what it is beside, the worst first."""
    short = []
    for name in found.stated():
        wanted = found.beside(name)
        if wanted and found.value(name) < SHORTFALL * wanted:
            quantity = QUANTITIES[name]
            line = f"- {quantity.words}: {_printed(found.value(name), quantity.unit)}"
            short.append((found.value(name) / wanted, f"{line}; {quantity.whose} {_printed(wanted, quantity.unit)}."))
    return [line for _, line in sorted(short)] or [
        f"- No stated quantity is below {SHORTFALL:.0%} of what it should be."
    ]


def _origin(weights: Weights, training: FiledRun) -> list[str]:
    recipe = ", ".join(
        f"{key} {_plain(value)}" for key, value in training.config["recipe"].items() if key != "_target_"
    )
    trainer = training.config["trainer"]
    lines = [
        f"- **Command**: `{training.command}`"
        + (f" at commit `{training.commit[:12]}`" if COMMIT.match(training.commit) else ""),
        f"- **Recipe**: {recipe}; {trainer['max_epochs']} epochs, precision {trainer['precision']}.",
        f"- **Data**: {_first_paragraph(training.dataset)}",
    ]
    return [*lines, *([weights.initial.line().strip()] if weights.initial else [])]


def _earlier(began: Weights | None) -> list[str]:
    """Returns what the card of earlier parameters says of where they came from."""
    if began is None:
        return []
    told = began.card.partition("## Where it comes from")[2].partition("\n## ")[0].strip()
    return [
        f"- **It went on from** parameters of the digest `{began.digest}`, of which their own card said:",
        "",
        _quoted(told),
    ]


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _by_collection(found: Measured) -> list[str]:
    run = found.of.get("held_out_melodies/free_onsets")
    if run is None or not run.collections:
        return []
    shown = {"free_steps": "steps", "free_onsets": "onsets", "always_hold_steps": "never beginning a note: steps"}
    head = ["collection", "held-out melodies", *shown.values()]
    rows = [
        [row["collection"], f"{int(row['melodies']):,}", *(f"{float(row[key]):.1%}" for key in shown)]
        for row in run.collections
    ]
    table = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return ["## What comes back, by collection\n\nWritten back from μ, reading its own output.\n\n" + "\n".join(table)]


def _figures(found: Measured) -> list[str]:
    commands = list(dict.fromkeys(found.of[name].command for name in found.stated()))
    rows = ["| quantity | value | 95 % interval | beside | printed by |", "|---|---|---|---|---|"]
    for name in found.stated():
        quantity, ends, wanted = QUANTITIES[name], found.interval(name), found.beside(name)
        cells = [
            quantity.words.replace("|", r"\|"),
            _printed(found.value(name), quantity.unit),
            " to ".join(_printed(end, quantity.unit) for end in ends) if ends else "",
            f"{_printed(wanted, quantity.unit)} {quantity.whose}" if wanted is not None else "",
            str(commands.index(found.of[name].command) + 1),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return [*rows, "", *(f"{number}. `{command}`" for number, command in enumerate(commands, 1))]


def _initial(found: Measured) -> list[str]:
    shares = {name: found.value(name) for name in sorted(found.of) if _is_initial(name)}
    if not shares:
        return []
    rows = ["| matrix | share of its energy that is initial |", "|---|---|"]
    rows += [f"| {_matrix(name)} | {share:.1%} |" for name, share in shares.items()]
    return ["## What is left of the initial parameters\n\n" + "\n".join(rows)]


def _matrix(metric: str) -> str:
    """Returns which matrix an initial share is of: `gate_parameters/l1.xi/initial_share` is of l1.xi."""
    _, *names = metric.removesuffix("/initial_share").split("/")
    return "/".join(names) or "all"


def _curve(curve: Curve | None) -> list[str]:
    if curve is None or not len(curve.validation):
        return ["Not known."]
    best = int(curve.validation[:, 1].argmin())
    step = max(1, len(curve.validation) // POINTS)
    shown = sorted({*range(0, len(curve.validation), step), best, len(curve.validation) - 1})
    rows = ["| updates | " + f"validation, nats per {curve.unit} |", "|---|---|"]
    marked = [
        f"| {curve.validation[k, 0]:,.0f} | {curve.validation[k, 1]:.3f}{' (best)' * (k == best)} |" for k in shown
    ]
    baselines = ", ".join(f"{name} {value:.3f}" for name, value in curve.baselines.items())
    return [*rows, *marked, *(["", f"The same tunes by models that know less: {baselines}."] if baselines else [])]


def _terms(dataset: str) -> str:
    found = dataset.partition("## Terms")[2].strip()
    return (found or "Not stated by the dataset.") + "\n\nThe weights are offered under the licence of the code (MIT)."


def _first_paragraph(dataset: str) -> str:
    lines = [line for line in dataset.splitlines() if line and not line.startswith("#")]
    name = dataset.splitlines()[0].removeprefix("# Dataset ") if dataset else ""
    return f"`dataset={name}`, {lines[0]}" if lines else "not filed by the run."


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} {_plain(item)}" for key, item in value.items() if key != "_target_")
        return f"({inner})"
    return "null" if value is None else str(value)


def _printed(value: float, unit: str) -> str:
    return {"share": f"{value:.1%}", "nats": f"{value:.3f}", "number": f"{value:g}"}[unit]

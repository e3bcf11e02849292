"""Answers to the questions that the documents leave open, each with its interval and its control.

    python benchmarks/open_questions.py runs/open --write docs/open_questions.md

runs the recipe of each question (one folder each; those that are there already are only read) and prints one row per
question. Some 40 minutes on two CPU cores, besides `open_seeds`, whose trainings have EPOCHS epochs here; `--only
open_layer2 open_counting` takes fewer recipes.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[1]

EPOCHS = 6
"""Of each training of `open_seeds`, whose recipe asks for 30."""

EXTRA = {"open_seeds": [f"trainer.max_epochs={EPOCHS}"], "part8": ["control=untrained"]}
"""Settings of a recipe besides."""

CONTROLS = "tables/control_model_and_control.csv"

GATES = ("l1.i", "l1.f", "l1.o", "l3.i", "l3.f", "l3.o")


@dataclass(frozen=True)
class Value:
    """A metric of a run, or of each job of a sweep that has these settings."""

    words: str
    """What is said before it, besides the name of the metric."""
    metric: str
    where: Mapping[str, Any] | None = None
    """Settings of the job that is meant; None: the only run, or with `over` every job."""
    over: bool = False
    """The range over all jobs that have these settings, such as seeds."""


@dataclass(frozen=True)
class Question:
    """A row of the page."""

    words: str
    recipe: str
    values: Sequence[Value]
    control: str
    meaning: str
    """What the numbers of the shipped model mean."""
    refuted: str
    """What would refute that."""


STATES = {"lstm": "c", "gru": "h"}
"""What a cell remembers by."""


def seeds(metric: str) -> list[Value]:
    """The metric of each kind of training over its seeds; `{state}` is what the kind's cell remembers by."""
    kinds = [(cell, dropout) for cell in ("lstm", "gru") for dropout in (0.0, 0.15)]
    return [
        Value(
            f"{cell}, dropout {dropout:g}:",
            metric.format(state=STATES[cell]),
            {"model.cell": cell, "model.dropout": dropout},
            True,
        )
        for cell, dropout in kinds
    ]


QUESTIONS = [
    Question(
        "What are the gates for?",
        "open_gates",
        [Value(site, "effect/counting_beyond_matched", {"intervention.clamp.sites": site}) for site in GATES],
        "the same number of units of the same norms, ten draws; subtracted",
        "no interval lies below 0: held at their mean, the eighth of a gate's units that goes most with bar lines "
        "costs counting no more than other units do",
        "an interval below 0: these units carry the bar line causally",
    ),
    Question(
        "What does each unit of a gate answer to?",
        "part8",
        [
            Value("", "unit_events/l1.i/token"),
            Value("", "unit_events/l3.f/token"),
            Value("", "unit_events/l1.i/steps_in_bar"),
        ],
        "labels shifted round in time, corrected over all units, variables and activations",
        "share of units: in layer 1 most follow the token just read, as without training; the quarter that tells the "
        "place in the bar was learned, and so was what layer 3's gates follow",
        "the same shares in an untrained network (`control=untrained`)",
    ),
    Question(
        "What is layer 2 for?",
        "open_layer2",
        [
            Value("", "layer_properties/l2/adds_token_next"),
            Value("", "layer_properties/l3/adds_token_next"),
            Value("", "layer_properties/l2/adds_time_in_bar"),
            Value("", "layer_properties/l3/adds_time_in_bar"),
            Value("", "layer_properties/l2/adds_mode"),
            Value("", "layer_properties/l3/adds_part"),
        ],
        "an untrained network and shuffled tokens (`control=both`), labels shifted in time",
        "R² that a linear reader of held-out tunes gains from a layer beyond those below it: layer 2 tells the "
        "token to come, and less of the place in the bar; layer 3 which part it is. What layer 2 tells of "
        "the mode it tells of shuffled tokens, too",
        "layer 2 adding to places as much as to tokens, or an untrained network adding as much",
    ),
    Question(
        "Dropout and GRU: which is better?",
        "open_seeds",
        [*seeds("held_out/nats_per_token"), *seeds("tune_statistics/full_bars")],
        "the range over three seeds",
        "kinds whose ranges do not overlap differ: after these epochs a GRU is better than an LSTM, at the same width, "
        "in nats and in full bars; dropout costs nats at this length of training, and bars show no difference",
        "ranges that overlap",
    ),
    Question(
        "Functions found automatically: do they recur?",
        "open_seeds",
        [
            *seeds("unit_events/l2.{state}/bar_of_part"),
            *seeds("timing/l3.h/lead"),
        ],
        "the same over cells and dropout",
        "a third layer that announces bar lines (lead 1) is in all seeds with dropout, not in all without. That units "
        "go best with the bar of the part recurs, too, but says nothing: an untrained network has more (next row)",
        "a seed that counts bars as well without them",
    ),
    Question(
        "Are units that go best with the bar of the part learned?",
        "part8",
        [Value("", "unit_events/l2.c/bar_of_part"), Value("", "unit_events/l2.h/bar_of_part")],
        "an untrained network (`control=untrained`)",
        "the share of units: an untrained network has more of them, so that their number is no sign of counting",
        "fewer of them in an untrained network",
    ),
    Question(
        "Only 16 bars?",
        "part8_suppress",
        [Value("end suppressed", "effect/full_bars_late_beyond", {"intervention": "suppress_end"})],
        "the unchanged model's bars; the null of other random numbers",
        "the interval holds 0: with the end suppressed it goes on counting after bar 16",
        "an upper end below 0",
    ),
    Question(
        "Does it count without reading bar lines?",
        "open_counting",
        [
            Value("bar lines read", "effect/full_bars_since", {"intervention.suppress_input.weight": 1.0}),
            Value("not read", "effect/full_bars_since", {"intervention.suppress_input.weight": 0.0}),
        ],
        "the same model that reads them, the end suppressed in both",
        "bar lines that are read set the count back: without them hardly a bar is full",
        "as many full bars without as with them",
    ),
    Question(
        "Do parts define parts?",
        "open_layer2",
        [
            Value("written", "part_likeness/beyond"),
            Value("data", "part_likeness/data_beyond"),
        ],
        "parts of other tunes of the same meter and mode",
        "above 0: later parts take up material of the first, less than the data's do",
        "an interval that holds 0",
    ),
    Question(
        "In how large a subspace do counting and melody live?",
        "part6",
        [
            Value(
                f"{share:.0%} of the units cut:",
                f"effect/{ability}_beyond_null",
                {"cut.fraction": share},
            )
            for share in (0.1, 0.27, 0.5)
            for ability in ("counting", "melody")
        ],
        "the unchanged model with other random numbers, subtracted; ten draws of units of the same norms in the run",
        "the dose at which each is lost: one that needs fewer units lives in a smaller subspace",
        "the same loss of both at every dose",
    ),
]


def run(recipe: str, folder: Path) -> None:
    """Runs a recipe that has not been run there yet."""
    if not finished(folder / recipe):
        command = [sys.executable, "run.py", f"experiment={recipe}", f"tracking.folder={(folder / recipe).resolve()}"]
        subprocess.run([*command, *EXTRA.get(recipe, [])], cwd=ROOT, check=False)


@dataclass(frozen=True)
class Run:
    """What a finished run filed."""

    config: Any
    metrics: Mapping[str, float]
    controls: Mapping[str, Mapping[str, float]]
    """By metric: the same of an untrained network and of shuffled tokens, where the run had these controls."""


def finished(place: Path) -> list[Run]:
    """Returns every run in a store that came to its end."""
    found = []
    for file in sorted(place.glob("runs/*/metrics.json")):
        table = file.parent / CONTROLS
        controls = pd.read_csv(table).set_index("quantity").to_dict("index") if table.is_file() else {}
        found.append(Run(OmegaConf.load(file.parent / "config.yaml"), json.loads(file.read_text()), controls))
    return found


def fits(config: Any, where: Mapping[str, Any]) -> bool:
    """Whether a run has these settings; of a group the option's name is meant."""
    return all(_option(OmegaConf.select(config, key)) == value for key, value in where.items())


def _option(value: Any) -> Any:
    if OmegaConf.is_dict(value):
        return next(iter(value), None) if len(value) == 1 else value.get("name")
    return yaml.safe_load(str(value)) if isinstance(value, str) else value


def text(value: Value, runs: Sequence[Run]) -> str:
    """Returns the value with its interval and controls, or its range over jobs; `not run` where there is none."""
    chosen = [run for run in runs if fits(run.config, value.where or {}) and value.metric in run.metrics]
    if not chosen:
        return "not run"
    found = [run.metrics[value.metric] for run in chosen]
    if value.over:
        return f"{short(sum(found) / len(found))} ({short(min(found))} to {short(max(found))} over {len(found)} runs)"
    low, high = (chosen[0].metrics.get(f"{value.metric}_{end}", math.nan) for end in ("low", "high"))
    beside = chosen[0].controls.get(value.metric, {})
    others = [f"{name} {short(beside[name])}" for name in ("untrained", "shuffled") if name in beside]
    shown = [f"{short(low)} to {short(high)}"] * math.isfinite(low) + [one for one in others if "nan" not in one]
    return short(found[0]) + (f" ({'; '.join(shown)})" if shown else "")


def numbers(question: Question, runs: Sequence[Run]) -> str:
    """Returns a line for each metric, with all that the question asks of it."""
    if not runs:
        return "not run for this page"
    lines = []
    for metric in dict.fromkeys(value.metric for value in question.values):
        values = [f"{value.words} {text(value, runs)}".strip() for value in question.values if value.metric == metric]
        lines.append(f"`{metric}`: {'; '.join(values)}")
    return "<br>".join(lines)


def short(value: float) -> str:
    return f"{value:.3g}"


def page(folder: Path) -> Iterator[str]:
    """Yields the lines of docs/open_questions.md."""
    yield from (
        "# The open questions of part 8 and of part 9's end",
        "",
        "Made by `python benchmarks/open_questions.py runs/open --write docs/open_questions.md`, for the shipped "
        "models. "
        "Numbers are metrics of the run that the command makes, with 95 % intervals over tunes (of `layer_properties` "
        "over folds of tunes), and the same of an untrained network and of shuffled tokens where the recipe has these "
        "controls."
        + (
            f" Three runs of a kind, by seed, have their range. A training of `open_seeds` had {EPOCHS} epochs here; "
            "the recipe's 30 take four hours."
            if finished(folder / "open_seeds")
            else ""
        ),
        "",
        "| question | command | numbers | control | what they mean | what would refute it |",
        "|---|---|---|---|---|---|",
    )
    for question in QUESTIONS:
        runs = finished(folder / question.recipe)
        command = " ".join(["python run.py", f"experiment={question.recipe}", *EXTRA.get(question.recipe, [])])
        cells = [
            question.words,
            f"`{command}`",
            numbers(question, runs),
            question.control,
            question.meaning,
            question.refuted,
        ]
        yield "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    recipes = list(dict.fromkeys(question.recipe for question in QUESTIONS))
    parser.add_argument("--only", nargs="*", choices=recipes, help="recipes to run; all by default")
    parser.add_argument("--write", type=Path, help="file to write the page to, besides printing it")
    given = parser.parse_args()
    for recipe in recipes if given.only is None else given.only:
        run(recipe, given.folder)
    lines = "\n".join(page(given.folder)) + "\n"
    print(lines)
    if given.write:
        given.write.write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main()

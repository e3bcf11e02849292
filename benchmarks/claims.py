"""Which claims of the source documents hold for the shipped models, and where else their criteria hold.

    python benchmarks/claims.py runs/claims --write docs/claims.md

runs the recipe of each document (one folder each; those that are there already are only read) and prints one row per
claim: what the model gives, what an untrained network, shuffled tokens and the unchanged model with other random
numbers give, and the verdict. Some two hours on two CPU cores; `--only part4 part9` takes fewer recipes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from folkrnn.claims import document
from folkrnn.claims.judge import CONTROLS, STATUSES

ROOT = Path(__file__).resolve().parents[1]

RECIPES = {
    "part1": ["part1"],
    "part2": ["part2"],
    "part3": ["part3"],
    "part4": ["part4"],
    "part5": ["part5"],
    "part6": ["part6_tune", "part6"],
    "part7": ["part7", "part7_cuts", "part7_two_hot"],
    "part8": ["part8_suppress"],
    "part9": ["part9"],
    "part10": ["part10"],
    "softmax_paper": [
        "softmax_paper",
        "paper_fig8",
        "paper_fig9",
        "paper_fig10_11",
        "paper_fig12",
        "paper_fig13",
        "paper_fig14",
    ],
    "latents_2bar": ["latents_2bar"],
}
"""Documents, and the recipes whose runs judge their claims. Those that need other weights or data are left out."""

STAR = " \\*"

EXTRA = {"latents_2bar": ["dataset.collections=irish"]}
"""Settings of a recipe besides: the shipped MusicVAE learned from these."""


def run(recipe: str, folder: Path) -> None:
    """Runs a recipe that has not been run there yet."""
    place = folder / recipe
    if not any(place.glob("runs/*/claims.csv")):
        command = [sys.executable, "run.py", f"experiment={recipe}", f"tracking.folder={place.resolve()}"]
        subprocess.run([*command, f"claims=[{owner(recipe)}]", *EXTRA.get(recipe, [])], cwd=ROOT, check=False)


def owner(recipe: str) -> str:
    """Returns the document whose claims a recipe judges."""
    return next(name for name, recipes in RECIPES.items() if recipe in recipes)


def verdicts(name: str, recipes: Sequence[str], folder: Path) -> pd.DataFrame:
    """Returns one row per claim of a document: from the run that judged it, else from any."""
    files = [file for recipe in recipes for file in sorted((folder / recipe).glob("runs/*/claims.csv"))]
    if not files:
        return pd.DataFrame()
    rows = pd.concat([pd.read_csv(file, dtype=str, keep_default_na=False) for file in files], ignore_index=True)
    rows = rows[rows["source"] == name]
    judged = rows.assign(open=rows["verdict"] == "n/a").sort_values("open", kind="stable").drop_duplicates("id")
    order = [claim.id for claim in document(name).claims]
    return judged.set_index("id").reindex([id_ for id_ in order if id_ in set(judged["id"])]).reset_index()


def page(found: dict[str, pd.DataFrame]) -> Iterator[str]:
    """Yields the lines of docs/claims.md."""
    every = pd.concat(found.values(), ignore_index=True)
    counts = {status: int((every["verdict"] == status).sum()) for status in STATUSES}
    yield from (
        "# Claims of the source documents, for the shipped models",
        "",
        "Made by `python benchmarks/claims.py runs/claims --write docs/claims.md`. Each criterion is evaluated on the "
        "model and, where that changes what it looks at, on an untrained network, on the same model reading shuffled "
        "tokens, and, of an intervention, on the unchanged model with other random numbers (null). An asterisk marks "
        "where the criterion holds as well; a claim that is true of the model and there says nothing of the model. "
        "Numbers of folk-rnn v2 itself, and of its data, are not judged here and left out.",
        "",
        f"{counts['holds']} of {counts['holds'] + counts['does not hold']} hold; "
        f"{counts['does not depend on the model']} do not depend on the model; {counts['n/a']} are not judged.",
    )
    if missing := [name for name in RECIPES if name not in found]:
        yield from ("", f"Not run for this page: {', '.join(missing)}.")
    for name, rows in found.items():
        shown = rows[~((rows["verdict"] == "n/a") & rows["scope"].isin(["v2", "data_v2"]))]
        yield from ("", f"## {document(name).title}", "")
        yield "| claim | model | untrained | shuffled | null | verdict |"
        yield "|---|---|---|---|---|---|"
        for row in shown.to_dict("records"):
            where = set(row["holds_on"].split())
            value = short(row["value"])
            interval = f" ({short(row['low'])} to {short(row['high'])})" if row["low"] and row["high"] else ""
            others = " | ".join(short(row[name]) + (STAR if name in where else "") for name in CONTROLS)
            why = f" ({row['why']})" if row["why"] else ""
            said = f"{row['id']} {row['statement']} `{row['criterion']}`".replace("|", "\\|")
            yield f"| {said} | {value}{interval} | {others} | {row['verdict']}{why} |"


def short(text: str) -> str:
    """Returns a number with three digits; of a list its first six words."""
    try:
        return f"{float(text):.3g}" if text else ""
    except ValueError:
        words = text.split()
        return " ".join(words[:6]).replace("|", "\\|") + (" …" if len(words) > 6 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the runs are kept")
    parser.add_argument("--only", nargs="*", choices=sorted(RECIPES), help="documents to judge; all by default")
    parser.add_argument("--write", type=Path, help="file to write the page to, besides printing it")
    given = parser.parse_args()
    chosen = {name: recipes for name, recipes in RECIPES.items() if not given.only or name in given.only}
    for recipes in chosen.values():
        for recipe in recipes:
            run(recipe, given.folder)
    found = {name: verdicts(name, recipes, given.folder) for name, recipes in chosen.items()}
    text = "\n".join(page({name: rows for name, rows in found.items() if len(rows)})) + "\n"
    print(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

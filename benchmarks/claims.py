"""Which claims of the source documents hold for the shipped models, and where else their criteria hold.

    python benchmarks/claims.py runs/claims --write docs/claims.md

runs the recipe of each document (one folder each; those that are there already are only read) and prints one row per
claim: what the model gives, what an untrained network, shuffled tokens and the unchanged model with other random
numbers give, and the verdict. Some two hours on two CPU cores; `--only part4 part9` takes fewer recipes. `--beside
folkrnn_copying` adds a column for another shipped folk-rnn, judged in the documents that `--those` names (all by
default).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from folkrnn.claims import document
from folkrnn.claims.judge import CONTROLS, FAILS, HOLDS, STATUSES

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

HEADINGS = ("claim", "model", "untrained", "shuffled", "null", "verdict")


def run(recipe: str, folder: Path, words: Sequence[str] = ()) -> None:
    """Runs a recipe that has not been run there yet."""
    place = folder / recipe
    if not any(place.glob("runs/*/claims.csv")):
        command = [sys.executable, "run.py", f"experiment={recipe}", f"tracking.folder={place.resolve()}"]
        subprocess.run([*command, f"claims=[{owner(recipe)}]", *words], cwd=ROOT, check=False)


def judged(
    documents: Mapping[str, Sequence[str]], folder: Path, words: Sequence[str] = (), read: bool = False
) -> dict[str, pd.DataFrame]:
    """Returns the verdicts on the claims of each document, after running those of its recipes that have not run.

    With `read` none is run, and a document lacks what it would have said.
    """
    for recipes in documents.values() if not read else ():
        for recipe in recipes:
            run(recipe, folder, words)
    found = {name: verdicts(name, recipes, folder) for name, recipes in documents.items()}
    return {name: rows for name, rows in found.items() if len(rows)}


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
    first = rows.assign(open=rows["verdict"] == "n/a").sort_values("open", kind="stable").drop_duplicates("id")
    order = [claim.id for claim in document(name).claims]
    return first.set_index("id").reindex([id_ for id_ in order if id_ in set(first["id"])]).reset_index()


def page(found: dict[str, pd.DataFrame], beside: Mapping[str, dict[str, pd.DataFrame]]) -> Iterator[str]:
    """Yields the lines of docs/claims.md; `beside`: by the name of another model, what was found of it."""
    asked = f" --beside {' '.join(beside)}" if beside else ""
    every = pd.concat(found.values(), ignore_index=True)
    counts = {status: int((every["verdict"] == status).sum()) for status in STATUSES}
    yield from (
        "# Claims of the source documents, for the shipped models",
        "",
        f"Made by `python benchmarks/claims.py runs/claims{asked} --write docs/claims.md`. "
        "Each criterion is evaluated on the "
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
    for model, other in beside.items():
        mine, first = holding(other), holding({name: found[name] for name in other})
        yield from ("", f"Of `model={model}`, in {', '.join(other)}, {mine} hold; there {first} of the first model.")
    for name, rows in found.items():
        statements = {claim.id: claim.statement for claim in document(name).claims}
        others_found = {model: other[name].set_index("id") for model, other in beside.items() if name in other}
        shown = rows[~((rows["verdict"] == "n/a") & rows["scope"].isin(["v2", "data_v2"]))]
        yield from ("", f"## {document(name).title}", "")
        yield "".join(f"| {word} " for word in (*HEADINGS, *others_found)) + "|"
        yield "|---" * (len(HEADINGS) + len(others_found)) + "|"
        for row in shown.to_dict("records"):
            where = set(row["holds_on"].split())
            others = " | ".join(short(row[name]) + (STAR if name in where else "") for name in CONTROLS)
            why = f" ({row['why']})" if row["why"] else ""
            said = f"{row['id']} {statements[row['id']]} `{row['criterion']}`".replace("|", "\\|")
            cells = [cell(other.loc[row["id"]]) for other in others_found.values()]
            yield f"| {said} | {measured(row)} | {others} | {row['verdict']}{why} |" + "".join(f" {c} |" for c in cells)


def holding(found: Mapping[str, pd.DataFrame]) -> str:
    """Returns how many of the claims that depend on the model hold: "19 of 45"."""
    tally = pd.concat(found.values(), ignore_index=True)["verdict"].value_counts()
    holds, fails = (int(tally.get(status, 0)) for status in (HOLDS, FAILS))
    return f"{holds} of {holds + fails}"


def measured(row: Mapping[Any, str]) -> str:
    """Returns the quantity of a claim, with its interval where it has one."""
    return short(row["value"]) + (
        f" ({short(row['low'])} to {short(row['high'])})" if row["low"] and row["high"] else ""
    )


def cell(row: Mapping[Any, str]) -> str:
    """Returns what another model gives and its verdict."""
    return f"{measured(row)}: {row['verdict']}" if row["value"] else row["verdict"]


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
    parser.add_argument("--beside", nargs="*", default=[], help="other shipped folk-rnn models, a column each")
    parser.add_argument("--those", nargs="*", choices=sorted(RECIPES), help="documents in which they are judged")
    parser.add_argument("--read", action="store_true", help="only read the runs that are there")
    parser.add_argument("--write", type=Path, help="file to write the page to, besides printing it")
    given = parser.parse_args()
    chosen = {name: recipes for name, recipes in RECIPES.items() if not given.only or name in given.only}
    found = judged(chosen, given.folder, read=given.read)
    if not found:
        sys.exit("no recipe has come to its end")
    those = {name: chosen[name] for name in given.those or chosen if name in chosen and not name.startswith("latents")}
    beside = {model: judged(those, given.folder / model, [f"model={model}"], given.read) for model in given.beside}
    text = "\n".join(page(found, {model: other for model, other in beside.items() if other})) + "\n"
    print(text)
    if given.write:
        given.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

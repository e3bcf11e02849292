"""How long the recipes take, beside the minutes that stand in their headers.

    python benchmarks/recipe_minutes.py --only part2 part3 quick

runs recipes one after the other, each in a folder of its own that is thrown away, and prints the minutes by the clock
and those of the processor beside the header's. A header is off where the two differ by more than a factor of two; the
exit status is the number of those. By the clock the machine has to be idle; `--processor` goes by processor time, which
others at work change little, and which is what one core alone would take. Without `--only`, all recipes but trainings
run (`--trainings`: those too), which takes hours.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "conf" / "experiment"
FACTOR = 2.0
SHORTEST = 0.5
"""Minutes that the shortest header states: what takes less is not off."""


@dataclass(frozen=True)
class Timed:
    """A recipe, run once."""

    name: str
    stated: float
    """Minutes."""
    clock: float
    processor: float
    status: int

    def is_off(self, by_processor: bool) -> bool:
        """Whether the header is off by more than a factor of two."""
        took = max(SHORTEST, self.processor if by_processor else self.clock)
        return not 1 / FACTOR <= took / self.stated <= FACTOR


def stated_minutes(recipe: Path) -> float | None:
    """Returns the minutes in the header of a recipe; None where it states none."""
    found = re.search(r"^# minutes: (?:some )?([\d.,]+)", recipe.read_text(encoding="utf-8"), re.MULTILINE)
    return float(found[1].rstrip(".,").replace(",", "")) if found else None


def timed(name: str, stated: float) -> Timed:
    """Runs a recipe and returns what it took; what it prints is shown only if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        words = [f"experiment={name}", f"tracking.folder={folder}"]
        environment = os.environ | {"XDG_CACHE_HOME": f"{folder}/cache"}  # nothing is taken over from other runs
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [sys.executable, "run.py", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        clock, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(name, stated, clock / 60, seconds / 60, done.returncode)


def main() -> int:
    """Prints a row for each recipe; returns how many headers are off or recipes fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="RECIPE", help="these recipes")
    parser.add_argument("--trainings", action="store_true", help="also recipes that train")
    parser.add_argument("--processor", action="store_true", help="judge by processor time")
    options = parser.parse_args()
    stated = {recipe.stem: stated_minutes(recipe) for recipe in sorted(RECIPES.glob("*.yaml"))}
    unknown = [name for name in options.only or [] if stated.get(name) is None]
    if unknown:
        parser.error(f"no recipe with minutes is called {', '.join(unknown)}; there are {', '.join(stated)}")
    chosen = options.only or [
        name for name, minutes in stated.items() if minutes and (options.trainings or not name.startswith("train_"))
    ]
    wrong = 0
    print(f"{'recipe':<20} {'header':>8} {'clock':>8} {'processor':>10}  minutes", flush=True)
    for name in chosen:
        one = timed(name, stated[name])
        off = one.is_off(options.processor)
        wrong += off or one.status != 0
        said = f"exit status {one.status}" if one.status else "off by more than a factor of two" if off else ""
        print(f"{name:<20} {one.stated:>8g} {one.clock:>8.2f} {one.processor:>10.2f}  {said}".rstrip(), flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())

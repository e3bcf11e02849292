"""Which small plausible bugs the tests would notice: mutants of numerical code, put in one at a time, the tests run.

    python benchmarks/mutants.py --each 1                       # one mutant of every module of the six packages
    python benchmarks/mutants.py folkrnn/observation --each 5 --seed 3

A mutant is one change of one expression: `<` for `<=`, `+` for `-`, `*` for `/`, a number one off, `min` for `max`,
`sum` for `mean`, `and` for `or`, a `not` dropped, a slice one off, an early return dropped. It is put into a copy of
the checkout, never into the checkout. The tests run are the `--files` nearest: of the module's name, those that import
it, those of the modules that import it; files that take more than `--longest` seconds are left out. What survives them
is put before the other files of the package's tests, the quick ones first, as far as `--rest` seconds go. The large
libraries are imported once; each mutant runs in a forked process. One that takes three times as long as usual, and
10 s, counts as caught. Seconds are the processor's, so that a busy machine changes nothing but the wait.

`--tenth K` takes each tenth module alone, from the K-th on, and `--bar 0.9` ends with status 1 where so few mutants of
numerical code (modules that import numpy or torch) are caught as one draw in a hundred would have if that share were:
so the slow tests look at another tenth every day.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import contextlib
import importlib
import itertools
import math
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from mutations import changes

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = [f"folkrnn/{name}" for name in ("observation", "sampling", "interventions", "datasets", "training")]
PACKAGES += ["analyses/measures"]
COPIED = ["folkrnn", "analyses", "tests", "conf", "benchmarks", "docs", "run.py", "pyproject.toml", "README.md"]
LIBRARIES = [
    "pytest",
    "hypothesis",
    "torch",
    "pytorch_lightning",
    "pandas",
    "scipy.stats",
    "matplotlib.pyplot",
    "hydra",
]


def importers(module: Path, among: list[Path]) -> list[Path]:
    """The files of `among` that import `module`, as their text says."""
    package, name = ".".join(module.parts[:-1]), module.stem
    said = (f"from {package}.{name} import", f"import {package}.{name}\n")
    found = []
    for path in among:
        text = (ROOT / path).read_text()
        named = [line for line in text.splitlines() if line.startswith(f"from {package} import")]
        if any(words in text for words in said) or any(name in line.replace(",", " ").split() for line in named):
            found.append(path)
    return found


def tests_of(module: Path, tests: list[Path], modules: list[Path], most: int) -> list[Path]:
    """At most `most` files of tests, the nearest first."""
    near = [path for path in tests if path.stem == f"test_{module.stem}" and path.parent.name in module.parts]
    near += importers(module, tests)
    for user in importers(module, modules):
        near += [path for path in tests if path.stem == f"test_{user.stem}" and path.parent.name in user.parts]
    return list(dict.fromkeys(near))[:most]


def rest_of(module: Path, tests: list[Path], near: list[Path]) -> list[Path]:
    """The other files of tests of the package that `module` is in."""
    return [path for path in tests if path not in near and path.parts[1] in module.parts]


def passes(checkout: Path, files: list[Path], limit: float) -> tuple[bool, float]:
    """Whether the tests of `files` pass, and the processor seconds they take, in a forked process with the libraries.

    They do not where they take longer than `limit`, or three times as long by the clock.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        os.chdir(checkout)
        for stream in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        os.environ |= {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
        os.environ.pop("CI", None)
        sys.dont_write_bytecode = True
        ours = (ROOT, ROOT / "benchmarks")
        sys.path[:] = [str(checkout)] + [path for path in sys.path if Path(path or ".").resolve() not in ours]
        from hypothesis import Phase, settings

        # the same examples for each mutant; a failure is enough, and need not be made small
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", derandomize=True, database=None, deadline=None, phases=phases)
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + int(limit) + 1, used + int(limit) + 2))
        status = importlib.import_module("pytest").main(
            ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "--hypothesis-profile=mutants", *map(str, files)]
        )
        os._exit(int(status))
    end = time.monotonic() + 3 * limit
    while time.monotonic() < end:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0, usage.ru_utime + usage.ru_stime
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, _, usage = os.wait4(child, 0)
    return False, usage.ru_utime + usage.ru_stime


def is_numerical(module: Path) -> bool:
    """Whether a module imports numpy or torch."""
    return re.search(r"^(?:import|from) (?:numpy|torch)\b", (ROOT / module).read_text(), re.MULTILINE) is not None


def enough(caught: int, tried: int, bar: float) -> bool:
    """Whether at least one draw in a hundred catches as few of `tried` mutants as `caught`, if `bar` of all are."""
    below = sum(math.comb(tried, k) * bar**k * (1 - bar) ** (tried - k) for k in range(caught + 1))
    return below >= 0.01


def limit_of(files: list[Path], seconds: dict[Path, float]) -> float:
    """Processor seconds after which tests of these files count as running for ever."""
    return 10 + 3 * sum(map(seconds.__getitem__, files))


def within(files: list[Path], seconds: dict[Path, float], most: float) -> list[Path]:
    """The first of `files` that take `most` seconds together."""
    total = itertools.accumulate(map(seconds.__getitem__, files))
    return [path for path, until in zip(files, total, strict=True) if until <= most]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="*", default=PACKAGES, help="modules or packages, from the top of the checkout")
    parser.add_argument("--each", type=int, default=3, help="mutants drawn of each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=3, help="files of tests for a module, the nearest first")
    parser.add_argument("--longest", type=float, default=20, help="seconds: test files that take longer are left out")
    parser.add_argument("--rest", type=float, default=0, help="seconds of further files that a survivor is put before")
    parser.add_argument("--tenth", type=int, help="take each tenth module alone, from this one on")
    parser.add_argument("--bar", type=float, default=0, help="the share of numerical code that is to be caught")
    parser.add_argument("--minutes", type=float, default=60, help="stop after so many, with what is known by then")
    return parser.parse_args()


def main() -> None:
    asked = options()
    draw, end = random.Random(asked.seed), time.monotonic() + 60 * asked.minutes
    verdicts: list[tuple[bool, bool]] = []
    """Whether the code is numerical, and whether the mutant was caught."""
    modules = [path.relative_to(ROOT) for top in ("folkrnn", "analyses") for path in sorted((ROOT / top).rglob("*.py"))]
    tests = [path.relative_to(ROOT) for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    chosen = [path for path in modules if any(path.is_relative_to(place) for place in asked.places)]
    if asked.tenth is not None:
        chosen = chosen[asked.tenth % 10 :: 10]
    draw.shuffle(chosen)
    for library in LIBRARIES:
        importlib.import_module(library)
    seconds: dict[Path, float] = {}
    """Of each file of tests that has been run on the code as it is; infinite where it took too long."""
    with tempfile.TemporaryDirectory() as temporary:
        checkout = Path(temporary)
        for name in COPIED:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, checkout / name)
        compileall.compile_dir(checkout, quiet=2)

        def quick(paths: list[Path]) -> list[Path]:
            for path in paths:
                if path not in seconds:
                    passed, taken = passes(checkout, [path], asked.longest)
                    seconds[path] = taken if passed else float("inf")
            return sorted((path for path in paths if seconds[path] < asked.longest), key=seconds.__getitem__)

        for module in chosen:
            source = (ROOT / module).read_text()
            tree = ast.parse(source)
            found = list(changes(tree))
            drawn = sorted(draw.sample(found, min(asked.each, len(found))), key=lambda change: change.shown.lineno)
            if not drawn or time.monotonic() > end:
                continue
            for compiled in (checkout / module).parent.glob(f"__pycache__/{module.stem}.*.pyc"):
                compiled.unlink()
            near = tests_of(module, tests, modules, asked.files)
            files = quick(near) or within(quick(rest_of(module, tests, near)), seconds, asked.rest)
            if not files:
                print(f"not tried   {module}: of {len(near)} files none passes in {asked.longest:g} s", flush=True)
                continue
            for change in drawn:
                mutated, words = change.mutated(tree)
                (checkout / module).write_text(mutated)
                survived, _ = passes(checkout, files, limit_of(files, seconds))
                if survived and asked.rest:
                    (checkout / module).write_text(source)
                    others = within(quick(rest_of(module, tests, near)), seconds, asked.rest)
                    (checkout / module).write_text(mutated)
                    survived = not others or passes(checkout, others, limit_of(others, seconds))[0]
                verdicts.append((is_numerical(module), not survived))
                print(f"{'survived' if survived else 'caught':10}  {module}:{words}", flush=True)
                if time.monotonic() > end:
                    break
            (checkout / module).write_text(source)
    caught, of_numbers = sum(found for _, found in verdicts), [found for numerical, found in verdicts if numerical]
    print(f"caught {caught} of {len(verdicts)} mutants: {caught / max(len(verdicts), 1):.2f}")
    print(f"of numerical code {sum(of_numbers)} of {len(of_numbers)}")
    if not enough(sum(of_numbers), len(of_numbers), asked.bar):
        sys.exit(f"too few of numerical code, where {asked.bar:.2f} of all are to be caught")


if __name__ == "__main__":
    main()

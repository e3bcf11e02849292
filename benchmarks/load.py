"""What large runs take: minutes and memory of commands that are far above the usual size.

    python benchmarks/load.py [--only long ...] [--folder FOLDER]

Each case is `python run.py …` in a process of its own, filed in a store of its own in FOLDER (default: a temporary
one), and ends by itself. Printed are its exit status, wall time, processor time, and the largest resident memory of any
of its processes.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BAR = "G2 A B c d e f | "
"""Of a long transcription: nine tokens."""


@dataclass(frozen=True)
class Case:
    name: str
    question: str
    words: tuple[str, ...]
    write: Callable[[], None] = lambda: None
    """Writes what the command reads."""


def cases(folder: Path) -> Iterator[Case]:
    """Yields the commands, which read files in `folder`."""
    for tokens in (3_700, 5_000, 20_000):
        file = folder / f"long_{tokens}.abc"
        question = f"a transcription of {tokens:,} tokens, default analyses"
        yield Case(f"long_{tokens}", question, (f"transcription={file}",), partial(_write_long, file, tokens))
    yield Case("tunes_10000", "10,000 tunes, default analyses", ("sampling.tunes=10000",))
    analyses = sorted(file.stem for file in (REPOSITORY / "conf" / "analysis").glob("*.yaml") if _fits(file))
    yield Case(
        "all_analyses",
        f"all {len(analyses)} analyses of a FolkRNN on 200 tunes",
        ("sampling.tunes=200", f"analysis=[{','.join(analyses)}]"),
    )
    small = ("model=folkrnn_small", "sampling.tunes=4", "sampling.max_tokens=60")
    seeds = "seed=" + ",".join(map(str, range(60)))
    yield Case("sweep_60", "a sweep of 60 jobs of 4 short tunes", ("-m", *small, "analysis=tune_statistics", seeds))
    for count in (20_000, 3_000):
        name, form = ("folder_abc", "abc") if count == 20_000 else ("folder_midi", "midi")
        model = small if form == "abc" else ("model=musicvae_2bar", "dataset.programs=null")
        words = (*model, f"dataset={form}", f"dataset.path={folder / name}", "analysis=none")
        question = f"a folder of {count:,} {form.upper()} files, one tune each, read for the first time"
        yield Case(name, question, words, partial(_write_folder, folder / name, count, form))


def _write_long(file: Path, tokens: int, a_line: int = 8) -> None:
    bars = tokens // 9
    lines = "".join(BAR * min(a_line, bars - first) + "\n" for first in range(0, bars, a_line))
    file.write_text(f"X:1\nT:long\nM:4/4\nL:1/8\nK:Cmaj\n{lines}", encoding="utf-8")


def _write_folder(folder: Path, count: int, form: str) -> None:
    """Files of random tunes of 32 bars, a hundred in each folder."""
    from folkrnn.notation.midi import to_midi

    draw, now = random.Random(0), time.time_ns()  # in every text, so that no cache has it
    for number in range(count):
        place = folder / f"{number // 100}"
        place.mkdir(parents=True, exist_ok=True)
        bars = [" ".join(draw.choices("CDEFGABcdefg", k=8)) for _ in range(32)]
        if form == "abc":
            body = "|\n".join("|".join(bars[first : first + 8]) for first in range(0, 32, 8))
            (place / f"{number}.abc").write_text(f"X:{number}\nT:{number} {now}\nM:4/4\nL:1/8\nK:D\n{body}|]\n")
        else:
            (place / f"{number}.mid").write_bytes(to_midi(["M:4/4", "K:Cmaj", *" | ".join(bars).split()]))


def _fits(file: Path) -> bool:
    """Whether an analysis reads a FolkRNN and needs no intervention to compare with."""
    from hydra.utils import get_class
    from omegaconf import OmegaConf

    nodes = list((OmegaConf.load(file) or {}).values())
    kinds = [get_class(node["_target_"]) for node in nodes]
    return any("folkrnn" in kind.families and not getattr(kind, "of_interventions", False) for kind in kinds)


def measured(case: Case, folder: Path) -> tuple[int, float, float, float]:
    """Returns exit status, wall and processor seconds, and GiB of the largest process of a run."""
    case.write()
    home = folder / f"{case.name}_results"
    words = [*case.words, f"tracking.folder={home}"]
    with (folder / f"{case.name}.txt").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "run.py", *words], cwd=REPOSITORY, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
    return os.waitstatus_to_exitcode(status), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], help="names of cases, or how they begin")
    parser.add_argument("--folder", type=Path, help="where files, stores and outputs stay; default: nowhere")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (chosen.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{'case':14} {'status':>6} {'wall s':>8} {'cpu s':>8} {'GiB':>6}  what")
        for case in cases(folder):
            if chosen.only and not any(case.name.startswith(name) for name in chosen.only):
                continue
            status, wall, processor, memory = measured(case, folder)
            print(f"{case.name:14} {status:6} {wall:8.0f} {processor:8.0f} {memory:6.2f}  {case.question}", flush=True)


if __name__ == "__main__":
    main()

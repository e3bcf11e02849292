"""What it costs to look: seconds and peak memory of the streaming summary, and of each analysis over many tunes.

    python benchmarks/observation.py [--tunes 1000] [--threads 2] [--only gramians …]

First the summary of all gates and states over 500 and over ten times as many tunes: peak memory should be the same, as
nothing is kept. Then every analysis of a FolkRNN over `--tunes` tunes that the shipped model writes (at most five
minutes and 2 GB each). Each line is a process of its own, so that peaks are its own; tunes are written once.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from folkrnn.sampling import Transcription
    from folkrnn.weights.folder import Weights

ANALYSES = (
    "posterior",
    "activations",
    "periodicity",
    "timing",
    "gramians",
    "copying",
    "tune_statistics",
    "unit_events",
    "layer_maps",
    "softmax_svd",
)
SUMMARY_TUNES = (500, 5000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tunes", type=int, default=1000, help="that the analyses look at")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=["summary", *ANALYSES], help="analyses to measure")
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "TUNES", "FILE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child[0], int(chosen.child[1]), Path(chosen.child[2]), chosen.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tunes.npz"
        most = max([chosen.tunes, *(SUMMARY_TUNES if "summary" in chosen.only else ())])
        measure("write the tunes", "write", most, file, chosen.threads)
        if "summary" in chosen.only:
            peaks = [measure("summary", "summary", n, file, chosen.threads) for n in SUMMARY_TUNES]
            print(f"peak memory at {SUMMARY_TUNES[1]:,} tunes ÷ at {SUMMARY_TUNES[0]:,}: {peaks[1] / peaks[0]:.2f}")
        for name in chosen.only:
            if name != "summary":
                measure(name, name, chosen.tunes, file, chosen.threads)


def measure(title: str, what: str, tunes: int, file: Path, threads: int) -> float:
    """Runs one measurement in a process of its own, prints its line, and returns its peak in MB."""
    command = [sys.executable, __file__, "--threads", str(threads), "--child", what, str(tunes), str(file)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    seconds, peak = float(found[0]), float(found[1])
    print(f"{title:<18} {tunes:>6,} tunes  {seconds:7.1f} s  {peak:7.0f} MB", flush=True)
    return peak


def child(what: str, count: int, file: Path, threads: int) -> None:
    """Prints seconds and peak memory (MB) of one measurement, loading left out of the seconds."""
    import torch

    torch.set_num_threads(threads)
    from folkrnn.sampling import Sampling, generate, given
    from folkrnn.weights.sources import pretrained

    weights = pretrained()
    if what == "write":
        began = time.perf_counter()
        tunes = generate(weights.model, weights.vocabulary, Sampling(tunes=count), seed=1)
        np.savez(file, *(tune.ids for tune in tunes))
    else:
        with np.load(file) as written:
            tunes = [given(ids[1:-1].tolist(), weights.vocabulary) for ids in list(written.values())[:count]]
        work = summary_of(weights, tunes) if what == "summary" else analysis_of(what, weights, tunes)
        began = time.perf_counter()
        work()
    print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


def summary_of(weights: Weights, tunes: list[Transcription]) -> Callable[[], object]:
    from folkrnn.observation.summary import summarise

    return lambda: summarise(weights.model, [t.ids for t in tunes])


def analysis_of(name: str, weights: Weights, tunes: list[Transcription]) -> Callable[[], object]:
    from omegaconf import OmegaConf

    from folkrnn.build import build
    from folkrnn.datasets.irish import irish
    from folkrnn.observation.observation import Observation

    conf = Path(__file__).parents[1] / "conf" / "analysis" / f"{name}.yaml"
    analysis = build(OmegaConf.load(conf)[name])
    observation = Observation(weights.model, weights.vocabulary, tunes, irish(), 1)
    return lambda: analysis(observation)


if __name__ == "__main__":
    main()

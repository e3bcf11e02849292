"""What it costs to look: seconds and peak memory of the streaming summary, and of each analysis over many tunes.

    python benchmarks/observation.py [--tunes 1000] [--threads 2] [--processes 2] [--clock cpu] [--only gramians …]

First the tunes are written and the summary of all gates and states is taken over 500 and over ten times as many: peak
memory should be the same, as nothing is kept; both also by several processes, which share the threads and take some
seconds to start. Then every analysis of a FolkRNN over `--tunes` tunes that the shipped model writes (at most five
minutes and 2 GB each). Each line is a process of its own, so that peaks are its own (that of its largest process, where
it starts some); tunes are written once.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from measuring import CLOCKS

if TYPE_CHECKING:
    from folkrnn.parallel.shards import Workers
    from folkrnn.sampling import Transcriptions
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
    parser.add_argument("--processes", type=int, default=2, help="that write and summarise beside one alone")
    parser.add_argument("--only", nargs="*", default=["summary", *ANALYSES], help="analyses to measure")
    clock = "wall time, or processor time of the process: for one thread on a machine that others use too"
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help=clock)
    parser.add_argument("--child", nargs=4, metavar=("WHAT", "TUNES", "PROCESSES", "FILE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        what, tunes, processes, file = chosen.child
        child(what, int(tunes), int(processes), Path(file), chosen.threads, CLOCKS[chosen.clock])
        return
    look = ["--threads", str(chosen.threads), "--clock", chosen.clock]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tunes.npz"
        most = max([chosen.tunes, *(SUMMARY_TUNES if "summary" in chosen.only else ())])
        measure("write", most, 1, file, look)
        if "summary" in chosen.only:
            measure("write", most, chosen.processes, file, look)
            peaks = [measure("summary", n, 1, file, look) for n in SUMMARY_TUNES]
            measure("summary", SUMMARY_TUNES[1], chosen.processes, file, look)
            print(f"peak memory at {SUMMARY_TUNES[1]:,} tunes ÷ at {SUMMARY_TUNES[0]:,}: {peaks[1] / peaks[0]:.2f}")
        for name in chosen.only:
            if name != "summary":
                measure(name, chosen.tunes, 1, file, look)


def measure(what: str, tunes: int, processes: int, file: Path, look: list[str]) -> float:
    """Runs one measurement in a process of its own, prints its line, and returns its peak in MB."""
    words = [*look, "--child", what, str(tunes), str(processes), str(file)]
    found = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
    seconds, peak = map(float, found.stdout.split())
    print(
        f"{what:<18} {tunes:>6,} tunes  {processes} process{'es' * (processes > 1):<2}  {seconds:7.1f} s  "
        f"{tunes / seconds:7.1f} tunes/s  {peak:7.0f} MB",
        flush=True,
    )
    return peak


def child(what: str, count: int, processes: int, file: Path, threads: int, clock: Callable[[], float]) -> None:
    """Prints seconds and peak memory (MB) of one measurement, loading left out of the seconds."""
    import torch

    torch.set_num_threads(threads)
    from folkrnn.parallel.shards import Workers
    from folkrnn.sampling import Sampling, Transcriptions, input_tune
    from folkrnn.sampling.writing import written
    from folkrnn.weights.sources import pretrained

    weights, several = pretrained(), Workers(processes)
    if what == "write":
        began = clock()
        tunes = written(weights.model, weights.vocabulary, Sampling(tunes=count), 1, several)
        seconds = clock() - began
        np.savez(file, *tunes.ids)
    else:
        with np.load(file) as kept:
            read = (kept[f"arr_{k}"][1:-1].tolist() for k in range(count))
            tunes = Transcriptions.of(input_tune(ids, weights.vocabulary) for ids in read)
        work = summary_of(weights, tunes, several) if what == "summary" else analysis_of(what, weights, tunes)
        began = clock()
        work()
        seconds = clock() - began
    peaks = [resource.getrusage(who).ru_maxrss / 1000 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(seconds, max(peaks))


def summary_of(weights: Weights, tunes: Transcriptions, processes: Workers) -> Callable[[], object]:
    from folkrnn.observation.summary import summarise

    return lambda: summarise(weights.model, tunes.ids, processes=processes)


def analysis_of(name: str, weights: Weights, tunes: Transcriptions) -> Callable[[], object]:
    from omegaconf import OmegaConf

    from folkrnn.config.build import build
    from folkrnn.datasets.irish import irish
    from folkrnn.observation.observation import Observation

    conf = Path(__file__).parents[1] / "conf" / "analysis" / f"{name}.yaml"
    analysis = build(OmegaConf.load(conf)[name], "analysis")
    observation = Observation(weights.model, weights.vocabulary, tunes, irish(), 1)
    return lambda: analysis(observation)


if __name__ == "__main__":
    main()

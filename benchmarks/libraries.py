"""What libraries would cost where we wrote something ourselves; what those cost that we took (`docs/architecture.md`).

    python benchmarks/libraries.py

Ratios and sizes; a library that is not installed is named and left out (`pip install mido submitit`).
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import distribution, distributions
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from omegaconf import OmegaConf

TUNE = "M:6/8 K:Cmaj C D E G 2 A | c 3 B A G | E F G A B c | d 2 B G 3 | e d c B A G | C 3 C 3 |".split()  # noqa: SIM905
TAKEN = ("pooch", "google-crc32c", "defusedxml", "filelock", "optuna", "submitit")
JOBS = 8
"""Tiny jobs that are started by submitit and by our launcher."""


def milliseconds(work: Callable[[], object], times: int = 20) -> float:
    """Returns the least time of `work` over several times."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return 1000 * min(found)


def midi() -> None:
    """Bytes of the same events by `midi_file` and by mido."""
    import mido

    from folkrnn.notation.midi import grid, midi_file
    from folkrnn.notation.notes import notes

    played = notes(TUNE * 8)
    ticks = grid(played)
    events = []
    for note in played:
        start, stop = (round(at * ticks / 2) for at in (note.onset, note.onset + note.duration))
        events += [(start, 2, bytes((0x90, note.pitch, 84))), (stop, 1, bytes((0x80, note.pitch, 0)))]

    def by_mido() -> bytes:
        file = mido.MidiFile(type=0, ticks_per_beat=ticks)
        track, now = mido.MidiTrack(), 0
        file.tracks.append(track)
        for tick, _, message in sorted(events, key=lambda event: event[:2]):
            track.append(mido.Message.from_bytes(message, time=tick - now))
            now = tick
        written = io.BytesIO()
        file.save(file=written)
        return written.getvalue()

    same = "the same" if by_mido() == midi_file(events, ticks) else "other"
    ratio = milliseconds(by_mido) / milliseconds(lambda: midi_file(events, ticks))
    print(f"mido writes {same} bytes in {ratio:.1f} times the time")


def musicxml() -> None:
    """What it takes to load music21, which reads MusicXML and writes no ABC."""
    script = "import resource, time; t = time.perf_counter(); import music21; " + (
        "print(time.perf_counter() - t, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds, mebibytes = map(float, done.stdout.split())
    print(f"music21 takes {seconds:.1f} s and {mebibytes:.0f} MiB to load")


def processes() -> None:
    """What submitit's local executor adds to jobs that are commands: ours and its own, one job after the other."""
    import psutil
    import submitit

    from folkrnn.sweep.jobs import Job, Launch
    from folkrnn.sweep.processes import Processes

    with tempfile.TemporaryDirectory() as folder:
        executor = submitit.LocalExecutor(folder)
        job = executor.submit(subprocess.run, [sys.executable, "-c", "import time; time.sleep(2)"])
        time.sleep(1.5)
        below = psutil.Process().children(recursive=True)
        used = sum(process.memory_info().rss for process in below) / 2**20
        job.result()
        ours = Processes(jobs=1)
        config = OmegaConf.create({"weights": {"name": "pretrained"}, "trainer": {"devices": 1}})
        launch = Launch(Job(1, (), config), (sys.executable, "-c", "pass"), {}, Path(folder, "log"))

        def by_ours() -> None:
            (running,) = ours.start([launch])
            while running.ending() is None:
                time.sleep(0.01)

        def by_submitit() -> None:
            running = executor.submit(subprocess.run, launch.command)
            while not running.done():
                time.sleep(0.01)

        each = [median(milliseconds(work, 1) for _ in range(JOBS)) for work in (by_ours, by_submitit)]
    print(
        f"submitit's local executor: {len(below)} processes a job, {used:.0f} MiB with the job's own; a command that "
        f"does nothing takes {each[1]:,.0f} ms, by our launcher {each[0]:,.0f} ms (medians of {JOBS}, one at a time)"
    )


def taken() -> None:
    """What the libraries that took the place of our code weigh, and what it takes to load what a study needs."""
    sizes = {name: mebibytes_of(name) for name in TAKEN}
    everything = sum(mebibytes_of(found.metadata["Name"]) for found in distributions())
    named = ", ".join(f"{name} {size:.1f}" for name, size in sizes.items())
    print(f"taken: {named} MiB; everything that is installed here: {everything:,.0f} MiB")
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "import folkrnn.study"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    least, most = min(seconds), max(seconds)
    print(f"import folkrnn.study: {median(seconds):.1f} s of processor time (from {least:.1f} to {most:.1f})")


def mebibytes_of(name: str) -> float:
    """Returns the size of an installed package's files."""
    places = (Path(str(file.locate())) for file in distribution(name).files or ())
    return sum(place.stat().st_size for place in places if place.is_file() and place.suffix != ".pyc") / 2**20


def main() -> None:
    """Prints what each costs."""
    taken()
    for module, measure in (("mido", midi), ("music21", musicxml), ("submitit", processes)):
        if find_spec(module) is None:
            print(f"{module} is not installed")
        else:
            measure()


if __name__ == "__main__":
    main()

"""How many MIDI files a second melodies are extracted from, on one core, and how many note-seq manages beside it.

    python benchmarks/melody_extraction.py FOLDER [FILES]

note-seq (with what Magenta's melody extraction adds to it, of which only its own part is timed) is measured where it
can be imported: reading, splitting at changes of tempo and meter, quantising, one melody per instrument.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from folkrnn.datasets.midi import midi_files
from folkrnn.melodies.extract import extract_bytes
from folkrnn.melodies.rules import Rules

ROUNDS = 5


def ours(data: bytes) -> None:
    """All that `dataset=midi` does with a file: read it, extract, slice, drop repeats."""
    extract_bytes(data, Rules()).distinct()


def note_seq() -> Callable[[bytes], None] | None:
    """note-seq's way from bytes to melodies, or None where it is not installed."""
    try:
        from note_seq import melodies_lib, midi_io, sequences_lib
    except ImportError:
        return None

    def extract(data: bytes) -> None:
        sequence = midi_io.midi_to_note_sequence(data)
        for piece in sequences_lib.split_note_sequence_on_time_changes(sequence):
            quantised = sequences_lib.quantize_note_sequence(piece, 4)
            if sequences_lib.steps_per_bar_in_quantized_sequence(quantised) != 16:
                continue
            for instrument in {note.instrument for note in quantised.notes}:
                melody = melodies_lib.Melody()
                melody.from_quantized_sequence(
                    quantised, instrument=instrument, gap_bars=1, ignore_polyphonic_notes=True, pad_end=True
                )

    return extract


def seconds(work: Callable[[bytes], None], files: list[bytes], rounds: int) -> float:
    """Processor seconds per file, the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for data in files:
            work(data)
        best = min(best, time.process_time() - start)
    return best / len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of MIDI files")
    parser.add_argument("count", type=int, nargs="?", default=200, help="how many of them")
    given = parser.parse_args()
    files = [file.read_bytes() for file in midi_files(given.folder)[: given.count]]
    if not files:
        sys.exit(f"{given.folder} holds no MIDI file")
    mine = seconds(ours, files, ROUNDS)
    print(f"{len(files)} files of {sum(map(len, files)) / len(files):.0f} bytes: {1 / mine:.0f} files/s")
    theirs = note_seq()
    if theirs is None:
        print("note-seq is not installed")
        return
    slow = seconds(theirs, files, 1)
    print(f"note-seq: {1 / slow:.0f} files/s; {slow / mine:.1f} times as long")


if __name__ == "__main__":
    main()

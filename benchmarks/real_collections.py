"""What comes through of every real collection, and why the rest does not.

    FOLKRNN_TEST_DATA=FOLDER python benchmarks/real_collections.py [--only NAME ...] [--tunes FILE] [--before FILE]

Read are the collections of that folder, in the forms in which they are published, and those that come with music21.
`--tunes` writes what came through as JSON; `--before` names what another version of the program wrote so, and has each
tune listed that came through there and does not come through here, or comes through differently. Nothing is read from
the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from folkrnn.datasets.files import abc, tokens
from folkrnn.datasets.irish import irish
from folkrnn.datasets.melodies import melodies
from folkrnn.datasets.midi import midi

Read = Callable[[], tuple[list[tuple[str, str]], Counter[str]]]
"""Returns what came through, each with its name, and the counts of reasons why the rest did not."""


def of_tunes(load: Callable[[], object]) -> tuple[list[tuple[str, str]], Counter[str]]:
    corpus = load()
    return [(f"{tune.source}: {tune.title}", " ".join(tune.tokens)) for tune in corpus.tunes], corpus.rejections


def of_melodies(load: Callable[[], object]) -> tuple[list[tuple[str, str]], Counter[str]]:
    corpus = load()
    return [(corpus.title(i), corpus.classes[i].tobytes().hex()) for i in range(len(corpus))], corpus.rejections


def collections(data: Path, folder: Path) -> Iterator[tuple[str, Read]]:
    """Yields the name of each collection and how it is read; archives are unpacked into `folder`."""
    for file in sorted(data.rglob("*.abc.gz")):
        yield file.parent.name, partial(of_tunes, partial(abc, str(file)))
    yield "thesession_abc", partial(of_tunes, partial(abc, str(data / "thesession_abc" / "settings.jsonl.gz")))
    for name in (
        "folkrnn_v2/data_v2_subset.txt.gz",
        "folkrnn_v3/valid_subset.txt.gz",
        "folkwiki_tokens/folkwiki.txt.gz",
    ):
        yield name, partial(of_tunes, partial(tokens, str(data / name), "v2" if "v2" in name else "own"))
    for file in sorted((data / "generated").glob("*.txt*")):
        yield f"generated/{file.name}", partial(of_tunes, partial(tokens, str(file)))
    for file in sorted(data.rglob("*midi.tar.gz")):
        place = folder / file.parent.name
        with tarfile.open(file) as archive:
            archive.extractall(place, filter="data")
        yield f"{file.parent.name}, MIDI", partial(of_melodies, partial(midi, str(place), programs=None, meters="all"))
    yield "music21, Irish", partial(of_tunes, irish)
    yield "music21, all ABC", partial(of_melodies, melodies)


def differences(before: list[list[str]], now: list[tuple[str, str]]) -> Iterator[str]:
    """Yields a line for each that came through before and does not now, or differs: there, and here."""
    there, here = Counter(map(tuple, before)), Counter(now)
    instead = dict([*(here - there)])
    for name, content in there - here:
        first, second = content.split(), instead.get(name, "").split()
        at = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), len(second))
        shown = (" ".join(words[max(at - 3, 0) : at + 9]) for words in (first, second))
        yield f"{name}, token {at}: " + "  →  ".join(shown) if second else f"{name} is left out"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tunes", type=Path, help="where to write what came through")
    parser.add_argument("--before", type=Path, help="what another version wrote with --tunes")
    parser.add_argument("--only", nargs="*", default=[], help="names of collections, or how they begin")
    asked = parser.parse_args()
    data = Path(os.environ["FOLKRNN_TEST_DATA"])
    before = json.loads(asked.before.read_text()) if asked.before else {}
    written: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["XDG_CACHE_HOME"] = f"{temporary}/cache"
        for name, read in collections(data, Path(temporary)):
            if asked.only and not name.startswith(tuple(asked.only)):
                continue
            try:
                found, rejections = read()
            except Exception as error:  # of a version that refuses the whole collection
                found, rejections = [], Counter({f"{type(error).__name__}: {error}": 1})
            written[name] = {"tunes": found, "reasons": rejections}
            print(f"{name}: {len(found):,} came through", flush=True)
            print(
                "".join(f"  {count:6,}  {reason}\n" for reason, count in rejections.most_common()), end="", flush=True
            )
            if name in before:
                lost = list(differences(before[name]["tunes"], found))
                print(f"  before: {len(before[name]['tunes']):,}; {len(lost)} of these otherwise now")
                print("".join(f"  {line}\n" for line in lost), end="")
    if asked.tunes:
        asked.tunes.write_text(json.dumps(written))


if __name__ == "__main__":
    main()

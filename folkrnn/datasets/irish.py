"""`dataset=irish`: the fiddle and fife collections that come with music21, 4,248 tunes in ABC before selection."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path

from folkrnn.datasets.corpus import Corpus, distinct
from folkrnn.datasets.parsing import parse_texts, read_text
from folkrnn.errors import UserError

COLLECTIONS = {
    "oneills1850": "O'Neill's Music of Ireland (1903), 1,850 melodies and their second settings; tunes in the public "
    "domain, transcriptions by Norbert Paap and others as distributed with music21",
    "ryansMammoth": "Ryan's Mammoth Collection (1883), 1,059 tunes; tunes in the public domain, transcriptions "
    "contributed by Ray Davies and others as distributed with music21",
    "airdsAirs": "Aird's Selection of Scotch, English, Irish and Foreign Airs (1778-1801), 1,180 tunes; tunes in the "
    "public domain, transcriptions by Jack Campin (2009) as distributed with music21",
}
"""Folder in music21's corpus, and what its files and music21's corpus licence say of it."""

CORRECTIONS = {
    "oneills1850": ((re.compile(r'(?:(?<=H)|(?<="D\.C\.")|(?<=\|\n))x(?=[ \t]*[:|\[]|gag ged)'), "y"),),
    "ryansMammoth": ((re.compile(r"\(6:6(?=ABcdef !Segno!)"), "(6"),),
}
"""What these files say in the words of other programs, put into those of ABC 2.1, by collection.

O'Neill's hangs a fermata over a bar line on an `x` of no length (`G6 Hx||`), which is a rest today: bars are full
without it; the spacer of today is `y`. Ryan's has one upbeat of six notes under a 6, `(6:6`, whose length it does not
say: read as the sextuplet `(6`.
"""


def irish() -> Corpus:
    """Returns the corpus of all three collections, in their order, without exact duplicates."""
    texts = [
        (collection, _corrected(collection, read_text(path)))
        for collection in COLLECTIONS
        for path in sorted((music21_corpus(COLLECTIONS) / collection).glob("*.abc"))
    ]
    tunes, unused = parse_texts("irish", texts)
    return Corpus("irish", distinct(tunes, unused), unused, COLLECTIONS)


def _corrected(collection: str, text: str) -> str:
    for wrong, right in CORRECTIONS.get(collection, ()):
        text = wrong.sub(right, text)
    return text


def music21_corpus(collections: Iterable[str]) -> Path:
    """Returns the folder of music21's corpora, found without importing music21 (which takes seconds).

    Raises UserError where music21 or one of the collections is not there.
    """
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "this dataset reads collections that come with music21, which is not installed: pip install music21"
        )
    folder = Path(spec.submodule_search_locations[0]) / "corpus"
    missing = [collection for collection in collections if not (folder / collection).is_dir()]
    if missing:
        raise UserError(f"this music21 comes without its corpus {missing[0]}; install the full package from PyPI")
    return folder

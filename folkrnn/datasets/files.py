"""`dataset=tokens` and `dataset=abc`: corpora from the user's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import folkrnn.datasets
import folkrnn.notation
from folkrnn.datasets.corpus import Corpus, LeftOut, Tune, distinct, vocabulary_of
from folkrnn.datasets.dumps import SUFFIXES as DUMPS
from folkrnn.datasets.dumps import NoDump, settings_of
from folkrnn.datasets.folders import SUFFIXES, files_in, inside
from folkrnn.datasets.parsing import NoText, Parsed, cached, parse_all, read_text
from folkrnn.datasets.token_text import is_token_text, token_tunes
from folkrnn.errors import UserError
from folkrnn.files.cache import cache_key
from folkrnn.files.places import existing, readable
from folkrnn.notation.abc import AbcTune, read_abc
from folkrnn.vocabulary import V2

_UNSTATED = "terms unknown: the user's own files"


def tokens(path: str | None = None, vocabulary: Literal["v2", "own"] = "v2") -> Corpus:
    """Returns a corpus in folk-rnn's own format (`data_v2` and files like it): see `token_text`.

    With `vocabulary="v2"` tunes with tokens foreign to v2 are left out and counted; with `"own"` the vocabulary is that
    of the file. Raises UserError where the file is not of this form.
    """
    file = _existing(path, "tokens")
    return of_tokens(read_text(file), readable(file.name), _UNSTATED, vocabulary)


def of_tokens(text: str, name: str, terms: str, vocabulary: Literal["v2", "own"]) -> Corpus:
    """Returns the corpus in a text of folk-rnn's own format."""
    if vocabulary not in ("v2", "own"):
        raise UserError(f"dataset.vocabulary={vocabulary}: it may be v2 or own")
    tunes, unused = _parted(list(token_tunes(text, name)))
    if not tunes:
        raise UserError(f"{name} holds no tune in folk-rnn's token format (a line M:…, a line K:…, a line of tokens)")
    chosen = V2 if vocabulary == "v2" else vocabulary_of(tunes)
    return Corpus(name, distinct(tunes, unused, chosen), unused, {name: terms}, chosen)


def abc(path: str | None = None) -> Corpus:
    """Returns a corpus from one file or a folder of ABC, or a thesession.org dump in CSV or JSON (columns `abc`, …).

    Of a folder whatever holds no tune is left out and counted. Raises UserError where there is no tune at all.
    """
    place = _existing(path, "abc")
    name = readable(place.name)
    files, unused = files_in(place) if place.is_dir() else ([place], [])
    if not files:
        excuse = f"; {len(unused)} other files" if unused else ""
        raise UserError(f"{readable(str(place))} holds no ABC file ({', '.join(SUFFIXES)}){excuse}")
    texts: list[tuple[Path, str, str]] = []
    for file in files:
        shown = inside(file, place)
        try:
            texts.append((file, shown, read_text(file)))
        except NoText as why:
            if not place.is_dir():
                raise
            unused.append(LeftOut(shown, why.reason, ""))
    named = [(shown, text) for _, shown, text in texts]
    found, others = cached(cache_key(named, folkrnn.notation, folkrnn.datasets), lambda: _parse(texts, name))
    if len(texts) == 1 and not found and [left.reason for left in others] in (["table"], ["no_tune"]):
        raise UserError(f"{readable(str(place))} holds no tune: {others[0].detail or 'neither X: nor K:'}")
    unused += others
    return Corpus(name, distinct(found, unused), unused, {name: _UNSTATED})


def _existing(path: str | None, option: str) -> Path:
    if path is None:
        raise UserError(f"dataset={option} needs a file: dataset.path=…")
    return existing("dataset.path", path)


def _parse(texts: list[tuple[Path, str, str]], label: str) -> Parsed:
    """The tunes of all files in their order, and what has none."""
    ready: list[Tune] = []
    tunes: list[AbcTune] = []
    unused: list[LeftOut] = []
    for file, shown, text in texts:
        source = readable(file.name)
        suffix = Path(file.name.lower().removesuffix(".gz")).suffix
        if suffix in DUMPS:
            try:
                some, left = settings_of(text, suffix, source, shown)
            except NoDump as error:
                some, left = [], [LeftOut(shown, "table", str(error))]
        elif is_token_text(text):
            some, (tokens, left) = [], _parted(list(token_tunes(text, source)))
            ready += tokens
        else:
            some = list(read_abc(text, source))
            left = [] if some else [LeftOut(shown, "no_tune")]
        tunes += some
        unused += left
    found, others = parse_all(tunes, label)
    return [*ready, *found], [*unused, *others]


def _parted(found: list[Tune | LeftOut]) -> Parsed:
    return [each for each in found if isinstance(each, Tune)], [each for each in found if isinstance(each, LeftOut)]

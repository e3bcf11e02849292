"""`dataset=folkrnn_v2` and the like: the corpora of folk-rnn's authors, verified by git's blob ids (facts sheet)."""

from __future__ import annotations

from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.files import of_tokens
from folkrnn.datasets.parsing import read_text
from folkrnn.errors import UserError, did_you_mean
from folkrnn.files.download import PublishedFile, fetch

_REPOSITORY = "IraKorshunova/folk-rnn"

_TERMS = (
    "MIT licence, © 2015 Bob L. Sturm, João Felipe Santos, Iryna Korshunova (github.com/IraKorshunova/folk-rnn); the "
    "transcriptions were given to thesession.org by many people"
)


def _data(name: str, blob: str) -> PublishedFile:
    raw = f"https://raw.githubusercontent.com/{_REPOSITORY}/master/data/{name}"
    by_blob = f"https://api.github.com/repos/{_REPOSITORY}/git/blobs/{blob}"
    return PublishedFile(name, (raw, by_blob), _TERMS, 2**28, blob, "dataset=tokens dataset.path=FILE")


SOURCES: dict[str, PublishedFile] = {
    "folkrnn_v2": _data("data_v2", "433c6783947ff1666b9aa465c131ff090a3b2fb9"),
    "folkrnn_v2_withtitles": _data("data_v2_withtitles", "bc7be995419db3045cd12dd181f80ccd6c645868"),
    "folkrnn_v2_worepeats": _data("data_v2_worepeats", "351408e377c0c170a47967ad0b19ab5048d892dc"),
    "folkrnn_v3": _data("data_v3", "40099b5c4e078b8cdfb0c1eb783607b9dfd425b5"),
}


def downloaded(name: str, address: str | None = None) -> Corpus:
    """Returns the published corpus of that name, from the cache or downloaded first (`address`: from a mirror).

    Raises UserError for a name that is none of SOURCES, and as `fetch` does.
    """
    if name not in SOURCES:
        raise UserError(f"no published dataset {name!r}{did_you_mean(name, SOURCES)}; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    return of_tokens(read_text(fetch(source, address)), name, source.terms, "own")

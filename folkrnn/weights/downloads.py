"""`weights=folkrnn_v2` and the like: what was published, from its address, verified (facts sheet, notes on the
sources).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from folkrnn.errors import UserError, did_you_mean
from folkrnn.files.download import PublishedFile, fetch
from folkrnn.weights import lasagne
from folkrnn.weights.folder import Weights

_REPOSITORY = "IraKorshunova/folk-rnn"

_FOLKRNN = (
    "MIT licence, © 2015 Bob L. Sturm, João Felipe Santos, Iryna Korshunova (github.com/IraKorshunova/folk-rnn); "
    "trained on transcriptions that people gave to {}"
)

_MAGENTA = (
    "offered by Google's Magenta (github.com/magenta/magenta, whose code is under the Apache licence 2.0); no licence "
    "is stated for the checkpoint itself"
)


def _pickle(name: str, blob: str, site: str) -> PublishedFile:
    """A pickle of the authors' repository; git keeps it under its blob id too, whatever becomes of the branch."""
    raw = f"https://raw.githubusercontent.com/{_REPOSITORY}/master/metadata/{name}.pkl"
    by_blob = f"https://api.github.com/repos/{_REPOSITORY}/git/blobs/{blob}"
    terms = _FOLKRNN.format(site)
    return PublishedFile(f"{name}.pkl", (raw, by_blob), terms, 2**28, blob, "weights=pickle weights.path=FILE")


def _tar(name: str) -> PublishedFile:
    address = f"https://storage.googleapis.com/magentadata/models/music_vae/checkpoints/{name}.tar"
    return PublishedFile(f"{name}.tar", (address,), _MAGENTA, 2**32, by_hand="weights=magenta weights.path=FILE")


SOURCES: dict[str, PublishedFile] = {
    "folkrnn_v2": _pickle("folkrnn_v2", "6ac1708b3532be8a2f53b53dda4a97ec77f46791", "thesession.org"),
    "folkrnn_v2_worepeats": _pickle(
        "folkrnn_v2_worepeats", "59237e7e9a9a3acc57443fefa7d3a32010cafee7", "thesession.org"
    ),
    "folkrnn_swedish": _pickle("folkrnn_swedish", "dcbe6d56d5b4b2d2f19b2fe097dae48d62b3d7c5", "folkwiki.se"),
    "magenta_2bar": _tar("cat-mel_2bar_big"),
    "magenta_16bar": _tar("hierdec-mel_16bar"),
}


def downloaded(name: str, address: str | None = None) -> Weights:
    """Returns the published weights of that name, from the cache or downloaded first (`address`: from a mirror).

    Raises UserError for a name that is none of SOURCES, and as `fetch` does.
    """
    if name not in SOURCES:
        raise UserError(f"no published weights {name!r}{did_you_mean(name, SOURCES)}; there are {', '.join(SOURCES)}")
    source = SOURCES[name]
    file = fetch(source, address)
    weights = lasagne.load(file) if source.blob else of_magenta(file)
    where = f"{name} ({address or source.addresses[0]})"
    card = f"{weights.card}\n## Terms\n\n{source.terms}\n"
    return replace(weights, source=where, card=card, terms=source.terms, blob=source.blob)


def of_magenta(place: Path) -> Weights:
    """Returns the MusicVAE in a Magenta checkpoint: a tar, a prefix, a folder or a Magenta.js folder."""
    from folkrnn.weights import magenta as checkpoints

    found = checkpoints.load(place)
    remarks = {
        "Magenta's name of these sizes": found.config,
        "updates": found.step,
        "assumed": found.assumed,
        "variables of no part of the model": ", ".join(found.unexpected),
    }
    card = "\n".join(f"- {name}: {value}" for name, value in remarks.items() if value)
    name = found.config or "Magenta checkpoint"
    return Weights(found.model, None, f"{name}: {place.name}", found.digest, f"# {name}\n\n{card}\n")

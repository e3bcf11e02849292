"""`weights=hub weights.path=owner/name`: a weights folder in a repository of the Hugging Face hub.

Only the files of a weights folder are fetched (see `folkrnn.weights.folder`), never code. They stay in the hub's own
cache (`HF_HOME`) and are read from there without a network (`HF_HUB_OFFLINE=1`).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from folkrnn.errors import UserError
from folkrnn.weights import folder
from folkrnn.weights.folder import Weights

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def hub(path: str | None, revision: str | None = None, address: str | None = None) -> Weights:
    """Returns the weights in repository `path` (owner/name), at a branch, tag or commit (None: `main`).

    `address` is that of another hub, e.g. a mirror (None: `HF_ENDPOINT` or huggingface.co).

    Raises UserError where the path names no repository, the hub cannot be reached or has no such weights, where they
    are larger than `folder.LARGEST`, and as `folder.load` does.
    """
    if path is None or not _NAME.fullmatch(path):
        raise UserError(f"weights=hub needs weights.path=OWNER/NAME, a repository of the hub; not {path}")
    try:
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ModuleNotFoundError:
        raise UserError("weights=hub needs huggingface_hub: pip install 'folkrnn-lab[hub]'") from None
    try:
        place = _fetched(path, revision, address)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        where = path if revision is None else f"{path} at {revision}"
        raise UserError(f"weights=hub: {where} cannot be fetched: {str(error).strip().splitlines()[0]}") from error
    return replace(folder.load(place), source=f"hub/{path}@{place.name[:12]}")


def _fetched(path: str, revision: str | None, address: str | None) -> Path:
    """Returns the folder of the commit in the hub's cache, with those files of a weights folder that it has."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    about = hf_hub_download(path, folder.PARAMETERS, revision=revision, endpoint=address, dry_run=True)
    if (about.file_size or 0) > folder.LARGEST:
        raise UserError(f"weights=hub: {path} holds {about.file_size:,} bytes; no FolkRNN is that large")
    file = Path(hf_hub_download(path, folder.PARAMETERS, revision=revision, endpoint=address))
    for name in folder.FILES[1:]:
        try:
            hf_hub_download(path, name, revision=about.commit_hash, endpoint=address)
        except EntryNotFoundError:  # a MusicVAE has no vocabulary, and not every repository a curve
            continue
    return file.parent

"""Where a Magenta checkpoint lies: a tar archive as published, a checkpoint prefix, a folder, a Magenta.js folder.

Nothing is unpacked: members of an archive are read where they lie, so that none can be written anywhere.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from folkrnn.errors import UserError, did_you_mean
from folkrnn.weights import magenta_js
from folkrnn.weights.tensor_bundle import Region, StoredArray, read_bundle

MOST_MEMBERS = 1000
_DATA = re.compile(r"(?P<prefix>.*)\.data-(?P<shard>\d{5})-of-\d{5}")
_STATE = re.compile(r'^model_checkpoint_path:\s*"(?P<path>[^"\n]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Checkpoint:
    """The variables of a checkpoint, unread, and what it says of the melodies' length (Magenta.js does)."""

    variables: Mapping[str, StoredArray]
    source: str
    steps: int | None = None
    segments: int | None = None


def open_checkpoint(place: str | Path) -> Checkpoint:
    """Returns the checkpoint at `place`: `X.tar`, `X` or `X.index` of a Saver, a folder with one, a Magenta.js folder.

    Raises UserError for anything else, for archives with links or paths that leave them, and for damaged files.
    """
    path = Path(place)
    if path.is_dir():
        return _of_folder(path)
    if path.name == magenta_js.MANIFEST:
        return _of_manifest(path)
    if path.is_file() and path.suffix in (".tar", ".tgz", ".gz"):
        return Checkpoint(_of_archive(path), str(path))
    found = _DATA.fullmatch(path.name)
    prefix = path.with_name(found["prefix"]) if found else path.with_suffix("") if path.suffix == ".index" else path
    return Checkpoint(_of_prefix(prefix), str(path))


def _of_folder(folder: Path) -> Checkpoint:
    if (folder / magenta_js.MANIFEST).is_file():
        return _of_manifest(folder / magenta_js.MANIFEST)
    names = sorted(file.name.removesuffix(".index") for file in folder.glob("*.index"))
    state = folder / "checkpoint"
    if state.is_file():
        with state.open(errors="replace") as file:
            told = _STATE.search(file.read(2**16))
        # the path may be that of another machine: only the name counts
        if told and PurePosixPath(told["path"].replace("\\", "/")).name in names:
            return Checkpoint(_of_prefix(folder / PurePosixPath(told["path"].replace("\\", "/")).name), str(folder))
    if len(names) == 1:
        return Checkpoint(_of_prefix(folder / names[0]), str(folder))
    if not names:
        raise UserError(f"{folder} holds no checkpoint: neither X.index with X.data-… nor {magenta_js.MANIFEST}")
    raise UserError(f"{folder} holds {len(names)} checkpoints ({', '.join(names[:5])}); name one of them")


def _of_manifest(manifest: Path) -> Checkpoint:
    steps, segments = magenta_js.read_config(manifest.parent)
    return Checkpoint(magenta_js.read_manifest(manifest), str(manifest.parent), steps, segments)


def _of_prefix(prefix: Path) -> dict[str, StoredArray]:
    index = Path(f"{prefix}.index")
    if not index.is_file():
        around = prefix.parent.iterdir() if prefix.parent.is_dir() else ()
        names = {file.name.removesuffix(".index") for file in around if file.suffix in (".index", ".tar")}
        raise UserError(
            f"no Magenta checkpoint at {prefix}{did_you_mean(prefix.name, names)}; it may be an X.tar, the X of "
            f"X.index and X.data-00000-of-00001, or a folder with one of these or with {magenta_js.MANIFEST}"
        )
    shards = {}
    for file in prefix.parent.iterdir():
        found = _DATA.fullmatch(file.name)
        if found and found["prefix"] == prefix.name:
            shards[int(found["shard"])] = Region.of(file)
    return read_bundle(Region.of(index), shards)


def _of_archive(path: Path) -> dict[str, StoredArray]:
    members = _members(path)
    indices = [name for name in members if name.endswith(".index")]
    if len(indices) != 1:
        held = ", ".join(sorted(members)[:5]) or "nothing"
        raise UserError(f"{path} holds {len(indices)} checkpoints, not one (it holds {held})")
    prefix, shards = indices[0].removesuffix(".index"), {}
    for name, region in members.items():
        found = _DATA.fullmatch(name)
        if found and found["prefix"] == prefix:
            shards[int(found["shard"])] = region
    return read_bundle(members[indices[0]], shards)


def _members(path: Path) -> dict[str, Region]:
    """The plain files of an archive, by name, as regions of it. Raises UserError for any member that is unsafe."""
    members: dict[str, Region] = {}
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            for count, member in enumerate(archive):
                _check(member, path)
                if count >= MOST_MEMBERS:
                    raise UserError(f"{path} has more than {MOST_MEMBERS} members; a checkpoint has three or four")
                if member.isreg():
                    if member.size < 0 or member.offset_data + member.size > size:
                        raise UserError(f"{path} is cut short: {member.name} ends past its end")
                    name = f"{path}:{member.name}"
                    members[member.name] = Region(path, member.offset_data, member.size, name)
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path} is not a whole, uncompressed tar archive ({error}); if it is compressed, decompress it first"
        ) from None
    return members


def _check(member: tarfile.TarInfo, path: Path) -> None:
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or re.match(r"[A-Za-z]:", member.name):
        raise UserError(f"{path} holds {member.name!r}, which lies outside the archive: not opened")
    if member.issym() or member.islnk():
        raise UserError(f"{path} holds {member.name!r}, a link to {member.linkname!r}: not opened")
    if not (member.isreg() or member.isdir()) or member.issparse():
        raise UserError(f"{path} holds {member.name!r}, which is neither a plain file nor a folder: not opened")

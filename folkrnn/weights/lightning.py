"""The model inside a Lightning checkpoint, read as plain tensors: nothing in it can run."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.vocabulary import Vocabulary
from folkrnn.weights import folder
from folkrnn.weights.folder import Weights
from folkrnn.weights.musicvae_folder import MARK, musicvae_of

OURS = "folkrnn"
"""Key of a checkpoint of our own training, under which its vocabulary may stand."""


def load(file: Path) -> Weights:
    """Returns the model in a checkpoint.

    Its vocabulary is the one that our training wrote into it, else `vocabulary.json` beside it, else v2's, which is
    said. Raises UserError where the file is cut short, holds anything but plain tensors and values, or claims more than
    it holds.
    """
    if file.is_file() and file.stat().st_size > folder.LARGEST:
        raise UserError(f"{file} is larger than {folder.LARGEST // 2**30} GiB; no FolkRNN is")
    try:
        content = read_checkpoint(file)
    except UserError as refusal:
        last = file.with_name("last.ckpt")
        beside = f"; beside it lies {last.name}: weights.path={last}" if file != last and last.is_file() else ""
        raise UserError(f"{refusal}{beside}") from refusal
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise UserError(f"{file} is not a Lightning checkpoint: it has no state_dict")
    tensors = _tensors(state, file)
    if MARK in tensors:
        model = musicvae_of(tensors, _lengths(content), str(file))
        return Weights(model, None, str(file), folder.digest(model))
    vocabulary = _vocabulary(content) or folder.read_vocabulary(file.parent) or folder.assumed(file)
    model = folder.model_of(tensors, str(file), vocabulary)
    return Weights(model, vocabulary, str(file), folder.digest(model))


def read_checkpoint(file: Path) -> Any:
    """Returns what a checkpoint holds: plain tensors and values.

    Raises UserError where the file is missing, was damaged in any bit of its content, holds anything else, or claims
    more than it holds.
    """
    if not file.is_file():
        raise UserError(f"there is no checkpoint {file}")
    _check_archive(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds here, all of which mean the same to the user
        raise _not_whole(file, _reason(error)) from error


def _not_whole(file: Path, reason: str) -> UserError:
    return UserError(f"{file} is not a whole checkpoint of plain tensors: {reason}")


def _check_archive(file: Path) -> None:
    """Refuses what was damaged, what torch could unpack to more than the file has, or that names places outside it."""
    size = file.stat().st_size
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except Exception as error:  # of as many kinds
        raise _not_whole(file, f"Lightning's are zip archives ({_reason(error)})") from error
    for member in members:
        path = PurePosixPath(member.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            raise UserError(f"{file} holds {member.filename!r}, which lies outside the archive: not opened")
        if member.compress_type != zipfile.ZIP_STORED:
            raise UserError(f"{file} is compressed, which checkpoints are not: not opened")
    if sum(member.file_size for member in members) > size:
        raise UserError(f"{file} claims more data than it holds: not opened")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()  # torch does not look at the checksums
    except Exception as error:
        raise _not_whole(file, _reason(error)) from error
    if damaged is not None:
        raise _not_whole(file, f"{damaged} in it is not what was written")


def _tensors(state: Mapping[Any, Any], file: Path) -> dict[str, Tensor]:
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        raise UserError(f"{file} is not a Lightning checkpoint: its state_dict holds what is no tensor")
    # a tensor can be a view that repeats a few stored numbers as often as it likes
    if sum(value.numel() * value.element_size() for value in state.values()) > file.stat().st_size:
        raise UserError(f"{file} claims larger tensors than it holds: not read")
    if not all(value.is_floating_point() and value.layout == torch.strided for value in state.values()):
        raise UserError(f"{file}: its state_dict holds what are no floating-point numbers")
    return {name.removeprefix("model."): value.float() for name, value in state.items()}


def _lengths(content: Mapping[Any, Any]) -> Mapping[str, object]:
    """The sizes that our training of a MusicVAE writes among the settings."""
    settings = content.get("hyper_parameters")
    sizes = settings.get("sizes") if isinstance(settings, dict) else None
    return sizes if isinstance(sizes, dict) else {}


def _vocabulary(content: Mapping[Any, Any]) -> Vocabulary | None:
    ours = content.get(OURS)
    tokens = ours.get("vocabulary") if isinstance(ours, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        return None
    return Vocabulary(tuple(tokens))


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0][:200] or type(error).__name__

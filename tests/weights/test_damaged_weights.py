"""Weights that were damaged on the disk are refused in one line, or are what they were: no bit changes them unseen."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.vocabulary import V2
from folkrnn.weights.curve import FILE, Curve
from folkrnn.weights.folder import CARD, CONFIG, PARAMETERS, VOCABULARY, save
from folkrnn.weights.sources import checkpoint

MUSICVAE = {"encoder": (4,), "decoder": (4,), "z_size": 3, "max_seq_len": 32, "depth": 90}


def written(place: Path, kind: str) -> Path:
    """Small weights of a kind, in a folder."""
    torch.manual_seed(0)
    if kind == "checkpoint":
        place.mkdir(exist_ok=True)
        state = {f"model.{name}": value for name, value in FolkRNN(units=4, layers=1).state_dict().items()}
        torch.save({"state_dict": state, "folkrnn": {"vocabulary": list(V2.tokens)}}, place / "best.ckpt")
    elif kind == "folkrnn":
        curve = Curve.of([(1, 3.0), (2, 2.5)], [(2, 2.75)], unit="token")
        save(place, FolkRNN(units=4, layers=1), V2, "# a card", curve=curve)
    else:
        save(place, MusicVAE(**MUSICVAE), None, "# a card")
    return place


def flip(content: bytes, place: int) -> bytes:
    byte, bit = divmod(place % (8 * len(content)), 8)
    return content[:byte] + bytes([content[byte] ^ 1 << bit]) + content[byte + 1 :]


DAMAGES = {
    "flipped": flip,
    "cut off": lambda content, place: content[: place % len(content)],
    "zeroed": lambda content, place: content[: place % len(content)] + bytes(len(content) - place % len(content)),
}


@pytest.fixture(autouse=True)
def quiet():
    """Hundreds of remarks on what was damaged."""
    logger = logging.getLogger("folkrnn.weights.folder")
    before = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="module", params=["folkrnn", "musicvae", "checkpoint"])
def kept(request, tmp_path_factory):
    return written(tmp_path_factory.mktemp(request.param), request.param)


@settings(max_examples=60, deadline=None)
@given(damage=st.sampled_from(sorted(DAMAGES)), place=st.integers(0, 2**20))
def test_parameters_are_what_they_were_or_refused_in_one_line(kept, damage, place):
    before = checkpoint(str(kept))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(kept, folder, dirs_exist_ok=True))
        file = next(copy / name for name in (PARAMETERS, "best.ckpt") if (copy / name).is_file())
        file.write_bytes(DAMAGES[damage](file.read_bytes(), place))
        assert_same_or_refused(copy, before)


@settings(max_examples=60, deadline=None)
@given(
    damage=st.sampled_from(sorted(DAMAGES)),
    place=st.integers(0, 2**20),
    name=st.sampled_from([VOCABULARY, CARD, CONFIG, FILE]),
)
def test_a_damaged_file_beside_the_parameters_is_no_traceback(damage, place, name):
    with tempfile.TemporaryDirectory() as folder:
        copy = written(Path(folder), "folkrnn")
        file = copy / name
        file.write_bytes(DAMAGES[damage](file.read_bytes(), place))
        try:
            checkpoint(str(copy))
        except UserError as refusal:
            assert "\n" not in str(refusal)


def assert_same_or_refused(place: Path, before) -> None:
    try:
        found = checkpoint(str(place))
    except UserError as refusal:
        assert "\n" not in str(refusal)
        assert "Traceback" not in str(refusal)
    else:
        assert (found.digest, found.model.shape) == (before.digest, before.model.shape)


def test_a_damaged_best_checkpoint_names_the_last_one(tmp_path):
    written(tmp_path, "checkpoint")
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "best.ckpt").read_bytes())
    (tmp_path / "best.ckpt").write_bytes((tmp_path / "best.ckpt").read_bytes()[:-10])
    with pytest.raises(
        UserError, match=r"best\.ckpt is not a whole .*beside it lies last\.ckpt: weights\.path=.*last\.ckpt"
    ):
        checkpoint(str(tmp_path))
    checkpoint(str(tmp_path / "last.ckpt"))


def test_a_curve_that_was_cut_at_the_end_of_a_row_is_refused_with_its_rows(tmp_path):
    curve = written(tmp_path, "folkrnn") / FILE
    curve.write_text("".join(curve.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="2 rows of the 3 that it says it has"):
        checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "keys and values"),
        ('{"shape": "LSTM 3 × 512 over 137 tokens"}', "beside it holds LSTM 1 × 4 over 137 tokens"),
    ],
)
def test_a_config_that_is_damaged_or_of_other_parameters_is_refused(tmp_path, config, says):
    (written(tmp_path, "folkrnn") / CONFIG).write_text(config)
    with pytest.raises(UserError, match=says):
        checkpoint(str(tmp_path))


def test_a_config_may_say_more_than_we_do_and_may_be_missing(tmp_path):
    file = written(tmp_path, "folkrnn") / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | {"architectures": ["LSTM"]}))
    checkpoint(str(tmp_path))
    file.unlink()
    checkpoint(str(tmp_path))

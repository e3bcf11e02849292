import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from magenta_samples import FLAT, drawn, kept

from folkrnn.errors import UserError
from folkrnn.models.musicvae_sizes import Sizes
from folkrnn.weights.magenta import load


def archive(path, *members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def parts(tmp_path, sizes=FLAT):
    prefix = kept(tmp_path / "parts", drawn(sizes), "m.ckpt")
    return [(file.name, file.read_bytes()) for file in sorted(prefix.parent.iterdir())]


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


UNSAFE = {
    "a path upwards": ("../evil.index", "outside the archive"),
    "a path upwards in the middle": ("a/../../evil", "outside the archive"),
    "an absolute path": ("/etc/evil", "outside the archive"),
    "a path upwards for Windows": ("..\\evil", "outside the archive"),
    "a drive": ("C:evil", "outside the archive"),
    "a symbolic link": (special("m.index", tarfile.SYMTYPE, "/etc/passwd"), "a link to '/etc/passwd'"),
    "a hard link": (special("m.index", tarfile.LNKTYPE, "m.ckpt.index"), "a link to"),
    "a device": (special("m.index", tarfile.CHRTYPE), "neither a plain file"),
    "a pipe": (special("m.index", tarfile.FIFOTYPE), "neither a plain file"),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_archives_with_unsafe_members_are_refused_and_nothing_is_written(tmp_path, kind):
    member, says = UNSAFE[kind]
    path = archive(tmp_path / "x.tar", *parts(tmp_path), member)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=says):
        load(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_may_hold_folders_and_other_files(tmp_path):
    inside = [(f"some/folder/{name}", content) for name, content in parts(tmp_path)]
    path = archive(tmp_path / "x.tar", special("some", tarfile.DIRTYPE), ("README", b"hello"), *inside)
    assert load(path).model.sizes == FLAT


def test_archives_that_are_not_whole_plain_or_one_checkpoint_are_refused(tmp_path):
    members = parts(tmp_path)
    whole = archive(tmp_path / "whole.tar", *members).read_bytes()
    (tmp_path / "short.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk.tar").write_bytes(b"hello" * 300)
    archive(tmp_path / "packed.tgz", *members, mode="w:gz")
    archive(tmp_path / "two.tar", *members, ("again.index", b"x"))
    archive(tmp_path / "none.tar", ("README", b"x"))
    archive(tmp_path / "alone.tar", next(member for member in members if member[0].endswith(".index")))
    for name, says in {
        "short": "cut short",
        "junk": "not a whole",
        "two": "2 checkpoints",
        "none": "0 checkpoints",
        "alone": "data file 0, which is missing",
    }.items():
        with pytest.raises(UserError, match=says):
            load(tmp_path / f"{name}.tar")
    with pytest.raises(UserError, match="decompress it first"):
        load(tmp_path / "packed.tgz")


@settings(max_examples=100, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 9000),
)
def test_damaged_archives_are_refused_or_read(tmp_path_factory, flips, cut):
    folder = tmp_path_factory.mktemp("fuzz")
    path = archive(folder / "x.tar", *parts(folder, Sizes((1,), (1,), 1, 8)))
    content = bytearray(path.read_bytes())
    for place, mask in flips:
        content[place % len(content)] ^= mask
    path.write_bytes(content[: max(0, len(content) - max(0, cut - 5000))])
    try:
        assert load(path).model.sizes.encoder == (1,)
    except UserError as refusal:
        assert str(path) in str(refusal)


def test_a_folder_with_several_checkpoints_goes_by_its_checkpoint_file(tmp_path):
    for step, seed in (("1", 1), ("2", 2)):
        kept(tmp_path, drawn(FLAT, seed), f"model.ckpt-{step}")
    with pytest.raises(UserError, match=r"2 checkpoints \(model.ckpt-1, model.ckpt-2\)"):
        load(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/another/machine/model.ckpt-1"\n')
    assert load(tmp_path).digest == load(tmp_path / "model.ckpt-1").digest != load(tmp_path / "model.ckpt-2").digest


def test_what_is_not_there_is_said_with_what_may_be_meant(tmp_path):
    kept(tmp_path, drawn(FLAT), "model.ckpt-50000")
    with pytest.raises(UserError, match=r"model\.ckpt-50000"):
        load(tmp_path / "model.ckpt-5000")
    with pytest.raises(UserError, match="no Magenta checkpoint"):
        load("/nowhere/x.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no checkpoint"):
        load(tmp_path / "empty")

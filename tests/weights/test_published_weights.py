from dataclasses import replace

import pytest
import torch
from file_server import Behaviour, serving
from magenta_samples import FLAT, drawn, kept
from python2_pickles import original, python2

from folkrnn.errors import UserError
from folkrnn.files.download import git_blob
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.vocabulary import V2
from folkrnn.weights.downloads import SOURCES, downloaded


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def offered(tmp_path, monkeypatch, content, name):
    """Makes the content the published file of that name."""
    (tmp_path / "file").write_bytes(content)
    blob = git_blob(tmp_path / "file") if SOURCES[name].blob else ""
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], blob=blob))
    return Behaviour(content)


def test_published_weights_come_with_their_terms_and_blob(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    model = FolkRNN(units=4)
    server = offered(tmp_path, monkeypatch, python2(original(model, V2)), "folkrnn_v2")
    with serving(server) as address:
        weights = downloaded("folkrnn_v2", address)
    assert torch.equal(weights.model.softmax_weight, model.softmax_weight)
    assert weights.blob == SOURCES["folkrnn_v2"].blob
    assert "MIT" in weights.terms
    assert weights.terms in weights.card
    assert weights.terms in capsys.readouterr().err
    assert weights.source == f"folkrnn_v2 ({address})"


def test_a_magenta_tar_is_read_where_it_was_downloaded(tmp_path, monkeypatch):
    import tarfile

    prefix = kept(tmp_path, drawn(FLAT))
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for file in sorted(tmp_path.glob(f"{prefix.name}.*")):
            archive.add(file, file.name)
    server = offered(tmp_path, monkeypatch, (tmp_path / "x.tar").read_bytes(), "magenta_2bar")
    with serving(server) as address:
        weights = downloaded("magenta_2bar", address)
    assert weights.model.family == "musicvae"
    assert "no licence" in weights.terms


def test_another_file_than_the_published_one_is_refused():
    with (
        serving(Behaviour(python2({"token2idx": {}}))) as address,
        pytest.raises(UserError, match="not the published"),
    ):
        downloaded("folkrnn_v2", address)


def test_the_blob_ids_are_those_of_the_facts_and_every_address_is_secure():
    assert SOURCES["folkrnn_v2"].blob == "6ac1708b3532be8a2f53b53dda4a97ec77f46791"
    assert all(address.startswith("https://") for source in SOURCES.values() for address in source.addresses)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean folkrnn_v2"):
        downloaded("folkrnn_v22")

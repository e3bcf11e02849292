"""Weights of the Hugging Face hub, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import http.server
import threading
from pathlib import Path

import huggingface_hub.constants
import pytest

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.vocabulary import V2
from folkrnn.weights import folder
from folkrnn.weights.hub import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(http.server.BaseHTTPRequestHandler):
    root: Path
    asked: list[str]
    address: str

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        if (content := self._answer()) is not None:
            self.wfile.write(content)

    def _answer(self) -> bytes | None:
        self.asked.append(f"{self.command} {self.path}")
        owner, name, _, revision, file = self.path.strip("/").split("/", 4)
        place = self.root / owner / name
        code = {False: "RepoNotFound", True: "RevisionNotFound"}[place.is_dir()]
        found = revision in ("main", COMMIT) and (place / file).is_file()
        if not found:
            self.send_response(404)
            missing = place.is_dir() and revision in ("main", COMMIT)
            self.send_header("X-Error-Code", "EntryNotFound" if missing else code)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        content = (place / file).read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A hub that has the repositories in `root`; yields its handler."""
    handler = type("Bound", (Handler,), {"root": tmp_path / "hub", "asked": []})
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    handler.address = f"http://127.0.0.1:{served.server_port}"
    yield handler
    served.shutdown()
    served.server_close()


def test_weights_of_the_hub_are_those_of_the_folder_that_was_put_there(server):
    model = FolkRNN(units=4, layers=1)
    folder.save(server.root / "someone" / "jigs", model, V2, "---\nlicense: mit\n---\n# jigs")
    found = hub("someone/jigs", address=server.address)
    assert found.digest == folder.load(server.root / "someone" / "jigs").digest
    assert found.source == f"hub/someone/jigs@{COMMIT[:12]}"
    assert found.words.tokens == V2.tokens
    assert found.card.endswith("# jigs")


def test_only_the_files_of_a_weights_folder_are_fetched(server):
    place = server.root / "someone" / "melodies"
    folder.save(place, MusicVAE(encoder=[4], decoder=[4], conductor=[], z_size=2), None, "# melodies")
    (place / "modeling.py").write_text("raise SystemExit")
    assert hub("someone/melodies", COMMIT, server.address).vocabulary is None
    assert {line.rpartition("/")[2] for line in server.asked} == set(folder.FILES)


def test_what_was_fetched_is_read_without_a_network(server, monkeypatch):
    folder.save(server.root / "someone" / "jigs", FolkRNN(units=4, layers=1), V2, "# jigs")
    before = hub("someone/jigs", address=server.address).digest
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    server.asked.clear()
    assert hub("someone/jigs", address=server.address).digest == before
    assert not server.asked


@pytest.mark.parametrize(
    ("path", "revision", "says"),
    [
        (None, None, "OWNER/NAME"),
        ("jigs", None, "OWNER/NAME"),
        ("someone/../../etc", None, "OWNER/NAME"),
        ("nobody/jigs", None, "nobody/jigs cannot be fetched"),
        ("someone/jigs", "v9", "someone/jigs at v9 cannot be fetched"),
        ("someone/empty", None, "someone/empty cannot be fetched"),
    ],
)
def test_what_is_not_there_is_one_line(server, path, revision, says):
    folder.save(server.root / "someone" / "jigs", FolkRNN(units=4, layers=1), V2, "# jigs")
    (server.root / "someone" / "empty").mkdir()
    with pytest.raises(UserError, match=says) as refused:
        hub(path, revision, server.address)
    assert "\n" not in str(refused.value)


def test_weights_that_are_larger_than_any_model_are_not_fetched(server, monkeypatch):
    folder.save(server.root / "someone" / "jigs", FolkRNN(units=4, layers=1), V2, "# jigs")
    monkeypatch.setattr(folder, "LARGEST", 100)
    with pytest.raises(UserError, match="holds"):
        hub("someone/jigs", address=server.address)
    assert all(line.startswith("HEAD") for line in server.asked)

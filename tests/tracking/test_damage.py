"""Results folders that were damaged, or made by a stranger, are refused in one line."""

import json
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure as Drawing

from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings
from folkrnn.tracking import open_store, start_run, upload
from folkrnn.tracking.upload import pending

DAMAGES = {
    "flipped": lambda content, at, bit: content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :],
    "cut off": lambda content, at, _: content[:at],
    "zeroed": lambda content, at, _: content[:at] + bytes(len(content) - at),
}


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory):
    """The results folder of a run whose store lacks all of it."""
    lab = tmp_path_factory.mktemp("lab")
    with start_run(open_store(folder=lab), "a", lab / "r") as run:
        run.log_params({"seed": 1, "model": {"layers": 3}})
        run.log_metrics({"loss": 1.5})
        run.log_findings("posterior", Findings(figures={"main": Figure(Drawing(figsize=(2, 2)), "a caption")}))
    (lab / "r" / ".tracking" / "sent").write_text("0")
    return lab / "r"


@settings(max_examples=60, deadline=None)
@given(
    damage=st.sampled_from(sorted(DAMAGES)),
    name=st.sampled_from(["run.json", "entries.jsonl", "sent"]),
    at=st.integers(0, 2**20),
    bit=st.integers(0, 7),
)
def test_a_damaged_journal_is_refused_in_one_line_or_read(cut_off, damage, name, at, bit):
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(cut_off, folder, dirs_exist_ok=True))
        file = copy / ".tracking" / name
        content = file.read_bytes()
        file.write_bytes(DAMAGES[damage](content, at % len(content), bit))
        try:
            assert pending(copy) >= 0
        except UserError as refusal:
            assert re.search("is damaged|holds no tracked run", str(refusal))
            assert "\n" not in str(refusal)


def test_a_damaged_figure_does_not_keep_the_rest_from_the_store(cut_off, tmp_path, caplog):
    shutil.copytree(cut_off, tmp_path / "r")
    (picture,) = (tmp_path / "r" / "figures").glob("*.png")
    picture.write_bytes(picture.read_bytes()[:100])
    assert upload(tmp_path / "r", f"sqlite:///{tmp_path / 'other.db'}") > 3
    assert "left out of the images" in caplog.text
    assert pending(tmp_path / "r") == 0


def test_a_journal_names_no_file_outside_its_folder(cut_off, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    for path in ("../secret", str(secret), "figures/../../secret"):
        shutil.rmtree(tmp_path / "r", ignore_errors=True)
        shutil.copytree(cut_off, tmp_path / "r")
        journal = tmp_path / "r" / ".tracking" / "entries.jsonl"
        number = len(journal.read_text().splitlines()) + 1
        with journal.open("a") as file:
            file.write(json.dumps({"number": number, "kind": "file", "path": path}) + "\n")
        with pytest.raises(UserError, match="outside the run"):
            upload(tmp_path / "r", f"sqlite:///{tmp_path / 'other.db'}")


def test_a_server_that_only_a_results_folder_names_is_not_sent_to(cut_off, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(cut_off, tmp_path / "r"))
    file = copy / ".tracking" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"uri": "http://127.0.0.1:9"}))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=r"say so: python -m folkrnn\.tracking upload \S+ --to http://127\.0\.0\.1:9$"):
        upload(copy)
    for known in (lambda: upload(copy, "http://127.0.0.1:9"), lambda: upload(copy)):
        with pytest.raises(UserError, match="no MLflow server answers"):
            known()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9/")

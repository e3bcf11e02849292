"""What runs and their folders are called."""

from __future__ import annotations

import re

import pytest

from folkrnn.errors import UserError
from folkrnn.tracking.folders import NAME_LENGTH, folder_name, is_unfinished, results_folder, run_name


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ([], "default"),
        (["tracking.uri=http://127.0.0.1:5000", "tracking=server", "hydra.sweep.dir=/x", "launcher=here"], "default"),
        (["seed=3", "tracking=server", "analysis=posterior"], "posterior · seed=3"),
        (["seed=2", "intervention=cut_random", "cut.fraction=0.1"], "cut_random · seed=2 · fraction=0.1"),
        (["analysis=[posterior,timing]", "model=folkrnn_small"], "posterior+timing · folkrnn_small"),
        (["transcription=/home/ann/tunes/kesh.abc"], "kesh"),
        (["transcription=M:4/4 K:Cmaj C D E F"], "own tune"),
        (["transcription=X:1\nT:The Kesh\nM:6/8\nK:G\nG3"], "The Kesh"),
    ],
)
def test_a_run_is_called_by_what_was_typed_but_not_by_where_it_is_filed(typed, name):
    assert run_name(typed) == name


def test_a_run_of_a_recipe_is_called_by_recipe_and_tune():
    assert run_name(["experiment=part5"], "swing_swang_swung") == "part5 · swing_swang_swung"


def test_a_long_name_is_cut_where_the_list_can_still_show_it():
    name = run_name([f"sampling.prime={'A2 B ' * 40}"])
    assert len(name) <= NAME_LENGTH
    assert name.endswith("…")


def test_a_folder_tells_the_day_and_the_run_and_needs_no_quotes():
    name = folder_name("part5 · The Kesh, in G", "02d5d78f1110")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_part5-The-Kesh-in-G_02d5d78f", name)


def test_runs_of_one_digest_are_numbered_whatever_they_are_called(tmp_path):
    digest = "02d5d78f1110"
    names = [results_folder(tmp_path, name, digest, resume=False).name for name in ("a", "a", "b", "a")]
    endings = [name.partition("_")[2] for name in names]
    assert endings == ["a_02d5d78f", "a_02d5d78f-2", "b_02d5d78f-3", "a_02d5d78f-4"]


def test_the_latest_run_of_a_digest_is_the_one_that_is_resumed(tmp_path):
    digest = "02d5d78f1110"
    with pytest.raises(UserError, match="no unfinished training"):
        results_folder(tmp_path, "a", digest, resume=True)
    for _ in range(11):
        latest = results_folder(tmp_path, "a", digest, resume=False)
    (latest / "checkpoints").mkdir()
    (latest / "checkpoints/last.ckpt").touch()
    assert latest.name.endswith("-11")
    assert is_unfinished(tmp_path, digest)
    assert results_folder(tmp_path, "another", digest, resume=True) == latest
    with pytest.raises(UserError, match=r"trainer\.resume=true"):
        results_folder(tmp_path, "a", digest, resume=False)
    (latest / "report.html").touch()
    assert not is_unfinished(tmp_path, digest)

import os
import subprocess

from folkrnn.tracking.provenance import NO_CHECKOUT, git_state, provenance, provenance_tags


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    answer = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def test_the_commit_of_a_checkout_is_told_and_whether_files_differ_from_it(tmp_path):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_state(tmp_path) == (commit, "clean")
    (tmp_path / "a.py").write_text("2")
    assert git_state(tmp_path) == (commit, "1 file")
    (tmp_path / "b.py").write_text("3")
    assert git_state(tmp_path) == (commit, "2 files")
    assert provenance_tags(tmp_path)["mlflow.source.git.commit"] == commit


def test_a_file_whose_name_is_not_utf_8_is_one_of_those_that_differ(tmp_path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    git(tmp_path, "config", "core.quotepath", "false")
    (tmp_path / os.fsdecode(b"l\xe5tar.abc")).touch()
    assert git_state(tmp_path)[1] == "1 file"


def test_a_folder_that_is_no_checkout_says_so(tmp_path, monkeypatch):
    assert git_state(tmp_path)[0] == NO_CHECKOUT == "not a git checkout"
    assert "mlflow.source.git.commit" not in provenance_tags(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # no git program at all
    assert git_state(tmp_path)[0] == NO_CHECKOUT


def test_a_hostile_configuration_of_git_runs_nothing(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    (tmp_path / "a.py").write_text("2")
    evil = tmp_path.parent / f"{tmp_path.name}-evil"
    evil.write_text(f"#!/bin/sh\necho ran >> {evil}.log\n")
    evil.chmod(0o755)
    git(tmp_path, "config", "core.fsmonitor", str(evil))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(evil))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(evil))
    git(tmp_path, "status")
    assert evil.with_name(f"{evil.name}.log").exists(), "the trap does not work"
    evil.with_name(f"{evil.name}.log").unlink()
    assert git_state(tmp_path)[1] == "1 file"
    assert not evil.with_name(f"{evil.name}.log").exists()


def test_git_is_asked_about_the_checkout_alone(tmp_path, monkeypatch):
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    (tmp_path / "inside").mkdir()
    assert git_state(tmp_path / "inside")[0] == NO_CHECKOUT
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert git_state(tmp_path)[0] != NO_CHECKOUT


def test_the_command_can_be_pasted_into_a_shell(tmp_path):
    overrides = ["seed=1", "sampling.prime=M:6/8 K:Cdor =B c'"]
    command = provenance_tags(tmp_path, overrides)["command"]
    words = subprocess.run(
        ["sh", "-c", command.replace("python run.py", "printf '%s\\n'")], capture_output=True, text=True, check=True
    )
    assert words.stdout.splitlines() == overrides


def test_versions_and_device_are_told(tmp_path):
    told = provenance(tmp_path, device="cpu")
    assert told["device"] == "cpu"
    assert {name for name in told if name.startswith("version.")} >= {
        "version.python", "version.torch", "version.pytorch-lightning", "version.hydra-core", "version.mlflow",
    }  # fmt: skip
    assert all(told.values())

"""The program as a user runs it: `python run.py` in a process of its own, with a store of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[1]
TINY = [
    "model=folkrnn_small",
    "model.units=24",
    "weights=scratch",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "explorer=false",
]


def command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "run.py", *words, f"tracking.folder={home}", f"hydra.sweep.dir={home}/sweeps"]


def run(home: Path, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command(home, *words), cwd=ROOT, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def store(home: Path):
    from folkrnn.tracking import open_store

    return open_store(None, "folkrnn", home)


def runs(home: Path):
    opened = store(home)
    found = opened.client.search_runs([opened.experiment_id], order_by=["attributes.start_time ASC"])
    return opened.client, found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two hundred short tunes with a rule, so that training takes seconds."""
    import numpy as np

    rng = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("corpus") / "tunes.txt"
    tunes = []
    for _ in range(200):
        bars = " | ".join(" ".join(rng.choice(list("CDEFGAB"), 8)) for _ in range(rng.integers(2, 5)))
        tunes.append(f"M:4/4\nK:Cmaj\n{bars} |\n")
    file.write_text("\n".join(tunes))
    return file


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    """Two runs of the main job, small, in one store: (home, what the terminal showed)."""
    home = tmp_path_factory.mktemp("default")
    shown = [run(home, "sampling.tunes=20", "seed=3").stdout for _ in range(2)]
    return home, shown


def test_the_main_job_files_everything_that_it_shows(default):
    home, shown = default
    client, found = runs(home)
    assert [r.info.status for r in found] == ["FINISHED", "FINISHED"]
    run_id = found[0].info.run_id
    folder = next(home.glob("runs/*/report.html")).parent
    local = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".tracking" not in path.parts
    }

    def artifacts(path=None):
        for entry in client.list_artifacts(run_id, path):
            yield from artifacts(entry.path) if entry.is_dir else [entry.path]

    uploaded = set(artifacts())
    expected = {
        "report.html", "explore.html", "config.yaml", "tunes/all.abc", "tunes/all.tokens.txt", "tunes/draws.csv",
        "tunes/01.svg", "tunes/01.mid", "dataset/card.md", "dataset/left_out.csv", "figures/posterior_log10.png",
        "figures/activations_image.png", "figures/tune_statistics_counting.png", "figures/summary_activations.png",
        "tables/summary_units.csv", "tables/posterior_tunes.csv", "arrays/posterior_tune0.npz", "tables/metrics.csv",
        "tables/summary_activations.csv", "provenance.json", "tunes/01.mp3",
    }  # fmt: skip
    assert expected <= uploaded
    assert expected <= local
    data = found[0].data
    assert data.params["sampling.tunes"] == "20"
    assert data.params["seed"] == "3"
    assert found[0].inputs.dataset_inputs[0].dataset.name == "irish"
    assert run_id in shown[0] or found[1].info.run_id in shown[0]
    assert "X:1" in shown[0]
    assert "mlflow ui" in shown[0]


def test_a_run_files_few_numbers_and_the_right_ones(default):
    home, _ = default
    _, found = runs(home)
    data, folder = found[0].data, next(home.glob("runs/*/report.html")).parent
    assert len(data.metrics) <= 25
    assert {
        "posterior/nats_per_token",
        "tune_statistics/full_bars",
        "activations/l3.h/mean_abs",
        "activations/l3.h/sparsity",
        "activations/l3.h/saturation",
        "claims/hold",
    } <= set(data.metrics)
    assert not [name for name in data.metrics if name.endswith(("_low", "_high"))]
    assert not [name for name in data.metrics if len(f"{data.metrics[name]:g}") < len(f"{data.metrics[name]:.6g}")]
    assert len(data.tags) <= 12
    assert not [key for key in data.params if "_target_" in key or key.startswith(("tracking.", "launcher."))]
    every = pd.read_csv(folder / "tables/metrics.csv")
    assert list(every.columns[:5]) == ["name", "value", "low", "high", "control"]
    assert len(every) > 80
    assert set(data.metrics) - set(every["name"]) == {name for name in data.metrics if name.startswith("activations/l")}
    told = json.loads((folder / "provenance.json").read_text())
    assert {"weights.digest", "git.commit", "command", "version.torch", "device", "digest"} <= set(told)


def test_typed_parameters_come_first_and_names_tell_the_run(default):
    home, _ = default
    client, found = runs(home)
    with sqlite3.connect(home / "mlflow.db") as rows:
        query = "SELECT key FROM params WHERE run_uuid = ? ORDER BY rowid"
        keys = [key for (key,) in rows.execute(query, (found[0].info.run_id,))]
    assert keys[:2] == ["sampling.tunes", "seed"]
    assert found[0].info.run_name == "tunes=20 · seed=3"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_tunes=20-seed=3_[0-9a-f]{8}", sorted(home.glob("runs/20*"))[0].name)
    note = client.get_run(found[0].info.run_id).data.tags["mlflow.note.content"]
    assert "X:1" in note
    assert note.index("of the bars are full (the data: ") < note.index("X:1") < note.index("`python run.py")


def test_the_same_command_gives_the_same_numbers_in_a_run_beside_the_first(default):
    home, _ = default
    _, found = runs(home)
    first, second = (r.data.metrics for r in found)
    assert first == second
    folders = sorted(
        path.name for path in (home / "runs").iterdir() if path.is_dir() and (path / "report.html").exists()
    )
    assert len(folders) == 2
    assert folders[1] == folders[0] + "-2"


def test_the_report_asks_nothing_of_the_network(default):
    home, _ = default
    text = next(home.glob("runs/*/report.html")).read_text()
    assert "<audio" in text
    assert "<svg" in text
    for mark in ('src="http', 'href="http', "url(http", "@import"):
        assert mark not in text


def test_a_transcription_is_observed_in_the_place_of_generated_tunes(tmp_path):
    run(tmp_path, "transcription=swing_swang_swung", "analysis=posterior", "observation=hidden", "explorer=false")
    folder = next(tmp_path.glob("runs/*/report.html")).parent
    import numpy as np

    arrays = np.load(folder / "arrays/traces_tune0000.npz")
    assert arrays["l3.h"].shape == (147, 512)
    assert not (folder / "explore.html").exists()


def test_training_from_scratch_leaves_weights_checkpoints_and_curves(tmp_path, corpus):
    run(tmp_path, *TINY, "dataset=tokens", f"dataset.path={corpus}", "sampling.tunes=4", "sampling.max_tokens=60")
    client, found = runs(tmp_path)
    (only,) = found
    assert only.info.status == "FINISHED"
    assert only.data.metrics["validation/best_loss"] < 4.92
    curves = client.get_metric_history(only.info.run_id, "validation/loss")
    assert [point.step for point in curves] == sorted(point.step for point in curves)
    assert len(client.get_metric_history(only.info.run_id, "activations/l3.h/sparsity")) > 1
    assert len(only.data.metrics) <= 25
    assert {"baseline/5gram", "posterior/nats_per_token", "tune_statistics/full_bars"} <= set(only.data.metrics)
    folder = next(tmp_path.glob("runs/*/report.html")).parent
    assert {p.name for p in (folder / "checkpoints").glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    told = [row.split(",") for row in (folder / "weights/curve.csv").read_text().splitlines()[2:]]
    assert {name for name, *_ in told} >= {"training", "validation", "baseline/uniform", "baseline/5gram"}
    assert [float(nats) for name, _, nats in told if name == "validation"][-1] == pytest.approx(
        curves[-1].value, rel=1e-4
    )
    again = ("weights=checkpoint", f"weights.path={folder / 'weights'}", "sampling.tunes=2", "sampling.max_tokens=40")
    run(tmp_path / "again", *again, "analysis=[training_curve,activations]", "control=shuffled")
    folder = next(tmp_path.glob("again/runs/*/report.html")).parent
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["training_curve/best_validation"] == pytest.approx(min(point.value for point in curves), rel=1e-4)
    assert "control/activations/near_zero_share" in numbers
    assert "control/training_curve/best_validation" not in numbers
    assert (folder / "claims.csv").read_text().startswith("id,source,scope,statement,published,value")


@pytest.mark.slow
def test_a_shipped_model_is_trained_on_with_the_users_tunes(tmp_path, corpus):
    words = ("model=folkrnn_small", "weights=finetune", "dataset=tokens", f"dataset.path={corpus}", "trainer=cpu")
    less = ("trainer.max_epochs=2", "recipe.learning_rate=0.0005", "sampling.tunes=4", "sampling.max_tokens=60")
    run(tmp_path, *words, *less)
    client, (only,) = runs(tmp_path)
    curve = [point.value for point in client.get_metric_history(only.info.run_id, "validation/loss")]
    assert curve[-1] < curve[0] < 3.0  # fresh parameters begin at ln 137 = 4.92
    folder = next(tmp_path.glob("runs/*/report.html")).parent
    assert "It went on from pretrained/folkrnn_small" in (folder / "weights/README.md").read_text()
    assert only.data.params["weights.name"] == "finetune"


def test_a_control_that_would_change_nothing_is_refused(tmp_path):
    done = run(tmp_path, "analysis=vocabulary", "control=shuffled", expect=2)
    assert "control=shuffled" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_processes_train_as_one_run_to_nearly_the_same_loss(tmp_path, corpus):
    words = [*TINY, "dataset=tokens", f"dataset.path={corpus}", "sampling.tunes=2", "analysis=none", "recipe.dropout=0"]
    run(tmp_path / "one", *words)
    run(tmp_path / "two", *words, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    losses = []
    for home in ("one", "two"):
        _, (only,) = runs(tmp_path / home)
        assert only.info.status == "FINISHED"
        losses.append(only.data.metrics["validation/best_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_a_sweep_is_one_parent_with_its_jobs_below(tmp_path):
    run(tmp_path, "-m", "sampling.temperature=0.8,1.2", "sampling.tunes=2", "analysis=none")
    _, found = runs(tmp_path)
    parents = [r for r in found if r.data.tags.get("sweep") == "parent"]
    children = [r for r in found if "mlflow.parentRunId" in r.data.tags]
    assert len(parents) == 1
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {parents[0].info.run_id}
    assert sorted(r.data.params["sampling.temperature"] for r in children) == ["0.8", "1.2"]
    assert {r.info.status for r in found} == {"FINISHED"}


def test_a_musicvae_is_encoded_looked_into_and_filed(tmp_path, test_data):
    place = test_data / "magenta_parity/cat-mel_2bar_tiny/cat-mel_2bar_tiny.tar"
    sizes = ["model.encoder=[64]", "model.decoder=[48,48]", "model.z_size=32"]
    weights = ["weights=magenta", f"weights.path={place}"]
    words = ["model=musicvae_2bar", *sizes, *weights, "dataset=random_notes", "dataset.count=300"]
    run(tmp_path, *words)
    _, (only,) = runs(tmp_path)
    assert only.info.status == "FINISHED"
    assert {"latent_spread/kl", "latent_example/steps_exact_from_mu", "activations/dec.l2.h/sparsity"} <= set(
        only.data.metrics
    )
    folder = next(tmp_path.glob("runs/*/report.html")).parent
    import numpy as np

    latents = np.load(folder / "arrays/observation_latents.npz")
    assert latents["mu"].shape == latents["sigma"].shape == (300, 32)
    assert (folder / "tunes/01_from_mu.mid").is_file()


@pytest.mark.slow
def test_ctrl_c_in_mid_training_keeps_a_checkpoint_that_can_be_resumed_and_marks_the_run_killed(tmp_path, corpus):
    words = [*TINY[:-1], "dataset=tokens", f"dataset.path={corpus}", "sampling.tunes=2", "analysis=none"]
    process = subprocess.Popen(
        command(tmp_path, *words, "trainer.max_epochs=60"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/*/checkpoints/last.ckpt")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    _, found = runs(tmp_path)
    assert found[0].info.status == "KILLED"
    again = run(tmp_path, *words, "trainer.max_epochs=60", expect=2)
    assert "trainer.resume=true" in again.stderr
    run(tmp_path, *words, "trainer.max_epochs=60", "trainer.resume=true")
    _, found = runs(tmp_path)
    assert [r.info.status for r in found] == ["FINISHED"]
    nothing = run(tmp_path, *words, "trainer.max_epochs=60", "trainer.resume=true", expect=2)
    assert "no unfinished training" in nothing.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sampling.prime=M:4/4 K:Cmaj G H"], "H"),
        pytest.param(["sampling.prime=M:5/4 K:C CDE"], "5/4", marks=pytest.mark.slow),
        pytest.param(["sampling.prime=M:4/4 K:Dphr CDE"], "phr", marks=pytest.mark.slow),
        (["transcription=/nowhere.abc"], "nowhere"),
        pytest.param(["dataset=abc", "dataset.path=/nowhere"], "no such file", marks=pytest.mark.slow),
        (["dataset=tokens"], "dataset.path"),
        pytest.param(["weights=checkpoint", "weights.path=/nowhere"], "no such file", marks=pytest.mark.slow),
        pytest.param(["weights=finetune", "weights.path=/nowhere"], "no such file", marks=pytest.mark.slow),
        pytest.param(["weights=pretrained", "model=folkrnn_gru"], "weights=scratch", marks=pytest.mark.slow),
        (["model=folkrnn", "model.units=256"], "leave model= out"),
        pytest.param(["tracking.uri=http://127.0.0.1:9"], "127.0.0.1:9", marks=pytest.mark.slow),
        (["analysis.activations.site=l7.h"], "l7.h"),
        pytest.param(["observation.sites=[l1.q]"], "l1.q", marks=pytest.mark.slow),
        pytest.param(["sampling.replay=fig2"], "did you mean fig1", marks=pytest.mark.slow),
        pytest.param(["model=musicvae_16bar"], "weights=magenta", marks=pytest.mark.slow),
        (["analysis=latent_spread"], "looks into musicvae"),
        (["analisys=none"], "analysis"),
        pytest.param(["sampling.tunes=many"], "sampling.tunes", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_clear_line_and_no_run(tmp_path, words, says):
    done = run(tmp_path, *words, expect=2)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert says in lines[0]
    assert not list(tmp_path.glob("runs/*/config.yaml"))


def test_a_read_only_folder_for_results_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    done = run(file, "analysis=none", "sampling.tunes=1", expect=2)
    assert done.stderr.startswith("error: ")


def test_an_analysis_that_fails_is_reported_and_the_others_still_run(tmp_path):
    done = run(
        tmp_path,
        "sampling.tunes=2",
        "analysis.activations.resamples=-1",
        "analysis=[activations,tune_statistics]",
        "observation=hidden",
        "explorer=false",
        expect=1,
    )
    _, (only,) = runs(tmp_path)
    assert only.info.status == "FAILED"
    assert "tune_statistics/full_bars" in only.data.metrics
    assert "activations" in done.stdout
    assert list(tmp_path.glob("runs/*/tracebacks/activations.txt"))
    assert json.loads(next(tmp_path.glob("runs/*/metrics.json")).read_text())


@pytest.mark.slow
def test_a_run_that_is_filed_ends_well_whatever_becomes_of_its_output(tmp_path):
    words = ["model=folkrnn_small", "analysis=none", "sampling.tunes=1", "sampling.max_tokens=40"]
    typed = shlex.join(command(tmp_path, *words))
    ways = ({"PYTHONIOENCODING": "ascii"}, f"{typed}"), ({"PYTHONIOENCODING": "cp1252"}, f"{typed} >&- 2>&-"), (
        {"LC_ALL": "C", "PYTHONUTF8": "0"}, f"{typed} | head -1"), ({}, f"{typed} >/dev/full")  # fmt: skip
    for environment, line in ways:
        shell = ["bash", "-o", "pipefail", "-c", line]
        done = subprocess.run(shell, cwd=ROOT, capture_output=True, env={**os.environ, **environment}, check=False)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr
    assert [one.info.status for one in runs(tmp_path)[1]] == ["FINISHED"] * len(ways)


@pytest.mark.slow
def test_a_project_that_was_copied_and_renamed_keeps_its_runs_to_itself(tmp_path):
    names = ("run.py", "conf", "folkrnn", "analyses", "pyproject.toml")
    first, second = tmp_path / "project", tmp_path / "O'Neill's (1907), 50%20 [x]"
    first.mkdir()
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, first / name)
    words = [sys.executable, "run.py", "model=folkrnn_small", "analysis=none", "sampling.tunes=1"]
    environment = {**os.environ, "PYTHONPATH": ""}

    def play(project, seed):
        done = subprocess.run([*words, f"seed={seed}"], cwd=project, capture_output=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr

    def reports(project):
        return len(list(project.glob("mlartifacts/folkrnn/*/artifacts/report.html")))

    play(first, 1)
    shutil.copytree(first, second)
    play(second, 2)
    assert (reports(first), reports(second)) == (1, 2)
    assert sorted(place.name for place in tmp_path.iterdir()) == sorted([first.name, second.name])


@pytest.mark.parametrize("name", ["/a/${x}", r"/a/\${x}", r"C:\a\\${b", "${", "/plain"])
def test_a_folder_may_be_called_like_an_interpolation(name):
    escaped = re.sub(r"(\\*)\$\{", r"\1\1\\${", name)
    config = OmegaConf.create({"dataset": {"path": escaped}, "seed": 1, "again": "${seed}"})
    from folkrnn.study import with_settings

    twice = with_settings(with_settings(config, {}), {"seed": 2})
    assert (twice.dataset.path, twice.again) == (name, 1)
    assert OmegaConf.to_container(twice.dataset, resolve=True) == {"path": name}

"""What is typed, what is said and how the program ends. The study itself is a recording function here."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from folkrnn.command_line import main
from folkrnn.errors import UserError

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"

Run = Callable[..., tuple[int, list[tuple[dict, list[str]]]]]


@pytest.fixture
def lab(tmp_path: Path) -> Run:
    """Runs the command line with a study that records configuration and overrides and returns `status`."""

    def run(*arguments: str, study: Callable[[], int] = lambda: 0) -> tuple[int, list[tuple[dict, list[str]]]]:
        from omegaconf import OmegaConf

        seen: list[tuple[dict, list[str]]] = []

        def record(config, overrides: list[str]) -> int:
            seen.append((OmegaConf.to_container(config, resolve=True), overrides))
            return study()

        return main(list(arguments), CONF, record), seen

    return run


@pytest.fixture(scope="session")
def sweep_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture
def sweep(lab: Run, sweep_folder: Path) -> Run:
    """Runs a sweep whose folders and MLflow store lie in a temporary place."""
    there = [f"hydra.sweep.dir={sweep_folder}", f"tracking.folder={sweep_folder}", "launcher=here", "rerun=true"]
    return lambda *arguments, **more: lab("-m", *there, *arguments, **more)


def parents(folder: Path) -> list:
    """The parent runs in the folder's store, newest first."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("folkrnn")
    return client.search_runs([experiment.experiment_id], "tags.sweep = 'parent'")


def test_without_arguments_the_default_analyses_run_on_the_shipped_model(lab: Run) -> None:
    status, [(config, overrides)] = lab()
    assert status == 0
    assert list(config["analysis"]) == ["posterior", "activations", "tune_statistics"]
    assert (config["weights"]["name"], config["intervention"], overrides) == ("pretrained", {}, [])


@pytest.mark.parametrize(
    ("typed", "chosen"),
    [
        ("analysis=posterior", ["posterior"]),
        ("analysis=[posterior]", ["posterior"]),
        ("analysis=[activations,posterior]", ["activations", "posterior"]),
        ("analysis=none", []),
        ("analysis=[]", []),
        ("analysis=[none,posterior]", ["posterior"]),
    ],
)
def test_a_choice_takes_a_name_or_a_list(lab: Run, typed: str, chosen: list[str]) -> None:
    _, [(config, _)] = lab(typed)
    assert list(config["analysis"]) == chosen


def test_a_sweep_runs_every_combination_under_one_parent(sweep: Run, sweep_folder: Path) -> None:
    status, seen = sweep("analysis=posterior,none", "seed=1,2")
    assert status == 0
    assert [(list(config["analysis"]), config["seed"]) for config, _ in seen] == [
        (["posterior"], 1),
        (["posterior"], 2),
        ([], 1),
        ([], 2),
    ]
    assert seen[3][1][-2:] == ["analysis=none", "seed=2"]
    assert parents(sweep_folder)[0].info.status == "FINISHED"


def test_a_sweep_takes_lists_as_its_values(sweep: Run) -> None:
    _, seen = sweep("analysis=[posterior,activations],none")
    assert [list(config["analysis"]) for config, _ in seen] == [["posterior", "activations"], []]


def test_jobs_find_their_parent(sweep: Run, sweep_folder: Path) -> None:
    from folkrnn.sweep import parent

    found: list[str | None] = []

    def look() -> int:
        found.append(parent())
        return 0

    sweep("seed=1,2", study=look)
    assert found == [parents(sweep_folder)[0].info.run_id] * 2
    assert parent() is None


def test_one_failed_job_does_not_stop_the_sweep(
    sweep: Run, sweep_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = iter([0, 1, 0])

    def fail_once() -> int:
        if next(outcomes):
            raise UserError("no tune is in K:Hmaj")
        return 0

    status, seen = sweep("seed=1,2,3", study=fail_once)
    said = capsys.readouterr().err
    assert (status, len(seen)) == (1, 3)
    assert "job 2 of 3: seed=2\nerror: no tune is in K:Hmaj" in said
    assert "1 of 3 jobs failed: 2" in said
    assert parents(sweep_folder)[0].info.status == "FAILED"


def test_a_sweep_is_refused_before_its_first_job_if_a_later_one_is_wrong(
    sweep: Run, sweep_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(parents(sweep_folder)) if (sweep_folder / "mlflow.db").exists() else 0
    status, seen = sweep("sampling.tunes=1,many")
    assert (status, seen) == (2, [])
    assert "job 2 of 2 (sampling.tunes=many): sampling.tunes=many: must be a whole number" in capsys.readouterr().err
    assert (len(parents(sweep_folder)) if (sweep_folder / "mlflow.db").exists() else 0) == before


def test_a_sweep_that_cannot_be_tracked_is_refused(sweep: Run, capsys: pytest.CaptureFixture[str]) -> None:
    status, seen = sweep("seed=1,2", "tracking.uri=http://127.0.0.1:9")
    assert (status, seen) == (2, [])
    assert re.fullmatch(r"error: no MLflow server answers at .*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            "sampling.tuness=3",
            r"sampling.tuness: no such key \(did you mean sampling.tunes\?\); sampling has tunes, .*",
        ),
        ("tunes=3", r"tunes: no such key \(did you mean sampling.tunes\?\); .*"),
        ("modle=folkrnn", r"modle: no such key \(did you mean model\?\); .*"),
        ("model=folkrn", r"model=folkrn: no such option \(did you mean folkrnn\?\); model takes folkrnn, .*"),
        ("analysis=[posterior,activation]", r"analysis=activation: no such option \(did you mean activations\?\).*"),
        ("analysis=posterior,none", r".*names several values: add -m .*, or write analysis=\[posterior,none\] .*"),
        (
            "analysis=none analysis.posterior._target_=1",
            r"analysis.posterior._target_: posterior is not part of this run; .*",
        ),
        ("analysis=null", r"a choice takes the name of an option .*; none is a name"),
        ("sampling=5", r"sampling=5: sampling is a section; set sampling.tunes, .*"),
        ("posterior", r"'posterior' is neither a flag nor KEY=VALUE; see --help"),
        ("tracking.experiment=a(b)", r"cannot read the value in 'tracking.experiment=a\(b\)'; to pass it as text, .*"),
        ("+sampling.foo=1", r"sampling.foo: no such key; sampling has tunes, .*"),
        ("+foo=1", r"foo: no such key; the configuration has seed, sampling, .*"),
        ("tracking.uri=${nothing}", r"tracking.uri: .*'nothing' not found"),
        ("dataset=tokens", r"dataset.path is not given: dataset=tokens needs it; add dataset.path=PATH"),
        ("sampling.tunes=abc", r"sampling.tunes=abc: must be a whole number from 1"),
        ("sampling.temperature=-1", r"sampling.temperature=-1: must be a number above 0"),
        ("experiment=nope", r"experiment=nope: no such option; experiment takes .*"),
        ("sampling.prime=@nowhere", r"sampling.prime: cannot read nowhere: No such file or directory"),
        ("hydra.nothing=1", r"hydra.nothing: Hydra has no such key; --cfg hydra .*"),
    ],
)
def test_a_mistake_gets_one_clear_line(lab: Run, capsys: pytest.CaptureFixture[str], typed: str, said: str) -> None:
    status, seen = lab(*typed.split(" "))
    output = capsys.readouterr()
    assert (status, seen, output.out) == (2, [], "")
    assert re.fullmatch(rf"error: {said}\n", output.err), output.err


def test_a_refusal_of_the_study_gets_one_line(lab: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse() -> int:
        raise UserError("site l4.h: the model has 3 layers")

    assert lab(study=refuse)[0] == 2
    assert capsys.readouterr().err == "error: site l4.h: the model has 3 layers\n"


def test_a_refusal_shows_its_traceback_on_request(
    lab: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert lab("sampling.tunes=abc")[0] == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith("error: sampling.tunes=abc: must be a whole number from 1\n")


def test_a_bug_shows_its_traceback(lab: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab(study=lambda: 1 // 0)[0] == 1
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert "test_command_line.py" in said


def test_a_disk_without_room_is_told_of_in_one_line(lab: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/model.bin")

    assert lab(study=write)[0] == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write /disk/model.bin (No space left on device): free some space there")
    assert said.count("\n") == 1


def test_the_status_of_the_study_is_that_of_the_command(lab: Run) -> None:
    assert lab(study=lambda: 1)[0] == 1


def test_the_environment_is_as_the_user_set_it_while_the_study_runs(lab: Run) -> None:
    assert lab(study=lambda: int("HYDRA_FULL_ERROR" in os.environ))[0] == 0


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated (SIGTERM)"),
        (signal.SIGHUP, 143, "terminated (SIGTERM)"),
    ],
)
def test_an_interrupted_study_cleans_up_and_says_so_in_its_status(
    tmp_path: Path, number: int, status: int, word: str
) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "import sys, time\nfrom pathlib import Path\nfrom folkrnn.command_line import main\n"
        "def study(config, overrides):\n"
        "    try:\n        print('ready', flush=True)\n        time.sleep(30)\n"
        "    except KeyboardInterrupt:\n        print('cleaned up', flush=True)\n        sys.exit(1)\n"
        f"sys.exit(main(sys.argv[1:], Path({str(CONF)!r}), study))\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (status, "cleaned up\n", f"{word}\n")


def test_an_interrupted_sweep_stops_and_its_parent_is_killed(sweep: Run, sweep_folder: Path) -> None:
    def interrupt() -> int:
        signal.raise_signal(signal.SIGINT)
        return 0

    status, seen = sweep("seed=1,2", study=interrupt)
    assert (status, len(seen)) == (130, 1)
    assert parents(sweep_folder)[0].info.status == "KILLED"


def test_a_run_leaves_nothing_of_hydra_behind(lab: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lab()
    assert list(tmp_path.iterdir()) == []


STUDIES = {
    "what it broke off raises an error of its own": (
        "    try:\n        print('ready', flush=True)\n        time.sleep(30)\n"
        "    finally:\n        raise RuntimeError('no transaction is open')\n"
    ),
    "it comes while an object is freed": (
        "    class Freed:\n        def __del__(self):\n"
        "            print('ready', flush=True)\n            time.sleep(30)\n"
        "    Freed()\n    time.sleep(30)\n"
    ),
}


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES.keys())
def test_a_signal_ends_a_study_in_one_word_wherever_it_comes(tmp_path: Path, study: str) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "import sys, time\nfrom pathlib import Path\nfrom folkrnn.command_line import main\n"
        f"def study(config, overrides):\n{study}sys.exit(main(sys.argv[1:], Path({str(CONF)!r}), study))\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (143, "terminated (SIGTERM)\n")

"""A folder of configuration files from a stranger chooses and sets what a study is of, and nothing of the machine."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from folkrnn.command_line import main
from folkrnn.command_line.foreign import check_references, written_out
from folkrnn.config.settings import check
from folkrnn.errors import UserError

CONF = Path(__file__).parents[2] / "conf"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))


@pytest.fixture
def tried(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Runs the program with a stranger's folder; returns exit status, what it said, and the configurations it took."""
    monkeypatch.chdir(tmp_path)

    def run(files: dict[str, str], *words: str) -> tuple[int, str, list[Any]]:
        (tmp_path / "stranger").mkdir(exist_ok=True)
        write(tmp_path / "stranger", files)
        seen: list[Any] = []
        status = main(["-cd", str(tmp_path / "stranger"), *words], CONF, lambda config, _: bool(seen.append(config)))
        return status, capsys.readouterr().err, seen

    return run


MADE = "made_by_a_stranger"
CALLBACK = f"{{_target_: pathlib.Path.touch, self: {MADE}}}"
EXPERIMENT = "# @package _global_\n"

WAYS_IN = {
    "callbacks": f"hydra:\n  callbacks:\n    evil: {{_target_: os.mkdir, path: {MADE}}}\n",
    **{
        f"a sweep of {key}": f"hydra:\n  mode: MULTIRUN\n  sweeper:\n    params: {{'{key}': '1,2'}}\n"
        for key in (
            "hydra.job.env_set.LD_PRELOAD",
            "+hydra.callbacks.evil",
            "++tracking.uri",
            "tracking.uri",
            "launcher",
            "dataset@hydra.callbacks.evil",
            "weights.uri",
            "extensions",
            "~hydra",
            "hydra/callbacks",
            "seed=1 hydra.x",
        )
    },
    "a sweep by an interpolation": "hydra:\n  sweeper:\n    params: ${evil}\nevil: {hydra.run.dir: x}\n",
    "launcher of Hydra": f"hydra:\n  launcher: {{_target_: os.mkdir, path: {MADE}}}\n",
    "sweeper": f"hydra:\n  sweeper: {{_target_: os.mkdir, path: {MADE}}}\n",
    "log handlers": f"hydra:\n  job_logging:\n    version: 1\n    formatters: {{x: {{(): os.mkdir, path: {MADE}}}}}\n",
    "Hydra's log handlers": f"hydra:\n  hydra_logging:\n    formatters: {{x: {{(): os.mkdir, path: {MADE}}}}}\n",
    "environment": "hydra:\n  job:\n    env_set: {LD_PRELOAD: /evil.so}\n",
    "environment, copied": "hydra:\n  job:\n    env_copy: [HOME]\n",
    "folder of the run": f"hydra:\n  run:\n    dir: {MADE}\n",
    "folder of the sweep": f"hydra:\n  sweep:\n    dir: {MADE}\n",
    "subfolder": f"hydra:\n  output_subdir: {MADE}\n",
    "all of hydra by an interpolation": "hydra: ${evil}\nevil: {}\n",
    "launcher": "launcher:\n  _target_: folkrnn.sweep.slurm.Slurm\n  sbatch: {output: /home/me/.bashrc}\n",
    "server": "tracking:\n  uri: http://stranger.example\n",
    "server by an interpolation": "tracking: ${there}\nthere: {uri: 'http://stranger.example'}\n",
    "extensions": "extensions: [antigravity]\n",
    "choice of a launcher": "defaults:\n  - override /launcher: ray\n",
    "choice of a server": "defaults:\n  - override /tracking: server\n",
    "choice of a logging": "defaults:\n  - override /hydra/job_logging: default\n",
    "a target of ours as a callback": "defaults:\n  - /analysis@hydra.callbacks.x: posterior\n",
    "a target of ours from the top": "defaults:\n  - /analysis@_global_.hydra.callbacks.x: posterior\n",
    "store of weights": "weights:\n  _target_: folkrnn.tracking.models.weights\n  uri: http://stranger.example\n",
    "store of weights by an interpolation": "weights: ${there}\nthere: {uri: 'http://stranger.example'}\n",
    "mirror": "dataset:\n  _target_: folkrnn.datasets.downloads.downloaded\n  address: http://stranger.example\n",
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_an_experiment_from_elsewhere_says_nothing_of_the_machine(way, tried, tmp_path):
    status, said, seen = tried({"experiment/evil.yaml": EXPERIMENT + WAYS_IN[way]}, "experiment=evil")
    assert status == 2, said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert f"{tmp_path}/stranger/experiment/evil.yaml" in said or (
        "of ours" in way and "posterior.yaml sets hydra" in said
    )
    assert "command line" in said or "single value" in said
    assert not seen
    assert not (tmp_path / MADE).exists()


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("hydra/callbacks/evil.yaml", f"evil: {{_target_: os.mkdir, path: {MADE}}}", ["hydra/callbacks=evil"]),
        ("hydra/job_logging/evil.yaml", f"filters: {{x: {{(): os.mkdir, path: {MADE}}}}}", ["hydra/job_logging=evil"]),
        ("hydra/launcher/evil.yaml", f"_target_: os.mkdir\npath: {MADE}", ["hydra/launcher=evil", "-m"]),
        ("hydra/sweeper/evil.yaml", f"_target_: os.mkdir\npath: {MADE}", ["hydra/sweeper=evil", "-m"]),
        ("launcher/evil.yaml", f"_target_: os.mkdir\npath: {MADE}", ["launcher=evil"]),
        ("tracking/evil.yaml", "uri: http://stranger.example", ["tracking=evil"]),
        ("dataset/evil.yaml", f"# @package hydra.callbacks\nx: {{_target_: os.mkdir, path: {MADE}}}", ["dataset=evil"]),
        ("dataset/evil.yaml", "# @package _global_.hydra.job\nenv_set: {LD_PRELOAD: /evil.so}", ["dataset=evil"]),
        ("dataset/evil.yaml", f"evil: {{_target_: os.mkdir, path: {MADE}}}", ["+dataset@hydra.callbacks=evil"]),
        ("weights/evil.yaml", "name: mlflow\nuri: http://stranger.example", ["weights=evil"]),
    ],
    ids=lambda value: None if isinstance(value, list) else value[:40],
)  # fmt: skip
def test_an_option_from_elsewhere_says_nothing_of_the_machine(file, text, words, tried, tmp_path):
    status, said, seen = tried({file: text}, *words)
    assert status == 2, said
    assert "type it on the command line" in said
    assert not seen
    assert not (tmp_path / MADE).exists()


@pytest.mark.parametrize("way", ["callbacks", "server", "launcher", "choice of a launcher", "store of weights"])
def test_an_experiment_that_was_copied_into_conf_says_no_more(way, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CONF, tmp_path / "conf")
    write(tmp_path / "conf", {"experiment/evil.yaml": EXPERIMENT + WAYS_IN[way]})
    assert main(["experiment=evil"], tmp_path / "conf", lambda *_: pytest.fail("it was taken")) == 2
    assert "conf/experiment/evil.yaml" in capsys.readouterr().err
    assert not (tmp_path / MADE).exists()


def test_launchers_and_servers_of_ones_own_are_options_in_conf(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CONF, tmp_path / "conf")
    mine = {
        "launcher/mine.yaml": "defaults: [slurm, _self_]\npartition: long\n",
        "tracking/mine.yaml": "defaults: [default, _self_]\nuri: http://mine.example\n",
    }
    write(tmp_path / "conf", mine)
    seen: list[Any] = []
    assert main(["launcher=mine", "tracking=mine"], tmp_path / "conf", lambda config, _: bool(seen.append(config))) == 0
    assert (seen[0].launcher.partition, seen[0].tracking.uri) == ("long", "http://mine.example")


def test_an_experiment_from_elsewhere_adds_no_search_path(tried):
    path = "hydra:\n  searchpath: ['pkg://antigravity']\n"
    status, said, seen = tried({"experiment/evil.yaml": EXPERIMENT + path}, "experiment=evil")
    assert (status, seen) == (2, [])
    assert "searchpath is only supported from the primary config" in said
    assert "antigravity" not in sys.modules


def test_a_folder_that_was_typed_as_a_search_path_says_nothing_of_the_machine(tried, tmp_path):
    write(tmp_path / "other", {"experiment/evil.yaml": EXPERIMENT + WAYS_IN["callbacks"]})
    status, said, _ = tried({}, f"hydra.searchpath=[file://{tmp_path}/other]", "experiment=evil")
    assert status == 2
    assert "sets hydra.callbacks" in said


def test_an_option_above_the_folder_is_not_read_as_one_of_ours(tried, tmp_path):
    write(tmp_path / "other", {"evil.yaml": EXPERIMENT + WAYS_IN["callbacks"]})
    up = "/".join([".."] * len(CONF.parts))
    for text in (
        f"defaults:\n  - /{up}{tmp_path}/other/evil\n",
        f"defaults:\n  - /dataset: ../{up}{tmp_path}/other/evil\n",
    ):
        status, said, seen = tried({"experiment/evil.yaml": EXPERIMENT + text}, "experiment=evil")
        assert (status, seen) == (2, []), said
        assert not (tmp_path / MADE).exists()


@pytest.mark.parametrize("flag", ["--config-path", "-cp", "--config-n", "--experimental-rerun"])
def test_flags_that_replace_the_main_file_or_read_a_pickle_are_refused(flag, tried):
    status, said, seen = tried({"config.yaml": WAYS_IN["callbacks"]}, flag, "config")
    assert (status, seen) == (2, [])
    assert "-cd FOLDER" in said


def test_a_main_file_from_elsewhere_does_not_take_the_place_of_ours(tried, tmp_path):
    status, said, seen = tried({"config.yaml": WAYS_IN["callbacks"]})
    assert (status, len(seen)) == (0, 1), said
    assert not (tmp_path / MADE).exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/name:os.mkdir", "!!python/module:os"])
def test_tags_of_yaml_make_nothing(tag, tried, tmp_path):
    status, said, seen = tried({"experiment/evil.yaml": f"{EXPERIMENT}seed: {tag} [{MADE}]\n"}, "experiment=evil")
    assert (status, seen) == (2, []), said
    assert "Traceback" not in said
    assert not (tmp_path / MADE).exists()


def test_a_sweep_over_settings_of_a_study_may_come_from_elsewhere(tried, monkeypatch):
    from folkrnn import sweep

    jobs: list[Any] = []
    monkeypatch.setattr(sweep, "run_sweep", lambda found, *_: bool(jobs.extend(found)))
    text = "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 1,2\n      sampling.tunes: 3\n"
    status, said, _ = tried({"experiment/theirs.yaml": EXPERIMENT + text}, "experiment=theirs")
    assert status == 0, said
    assert [(job.config.seed, job.config.sampling.tunes) for job in jobs] == [(1, 3), (2, 3)]


@pytest.mark.parametrize(
    "content", [b"\xe9: 1\n", b"a: [1\n", b"a: !!python/object/apply:os.mkdir [x]\n", b"a: ${\n", b"\0", b"- a\n- b\n"]
)
def test_a_broken_file_in_the_folder_is_named_or_passed_over(content, tried, tmp_path):
    (tmp_path / "stranger/dataset").mkdir(parents=True)
    (tmp_path / "stranger/dataset/broken.yaml").write_bytes(content)
    status, said, seen = tried({})
    assert (status, len(seen)) in ((0, 1), (2, 0))
    assert status == 0 or "stranger/dataset/broken.yaml is no configuration file" in said
    assert said.count("\n") == (status == 2)


def test_what_a_study_is_of_may_come_from_elsewhere(tried):
    files = {
        "experiment/theirs.yaml": EXPERIMENT
        + "defaults:\n  - override /dataset: theirs\n  - override /analysis: [gramians, theirs]\n"
        + "sampling:\n  tunes: 3\nseed: ${oc.decode:'7'}\ncut:\n  fraction: ${sampling.temperature}\n",
        "dataset/theirs.yaml": "_target_: folkrnn.datasets.files.abc\nname: theirs\npath: tunes.abc\n",
        "analysis/theirs.yaml": "theirs:\n  _target_: analyses.posterior.Posterior\n  tune: 2\n",
    }
    status, said, (config,) = tried(files, "experiment=theirs", "tracking.uri=http://mine.example", "launcher=slurm")
    assert status == 0, said
    assert (config.seed, config.cut.fraction, config.dataset.path) == (7, 1.0, "tunes.abc")
    assert list(config.analysis) == ["gramians", "theirs"]


# what an interpolation may read


@pytest.mark.parametrize(
    "value", ["${oc.env:SECRET}", "${oc.env:SECRET,none}", "${${which}:SECRET}", "${oc.env:${name}}"]
)
@pytest.mark.parametrize("key", ["transcription", "sampling.replay", "tracking.experiment", "dataset.path"])
def test_a_secret_of_the_environment_is_not_read(value, key, tried, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    section, _, name = key.rpartition(".")
    if section == "tracking":
        files, words = {}, [f"{key}='{value}'", "+which=oc.env", "+name=SECRET"]
    else:
        node = f"{section}:\n  {name}: {value}\n" if section else f"{name}: {value}\n"
        files, words = (
            {"experiment/evil.yaml": f"{EXPERIMENT}which: oc.env\nname: SECRET\n{node}"},
            ["experiment=evil"],
        )
    status, said, seen = tried(files, *words)
    assert (status, seen) == (2, [])
    assert "oc.env:SECRET" in said
    assert "hunter2" not in said


def test_what_was_typed_for_the_environment_is_not_read_through_hydra(tried):
    for value in ("${hydra:job.env_set.TOKEN}", "${hydra:job.env_set}", "${hydra:job}", "${hydra:overrides}"):
        files = {"experiment/evil.yaml": f"{EXPERIMENT}transcription: {value}\n"}
        status, said, seen = tried(files, "experiment=evil", "+hydra.job.env_set.TOKEN=hunter2")
        assert (status, seen) == (2, [])
        assert "may not be read" in said
        assert "hunter2" not in said


def test_the_address_of_the_server_may_be_read(tried, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mine.example:1")
    _, _, (config,) = tried({}, "tracking=server")
    check(config)
    assert OmegaConf.to_container(config, resolve=True)["tracking"]["uri"] == "http://mine.example:1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:hunter2@mine.example:1")
    status, said, _ = tried({}, "tracking=server")
    assert status == 2
    assert "holds credentials" in said
    assert "hunter2" not in said


BOMB = "a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghijkl")
)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        BOMB.replace("[", "{<<: [").replace("]", "]}"),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        f"a: {'[' * 20_000}{']' * 20_000}\n",
        f"a: {'{a: ' * 90}1{'}' * 90}\n",
        f"a:\n  {'- ' * 900}1\n",
    ],
    ids=["lists", "merges", "a list in itself", "a mapping in itself", "brackets", "braces", "hyphens"],
)
def test_references_to_references_are_refused_before_they_are_written_out(tried, text: str):
    status, said, seen = tried({"experiment/bomb.yaml": EXPERIMENT + text}, "experiment=bomb")
    assert (status, seen) == (2, [])
    assert "bomb.yaml" in said
    assert len(said.splitlines()) == 1


def test_what_a_text_with_references_comes_to():
    assert written_out("a: 1\nb: [1, 2]") == 7
    assert written_out("a: &x [1, 2]\nb: *x\nc: *x") == 1 + 3 * (1 + 3)
    assert written_out(BOMB) > 9**12
    assert written_out("") == 0
    assert written_out("a: &x [1, *x]") == written_out("[" * 32) == inf
    assert max(written_out(file.read_text(encoding="utf-8")) for file in CONF.rglob("*.yaml")) < 1000


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "entry",
    ["{name}: '{refs}'", "{name}: [{items}]", "{name}: {{x: [{items}]}}"],
    ids=["strings", "lists", "nested"],
)
def test_interpolations_of_interpolations_are_refused_before_they_are_followed(tried, entry: str):
    lines = [
        entry.format(name=name, refs=f"${{evil.{before}}}" * 9, items=", ".join([f"'${{evil.{before}}}'"] * 9))
        for before, name in pairwise("abcdefghijkl")
    ]
    text = "evil:\n  a: x\n" + "".join(f"  {line}\n" for line in lines) + "seed: ${evil.l}\n"
    status, said, seen = tried({"experiment/bomb.yaml": EXPERIMENT + text}, "experiment=bomb")
    assert (status, seen) == (2, [])
    assert re.search(r"references \(\$\{name\}\) stand for (over )?[\d,]{12,} values", said)
    assert len(said.splitlines()) == 1


def test_references_are_counted_from_the_top_from_above_and_into_lists():
    check_references(OmegaConf.create({"a": {"b": "${.c}", "c": "${..d[0]}"}, "d": ["${a.c}"]}))
    many = {"d": [[1] * 200], "a": {f"k{i}": "${..d[0]}" for i in range(100)}}
    with pytest.raises(UserError, match=r"a: its references .* 20,\d+ values"):
        check_references(OmegaConf.create(many))
    chain = {f"k{i}": f"${{k{i + 1}}}" for i in range(3_000)} | {"k3000": 1}
    with pytest.raises(UserError, match="k0: its references"):
        check_references(OmegaConf.create(chain))


ROUND = {f"experiment/{name}.yaml": f"{EXPERIMENT}defaults:\n  - {next_}\n" for name, next_ in ("ab", "ba")}
FAN = {
    **{f"experiment/c{i}.yaml": "defaults:\n" + "".join(f"  - c{i + 1}@{k}\n" for k in "abc") for i in range(14)},
    "experiment/c14.yaml": "x: 1\n",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("files", "first", "says"),
    [
        ({"experiment/a.yaml": f"{EXPERIMENT}defaults:\n  - a\n"}, "a", "in a circle"),
        (ROUND, "a", "in a circle"),
        (FAN, "c0", "more than 2,000 files"),
    ],
    ids=["itself", "each other", "three times each"],
)
def test_defaults_lists_without_end_are_refused(tried, files: dict[str, str], first: str, says: str):
    status, said, seen = tried(files, f"experiment={first}")
    assert (status, seen) == (2, [])
    assert says in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("number", ["1" + ":59" * 2_000, "0x" + "f" * 5_000, "9" * 5_000, "-0b" + "1" * 20_000])
def test_a_number_that_cannot_be_printed_is_refused(tried, number: str):
    status, said, seen = tried({"experiment/long.yaml": f"{EXPERIMENT}seed: {number}\n"}, "experiment=long")
    assert (status, seen) == (2, [])
    assert "long.yaml: " in said
    assert said.endswith("longer than any number\n")


@pytest.mark.parametrize(
    ("text", "words", "key"),
    [
        ("seed: ???\n", (), "seed"),
        ("seed: ???\n", ("sampling.tunes=3",), "seed"),
        ("seed: ???\n", ("seed=3",), None),
        ("sampling:\n  tunes: ???\n", (), "sampling.tunes"),
        ("sampling:\n  tunes: ???\n", ("sampling.tunes=3",), None),
        ("sampling: ???\n", (), "sampling"),
        ("defaults: [ask, _self_]\nseed: 4\n", (), None),
        ("defaults: [ask]\n", (), "seed"),
    ],
)
def test_a_value_that_a_file_leaves_open_has_to_be_given(tried, text, words, key):
    files = {"experiment/ask.yaml": f"{EXPERIMENT}seed: ???\n", "experiment/open.yaml": EXPERIMENT + text}
    status, said, seen = tried(files, "experiment=open", *words)
    if key is None:
        assert (status, said, len(seen)) == (0, "", 1)
    else:
        assert (status, seen) == (2, [])
        file = "ask" if "ask" in text else "open"
        assert re.search(rf"error: {re.escape(key)} is not given: .*{file}.yaml asks for it; add {key}=", said)


def test_a_file_that_is_not_utf_8_is_named(tried, tmp_path: Path):
    (tmp_path / "stranger" / "experiment").mkdir(parents=True)
    (tmp_path / "stranger" / "experiment" / "latin.yaml").write_bytes(b"seed: 1 # \xe5\n")
    status, said, _ = tried({}, "experiment=latin")
    assert status == 2
    assert "latin.yaml is not UTF-8" in said

"""The help shows what the configuration holds: one screen first, all of one thing when asked."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from folkrnn.command_line import page
from folkrnn.config.settings import known_keys
from folkrnn.errors import UserError

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
GROUPS = sorted({path.parent.name for path in CONF.glob("*/*.yaml")})


def shell(line: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_first_screen_is_one() -> None:
    lines = page(CONF).splitlines()
    assert len(lines) <= 52
    assert max(map(len, lines)) <= 120


def test_the_first_screen_names_every_group_its_default_and_how_many_there_are() -> None:
    text = page(CONF)
    for group in GROUPS:
        assert re.search(rf"^  {group}= +\S.* {len([*CONF.glob(f'{group}/*.yaml')])}  \S", text, re.MULTILINE), group
    assert re.search(r"^  model= +folkrnn ", text, re.MULTILINE)
    assert re.search(r"^  analysis= +\[posterior, … 2 more\] ", text, re.MULTILINE)


def test_the_first_screen_names_ten_settings_with_their_values() -> None:
    found = re.findall(r"^  ([a-z_.]+)=(\S+)  +\S", page(CONF).partition("Settings")[2], re.MULTILINE)
    assert len(found) == 10
    assert {("seed", "1"), ("sampling.tunes", "64"), ("trainer.max_epochs", "14")} <= set(found)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_is_shown_with_every_option_and_its_line(group: str) -> None:
    text = page(CONF, [group])
    for option in (CONF / group).glob("*.yaml"):
        assert re.search(rf"^  [ *] {re.escape(option.stem)} +\S", text, re.MULTILINE), option


def test_a_group_marks_its_defaults() -> None:
    assert re.findall(r"^  \* (\S+)", page(CONF, ["analysis"]), re.MULTILINE) == [
        "activations",
        "posterior",
        "tune_statistics",
    ]


def test_an_option_is_shown_with_its_own_keys_and_those_that_it_includes() -> None:
    text = page(CONF, ["intervention=suppress_input"])
    assert "measure tokens are written but not read" in text
    assert re.search(r"intervention.suppress_input.weight=0.0 +of the token written", text)
    assert "intervention.suppress_input.bars=${cut.bars}" in text
    words = " ".join(text.split())  # however wide the terminal is
    assert "intervention.suppress_input.after=measure the tokens or token types that are not read" in words
    assert "model.max_seq_len=256" in page(CONF, ["model=musicvae_16bar"])
    assert "model.dropout=0.0" in page(CONF, ["model=folkrnn_nodropout"])


def test_an_experiment_is_shown_with_its_claim_and_all_that_it_chooses() -> None:
    text = page(CONF, ["experiment=part6"])
    assert "claim: " in text
    assert "cut.fraction: 0.1,0.2" in text


def test_every_key_is_reached_by_its_name() -> None:
    sections = {key.rpartition(".")[0] for key in known_keys([CONF])}
    for key in known_keys([CONF]):
        hidden = key.rpartition(".")[2] in ("_target_", "name") or key in ("defaults", "intervention", "analysis")
        if key not in sections and not hidden and key not in GROUPS:
            assert f"  {key}=" in page(CONF, [key]), key
    assert "  figures.format=" in page(CONF, ["format"])


def test_what_does_not_exist_is_refused_with_what_may_be_meant() -> None:
    with pytest.raises(UserError, match=r"--help formt: no such group, option or key \(did you mean format\?\)"):
        page(CONF, ["formt"])
    with pytest.raises(UserError, match=r"--help model=folkrn: no such option \(did you mean folkrnn\?\)"):
        page(CONF, ["model=folkrn"])
    done = shell(f"{sys.executable} run.py --help modle")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_the_commands_in_the_help_compose(tmp_path: Path) -> None:
    (tmp_path / "tune.abc").write_text("M:6/8 K:Cmaj G A B")
    commands = re.findall(r"^  python run.py ?(.*)$", page(CONF), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        # a sweep has no --cfg: look at its first job
        words = re.sub(r"=(\S+),\S+", r"=\1", command.replace("-m ", ""))
        done = shell(f"{sys.executable} {ROOT}/run.py --cfg job {words}", tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("mod", {"model"}),
        ("model=folkrnn_", {"model=folkrnn_gru", "model=folkrnn_nodropout", "model=folkrnn_small"}),
        ("sampling.t", {"sampling.temperature=", "sampling.tunes="}),
        ("intervention=clamp intervention.clamp.v", {"intervention.clamp.value="}),
    ],
)
def test_the_tab_key_completes_groups_options_and_keys(typed: str, offered: set[str]) -> None:
    words = typed.split()
    line = f"python run.py {typed}"
    done = shell(
        f"""PATH={Path(sys.executable).parent}:$PATH
        eval "$(python run.py -sc install=bash)"
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_CWORD={len(words) + 1} hydra_bash_completion
        echo "${{COMPREPLY[@]}}" """
    )
    assert offered <= set(done.stdout.split()), done.stdout + done.stderr
    assert all(word.startswith(words[-1]) for word in done.stdout.split())


def test_help_answers_at_once_and_loads_nothing_heavy() -> None:
    start = time.perf_counter()
    done = shell(f"{sys.executable} -X importtime run.py --help")
    assert time.perf_counter() - start < 2
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "mlflow", "pytorch_lightning", "matplotlib", "pandas", "numpy", "hydra"}
    assert "\033" not in done.stdout


def test_looking_at_the_configuration_loads_nothing_heavy() -> None:
    done = shell(f"{sys.executable} -X importtime run.py --cfg job")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert not loaded & {"torch", "mlflow", "pytorch_lightning", "matplotlib", "pandas", "numpy"}


@pytest.mark.parametrize("flag", ["--hydra-help", "--info", "--version", "--cfg hydra"])
def test_flags_of_hydra_still_work(flag: str) -> None:
    done = shell(f"{sys.executable} run.py {flag}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_closed_pipe_is_no_error() -> None:
    done = shell(f"set -o pipefail; {sys.executable} run.py --help | head -1")
    assert done.stderr == ""

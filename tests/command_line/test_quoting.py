"""ABC and tokens reach the configuration as they were typed, through a real shell too."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from folkrnn.command_line import quoted, unquoted
from folkrnn.errors import UserError

ROOT = Path(__file__).parents[2]
PATHS = ["dataset.path", "weights.path", "sampling.replay", "tracking.folder", "tracking.uri", "dataset.address"]
HOSTILE = "G, C C 2 ^F (3 C D E =B c'"

SPEAKING = """
import sys
from pathlib import Path
from folkrnn.command_line import main

def study(config, overrides):
    print(config.seed, config.sampling.prime, [o for o in overrides if o.startswith("sampling.prime=")][0], sep="|")
    return 0

sys.exit(main(sys.argv[1:], Path({conf!r}), study))
"""


def shell(line: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("key", ["sampling.prime", "transcription"])
def test_abc_passes_a_real_shell_unharmed(key: str) -> None:
    done = shell(f'{sys.executable} run.py {key}="{HOSTILE}" --cfg job -p {key}')
    assert (done.stdout, done.stderr, done.returncode) == (f"{HOSTILE}\n", "", 0)


@pytest.mark.slow
def test_abc_passes_a_real_shell_unharmed_in_a_sweep_as_one_value(tmp_path: Path) -> None:
    script = tmp_path / "listen.py"
    script.write_text(SPEAKING.format(conf=str(ROOT / "conf")))
    there = f"hydra.sweep.dir={tmp_path} tracking.folder={tmp_path} launcher=here"
    done = shell(f'{sys.executable} {script} -m {there} sampling.prime="{HOSTILE}" seed=1,2', tmp_path)
    said = [line for line in done.stdout.splitlines() if "|" in line]
    assert said == [f"{seed}|{HOSTILE}|sampling.prime={HOSTILE}" for seed in (1, 2)]
    assert done.returncode == 0


TEXT = st.text(
    st.sampled_from("ABCDEFGabcdefg^_=,'\"/|:[](){}23456789 \\#%!\n-@$") | st.characters(codec="utf-8")
).filter(
    lambda text: (
        text.strip()
        and "${" not in text
        and text[0] not in "@-"
        and not re.fullmatch(r"(?s)(['\"]).*\1", text)
        and not text.lower().endswith((".abc", ".txt"))  # these name files
    )
)


@given(TEXT)
def test_any_text_reaches_the_configuration_as_typed(text: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    [line] = quoted([f"sampling.prime={text}"])
    if text == "null":
        return
    override = OverridesParser.create().parse_override(line)
    assert override.value() == text
    assert not override.is_sweep_override()
    assert unquoted(f"sampling.prime={override.get_value_element_as_str()}") == f"sampling.prime={text}"


@given(TEXT)
def test_quoting_twice_is_quoting_once(text: str) -> None:
    # a process that Lightning starts gets the quoted arguments and quotes them again
    once = quoted([f"transcription={text}"])
    assert quoted(once) == once


def read_by_hydra(word: str) -> object:
    """The value of an override as the configuration has it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    override = OverridesParser.create().parse_override(word)
    assert not override.is_sweep_override()
    return OmegaConf.create({"value": override.value()}).value


NAMES = st.text(
    st.sampled_from("O'Neill \"(1907)[a]{b},=#&;$%20?*\\~\n\t!|<>^@+-_.:")
    | st.characters(codec="utf-8", exclude_characters="/\0"),
    min_size=1,
).filter(lambda name: name not in (".", "..", "null") and len(name.encode()) < 200)


@given(NAMES, st.sampled_from(PATHS), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_path_reaches_the_configuration_as_typed(tmp_path: Path, name: str, key: str, sweep: bool) -> None:
    text = f"{tmp_path}/{name}"  # what is not there yet may not hold what is an interpolation
    if "${" in text:
        return
    [*_, word] = quoted([*(["-m"] if sweep else []), f"{key}={text}"])
    assert read_by_hydra(word) == text
    assert unquoted(word) == f"{key}={text}"
    assert quoted([word]) == [word]


@pytest.mark.parametrize(
    "name",
    [
        "'x'",
        '"x"',
        "a${b}",
        "\\${b}",
        "a\\\\${b}\\",
        "x,y",
        "???",
        "1907",
        "true",
        "~x",
        "l\udce5tar",
        "'a','b'",
        "choice(a,b)",
    ],
)
def test_a_name_that_is_there_is_that_name_whatever_it_looks_like(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    for flags in ([], ["-m"]):
        [*_, word] = quoted([*flags, f"dataset.path={name}"])
        assert Path(read_by_hydra(word)).samefile(name)
        assert quoted([word]) == [word]


def test_a_path_may_be_an_interpolation_as_in_the_files() -> None:
    assert quoted(["weights.path=${tracking.folder}/w"]) == ["weights.path='${tracking.folder}/w'"]


def test_in_a_sweep_paths_and_published_tunes_that_are_there_are_several_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.abc", "b c.abc"):
        Path(name).touch()

    def swept(word: str, *flags: str) -> str:
        return quoted([*flags, word])[-1]

    assert swept("dataset.path=a.abc,b c.abc", "-m") == "dataset.path='a.abc','b c.abc'"
    assert swept("sampling.replay=null,fig1,held_out", "-m") == "sampling.replay=null,'fig1','held_out'"
    assert swept("sampling.replay=null,fig1,swing_swang_swung", "-m") == (
        "sampling.replay=null,'fig1','swing_swang_swung'"
    )
    assert swept("transcription=fig1,swing_swang_swung", "-m") == "transcription='fig1','swing_swang_swung'"
    assert swept("dataset.path='x','y'", "-m") == "dataset.path='x','y'"
    assert swept("dataset.path=a.abc,b c.abc") == "dataset.path='a.abc,b c.abc'"
    assert swept("dataset.path=a.abc,nowhere.abc", "-m") == "dataset.path='a.abc,nowhere.abc'"
    Path("a.abc,b c.abc").touch()
    assert swept("dataset.path=a.abc,b c.abc", "-m") == "dataset.path='a.abc,b c.abc'"


def test_a_training_to_draw_beside_is_a_path_or_a_list_of_hydras() -> None:
    key = "analysis.training_curve.beside"
    assert quoted([f"{key}=O'Neill, 1907"]) == [f"{key}=['O\\'Neill, 1907']"]
    assert quoted([f"{key}=[a,b]"]) == [f"{key}=[a,b]"]


def test_tunes_to_replay_may_be_a_list_of_hydras() -> None:
    assert quoted(["sampling.replay=[fig1,held_out]"]) == ["sampling.replay=[fig1,held_out]"]
    assert quoted(["sampling.replay=fig1"]) == ["sampling.replay='fig1'"]


def test_what_belongs_to_hydra_stays_hydras() -> None:
    words = ["hydra.run.dir=a,b", "hydra.sweep.dir=[x"]
    assert quoted(words) == words


@pytest.mark.slow
@pytest.mark.parametrize("value", ["O'Neill's (1907)", "a b=c;d#", 'say "yes"', "a\\b'c"])
def test_the_advice_for_a_value_that_hydra_cannot_read_works_in_a_shell(value: str, tmp_path: Path) -> None:
    key = "tracking.experiment"
    command = f"{sys.executable} {ROOT}/run.py --cfg job -p {key}"
    refused = shell(f"{command} {shlex.quote(f'{key}={value}')}", tmp_path)
    advice = refused.stderr.strip().partition("to pass it as text, type ")[2]
    assert refused.returncode == 2
    assert advice, refused.stderr
    done = shell(f"{command} {advice}", tmp_path)
    assert (done.stdout, done.stderr) == (f"{value}\n", "")


def test_a_path_passes_a_real_shell_unharmed(tmp_path: Path) -> None:
    file = tmp_path / "O'Neill's (1907), [a]=#&;$x.abc"
    file.touch()
    done = shell(f"{sys.executable} run.py dataset=abc dataset.path={shlex.quote(str(file))} --cfg job -p dataset.path")
    assert (done.stdout, done.stderr, done.returncode) == (f"{file}\n", "", 0)


def test_tokens_of_an_intervention_are_raw_text_too() -> None:
    assert quoted(["intervention.suppress_tokens.tokens=^F (3 |:"]) == [
        "intervention.suppress_tokens.tokens='^F (3 |:'"
    ]


def test_other_values_stay_as_they_are() -> None:
    words = ["seed=1,2", "analysis=[posterior,none]", "sampling.prime=null", "sampling.max_tokens=9", "~dataset"]
    assert quoted(words) == words


def test_flags_may_stand_between_overrides() -> None:
    assert quoted(["seed=1,2", "-m", "rerun=true"]) == ["-m", "seed=1,2", "rerun=true"]


def test_text_comes_from_a_file_or_from_standard_input(tmp_path: Path) -> None:
    tune = "X:1\nM:6/8\nK:Dmin\n|: ^F3 (3GAB c' :|"
    (tmp_path / "tune.abc").write_text(tune + "\n")
    for typed in ("transcription=@tune.abc", "transcription=- <tune.abc"):
        done = shell(f"{sys.executable} {ROOT}/run.py --cfg job -p transcription {typed}", tmp_path)
        assert (done.stdout, done.returncode) == (tune + "\n", 0), done.stderr


def test_a_transcription_may_name_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tune.abc"
    with pytest.raises(UserError, match="No such file"):
        quoted([f"transcription={path}"])
    path.write_text("K:C\nG A B")
    assert quoted([f"transcription={path}"]) == [f"transcription='{path}'"]


def test_a_file_of_older_abc_is_read_in_its_encoding(tmp_path: Path) -> None:
    (tmp_path / "tune.abc").write_bytes("T:Påls polska\nK:C".encode("latin-1"))
    assert quoted([f"sampling.prime=@{tmp_path}/tune.abc"]) == ["sampling.prime='T:Påls polska\nK:C'"]


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b"", "is empty"), (b"\x7fELF\x00", "is a binary file")]
)
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "tune.abc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        quoted([f"sampling.prime=@{path}"])


def test_standard_input_may_be_of_older_abc_and_is_not_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "tune.abc").write_bytes("T:Påls polska\nK:C".encode("latin-1"))
    command = f"{sys.executable} {ROOT}/run.py --cfg job -p transcription transcription=-"
    assert shell(f"{command} <tune.abc", tmp_path).stdout == "T:Påls polska\nK:C\n"
    for nothing in ("</dev/null", "<&-"):
        done = shell(f"{command} {nothing}", tmp_path)
        assert (done.returncode, done.stderr) == (2, "error: transcription: standard input is empty\n")


def test_standard_input_serves_one_value() -> None:
    with pytest.raises(UserError, match="read once"):
        quoted(["sampling.prime=-", "transcription=-"])

"""Small inputs that once failed, as files beside the real corpora: each is read as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from folkrnn.datasets.files import abc, tokens
from folkrnn.datasets.midi import midi
from folkrnn.notation.abc import read_abc
from folkrnn.notation.tokenise import Rejection, tokenise

JIG = "M:6/8 K:Cmaj C D E F G A | G F E C 3 |"
TUNE = "M:4/4 K:Cmaj G 4 A 4 | c 8 |"
REEL = "M:4/4 K:Cmaj c 2 d e f e d c | B 2 G 2 c 4 |"

TUNES: dict[str, tuple[list[str], dict[str, int]]] = {
    "slur_above.abc": (["M:4/4 K:Cmaj G A B c d 4 | e 4 c 4 |"], {}),
    "slur_below.abc": (["M:4/4 K:Cmaj G A B c d 4 | e 4 c 2 d 2 |"], {}),
    "invisible_rest.abc": (["M:4/4 K:Cmaj G 4 A 4 | B 3 z c 2 z 2 |"], {}),
    "meter_after_key.abc": ([JIG], {}),
    "begintext_in_tune.abc": ([TUNE], {}),
    "markdown_fence.abc": ([TUNE], {}),
    "folder_like_thesession_dump": ([JIG], {"table": 1}),
    "folder_with_empty_file": ([TUNE], {"empty": 1}),
    "folder_uppercase": ([TUNE], {}),
    "thesession_broken_rows.json": ([JIG, REEL], {"row": 1}),
    "thesession_header_in_abc.json": (["M:9/8 K:Cdor C > D E > G F 2 E F G |", REEL], {}),
    "folkrnn_sampled.txt": (
        ["M:2/4 K:Cmaj |: c c d e | c 2 d 2 :|", "M:4/4 K:Cdor |: c c d e c 2 d 2 :|"],
        {},
    ),
}
"""Of a file or folder of tunes: those that come through, and the counts of reasons."""

ELSEWHERE = {
    "README.md": "describes the others",
    "tuplet_322.abc": "below",
    "tuplet_545.abc": "below",
    "transcription_message.abc": "below",
    "realtime_clock.mid": "below",
    "active_sensing.mid": "below",
    "latin1_filename.sh": "tests/datasets/test_files.py",
    "path_with_apostrophe.sh": "tests/command_line/test_quoting.py",
    "folder_tilde.sh": "tests/files/test_places.py",
    "folder_with_percent_code.sh": "tests/tracking/test_store.py",
    "copied_project.sh": "tests/tracking/test_relocation.py",
    "old_mlruns_folder.sh": "tests/tracking/test_run.py",
    "readonly_checkout.sh": "tests/tracking/test_store.py",
    "disk_full.sh": "tests/tracking/test_endings.py",
    "ascii_console.sh": "tests/test_console.py",
    "no_home_no_passwd.sh": "tests/files/test_places.py",
}
"""Where the others are tested."""


@pytest.fixture(scope="module")
def cases(test_data: Path) -> Path:
    folder = test_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip("no folder cases beside that of the corpora")
    return folder


def test_every_case_is_tested(cases: Path) -> None:
    assert {path.name for path in cases.iterdir()} == set(TUNES) | set(ELSEWHERE)
    places = [place for place in ELSEWHERE.values() if "/" in place]
    assert all((Path(__file__).parents[1] / place).is_file() for place in places)


@pytest.mark.parametrize("name", TUNES)
def test_a_case_comes_through_as_it_should(cases: Path, name: str) -> None:
    corpus = abc(str(cases / name))
    assert ([" ".join(tune.tokens) for tune in corpus.tunes], dict(corpus.rejections)) == TUNES[name]


def test_what_folk_rnn_sampled_are_tokens_as_well(cases: Path) -> None:
    assert [" ".join(tune.tokens) for tune in tokens(str(cases / "folkrnn_sampled.txt")).tunes] == TUNES[
        "folkrnn_sampled.txt"
    ][0]


@pytest.mark.parametrize("name", ["realtime_clock.mid", "active_sensing.mid"])
def test_system_messages_between_events_are_passed_over(cases: Path, name: str) -> None:
    assert len(midi(str(cases / name), programs=None)) > 0


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("tuplet_322.abc", "tuplet", "(3:2:2: a length of 4/3 eighths"),
        ("tuplet_545.abc", "tuplet", "(5:4: a length of 2/5 eighths"),
        ("transcription_message.abc", "meter", "M:3/8"),
    ],
)
def test_what_no_token_says_is_said_in_words(cases: Path, name: str, reason: str, detail: str) -> None:
    (tune,) = read_abc((cases / name).read_text(encoding="utf-8"))
    assert tokenise(tune) == Rejection(reason, detail)

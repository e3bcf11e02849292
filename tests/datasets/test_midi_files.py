from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from midi_bytes import meter, midi, name, note, program

from folkrnn.datasets.midi import alike, midi_files, read_files, sketch
from folkrnn.datasets.midi import midi as dataset
from folkrnn.errors import UserError
from folkrnn.melodies.extract import extract_bytes
from folkrnn.melodies.rules import Rules


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def line(seed: int, bars: int = 6, shift: int = 0) -> list[tuple[int, bytes]]:
    """Quarter notes at random."""
    draw = random.Random(seed)
    return [event for k in range(4 * bars) for event in note(4 * k, 4 * k + 4, draw.randrange(50, 80) + shift)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "good.mid": midi([name(0, "Flute"), *line(1)]),
        "deeper/still/GOOD.MID": midi(line(2)),
        "two.midi": midi(line(3), line(4)),
        "empty.mid": b"",
        "text.mid": b"this is no music",
        "cut.mid": midi(line(5))[:-40],
        "drums.mid": midi(note(0, 40, 36, channel=9)),
        "waltz.mid": midi([meter(0, 3, 2), *line(6)]),
        "flute.mid": midi([program(0, 73), *line(7)]),
        "low.mid": midi(note(0, 40, 5)),
        "short.mid": midi(note(0, 4, 60)),
        "silent.mid": midi([]),
        "readme.txt": b"not read",
        "._good.mid": b"resource fork",
    }
    for place, data in files.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(data)
    (tmp_path / "lost.mid").symlink_to(tmp_path / "nowhere.mid")
    return tmp_path


def test_whatever_the_files_are_each_gives_melodies_or_a_reason(folder):
    found = dataset(str(folder), per_file=None)
    assert sorted({found.sources[i].title for i in found.source}) == ["deeper/still/GOOD.MID", "good.mid", "two.midi"]
    assert {title: reason for title, reason, _ in found.unused} == {
        "cut.mid": "unreadable",
        "drums.mid": "drums_only",
        "empty.mid": "unreadable",
        "flute.mid": "programs",
        "lost.mid": "unreadable",
        "low.mid": "pitch_range",
        "short.mid": "too_short",
        "silent.mid": "no_notes",
        "text.mid": "unreadable",
        "waltz.mid": "meter",
    }
    assert found.rejections["unreadable"] == 4
    assert (
        dict(zip(*zip(*((t, d) for t, _, d in found.unused), strict=True), strict=True))["waltz.mid"] == "it is in 3/4"
    )
    assert len(found) == 5 + 5 + 10


def test_all_meters_and_programs_can_be_asked_for(folder):
    found = dataset(str(folder), meters="all", programs=None)
    assert {"waltz.mid", "flute.mid"} <= {found.sources[i].title for i in found.source}


def test_at_most_so_many_melodies_of_a_file_are_kept(folder):
    found = dataset(str(folder), per_file=2)
    assert np.bincount(found.source).max() == 2


def test_which_of_a_file_are_kept_follows_from_its_content_and_the_seed(folder):
    before = dataset(str(folder), per_file=2)
    (folder / "a_new_first.mid").write_bytes(midi(line(9)))
    (folder / "good.mid").rename(folder / "renamed.mid")

    def of(found, title):
        number = next(i for i, source in enumerate(found.sources) if source.title == title)
        return found.classes[found.source == number].tolist()

    after = dataset(str(folder), per_file=2)
    assert of(before, "good.mid") == of(after, "renamed.mid")
    others = [of(dataset(str(folder), per_file=2, seed=seed), "renamed.mid") for seed in range(1, 6)]
    assert any(other != of(after, "renamed.mid") for other in others)


def test_a_melody_says_where_it_stands(folder):
    found = dataset(str(folder / "two.midi"), per_file=None)
    assert found.title(0) == "two.midi, instrument 0, bar 1"
    assert found.title(9) == "two.midi, instrument 1, bar 5"


def test_processes_find_what_one_finds(folder):
    files = midi_files(folder) * 8
    alone, together = (read_files(files, Rules(), per_file=3, workers=workers) for workers in (1, 2))
    assert alone.keys() == together.keys()
    for key in alone:
        assert alone[key].tolist() == together[key].tolist(), key


def test_the_second_time_melodies_come_from_the_cache_unless_a_file_has_changed(folder, monkeypatch):
    first = dataset(str(folder))
    with monkeypatch.context() as context:
        context.setattr("folkrnn.datasets.midi.read_files", None)
        assert dataset(str(folder)).digest == first.digest
    (folder / "good.mid").write_bytes(midi(line(10)))
    assert dataset(str(folder)).digest != first.digest


def test_copies_and_transpositions_of_a_file_are_one_family():
    found = [extract_bytes(midi(line(*which)), Rules()) for which in ((1, 12), (1, 12, 3), (2, 12), (1, 20))]
    digests = np.array(["a", "b", "c", "d"])
    assert alike(np.array([sketch(each) for each in found]), digests).tolist() == [0, 0, 2, 0]


def test_files_without_melodies_are_families_of_their_own_unless_they_are_the_same():
    none = np.zeros((3, 32), np.uint64)
    assert alike(none, np.array(["a", "b", "a"])).tolist() == [0, 1, 0]


def test_no_family_is_on_both_sides(tmp_path):
    for k in range(60):
        (tmp_path / f"{k}.mid").write_bytes(midi(line(k % 40, 12, k // 40)))
    found = dataset(str(tmp_path))
    assert len(np.unique(found.family)) == 40
    training, validation = found.split
    families = found.family[found.source]
    assert not set(families[training].tolist()) & set(families[validation].tolist())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "needs a file or a folder"),
        ({"path": "/no/such/folder"}, "no such file"),
        ({"programs": 0}, "1 to 128"),
        ({"programs": "piano"}, "1 to 128"),
        ({"meters": "3/4"}, "4/4 or all"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, options, why):
    if options and "path" not in options:
        options = {"path": str(tmp_path), **options}
    with pytest.raises(UserError, match=why):
        dataset(**options)


def test_a_folder_without_midi_is_refused(tmp_path):
    with pytest.raises(UserError, match="no MIDI file"):
        dataset(str(tmp_path))


def test_a_folder_of_waste_says_what_is_wrong_with_it(tmp_path):
    (tmp_path / "a.mid").write_bytes(b"")
    (tmp_path / "b.mid").write_bytes(midi([meter(0, 3, 2), *line(1)]))
    with pytest.raises(UserError, match=r"holds no melody .*not a whole, sound MIDI file.*meter"):
        dataset(str(tmp_path))

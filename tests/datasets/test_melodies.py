from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.datasets.irish import irish
from folkrnn.datasets.melodies import MelodyCorpus, MelodySource, intervals, melodies, random_notes, twinkle
from folkrnn.errors import UserError
from folkrnn.melodies.grid import tidy, to_notes, transposed


@pytest.fixture(scope="module")
def shipped() -> MelodyCorpus:
    return melodies()


def corpus(classes: np.ndarray, source: list[int], family: list[int]) -> MelodyCorpus:
    sources = [MelodySource(f"tune {i}", "made", f"key {i}") for i in range(len(family))]
    return MelodyCorpus("made", classes, np.array(source), np.ones(len(source), int), sources, np.array(family))


def test_what_comes_with_music21_is_over_a_hundred_thousand_melodies(shipped):
    assert len(shipped) > 100_000
    assert shipped.classes.shape == (len(shipped), 32)
    assert shipped.classes.dtype == np.uint8
    assert shipped.classes.max() < 90
    collections = Counter(shipped.sources[i].collection for i in shipped.source.tolist())
    assert set(collections) == set(shipped.terms)
    assert min(collections.values()) > 2000


def test_every_melody_is_tidy_and_has_a_note(shipped):
    assert (tidy(shipped.classes) == shipped.classes).all()
    assert (shipped.classes >= 2).any(axis=1).all()


def test_no_family_is_on_both_sides_of_the_split(shipped):
    training, validation = shipped.split
    families = shipped.family[shipped.source]
    assert not set(families[training].tolist()) & set(families[validation].tolist())
    assert 0.03 < len(validation) / len(shipped) < 0.07


def test_no_held_out_melody_stands_in_the_training_part_in_any_key(shipped):
    training, validation = shipped.split
    assert not set(intervals(shipped.classes[training])) & set(intervals(shipped.classes[validation]))
    dropped = set(np.flatnonzero(shipped.held_out).tolist()) - set(validation.tolist())
    assert len(training) + len(validation) + len(dropped) == len(shipped)
    heard = set(intervals(shipped.classes[training]))
    assert all(key in heard for key in intervals(shipped.classes[sorted(dropped)]))


def test_all_that_yields_no_melody_is_named_with_the_reason(shipped):
    assert Counter(why for _, why, _ in shipped.unused) == shipped.rejections
    silent = len(shipped.sources) - len(np.unique(shipped.source))
    unread, read = shipped.unused[:-silent], shipped.unused[-silent:]
    assert {why for _, why, _ in read} <= {"meter", "too_short", "no_notes"}
    assert all(re.search(r", tune \d+", place) for place, why, _ in unread if why != "duplicate")
    assert all(explanation != reason for reason, _, explanation in shipped.reasons())


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of five hundred tunes, as tokens."""
    file = tmp_path_factory.mktemp("tunes") / "some.txt"
    tunes = [[*tune.tokens[:2], " ".join(tune.tokens[2:])] for tune in irish().tunes[::8]]
    file.write_text("\n\n".join("\n".join(lines) for lines in tunes))
    return str(file)


def test_common_time_alone_gives_fewer_melodies_of_the_same_tunes(some):
    everything, common = (melodies(meters=meters, path=some, form="tokens") for meters in ("all", "4/4"))
    assert common.digest != everything.digest
    assert 0.2 < len(common) / len(everything) < 0.6
    assert common.sources == everything.sources
    assert {row.tobytes() for row in common.classes} < {row.tobytes() for row in everything.classes}


def test_melodies_of_any_length_hold_back_the_same_tunes(some):
    lengths = [melodies(bars=bars, path=some, form="tokens") for bars in (2, 16)]
    assert [corpus.classes.shape[1] for corpus in lengths] == [32, 256]
    short, long = (dict(zip(c.source.tolist(), c.held_out.tolist(), strict=True)) for c in lengths)
    both = set(short) & set(long)
    assert len(both) > 100
    assert {i: short[i] for i in both} == {i: long[i] for i in both}
    assert len({short[i] for i in both}) == 2


def test_a_melody_says_where_it_stands(shipped):
    i = int(np.flatnonzero(shipped.bar == 5)[0])
    assert shipped.title(i) == f"{shipped.sources[shipped.source[i]].title}, bar 5"


def test_the_profile_counts(shipped):
    profile = shipped.profile()
    assert profile["melodies"] == len(shipped)
    assert profile["training"] + profile["validation"] <= profile["melodies"]
    assert profile["left_out"] == sum(shipped.rejections.values())
    assert 5 < profile["notes_per_melody"] < 20


rows = st.lists(
    st.lists(st.one_of(st.just(0), st.just(1), st.integers(30, 60)), min_size=8, max_size=8), min_size=1, max_size=8
).map(lambda values: tidy(np.array(values, np.uint8)))


@given(rows, st.integers(-5, 5))
def test_interval_keys_are_those_of_all_transpositions(classes, semitones):
    assert intervals(transposed(classes, semitones)) == intervals(classes)


@given(rows)
def test_interval_keys_tell_different_melodies_apart(classes):
    def shape(row: np.ndarray) -> list[tuple[int, int, int]]:
        notes = to_notes(row)
        return [(note.start, note.end, note.pitch - notes[0].pitch) for note in notes]

    keys = intervals(classes)
    for a in range(len(classes)):
        for b in range(len(classes)):
            assert (keys[a] == keys[b]) == (shape(classes[a]) == shape(classes[b]))


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_a_family_is_on_the_side_where_its_members_are(family):
    classes = np.full((len(family), 4), 30, np.uint8)
    made = corpus(classes, list(range(len(family))), family)
    sides = {(number, bool(side)) for number, side in zip(family, made.held_out, strict=True)}
    assert len(sides) == len(set(family))


def test_the_digest_is_of_the_melodies():
    one = corpus(np.full((2, 4), 30, np.uint8), [0, 1], [0, 1])
    same = corpus(np.full((2, 4), 30, np.uint8), [0, 0], [0])
    other = corpus(np.full((2, 4), 31, np.uint8), [0, 1], [0, 1])
    turned = corpus(np.full((4, 2), 30, np.uint8), [0, 1, 2, 3], [0, 1, 2, 3])
    assert one.digest == same.digest
    assert len({one.digest, other.digest, turned.digest}) == 3


def test_lengths_and_tempi_are_full_and_120_where_not_given():
    made = corpus(np.full((2, 4), 30, np.uint8), [0, 1], [0, 1])
    assert made.lengths.tolist() == [4, 4]
    assert made.quarters_per_minute.tolist() == [120, 120]


def test_a_corpus_without_melodies_says_why():
    with pytest.raises(UserError, match=r"holds no melody \(3: no melody as long"):
        MelodyCorpus(
            "empty", np.empty((0, 32), np.uint8), np.empty(0), np.empty(0), [], np.empty(0), Counter(too_short=3)
        )


ABC = "X:1\nT:A\nM:4/4\nL:1/8\nK:D\nD8|E8|F8|\n\nX:2\nT:B\nM:5/4\nL:1/8\nK:D\nD10|\n"


def test_other_tunes_are_read_as_abc_or_tokens(tmp_path):
    (tmp_path / "mine.abc").write_text(ABC)
    (tmp_path / "drawn.txt").write_text("M:4/4\nK:Cmaj\nC 8 | D 8 | E 8 |\n")
    written = melodies(path=str(tmp_path / "mine.abc"))
    drawn = melodies(path=str(tmp_path / "drawn.txt"), form="tokens")
    assert written.classes.tolist() == drawn.classes.tolist()
    assert (written.name, drawn.name) == ("mine.abc", "drawn.txt")
    assert written.rejections == {"meter": 1}
    assert written.title(1) == "A, bar 2"


def test_another_form_is_refused(tmp_path):
    with pytest.raises(UserError, match="abc or tokens; MIDI files are dataset=midi"):
        melodies(path=str(tmp_path), form="midi")


def test_random_sequences_come_with_their_tempo():
    drawn = random_notes(count=50, seed=3)
    assert len(drawn) == 50
    assert set(drawn.quarters_per_minute.tolist()) <= {480 / seconds for seconds in range(1, 9)}
    assert drawn.digest == random_notes(count=50, seed=3).digest != random_notes(count=50, seed=4).digest
    assert drawn.title(7) == "random 7, bar 1"


def test_twinkle_is_one_melody():
    assert len(twinkle()) == 1
    assert twinkle().title(0).startswith("Twinkle")
    assert twinkle(bars=16).classes.shape == (1, 256)

import csv
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.datasets.corpus import Tune
from folkrnn.datasets.families import families, plain_title, split
from folkrnn.datasets.files import tokens


def tune(body, title=""):
    return Tune(("M:4/4", "K:Cmaj", *body.split()), title)


SCALE = "C D E F G A B c | d e f g a b c' d' | c B A G F E D C |"
OTHER = "G E G E c A c A | F D F D B, G, B, D | E G c e d B G F |"


def test_one_title_is_one_family_whatever_its_spelling():
    assert families([tune(SCALE, "The Humours of Ennis"), tune(OTHER, "Humours Of Ennis, The")]).tolist() == [0, 0]


def test_one_melody_is_one_family_whatever_its_title_octave_or_rhythm():
    lower = SCALE.replace("c'", "c").replace("d'", "d").replace("C D", "C 2 D 2")
    assert families([tune(SCALE, "Anne"), tune(lower, "Mary")]).tolist() == [0, 0]


def test_different_tunes_are_different_families():
    assert families([tune(SCALE, "Anne"), tune(OTHER, "Mary")]).tolist() == [0, 1]


@pytest.mark.parametrize(("pitches", "expected"), [("C D E F G A B", [0, 1]), ("C D E F G A B c", [0, 0])])
def test_melodies_are_compared_by_runs_of_eight_pitches(pitches, expected):
    assert families([tune(f"{pitches} |", "Anne"), tune(f"{pitches} 2 |", "Mary")]).tolist() == expected


def test_melodies_are_compared_by_the_share_of_the_shorter_tune():
    """A setting of one part is a setting of the tune, however many parts that has."""
    letters = "cdefgab"
    long = [letters[(k * k + k // 7) % 7] for k in range(120)]
    part, rest = " ".join(long[:14]), " ".join(long)
    assert families([tune(part, "Anne"), tune(rest, "Mary")]).tolist() == [0, 0]
    assert families([tune(rest, "Mary"), tune(part, "Anne")]).tolist() == [0, 0]
    mine, other = long[:40], [letters[(3 * k + k * k * k) % 7] for k in range(40)]
    some = [*mine[:10], *other[10:]]  # three of its 33 runs
    assert families([tune(" ".join(some), "Anne"), tune(" ".join(mine), "Mary")]).tolist() == [0, 1]


def test_a_title_that_names_nothing_joins_nothing():
    assert families([tune(SCALE, "Jig"), tune(OTHER, "A Jig"), tune("C C C C", "")]).tolist() == [0, 1, 2]


def test_families_are_connected_through_a_third_tune():
    assert families([tune(SCALE, "Anne"), tune(OTHER, "Mary"), tune(OTHER, "Anne")]).tolist() == [0, 0, 0]


def test_titles_are_compared_without_articles_accents_and_numbers():
    assert plain_title("Páidín Ó Raifeartaigh") == plain_title("Paidin o Raifeartaigh No. 2")
    assert plain_title("The Reel") == plain_title("Reel, The")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 5)), min_size=1, max_size=25), st.floats(0, 1))
def test_the_split_covers_every_tune_once_and_cuts_no_family(made, share):
    tunes = [tune(" ".join("CDEFGAB"[(n * k) % 7] for k in range(12)), title * 4) for title, n in made]
    training, validation = split(tunes, share)
    assert sorted(training + validation) == list(range(len(tunes)))
    family = families(tunes)
    assert not set(family[training]) & set(family[validation])


def test_on_v2_tunes_no_title_is_on_both_sides_and_the_share_is_five_percent(test_data):
    corpus = tokens(str(test_data / "folkrnn_v2/data_v2_subset.txt.gz"))
    with gzip.open(test_data / "folkrnn_v2/data_v2_subset_meta.csv.gz", "rt") as file:
        titles = [row["title"] for row in csv.DictReader(file)]
    tunes = [Tune(t.tokens, title) for t, title in zip(corpus.tunes, titles, strict=True)]
    training, validation = split(tunes)
    assert 0.04 < len(validation) / len(tunes) < 0.06
    assert not {titles[i] for i in training} & {titles[i] for i in validation}
    assert max(map(list(families(tunes)).count, set(families(tunes)))) < 40


@pytest.mark.parametrize("order", [1, -1])
def test_the_split_does_not_depend_on_the_order_of_the_tunes(order):
    tunes = [
        tune(" ".join("CDEFGABc"[(n + k * (n % 7 + 1)) % 8] for k in range(16)), f"T{n * 7919}") for n in range(200)
    ]
    held = {tunes[i].title for i in split(tunes, 0.2)[1]}
    again = tunes[::order]
    assert {again[i].title for i in split(again, 0.2)[1]} == held

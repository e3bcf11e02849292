from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.vocabulary import TYPES, V2, Vocabulary, counterparts, pitch_parts, remap, token_type


def test_v2_has_137_tokens_of_seven_types_with_the_papers_counts():
    assert len(V2) == 137
    assert Counter(V2.types) == {
        "transcription": 2, "meter": 7, "mode": 4, "measure": 5, "pitch": 85, "grouping": 9, "duration": 25
    }  # fmt: skip


def test_the_papers_one_based_numbers_are_ours_plus_one():
    assert [V2.index[token] + 1 for token in ("K:Cmaj", "A,", "=B,")] == [87, 106, 130]


def test_pitches_are_29_plain_16_sharp_17_flat_and_23_natural():
    accidentals = Counter(pitch_parts(V2.tokens[i])[0] for i in V2.of_type("pitch"))
    assert accidentals == {"": 29, "^": 16, "_": 17, "=": 23}


def test_the_plot_order_holds_every_token_once_and_runs_through_the_types_in_order():
    assert sorted(V2.plot_order) == list(range(137))
    ranks = [TYPES.index(V2.types[i]) for i in V2.plot_order]
    assert ranks == sorted(ranks)


@given(st.lists(st.integers(0, 136), max_size=50))
def test_decoding_then_encoding_is_the_identity(ids):
    assert V2.encode(V2.decode(ids)) == ids
    assert V2.encode(" ".join(V2.decode(ids))) == ids


def test_an_unknown_token_is_named_with_its_place():
    with pytest.raises(UserError, match=r"'c,,' \(number 2\)"):
        V2.encode("M:4/4 K:Cmaj c,, d")


def test_a_vocabulary_without_transcription_tokens_or_with_repeats_is_refused():
    with pytest.raises(UserError, match="missing"):
        Vocabulary(("a", "b"))
    with pytest.raises(UserError, match="once"):
        Vocabulary(("<s>", "</s>", "a", "a"))


@pytest.mark.parametrize("nonsense", ["", "H", "hello", "^", "K", "(", "<x>"])
def test_what_is_no_token_has_no_type(nonsense):
    with pytest.raises(UserError):
        token_type(nonsense)


def test_the_swedish_and_v3_families_have_types_too():
    assert [token_type(t) for t in ("[M:3/4]", "K:maj", "[K:Cdor]", "=C", "(3:2:3", "z", "|2")] == [
        "meter", "mode", "mode", "pitch", "grouping", "pitch", "measure",
    ]  # fmt: skip


SWEDISH = Vocabulary(("<s>", "</s>", "[M:4/4]", "[K:CMaj]", "[K:GMaj]", "[L:1/8]", "c", "|"))


def test_headers_of_other_models_have_counterparts_and_what_has_none_is_named():
    assert remap(["M:4/4", "K:Cmaj", "c", "|"], V2, SWEDISH) == ["[M:4/4]", "[K:CMaj]", "c", "|"]
    assert remap(["[M:4/4]", "[K:CMaj]", "c"], SWEDISH, V2) == ["M:4/4", "K:Cmaj", "c"]
    assert counterparts(V2, Vocabulary(("<s>", "</s>", "K:maj")))["K:Cmaj"] == "K:maj"
    with pytest.raises(UserError, match=r"no counterpart of \[L:1/8\] \[K:GMaj\]$"):
        remap(["[L:1/8]", "[K:GMaj]", "c", "[K:GMaj]"], SWEDISH, V2)


@given(st.permutations(V2.tokens))
def test_tokens_mean_the_same_in_any_order(tokens):
    other = Vocabulary(tuple(tokens))
    assert remap(V2.tokens, V2, other) == list(V2.tokens)
    assert {t: other.types[other.index[t]] for t in tokens} == dict(zip(V2.tokens, V2.types, strict=True))
    assert [other.tokens[i] for i in other.plot_order] == [V2.tokens[i] for i in V2.plot_order]


def test_unit_lengths_and_ties_of_other_models_have_types():
    assert SWEDISH.types == ("transcription", "transcription", "meter", "mode", "mode", "meter", "pitch", "measure")
    assert token_type("-") == "grouping"

"""A prime is tokens or plain ABC, whole or a fragment, or is refused with the piece to blame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.notation.tokenise import prime_tokens
from folkrnn.vocabulary import V2


@given(st.lists(st.sampled_from([t for t in V2.tokens if t not in ("<s>", "</s>")]), max_size=30))
def test_tokens_separated_by_spaces_are_taken_as_they_are(tokens: list[str]):
    assert prime_tokens(" ".join(tokens)) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", ""),
        ("M:6/8 K:Ador\nA2 B cde", "M:6/8 K:Cdor c 2 d e f g"),
        ("[M:6/8][K:Dmaj] d2A", "M:6/8 K:Cmaj c 2 G"),
        ("M:C| K:D", "M:4/4 K:Cmaj"),
        ("K:D M:6/8 d2A", "M:6/8 K:Cmaj c 2 G"),
        ("K:A dorian A2 e", "K:Cdor c 2 g"),
        ("K:Em B2", "K:Cmin G 2"),
        ("A2 B", "A 2 B"),
        ("M:2/4 K:G G2 A", "M:2/4 K:Cmaj C 2 D"),
        ("M:2/4 L:1/16 K:G G2 A", "M:2/4 K:Cmaj C D /2"),
        ('~A2 TB !trill!c "Am"d (3efg', "A 2 B c d (3 e f g"),
        ("|:G2[Bd", "|: G 2 [ B d"),
        ("X:1\nT:Whole\nM:2/4\nK:G\nG2 A2 |", "M:2/4 K:Cmaj C D |"),
    ],
)
def test_plain_abc_is_transposed_and_tokenised(text: str, tokens: str):
    assert prime_tokens(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("M:6/8 K:Cdor G, H C", "'H' has no token"),
        ("M:6/8 K:Cdo G, C", "'K:Cdo' has no token (did you mean K:Cdor?)"),
        ("m:6/8 K:Cdor", "'m:6/8' has no token (did you mean M:6/8?)"),
        ("M:5/4 K:Cmaj C", "'M:5/4' has no token"),
        ("M:6/8 K:Cphr C D", "'K:Cphr' has no token"),
        ("G, C C 22", "'22' has no token"),
        ("C D (8 E", "'(8' has no token"),
        ("G2 A2 :|3 cd", "':|3' has no token"),
        ("hello world", "'hello' has no token"),
        ("K:G ^^f", "'^^f' has no token"),
        ("<s> M:4/4", "<s> marks where tunes begin"),
        ("T:A Name", "0 tunes with a key"),
        ("X:1\nK:D\nd|\n\nX:2\nK:G\ng|", "2 tunes"),
    ],
)
def test_what_is_neither_is_refused_by_name(text: str, piece: str):
    with pytest.raises(UserError) as refusal:
        prime_tokens(text)
    assert piece in str(refusal.value)
    assert "\n" not in str(refusal.value)


@given(st.text(alphabet="KMLQ:ABCDEFGabcdefgzx23468/|:[]()<>^_=,' \n!\"{}~%", max_size=60) | st.text(max_size=40))
def test_a_prime_is_tokens_or_refused_in_one_line(text: str):
    try:
        tokens = prime_tokens(text)
    except UserError as refusal:
        assert "\n" not in str(refusal)
        return
    assert all(token in V2.index for token in tokens)

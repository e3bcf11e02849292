import pytest

from folkrnn.errors import UserError
from folkrnn.observation.input_tunes import changes_of, read_transcriptions
from folkrnn.vocabulary import V2

JIG = "X:1\nT:First\nM:6/8\nL:1/8\nK:D\nDFA dAF|\n"


def test_tokens_published_names_and_abc_are_read():
    (tune,) = read_transcriptions("M:6/8 K:Cdor G A B", V2)
    assert tune.tokens(V2) == ["M:6/8", "K:Cdor", "G", "A", "B"]
    assert set(tune.origin) == {"given"}
    (fig1,) = read_transcriptions("fig1", V2)
    assert len(fig1.ids) == 108
    (abc,) = read_transcriptions(JIG, V2)
    assert abc.tokens(V2) == "M:6/8 K:Cmaj C E G c G E |".split()
    assert abc.title == "First"


def test_a_file_may_hold_several_tunes(tmp_path):
    file = tmp_path / "two.abc"
    file.write_text(JIG + "\n" + JIG.replace("X:1", "X:2").replace("First", "Second"))
    assert [t.title for t in read_transcriptions(str(file), V2)] == ["First", "Second"]


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "empty"), (b"\0\1", "binary"), (b"X:1\nM:5/4\nK:C\nCDE|\n", "5/4")]
)
def test_files_that_cannot_be_read_are_refused_with_the_reason(tmp_path, content, says):
    file = tmp_path / "odd.abc"
    file.write_bytes(content)
    with pytest.raises(UserError, match=says):
        read_transcriptions(str(file), V2)


def test_why_a_tune_has_no_tokens_is_said_in_words_with_the_place():
    with pytest.raises(UserError) as refusal:
        read_transcriptions("X:7\nT:Case\nM:6/8\nL:1/8\nK:D\nDFA|\nd2(8a|\n", V2)
    assert str(refusal.value) == (
        "transcription=: tune 7 (Case) has no tokens: a tuplet that no tokens say, such as (8 or (5:4:5: (8, line 2 of "
        "the music, at 'd2(8a|'"
    )
    with pytest.raises(UserError, match=r"a meter that has no token \(4/4, .* have one\): M:3/8"):
        read_transcriptions("X:1\nT:Case\nM:3/8\nL:1/8\nK:D\nABc|d3|]\n", V2)


def test_a_setting_of_thesession_may_have_a_header_of_its_own():
    own = "X: 1\\r\\nT: Case\\r\\nM: 9/8\\r\\nL: 1/8\\r\\nE>F G>B A2 GAB|\\r\\n"
    text = '{"name": "Case", "type": "slip jig", "settings": [{"key": "Edorian", "abc": "' + own + '"}]}'
    (tune,) = read_transcriptions(text, V2)
    assert " ".join(tune.tokens(V2)) == "M:9/8 K:Cdor C > D E > G F 2 E F G |"


def test_what_becomes_of_a_tune_is_said_by_its_title_and_of_several_line_by_line(tmp_path):
    transposed = "transposed from D major to C by −1 diatonic step"
    graced = JIG.replace("DFA", "{g}DFA")
    assert changes_of(graced, V2) == [f"First: {transposed}; 1 × {{…}} left out (grace notes)"]
    assert changes_of(graced.removeprefix("X:1\n"), V2) == [f"{transposed}; 1 × {{…}} left out (grace notes)"]
    file = tmp_path / "two.abc"
    file.write_text(JIG + "\n" + JIG.replace("X:1", "X:2").replace("First", "Second"))
    assert changes_of(str(file), V2) == [f"First: {transposed}", f"Second: {transposed}"]


@pytest.mark.parametrize("text", ["fig1", "M:6/8 K:Cdor G A B", "X:1\nT:Same\nM:6/8\nL:1/8\nK:C\nCDE FGA|\n"])
def test_of_what_comes_through_as_it_is_nothing_is_said(text):
    assert changes_of(text, V2) == []

import gzip
import json
import os
from importlib import resources

import pytest

from folkrnn.datasets.corpus import REASONS, Corpus, LeftOut
from folkrnn.datasets.files import abc, tokens
from folkrnn.datasets.irish import COLLECTIONS, irish
from folkrnn.datasets.parsing import cached
from folkrnn.datasets.token_text import is_token_text
from folkrnn.errors import UserError
from folkrnn.files.cache import cache_folder

TUNE = "M:6/8\nK:Cmaj\nC D E | F G A |\n"


def test_a_title_with_half_a_character_is_shown_with_its_number(tmp_path):
    setting = {"name": "Reel \ud83c", "meter": "4/4", "mode": "Cmajor", "abc": "CDEF GABc|c8|]"}
    (tmp_path / "settings.json").write_text(json.dumps([setting]))
    assert [tune.title for tune in abc(str(tmp_path / "settings.json")).tunes] == [r"Reel \ud83c"]


def test_a_file_may_have_a_name_that_is_not_utf_8(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / os.fsdecode(b"l\xe5tar")
    folder.mkdir()
    (folder / os.fsdecode(b"l\xe5t.abc")).write_text("X:1\nM:4/4\nL:1/8\nK:C\nCDEF GABc|c8|]\n")
    for place in (folder, folder / os.fsdecode(b"l\xe5t.abc")):
        corpus = abc(str(place))
        assert corpus.name in (r"l\xe5tar", r"l\xe5t.abc")
        assert [tune.source for tune in corpus.tunes] == [r"l\xe5t.abc"]
        assert corpus.digest


def test_the_irish_corpus_keeps_nearly_all_of_three_collections_and_says_why_not_the_rest():
    corpus = irish()
    left_out = sum(corpus.rejections.values())
    assert len(corpus) + left_out == 2009 + 1059 + 1180
    assert len(corpus) > 4000
    assert {tune.source for tune in corpus.tunes} == set(COLLECTIONS) == set(corpus.terms)
    assert all(tune.title for tune in corpus.tunes[:100])


def test_the_irish_corpus_is_the_one_that_the_shipped_weights_were_trained_on():
    card = resources.files("folkrnn.weights").joinpath("folkrnn", "README.md").read_text(encoding="utf-8")
    assert f"digest `{irish().digest}`" in card


def test_folk_rnns_own_format_is_three_lines_a_tune(tmp_path):
    file = tmp_path / "tunes.txt"
    file.write_text(TUNE + "\n" + TUNE.replace("C D", "E D") + "\n\n\n" + TUNE)
    corpus = tokens(str(file))
    assert [tune.tokens[:4] for tune in corpus.tunes] == [("M:6/8", "K:Cmaj", "C", "D"), ("M:6/8", "K:Cmaj", "E", "D")]
    assert corpus.rejections == {"duplicate": 1}


def test_one_tune_a_line_is_read_too(tmp_path):
    file = tmp_path / "tunes.txt"
    file.write_text("M:6/8 K:Cmaj C D E\n<s> M:4/4 K:Cdor G A </s>\n")
    assert [tune.meter for tune in tokens(str(file)).tunes] == ["6/8", "4/4"]


def test_foreign_tokens_are_counted_not_fatal(tmp_path):
    file = tmp_path / "tunes.txt"
    file.write_text(TUNE + "\n" + TUNE.replace("C D", "H D"))
    assert tokens(str(file)).rejections == {"token-not-in-vocabulary": 1}


def test_the_v2_subset_is_read_whole(test_data):
    corpus = tokens(str(test_data / "folkrnn_v2/data_v2_subset.txt.gz"))
    assert len(corpus) + corpus.rejections["duplicate"] == 6954
    assert set(corpus.rejections) <= {"duplicate"}


def test_a_thesession_dump_in_json_or_csv_is_a_corpus(tmp_path, test_data):
    with gzip.open(test_data / "thesession_abc/settings.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file][:60]
    dump = tmp_path / "tunes.json"
    dump.write_text(json.dumps(rows))
    corpus = abc(str(dump))
    assert len(corpus) + sum(corpus.rejections.values()) == 60
    assert len(corpus) > 45


def test_a_folder_of_abc_is_one_corpus(tmp_path):
    for k, notes in enumerate(("CDE FGA", "GAB cde")):
        (tmp_path / f"{k}.abc").write_text(f"X:1\nT:Tune {k}\nM:6/8\nL:1/8\nK:C\n{notes}|\n")
    assert len(abc(str(tmp_path))) == 2


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\0\1\2ABC", b"no tune at all\n"])
def test_a_file_that_holds_no_tune_is_refused_in_one_line(tmp_path, content):
    file = tmp_path / "odd.txt"
    file.write_bytes(content)
    for read in (tokens, abc):
        with pytest.raises(UserError) as refusal:
            read(str(file))
        assert "\n" not in str(refusal.value)
        assert "odd.txt" in str(refusal.value)


def test_a_path_that_does_not_exist_or_is_not_given_is_refused():
    with pytest.raises(UserError, match="no such file"):
        tokens("/nowhere/tunes.txt")
    with pytest.raises(UserError, match="needs a file"):
        abc(None)


CASE = "X:1\nT:Case\nM:4/4\nL:1/8\nK:C\nG4 A4|c8|]\n"
SETTING = {"tune": "1", "name": "Case", "type": "jig", "meter": "6/8", "mode": "Gmajor", "abc": "GAB cde|dcB G3|"}
SAYS = "M:6/8 K:Cmaj C D E F G A | G F E C 3 |"


def read(corpus: Corpus) -> tuple[list[str], dict[str, int]]:
    """The tunes as lines of tokens, and the counts of reasons, all of which have words and a place."""
    assert all(why != reason and place for reason, _, why, place in corpus.reasons())
    assert set(corpus.rejections) <= set(REASONS)
    return [" ".join(tune.tokens) for tune in corpus.tunes], dict(corpus.rejections)


def test_whatever_else_is_in_a_folder_is_counted(tmp_path):
    files = {
        "TUNES.ABC": CASE.encode(),
        "deeper/tunes.Abc.GZ": gzip.compress(CASE.replace("G4 A4", "A4 G4").encode()),
        "tunes.csv": b'tune_id,meter,mode,abc\n1,6/8,Gmajor,"GAB cde|dcB G3|"\n',
        "Tunes.JSON": json.dumps([{**SETTING, "abc": "BAG cde|dcB G3|"}]).encode(),
        "utf16.abc": CASE.replace("c8", "e8").encode("utf-16"),
        "aliases.csv": b"tune_id,alias,name\n1,The Case,Case\n",
        "sets.json": b'{"sets": 3}',
        "broken.json": b'{"sets": 3',
        "notes.txt": b"",
        "blank.abc": b" \r\n \n",
        "prose.txt": b"Faded, deaf, a cabbage bed.\n",
        "picture.txt": b"\x89PNG\0\0\1",
        "torn.abc.gz": gzip.compress(CASE.encode() * 50)[:60],
        "packed.txt": b"PK\3\4 and so on",
        "tunes.zip": b"PK\3\4",
        "tunes.tar.gz": gzip.compress(b"x" * 600),
        "._TUNES.ABC": b"resource fork",
        ".hidden.abc": CASE.encode(),
        ".git/tunes.abc": CASE.encode(),
        "__MACOSX/tunes.abc": CASE.encode(),
        "cover.jpg": b"\xff\xd8",
        "README": b"X:1\nK:C\nC|\n",
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "lost.abc").symlink_to(tmp_path / "nowhere.abc")
    os.mkfifo(tmp_path / "pipe.abc")
    tunes, reasons = read(abc(str(tmp_path)))
    assert sorted(tunes) == [
        "M:4/4 K:Cmaj A 4 G 4 | c 8 |",
        "M:4/4 K:Cmaj G 4 A 4 | c 8 |",
        "M:4/4 K:Cmaj G 4 A 4 | e 8 |",
        SAYS,
        SAYS.replace("C D E", "E D C", 1),
    ]
    assert reasons == {
        "table": 3,
        "empty": 2,
        "no_tune": 1,
        "binary": 1,
        "unreadable": 3,
        "archive": 3,
        "hidden": 4,
        "other_kind": 2,
    }


def test_a_folder_of_waste_says_what_is_in_it(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds no usable tune \(left out 1: an empty file, as in notes.txt\)"):
        abc(str(tmp_path))
    (tmp_path / "notes.txt").rename(tmp_path / "notes.md")
    with pytest.raises(UserError, match=r"holds no ABC file .*; 1 other files"):
        abc(str(tmp_path))


@pytest.mark.parametrize("content", [b"PK\3\4", b'[{"a": 1}]', b"no tune at all"])
def test_a_single_file_without_tunes_is_refused(tmp_path, content):
    file = tmp_path / "odd.json"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"odd\.json"):
        abc(str(file))


def test_a_file_name_need_not_be_unicode(tmp_path):
    name = os.fsencode(tmp_path) + b"/l\xe5tar.abc"
    with open(name, "w") as file:  # noqa: PTH123 - a path of bytes
        file.write(CASE)
    (tune,) = abc(str(tmp_path)).tunes
    assert tune.source == r"l\xe5tar.abc"
    assert len(abc(os.fsdecode(name))) == 1


ROWS = [SETTING, {**SETTING, "abc": "BAG cde|dcB G3|"}]
BOTH = [SAYS, SAYS.replace("C D E", "E D C", 1)]


@pytest.mark.parametrize(
    "row",
    [
        {"tune": "G A G (E D) D |E<G G G3 ||"},
        {},
        [],
        [1, 2],
        None,
        3,
        "GAB cde|",
        {**SETTING, "abc": None},
        {**SETTING, "abc": 5},
        {**SETTING, "abc": ["GAB"]},
        {**SETTING, "abc": " "},
        {**SETTING, "meter": None},
        {**SETTING, "meter": ""},
        {**SETTING, "mode": 7},
        {key: value for key, value in SETTING.items() if key != "mode"},
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_a_row_that_is_no_setting_is_counted(tmp_path, row, lines):
    file = tmp_path / ("dump.jsonl" if lines else "dump.json")
    rows = [ROWS[0], row, ROWS[1]]
    file.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    corpus = abc(str(file))
    assert read(corpus) == (BOTH, {"row": 1})
    assert corpus.unused[0].place == f"{file.name}, row 2"


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ('[{0}, {{"abc": "GAB, \n{1}]', 1),
        ("[{0}, {{abc: 1}}, {1}]", 1),
        ("[{0},, {1}", 0),
        ('[{0}, {1}, {{"abc": "GAB', 1),
        ('{0}\n{{"abc": \n{1}\n', 1),
        ("{0}\n{1}\nX", 1),
    ],
)
def test_json_that_breaks_off_or_is_damaged_keeps_its_whole_rows(tmp_path, text, broken):
    file = tmp_path / "dump.json"
    file.write_text(text.format(*map(json.dumps, ROWS)))
    tunes, reasons = read(abc(str(file)))
    assert tunes == BOTH
    assert reasons == ({"broken_row": broken} if broken else {})


def test_settings_inside_an_object_and_columns_in_capitals_are_found(tmp_path):
    file = tmp_path / "dump.json"
    file.write_text(json.dumps({"count": 2, "settings": [{k.upper(): v for k, v in row.items()} for row in ROWS]}))
    assert read(abc(str(file))) == (BOTH, {})


LINES = ['1,Case,6/8,Gmajor,"GAB cde|dcB G3|",Ann', '2,Other,6/8,Gmajor,"BAG cde|\n\ndcB G3|",""']


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("3,Odd,6/8,Gmajor", "row"),
        ("3,Odd,6/8,Gmajor,,", "row"),
        ('3,Odd,,,"GAB|",', "row"),
        ('3,Odd,6/8,Gmajor,"GAB|",a,b,c', "broken_row"),
        ('3,"Odd,6/8,Gmajor,"GAB|",', "broken_row"),
        ('3,Odd",6/8,Gmajor,"GAB|",', "broken_row"),
        ('3,Odd,6/8,Gmajor,"GAB|,', "broken_row"),
        ('3,Odd,6/8,Gmajor,"GAB|,"Ann', "broken_row"),
        ('3,Odd,6/8,Gmajor,"GAB|",Ann "B', "broken_row"),
    ],
)
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_of_a_table_that_is_none_is_counted_and_swallows_no_other(tmp_path, row, reason, place, end):
    file = tmp_path / "dump.csv"
    lines = ["tune_id,Name,METER,mode,abc,composer", *LINES[:place], row, *LINES[place:], ""]
    file.write_bytes(end.join(lines).encode("utf-8-sig"))
    corpus = abc(str(file))
    assert read(corpus)[0] == BOTH
    assert sum(corpus.rejections.values()) == corpus.rejections[reason] == 1


@pytest.mark.parametrize("between", [";", "\t"])
def test_columns_may_be_parted_by_other_signs(tmp_path, between):
    file = tmp_path / "dump.csv"
    file.write_text(between.join(("meter", "key", "abc")) + "\n" + between.join(("6/8", "G", "GAB cde|dcB G3|")) + "\n")
    assert read(abc(str(file))) == ([SAYS], {})


def test_a_setting_with_a_header_of_its_own_is_one_tune(tmp_path):
    own = "X: 1\r\nT: Case\r\nR: slip jig\r\nM: 9/8\r\nL: 1/8\r\nE>F G>B A2 GAB|\r\n"
    two = "X:1\nK:D\nABc|\nX:2\nK:G\nABc|"
    rows = [{**SETTING, "meter": "9/8", "mode": "Edorian", "abc": own}, {**SETTING, "abc": two}, ROWS[0]]
    file = tmp_path / "dump.json"
    file.write_text(json.dumps(rows))
    assert read(abc(str(file))) == (["M:9/8 K:Cdor C > D E > G F 2 E F G |", SAYS], {"several_tunes": 1})


BODY = "|: c c d e | c 2 d 2 :|"
SAMPLES = {
    "numbers": f"X:0\nM:2/4\nK:Cmaj\n{BODY}\n\nX:1\nM:4/4\nK:Cdor\n{BODY}\n\n",
    "no blank lines": f"X:0\nM:2/4\nK:Cmaj\n{BODY}\nX:1\nM:4/4\nK:Cdor\n{BODY}\n",
    "blank lines with spaces": f"X:0\r\nM:2/4\r\nK:Cmaj\r\n{BODY}\r\n \r\nX:1\r\nM:4/4\r\nK:Cdor\r\n{BODY}\r\n",
    "three lines": f"M:2/4\nK:Cmaj\n{BODY}\n\nM:4/4\nK:Cdor\n{BODY}\n",
    "one line": f"M:2/4 K:Cmaj {BODY} </s>\n\nM:4/4 K:Cdor {BODY} </s>\n",
    "markers": f"<s> M:2/4 K:Cmaj {BODY} </s>\n<s> M:4/4 K:Cdor {BODY} </s>",
    "on a terminal": "X:0\nM:2/4\nK:Cmaj\n|:ccde|c2d2:|\n\nX:1\nM:4/4\nK:Cdor\n|:ccde|c2d2:|\n\n",
}


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
@pytest.mark.parametrize("form", [abc, tokens])
def test_what_folk_rnn_writes_is_read_as_it_is(tmp_path, text, form):
    file = tmp_path / "samples.txt"
    file.write_text(text)
    assert read(form(str(file))) == ([f"M:2/4 K:Cmaj {BODY}", f"M:4/4 K:Cdor {BODY}"], {})


def test_a_title_in_the_token_format_is_kept_and_other_fields_are_passed_over(tmp_path):
    file = tmp_path / "samples.txt"
    file.write_text(f"X:7\nT:Case\nS:seed 42\nM:2/4\nK:Cmaj\n{BODY}\n")
    (tune,) = tokens(str(file)).tunes
    assert (tune.title, " ".join(tune.tokens)) == ("Case", f"M:2/4 K:Cmaj {BODY}")


def test_what_is_left_out_is_named_with_its_place(tmp_path):
    file = tmp_path / "case.abc"
    file.write_text(CASE + CASE.replace("c8", "c8|(8abc").replace("X:1", "X:5"))
    (left,) = abc(str(file)).unused
    assert left == LeftOut("case.abc, tune 5 (Case), line 1 of the music, at 'G4 A4|c8|(8abc|]'", "tuplet", "(8")


def test_a_torn_cache_entry_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = cached("key", lambda: ([], [LeftOut("a.abc, tune 1", "meter", "M:3/8")]))
    assert cached("key", lambda: pytest.fail("was cached")) == made
    entry = next(cache_folder().glob("*.json.gz"))
    entry.write_bytes(entry.read_bytes()[:10])
    assert cached("key", lambda: ([], [LeftOut("b.abc", "empty")]))[1] == [LeftOut("b.abc", "empty")]


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("M:4/4\nK:Cmaj\nC\n", True),
        ("<s> M:4/4 K:Cmaj C </s>", True),
        ("M:4/4\nK:Cmaj\n", False),
        ("M:4/4\n", False),
        ("M:4/4\nK:Cmaj\nH\n", False),
        ("X:1\nM:4/4\nK:Cmaj\nC\n", False),
        ("", False),
    ],
)
def test_a_text_of_tokens_begins_with_a_meter_a_mode_and_at_least_one_token(text: str, is_one: bool):
    assert is_token_text(text) == is_one

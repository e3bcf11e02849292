import gzip
import json
import os
from importlib import resources

import pytest

from folkrnn.cache import cache_folder
from folkrnn.datasets.files import abc, tokens
from folkrnn.datasets.irish import COLLECTIONS, irish
from folkrnn.datasets.parsing import cached
from folkrnn.refusal import Refusal

TUNE = "M:6/8\nK:Cmaj\nC D E | F G A |\n"


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
    card = resources.files("folkrnn.weights").joinpath("folkrnn", "card.md").read_text(encoding="utf-8")
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
        with pytest.raises(Refusal) as refusal:
            read(str(file))
        assert "\n" not in str(refusal.value)
        assert "odd.txt" in str(refusal.value)


def test_a_path_that_does_not_exist_or_is_not_given_is_refused():
    with pytest.raises(Refusal, match="no such file"):
        tokens("/nowhere/tunes.txt")
    with pytest.raises(Refusal, match="needs a file"):
        abc(None)


def test_a_torn_cache_entry_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = cached("key", lambda: ([], {"meter": 3}))
    assert cached("key", lambda: pytest.fail("was cached")) == made
    entry = next(cache_folder().glob("*.json.gz"))
    entry.write_bytes(entry.read_bytes()[:10])
    assert cached("key", lambda: ([], {"meter": 4}))[1] == {"meter": 4}

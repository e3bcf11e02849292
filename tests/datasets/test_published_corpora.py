from dataclasses import replace

import pytest
from file_server import Behaviour, serving

from folkrnn.datasets.corpus import Corpus, Tune, in_vocabulary
from folkrnn.datasets.downloads import SOURCES, downloaded
from folkrnn.datasets.files import tokens
from folkrnn.errors import UserError
from folkrnn.files.download import git_blob
from folkrnn.vocabulary import V2, Vocabulary

V2_TUNES = "M:6/8\nK:Cmaj\nC D E | F G A |\n\nM:4/4\nK:Cdor\nC 2 D 2 | E 4 |\n\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def corpus_of(text, name, tmp_path, monkeypatch):
    (tmp_path / "file").write_text(text)
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], blob=git_blob(tmp_path / "file")))
    with serving(Behaviour(text.encode())) as address:
        return downloaded(name, address)


def test_data_v2_is_read_in_v2s_vocabulary_with_its_terms(tmp_path, monkeypatch):
    corpus = corpus_of(V2_TUNES, "folkrnn_v2", tmp_path, monkeypatch)
    assert [tune.meter for tune in corpus.tunes] == ["6/8", "4/4"]
    assert corpus.vocabulary == V2
    assert "MIT" in corpus.terms["folkrnn_v2"]


def test_titles_are_read_where_there_are_some(tmp_path, monkeypatch):
    text = "T:The Rambler\n" + V2_TUNES
    corpus = corpus_of(text, "folkrnn_v2_withtitles", tmp_path, monkeypatch)
    assert [tune.title for tune in corpus.tunes] == ["The Rambler", ""]


def test_v3_has_a_vocabulary_of_its_own(test_data, tmp_path, monkeypatch):
    import gzip

    text = gzip.decompress((test_data / "folkrnn_v3" / "valid_subset.txt.gz").read_bytes()).decode()
    corpus = corpus_of(text, "folkrnn_v3", tmp_path, monkeypatch)
    assert len(corpus) > 1300
    assert "K:maj" in corpus.vocabulary.tokens
    assert "-" in corpus.vocabulary.tokens
    assert {tune.mode for tune in corpus.tunes} == {"maj", "min", "dor", "mix"}


def test_swedish_tunes_have_unit_lengths_before_their_meters(test_data):
    corpus = tokens(str(test_data / "folkwiki_tokens" / "folkwiki.txt.gz"), vocabulary="own")
    assert len(corpus) > 3000
    assert {"3/4", "2/4"} <= {tune.meter for tune in corpus.tunes}
    assert corpus.tunes[0].title
    assert "[L:1/16]" in corpus.vocabulary.tokens


def test_a_vocabulary_is_v2s_or_the_files_own(tmp_path):
    (tmp_path / "x").write_text(V2_TUNES)
    with pytest.raises(UserError, match="v2 or own"):
        tokens(str(tmp_path / "x"), vocabulary="v3")


def test_a_corpus_in_the_words_of_another_vocabulary_says_what_was_lost():
    swedish = Vocabulary(("<s>", "</s>", "[M:3/4]", "[K:CMaj]", "c", "|", "x"))
    tunes = [Tune(("[M:3/4]", "[K:CMaj]", "c", "|")), Tune(("[M:3/4]", "[K:CMaj]", "x"))]
    corpus = in_vocabulary(Corpus("x", tunes, vocabulary=swedish), V2)
    assert [tune.tokens for tune in corpus.tunes] == [("M:3/4", "K:Cmaj", "c", "|")]
    assert corpus.rejections == {"the model has no x": 1}
    assert corpus.vocabulary == V2
    assert corpus.ids[0].tolist() == [V2.start, *V2.encode("M:3/4 K:Cmaj c |"), V2.end]


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match="did you mean folkrnn_v3"):
        downloaded("folkrn_v3")

"""Tunes that exist as ABC and as published tokens, and corpora of real ABC."""

from __future__ import annotations

import gzip
import importlib.util
import json
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from folkrnn.notation.abc import AbcTune, read_abc
from folkrnn.notation.bars import share_of_full_bars
from folkrnn.notation.tokenise import Rejection, tokenise
from folkrnn.vocabulary import V2


def tune(body: str, key: str, meter: str) -> AbcTune:
    return AbcTune("", meter, Fraction(1, 8), key, body)


def pairs(folder: Path) -> list[dict[str, str]]:
    path = folder / "thesession_abc" / "raw_to_v2_pairs_sample.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


EDITED_SINCE = {
    # setting, tune of v2: place of the first difference, ours, the published token; the text is ten years younger
    (13585, 4919): (2, "E", "|:"),  # bars: v2 repeats both parts, the text no longer does
    (775, 1406): (66, "|:", ":|"),  # bars: v2 closes the second endings with a repeat sign
    (9943, 10196): (104, "|:", "E"),  # bars: the text opens its second part with a repeat sign, v2 does not
    (6188, 519): (2, "|:", "G"),  # bars: the text opens with a repeat sign, v2 does not
    (2136, 516): (2, "G", "|:"),  # bars: v2 opens every part with a repeat sign
    (7095, 15887): (1, "K:Cdor", "K:Cmix"),  # header: the mode was corrected
    (1048, 3244): (2, "|:", "G"),  # bars: the text opens with a repeat sign, v2 does not
    (2623, 2929): (0, "M:3/4", "M:6/8"),  # header: the meter was changed
}


def first_difference(ours: list[str], theirs: list[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))


def test_all_tunes_that_follow_by_rule_come_out_token_for_token(test_data: Path):
    exact = [pair for pair in pairs(test_data) if pair["match"] == "exact"]
    assert len(exact) == 52
    for pair in exact:
        assert tokenise(tune(pair["raw_abc"], pair["mode"], pair["meter"])) == pair["v2_tokens"].split(), pair["name"]


def test_every_other_difference_is_an_edit_of_header_or_bars(test_data: Path):
    found = {}
    for pair in pairs(test_data):
        ours, theirs = tokenise(tune(pair["raw_abc"], pair["mode"], pair["meter"])), pair["v2_tokens"].split()
        if ours == theirs:
            continue
        place = first_difference(ours, theirs)
        found[pair["tune_id"], pair["data_v2_position"]] = (place, ours[place], theirs[place])
        if "header" in pair["match"]:
            assert ours[2:] == theirs[2:]
        else:
            assert sounding(ours) == sounding(theirs)
    assert found == EDITED_SINCE


def sounding(tune_tokens: list[str]) -> list[str]:
    """The tokens without bar lines and repeats."""
    return [token for token in tune_tokens if V2.types[V2.index[token]] != "measure"]


def v2_tunes(folder: Path) -> list[list[str]]:
    with gzip.open(folder / "folkrnn_v2" / "data_v2_subset.txt.gz", "rt", encoding="utf-8") as text:
        return [paragraph.split() for paragraph in text.read().strip().split("\n\n")]


def again(words: list[str]) -> list[str] | Rejection:
    """The tokens of a tune of tokens that is read as ABC on C with L:1/8."""
    return tokenise(tune(" ".join(words[2:]), key=words[1][2:], meter=words[0][2:]))


def test_published_tunes_read_as_abc_give_their_tokens_back(test_data: Path):
    """All but two of 6,954: one has `|` directly after `:|`, where nothing is left to divide; the other has a broken
    rhythm inside the brackets of a chord, where there is no next note that it could shorten."""
    tunes = v2_tunes(test_data)
    assert len(tunes) == 6954
    different = [(words, again(words)) for words in tunes if again(words) != words]
    assert len(different) == 2
    (doubled, joined), (broken, refused) = sorted(different, key=lambda both: isinstance(both[1], Rejection))
    assert " ".join(joined) == " ".join(doubled).replace(":| |", ":|", 1)
    assert refused == Rejection("chord", "c > inside [ ]")
    assert "[ c c > ]" in " ".join(broken)


def test_five_hundred_tunes_a_second(test_data: Path):
    tunes = v2_tunes(test_data)[:1000]
    start = time.process_time()
    for words in tunes:
        again(words)
    assert len(tunes) / (time.process_time() - start) > 500


def corpus(name: str) -> list[AbcTune]:
    """The ABC tunes of a corpus that comes with music21."""
    spec = importlib.util.find_spec("music21")
    files = sorted((Path(spec.origin).parent / "corpus" / name).glob("*.abc"))
    return [found for file in files for found in read_abc(decoded(file.read_bytes()), file.name)]


def decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


@pytest.mark.parametrize(
    ("name", "size", "kept"), [("oneills1850", 2009, 1969), ("ryansMammoth", 1059, 1018), ("airdsAirs", 1180, 1147)]
)
def test_irish_corpora_are_kept_but_for_what_has_no_token(name: str, size: int, kept: int):
    tunes = corpus(name)
    results = [tokenise(found) for found in tunes]
    reasons = Counter(result.reason for result in results if isinstance(result, Rejection))
    assert len(tunes) == size
    assert size - sum(reasons.values()) >= kept, reasons
    assert all(token in V2.index for result in results if not isinstance(result, Rejection) for token in result)


def test_most_bars_of_oneill_are_full():
    """Meter, unit and lengths of the corpus are read together rightly, or bars would not come out full."""
    share = share_of_full_bars([r for r in map(tokenise, corpus("oneills1850")) if not isinstance(r, Rejection)])
    assert share["all"].share > 0.8


@pytest.mark.parametrize(
    ("name", "share"), [("nottingham", 0.91), ("ceol_rince", 0.97), ("irish_abc", 0.95), ("ryans_mammoth", 0.95)]
)
def test_other_collections_are_kept_too(test_data: Path, name: str, share: float):
    (file,) = (test_data / name).glob("*.abc.gz")
    results = [tokenise(found) for found in read_abc(decoded(gzip.decompress(file.read_bytes())), name)]
    assert sum(not isinstance(result, Rejection) for result in results) / len(results) > share

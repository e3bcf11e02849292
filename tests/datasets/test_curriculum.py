import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.curriculum import Curriculum, Tunes
from folkrnn.datasets.module import TuneBatches
from folkrnn.datasets.repetition import COPIED, NEW, kinds
from folkrnn.errors import UserError
from folkrnn.vocabulary import V2

PITCHES = "C D E F G A B c d e f g a b".split()


def collection(number=60, seed=0):
    """Tunes of two parts of eight bars in 2/4, no bar twice in one tune as a rule."""
    rng = np.random.default_rng(seed)
    tunes = []
    for _ in range(number):
        tokens = ["M:2/4", "K:Cmaj"]
        for _ in range(2):
            parts = [[PITCHES[i] for i in rng.integers(0, len(PITCHES), 4)] for _ in range(8)]
            tokens += ["|:", *parts[0], *(token for bar in parts[1:] for token in ("|", *bar)), ":|"]
        tunes.append(tuple(tokens))
    return tunes


def named(number):
    """A title of letters alone: numbers do not tell tunes apart."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))


def copied_share(tunes):
    found = np.concatenate([kinds(V2.decode(ids[1:-1])) for ids in tunes])
    return (found == COPIED).sum() / np.isin(found, [COPIED, NEW]).sum()


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 200))
def test_the_share_of_copied_tunes_falls_from_one_to_nothing(copying, rest, epochs):
    curriculum = Curriculum(copying, natural=(1 - copying) * rest)
    shares = [curriculum.copied_share(epoch, epochs) for epoch in range(epochs)]
    assert all(a >= b for a, b in itertools.pairwise(shares))
    assert all(0 <= share <= 1 for share in shares)
    assert all(shares[e] == 1 for e in range(epochs) if e < copying * epochs)
    assert all(shares[e] <= 1e-9 for e in range(epochs) if copying * epochs <= e >= (1 - curriculum.natural) * epochs)


def test_half_of_the_bars_of_the_first_epochs_are_copies():
    tunes = Tunes(collection(), V2, Curriculum(copying=0.5, natural=0.25, lags=(1, 2, 4)), epochs=8)
    assert copied_share(tunes.at(0)) == pytest.approx(0.5, abs=0.02)
    assert 0.1 < copied_share(tunes.at(5)) < 0.4
    assert copied_share(tunes.at(7)) < 0.05


def test_the_last_epochs_are_the_tunes_as_they_are():
    tunes = Tunes(collection(), V2, Curriculum(copying=0.5, natural=0.25), epochs=8)
    assert all((a == b).all() for a, b in zip(tunes.at(7), tunes.unchanged, strict=True))


def test_an_epoch_is_drawn_from_seed_and_number_alone():
    def made(seed, *epochs):
        tunes = Tunes(collection(), V2, Curriculum(), epochs=8, seed=seed)
        return [[ids.tolist() for ids in tunes.at(epoch)] for epoch in epochs][-1]

    assert made(1, 0, 1, 2) == made(1, 2)
    assert made(1, 2) != made(2, 2)
    assert made(1, 2) != made(1, 3)


def test_held_out_tunes_neither_change_nor_give_bars_to_others():
    corpus = Corpus("bars", [Tune(tokens, named(k)) for k, tokens in enumerate(collection(200))])
    batches = TuneBatches(corpus, 16, 1, curriculum=Curriculum(), epochs=4)
    own = {bar for i in batches.training for bar in bar_strings(corpus.tunes[i].tokens)}
    for inputs, _, _ in batches.train_dataloader():
        for row in inputs:
            ids = [i for i in row.tolist() if i not in (V2.start, V2.end)]
            assert bar_strings(V2.decode(np.array(ids))) <= own
    held = {tuple(corpus.ids[i][:-1].tolist()) for i in batches.validation}
    rows = [row.tolist() for inputs, _, _ in batches.val_dataloader() for row in inputs]
    assert len(rows) == len(held)
    assert all(any(tuple(row[: len(ids)]) == ids for ids in held) for row in rows)


def bar_strings(tokens):
    from folkrnn.notation.bars import bars

    return {bar.tokens for bar in bars(list(tokens))}


def test_shares_beyond_all_epochs_are_refused():
    with pytest.raises(UserError, match="must not exceed 1"):
        Curriculum(copying=0.8, natural=0.3)
    assert Curriculum(copying=0.8, natural=0.2).natural == 0.2
    with pytest.raises(UserError, match="lags"):
        Curriculum(lags=())


@pytest.mark.parametrize(
    "wrong", [{"copying": -0.1}, {"natural": -0.1}, {"substituted": -0.1}, {"substituted": 1.1}, {"lags": (1, 0)}]
)
def test_a_number_below_or_above_its_range_is_refused(wrong):
    with pytest.raises(UserError, match=r"recipe\.curriculum"):
        Curriculum(**wrong)


def test_a_curriculum_needs_buckets():
    corpus = Corpus("bars", [Tune(tokens, named(k)) for k, tokens in enumerate(collection(200))])
    with pytest.raises(UserError, match="batching=bucketed"):
        TuneBatches(corpus, 16, 1, batching="published", curriculum=Curriculum())


def test_a_key_that_a_curriculum_lacks_is_refused_with_those_it_has():
    assert Curriculum.of({"lags": [2], "copying": 0.3}) == Curriculum(copying=0.3, lags=(2,))
    with pytest.raises(UserError, match=r"recipe\.curriculum\.lag: no such key.*lags"):
        Curriculum.of({"lag": [2]})

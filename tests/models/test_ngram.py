import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.datasets.files import tokens
from folkrnn.models.ngram import NGrams, baselines

SEQUENCES = st.lists(st.lists(st.integers(0, 4), min_size=2, max_size=12).map(np.array), min_size=1, max_size=6)


@given(SEQUENCES, st.lists(st.integers(0, 4), max_size=6), st.integers(1, 5))
def test_every_distribution_adds_up_to_one(tunes, context, order):
    model = NGrams(tunes, order, 5)
    distributions = np.array([model.probabilities(context, token) for token in range(5)])
    assert distributions.sum(0) == pytest.approx(np.ones(order))
    assert (distributions > 0).all()


def test_the_distributions_are_those_of_witten_and_bell_by_hand():
    # after <s> = 0: 1 2 1 2 and 1 1
    model = NGrams([np.array([0, 1, 2, 1, 2]), np.array([0, 1, 1])], 2, 4)
    # six tokens, two kinds: 1 four times, 2 twice
    one, two, three = (4 + 2 / 4) / 8, (2 + 2 / 4) / 8, (0 + 2 / 4) / 8
    assert [model.probabilities([], token)[0] for token in (1, 2, 3)] == pytest.approx([one, two, three])
    # after 1: 2 twice, 1 once
    assert model.probabilities([0, 1], 2)[1] == pytest.approx((2 + 2 * two) / 5)
    assert model.probabilities([0, 1], 3)[1] == pytest.approx((0 + 2 * three) / 5)
    # 3 was never seen: nothing is known after it
    assert model.probabilities([3], 1) == pytest.approx([one, one])


def test_nats_are_the_mean_of_minus_log_p_after_the_start():
    model = NGrams([np.array([0, 1, 2, 1, 2]), np.array([0, 1, 1])], 3, 4)
    tune = [0, 2, 1, 1]
    distributions = [model.probabilities(tune[max(0, t - 2) : t], tune[t]) for t in (1, 2, 3)]
    assert model.nats([np.array(tune)]) == pytest.approx((-np.log(distributions)).mean(0).tolist())


def test_knowing_more_helps_on_a_language_with_memory():
    rng = np.random.default_rng(0)

    def alternating():
        return np.array([0, *np.tile([1, 2, 3, rng.integers(1, 4)], 12)])

    found = baselines([alternating() for _ in range(200)], [alternating() for _ in range(20)], 4)
    assert found["uniform"] == pytest.approx(math.log(4))
    assert found["uniform"] > found["unigram"] > found["2gram"] > found["3gram"] > found["5gram"]


def test_on_real_tunes_the_baselines_are_the_known_ones(test_data):
    # facts sheet, section 2.6: 4,750 tunes to fit, 250 to test
    corpus = tokens(str(test_data / "folkrnn_v2/data_v2_subset.txt.gz"))
    drawn = np.random.default_rng(0).permutation(len(corpus))[:5000]
    found = baselines([corpus.ids[i] for i in drawn[250:]], [corpus.ids[i] for i in drawn[:250]], 137)
    known = {"unigram": 3.21, "2gram": 2.59, "3gram": 2.22, "4gram": 2.07, "5gram": 2.03}
    for name, value in known.items():
        assert found[name] == pytest.approx(value, abs=0.05), name

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from analyses.activations import Activations
from analyses.gramians import Gramians
from analyses.posterior import Posterior
from folkrnn.errors import UserError
from folkrnn.families.folkrnn import FAMILY, tunes
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation import observation
from folkrnn.observation.observation import Observation, check_longest, check_size
from folkrnn.sampling import Sampling, generate, input_tune
from folkrnn.vocabulary import V2


@pytest.fixture(scope="module")
def seen():
    torch.manual_seed(1)
    model = FolkRNN(units=32).eval()
    return Observation(model, V2, generate(model, V2, Sampling(tunes=40, max_tokens=30), seed=2))


def test_a_tune_of_n_tokens_has_n_minus_one_rows_and_row_t_is_the_distribution_of_token_t_plus_one(seen):
    distribution = seen.posterior(0)
    tune = seen.transcriptions[0]
    assert distribution.shape == (len(tune.ids) - 1, 137)
    np.testing.assert_allclose(distribution.sum(1), 1, atol=1e-5)
    picked = distribution[np.arange(len(distribution)), tune.ids[1:]]
    np.testing.assert_allclose(picked, tune.probability, rtol=1e-4)


def test_activations_of_all_tunes_equal_those_of_each_alone(seen):
    visited = set()
    for k, activations in seen.each(["l2.c", "logits"]):
        alone = seen.traces(k, ["l2.c", "logits"])
        for site, value in activations.items():
            np.testing.assert_allclose(value, alone[site], atol=2e-6)
        visited.add(k)
    assert visited == set(range(40))


def test_activations_that_take_much_room_are_traced_in_smaller_batches(seen, monkeypatch):
    whole = dict(seen.each(["l*.c"]))
    longest = max(len(t.ids) for t in seen.transcriptions) - 1
    monkeypatch.setattr(observation, "BATCH_BYTES", 4 * 3 * 32 * longest * 2)
    sizes = []
    for k, activations in seen.each(["l*.c"]):
        sizes.append(activations["l1.c"].base.shape[0])
        for site, value in activations.items():
            np.testing.assert_allclose(value, whole[k][site], atol=2e-6)
    assert len(sizes) == 40 and sizes[0] == 2


def test_patterns_are_spelled_out_and_units_cut(seen):
    assert set(seen.traces(0, ["l*.h"])) == {"l1.h", "l2.h", "l3.h"}
    np.testing.assert_array_equal(seen.trace(0, "l3.h[4,2]"), seen.trace(0, "l3.h")[:, [4, 2]])


def test_an_observation_too_large_says_its_size_first(seen):
    rows = sum(len(t.ids) - 1 for t in seen.transcriptions)
    assert check_size(seen.model, seen.transcriptions, ["l1.h"], 2**30) == 4 * rows * 32
    with pytest.raises(UserError, match="GiB"):
        check_size(seen.model, seen.transcriptions, ["l*.*"], 1000)


def test_an_analysis_that_would_hold_too_much_of_a_tune_says_how_much_before_it_is_read(seen):
    assert check_longest(seen.model, 100, ["l1.h", "l2.c[3,4]"], 2**30, "x") == 4 * 100 * (32 + 2)
    config = SimpleNamespace(
        sampling=SimpleNamespace(max_tokens=1000), observation=SimpleNamespace(limit_gib=100e6 / 2**30)
    )
    wide = {"activations": Activations("l*.*"), "posterior": Posterior()}
    FAMILY.check_room(config, seen.model, [], wide)
    long = [input_tune([], V2), input_tune([V2.index["C"]] * 40_000, V2)]
    with pytest.raises(
        UserError, match=r"analysis=activations holds l\*\.\* of a tune at once: of 40,001 steps 0.1 GiB"
    ):
        FAMILY.check_room(config, seen.model, long, wide)
    FAMILY.check_room(config, seen.model, long, {"posterior": Posterior(), "activations": Activations()})
    FAMILY.check_room(config, seen.model, [], {"gramians": Gramians(sites=("l1.h",))})
    with pytest.raises(UserError, match=r"holds l1\.h and a number for every two steps .* of 40,001 steps 6.0 GiB"):
        FAMILY.check_room(config, seen.model, long, {"gramians": Gramians(sites=("l1.h",))})


def test_how_tokens_were_drawn_is_one_table_in_parts(seen, monkeypatch):
    monkeypatch.setattr(tunes, "AT_ONCE", 7)
    parts = list(tunes.draws(seen))
    assert len(parts) == 6
    table = pd.read_csv(io.StringIO("".join(parts)), keep_default_na=False)
    assert table["token"].tolist() == [token for k in range(40) for token in seen.tokens(k)[1:]]
    assert table["tune"].is_monotonic_increasing
    assert list(table.columns) == ["tune", "step", "token", "origin", "probability", "uniform"]

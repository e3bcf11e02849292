"""What the analyses say of a network that is known by heart: it counts to eight in a cell and writes a bar line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from counting_network import ON, STEP, K, counting_network
from small_network import applied

from analyses.activations import Activations
from analyses.gramians import Gramians
from analyses.periodicity import Periodicity
from analyses.posterior import Posterior
from analyses.timing import Timing
from analyses.tune_statistics import TuneStatistics
from folkrnn.interventions.cuts import Cut
from folkrnn.interventions.selectors import Indices
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, Transcription, generate
from folkrnn.vocabulary import V2

BARS = 12
SAMPLING = Sampling(tunes=2, max_tokens=2 + (K + 1) * BARS, prime=("M:4/4", "K:Cmaj"))
TUNE = ["M:4/4", "K:Cmaj", *(["C"] * K + ["|"]) * BARS]


def written(model: FolkRNN) -> list[Transcription]:
    return generate(model, V2, SAMPLING, 1)


@pytest.fixture(scope="module")
def observation() -> Observation:
    model = counting_network()
    return Observation(model, V2, written(model))


def test_it_writes_bars_of_eight_notes_and_nothing_else(observation):
    assert all(tune.tokens(V2)[: len(TUNE)] == TUNE for tune in observation.transcriptions)


def test_its_cell_holds_the_count_and_its_second_unit_the_last_note_of_a_bar(observation):
    activations = observation.traces(0, ["l1.c", "l1.h"])
    count = np.concatenate([np.zeros(3), np.tile([*range(1, K + 1), 0], BARS)])[: len(activations["l1.c"])]
    np.testing.assert_allclose(activations["l1.c"][:, 0], STEP * count, atol=1e-6)
    np.testing.assert_allclose(activations["l1.h"][:, 1], np.where(count == K, ON, -ON), atol=1e-6)
    np.testing.assert_allclose(activations["l1.h"][:, 2], 0, atol=1e-6)


def test_its_distributions_are_certain_and_spike_at_every_ninth_step(observation):
    found = Posterior(resamples=20)(observation).metrics
    assert found["measure_spike_spacing"] == found["bar_spacing"] == K + 1
    assert found["entropy"] == pytest.approx(0, abs=1e-6)


def test_its_two_units_keep_the_time_of_a_bar_and_the_third_is_off(observation):
    found = Periodicity(sites=["l1.h"], resamples=20, dc=False)(observation)
    assert found.lists["l1.h/periodic"] in (["0", "1"], ["1", "0"])
    assert found.metrics["l1.h/periodic_units"] == pytest.approx(2 / 3)
    periods = [float(period) for period in found.lists["strong_periods"]]
    for harmonic in range(1, 5):
        assert min(abs(period - (K + 1) / harmonic) for period in periods) < 0.1
    assert Activations(resamples=20)(observation).lists["units_off"] == ["2"]


def test_the_second_unit_is_the_one_that_announces_bar_lines(observation):
    found = Timing(sites=["l1.h"], resamples=20)(observation)
    assert found.lists["l1.h/just_before"] == ["1"]
    row = found.tables["units"].set_index("unit").loc[1]
    assert (row["best_lag"], row["r"]) == (1, pytest.approx(1.0, abs=1e-5))


def test_its_states_repeat_with_the_bar_and_part_9s_numbers_say_so(observation):
    found = Gramians(sites=["l1.h"], resamples=20)(observation)
    gram, tokens = found.arrays["tune0"]["l1.h"], observation.tokens(0)[: len(observation.trace(0, "l1.h"))]
    place = np.concatenate([[-1, -1, -1], np.tile(np.arange(1, K + 2), BARS)])[: len(tokens)]
    np.testing.assert_allclose(gram[(place[:, None] == place) & (place > 0)], 1.0, atol=1e-6)
    assert found.metrics["probs/near_share_measure"] == 1.0
    assert found.metrics["probs/l1_at_repeats"] < found.metrics["probs/mean_l1"]


def test_with_the_counting_unit_cut_no_bar_line_is_written_and_with_the_others_cut_every_one(observation):
    for unit, bars in ((0, 0), (1, BARS), (2, BARS)):
        cut = applied(counting_network(), Cut(Indices((unit,)))).model
        tunes = generate(cut, V2, SAMPLING, 1)
        assert all(tune.tokens(V2)[: len(TUNE)].count("|") == bars for tune in tunes)


def test_all_its_bars_are_full(observation):
    assert TuneStatistics(resamples=20)(observation).metrics["full_bars"] == 1.0
    assert math.tanh(STEP * (K - 1)) < math.tanh(STEP * (K - 0.5)) < math.tanh(STEP * K)

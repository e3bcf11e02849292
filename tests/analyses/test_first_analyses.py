"""The analyses that run by default, on signals and tunes whose answers are known."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from analyses.activations import Activations
from analyses.drawings import stretch
from analyses.measures.distributions import entropy
from analyses.posterior import Posterior, spike_spacings
from analyses.tune_statistics import TuneStatistics, statistics, table_of
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.notation.bars import bars, parts
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, generate, input_tune
from folkrnn.vocabulary import V2


@pytest.fixture(scope="module")
def seen():
    torch.manual_seed(1)
    model = FolkRNN(units=32).eval()
    data = Corpus("one", [Tune(tuple(V2.decode(ids_of("fig1", V2))))])
    return Observation(model, V2, generate(model, V2, Sampling(tunes=5, max_tokens=30), seed=2), data)


@pytest.mark.parametrize("analysis", [Posterior(), Activations(), TuneStatistics(resamples=20)])
def test_every_figure_has_a_caption_and_every_number_is_finite(seen, analysis):
    found = analysis(seen)
    assert found.figures
    assert all(figure.caption and figure.drawing.axes for figure in found.figures.values())
    known = {name: value for name, value in found.metrics.items() if name != "measure_spike_spacing"}
    assert all(np.isfinite(value) for value in known.values())


@pytest.mark.parametrize("analysis", [Posterior(), Activations()])
def test_a_tune_of_one_token_is_drawn_too(analysis):
    model = FolkRNN(units=8).eval()
    analysis(Observation(model, V2, [input_tune([], V2)]))


def test_the_entropy_of_a_uniform_distribution_is_ln_of_its_size_and_of_a_certain_one_zero():
    distribution = np.array([np.full(137, 1 / 137), np.eye(137)[3]])
    np.testing.assert_allclose(entropy(distribution), [np.log(137), 0], atol=1e-12)


def test_spikes_planted_every_nine_steps_are_found_nine_apart():
    mass = np.full(100, 0.01)
    mass[4::9] = 0.9
    assert set(spike_spacings(mass, 0.5)) == {9}


def test_the_posterior_reports_the_mean_cost_of_the_tokens_that_followed(seen):
    found = Posterior()(seen)
    cost = -np.concatenate([np.log(t.probability) for t in seen.transcriptions])
    assert found.metrics["nats_per_token"] == pytest.approx(cost.mean(), rel=1e-4)


def test_shares_of_activations_count_what_their_thresholds_say(seen):
    values = seen.trace(0, "l3.h")
    row = Activations().measure(0, values)
    assert row["near_zero_share"] == pytest.approx((np.abs(values) < 0.07).mean())
    planted = np.zeros((10, 4))
    planted[3, 1], planted[:, 2], planted[0, 3] = 0.9, 0.99995, 0.5
    row = Activations().measure(0, planted)
    assert row["off_units"] == 1
    assert row["saturated_units"] == 1
    assert row["strong_units_per_step"] == pytest.approx(11 / 10)


def test_the_papers_first_figure_is_two_repeated_parts_of_eight_full_bars():
    row = statistics(V2.decode(ids_of("fig1", V2)))
    assert (row["bars"], row["full"], row["flaws"]) == (16, 16, 0)
    assert row["parts"] == "8: 8:"
    assert row["two_by_eight"]
    assert row["meter"] == "6/8"
    assert row["length"] == 108


def test_pickups_count_towards_the_part_and_miss_as_bars():
    row = statistics(V2.decode(ids_of("swing_swang_swung", V2)))
    assert row["parts"] == "8: 8:"
    assert row["bars"] - row["full"] == 4  # two pickups and the two short bars that they complete


def test_a_second_ending_belongs_to_no_part():
    tokens = "M:4/4 K:Cmaj |: C 8 | D 8 |1 E 8 :| |2 F 8 | |: G 8 | A 8 :|".split()
    assert [(repeated, float(length)) for repeated, length in parts(bars(tokens))] == [(True, 3.0), (True, 2.0)]


def test_the_golden_tune_counts_twenty_four_bars_of_eight():
    row = statistics(V2.decode(ids_of("seed42", V2)))
    assert (row["bars"], row["full"]) == (24, 24)


def test_generated_tunes_are_compared_with_the_data(seen):
    found = TuneStatistics(resamples=50)(seen)
    assert found.metrics["data_full_bars"] == 1.0
    assert found.metrics["full_bars_low"] <= found.metrics["full_bars"] <= found.metrics["full_bars_high"]
    same = replace(seen, transcriptions=[input_tune(ids_of("fig1", V2), V2)] * 3)
    assert TuneStatistics(resamples=50)(same).metrics["full_bars_ratio"] == 1.0


def test_real_tunes_count_as_the_facts_say(test_data):
    from folkrnn.datasets.files import tokens

    table = table_of([list(t.tokens) for t in tokens(str(test_data / "folkrnn_v2/data_v2_subset.txt.gz")).tunes[:4000]])
    assert table["full"].sum() / table["bars"].sum() == pytest.approx(0.885, abs=0.01)
    spacing = Counter()
    for t in tokens(str(test_data / "folkrnn_v2/data_v2_subset.txt.gz")).tunes[:1000]:
        if t.meter == "4/4":
            places = [k for k, token in enumerate(t.tokens) if token in ("|", "|:", ":|", "|1", "|2")]
            spacing.update(np.diff(places).tolist())
    assert spacing.most_common(1)[0][0] == 9


def test_one_tune_has_statistics_without_intervals(seen):
    one = replace(seen, transcriptions=[input_tune(ids_of("swing_swang_swung", V2), V2)])
    found = TuneStatistics(resamples=20)(one).metrics
    assert found["highest_in_turn"] == 1.0
    assert "full_bars_low" not in found
    assert "stepwise_low" not in found


@pytest.mark.parametrize(("analysis", "height"), [(Posterior(resamples=10), 16.0), (Activations(resamples=10), 12.0)])
def test_figures_of_a_long_tune_show_400_of_its_steps_and_say_so(analysis, height):
    ids = [V2.index["M:4/4"], V2.index["K:Cmaj"], *([V2.index["C"], V2.index["|"]] * 250)]
    figures = analysis(Observation(FolkRNN(units=8, layers=1).eval(), V2, [input_tune(ids, V2)])).figures
    assert max(figure.drawing.get_size_inches()[1] for figure in figures.values()) == pytest.approx(height)
    assert all("Of its 503 steps" in figure.caption for figure in figures.values())
    assert all(len(axes.lines) < 250 for figure in figures.values() for axes in figure.drawing.axes)


@pytest.mark.parametrize("steps", [1, 200, 201, 400, 401, 20_000])
def test_a_stretch_is_all_of_a_tune_or_its_beginning(steps):
    assert len(range(steps)[stretch.shown(steps)]) == min(steps, 400)
    assert bool(stretch.said(steps)) == (steps > 400)
    lines = stretch.spread(steps)
    assert (lines[0], lines[-1], len(lines)) == (0, steps - 1, min(steps, 200))
    assert bool(stretch.said_of_lines(steps)) == (steps > 200)


def test_a_letter_without_accidental_sounds_as_the_key_has_it():
    from analyses.measures.distributions import heights, mode_of

    def height(token, mode):
        return heights(V2, mode)[V2.index[token]]

    assert [height(token, "maj") for token in ("C", "E", "B", "=B", "_B", "e")] == [0, 4, 11, 11, 10, 16]
    assert [height(token, "min") for token in ("C", "E", "B", "=B", "_B", "e")] == [0, 3, 10, 11, 10, 15]
    assert [height(token, "mix") for token in ("E", "B", "B,")] == [4, 10, -2]
    assert np.isnan(height("z", "min"))
    minor = [V2.start, V2.index["M:4/4"], V2.index["K:Cmin"], V2.index["B"]]
    assert mode_of(np.array(minor), V2) == "min"
    assert mode_of(np.array(minor[:2]), V2) == "maj"


def test_one_tune_is_marked_where_several_have_shares():
    data = Corpus("two", [Tune(("M:4/4", "K:Cmaj", "C", "|")), Tune(("M:6/8", "K:Cdor", "D", "|"))])

    def bars_of(count):
        tunes = [input_tune([V2.index["M:4/4"], V2.index["K:Cmaj"], V2.index["C"]], V2)] * count
        figure = TuneStatistics(resamples=20)(Observation(FolkRNN(units=8).eval(), V2, tunes, data)).figures["counting"]
        return len(figure.drawing.axes[1].patches), "no shares" in figure.caption

    (alone, said), (several, unsaid) = bars_of(1), bars_of(2)
    assert several == 2 * alone
    assert said
    assert not unsaid

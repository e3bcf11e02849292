"""Periodic units and population numbers on planted activations."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from analyses.measures.places import bar_period, placed_bars
from analyses.periodicity import Periodicity
from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, generate, input_tune
from folkrnn.vocabulary import V2


@dataclass
class Planted(Observation):
    """An observation whose activations are given instead of a model's."""

    activations: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)

    def trace(self, k: int, site: str) -> np.ndarray:
        return self.activations[k, site]

    def each(self, sites) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for k in range(len(self.transcriptions)):
            yield k, {site: self.activations[k, site] for site in sites}


def tune(text: str):
    return input_tune(V2.encode(text), V2)


@pytest.fixture(scope="module")
def read():
    torch.manual_seed(3)
    model = FolkRNN(units=32).eval()
    return Observation(model, V2, [input_tune(ids_of("swing_swang_swung", V2), V2)])


def planted(columns: list[np.ndarray]) -> Planted:
    model = FolkRNN(units=len(columns), layers=1).eval()
    transcription = input_tune(ids_of("swing_swang_swung", V2), V2)
    return Planted(model, V2, [transcription], activations={(0, "l1.h"): np.stack(columns, axis=1)})


def test_exactly_the_units_with_a_planted_period_of_nine_are_selected():
    steps = np.arange(145)
    rng = np.random.default_rng(5)
    others = [np.cos(2 * np.pi * steps / p + 1) for p in (2.3, 5, 7, 12, 20, 40)]
    others += [np.eye(145)[60], np.full(145, 0.4), np.zeros(145), np.eye(145)[3] + np.eye(145)[100]]
    nine = [np.cos(2 * np.pi * steps / 9 + phase) + 0.5 * rng.normal(size=145) for phase in (0, 1, 2)]
    nine.append((steps % 9 == 4).astype(float))
    found = Periodicity(sites=["l1.h"])(planted([*others[:5], *nine, *others[5:]]))
    units = found.tables["units_tune0"]
    assert units.loc[units["periodic"], "unit"].tolist() == [5, 6, 7, 8]
    assert found.metrics["l1.h/periodic_units"] == pytest.approx(4 / 14)


def test_a_wider_threshold_selects_no_fewer_units(read):
    shares = [Periodicity(threshold=t)(read).metrics["l3.h/periodic_units"] for t in (0.01, 0.05, 0.2)]
    assert shares == sorted(shares, reverse=True)


def test_random_order_of_the_steps_is_the_chance_level():
    steps = np.arange(145)
    found = Periodicity(sites=["l1.h"])(planted([np.cos(2 * np.pi * steps / 9 + k) for k in range(40)]))
    assert found.metrics["l1.h/periodic_units"] == 1.0
    assert found.metrics["l1.h/chance"] < 0.4


def test_the_bar_period_is_that_of_the_tune():
    assert bar_period(TUNES["swing_swang_swung"].split()) == 9
    assert bar_period(TUNES["fig1"].split()) == 7
    assert np.isnan(bar_period("M:4/4 K:Cmaj C D E".split()))


def test_the_tunes_own_period_takes_the_place_of_nine(read):
    jig = replace(read, transcriptions=[input_tune(ids_of("fig1", V2), V2)])
    own = Periodicity(period="bar")(jig)
    assert own.tables["tunes"]["period"].tolist() == [7.0] * 3
    assert own.metrics["l1.h/periodic_units"] == own.metrics["l1.h/bar_periodic_units"]
    assert Periodicity()(jig).metrics["l1.h/bar_periodic_units"] == own.metrics["l1.h/periodic_units"]


def test_a_tune_of_one_token_has_no_share_and_is_drawn():
    model = FolkRNN(units=8).eval()
    found = Periodicity()(Observation(model, V2, [input_tune([], V2)]))
    assert np.isnan(found.metrics["l3.h/periodic_units"])
    assert all(figure.drawing.axes for figure in found.figures.values())


def test_a_period_longer_than_the_tune_is_nan_and_the_other_tunes_still_count(read):
    both = replace(read, transcriptions=[*read.transcriptions, tune("M:4/4 K:Cmaj C D E")])
    table = Periodicity()(both).tables["tunes"]
    assert table.groupby("tune")["periodic_units"].apply(lambda part: part.isna().all()).tolist() == [False, True]
    found = Periodicity()(both).tables["population"]
    assert (found["tunes"] == 1).all()


def test_the_population_is_the_mean_over_tunes_with_an_interval_around_it():
    torch.manual_seed(1)
    model = FolkRNN(units=24).eval()
    seen = Observation(model, V2, generate(model, V2, Sampling(tunes=6, max_tokens=80), seed=4))
    found = Periodicity(resamples=200)(seen)
    rows = found.tables["population"].dropna()
    assert len(rows)
    assert ((rows["low"] <= rows["mean"] + 1e-12) & (rows["mean"] <= rows["high"] + 1e-12)).all()
    table = found.tables["tunes"]
    part = table[table["site"] == "l2.h"]["periodic_units"]
    assert found.metrics["l2.h/periodic_units"] == pytest.approx(part.mean(), nan_ok=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"period": 600}, "periodicity.length=512"),
        ({"period": 1.5}, "2 steps"),
        ({"period": "bars"}, "'bar'"),
        ({"threshold": 0}, "share"),
        ({"length": 7}, "even number"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        Periodicity(**settings)


def test_a_layer_and_a_unit_that_do_not_exist_are_refused(read):
    with pytest.raises(UserError, match="layers 1 to 3"):
        Periodicity(sites=["l4.h"])(read)
    with pytest.raises(UserError, match="units 0 to 31"):
        Periodicity(units=[32])(read)


def test_named_units_are_the_ones_traced(read):
    analysis = Periodicity(units=[3, 17])
    units = analysis.unit_table(read, 0, "l3.h")
    assert [unit for unit, _ in analysis.shown_units(units, "l3.h")] == [3, 17]


def test_bars_know_their_part_and_role():
    placed = placed_bars(["<s>", *TUNES["swing_swang_swung"].split(), "</s>"])
    roles = {bar.role: bar.number for bar in placed if bar.part == 2 and bar.role}
    assert roles == {"pickup": 10, "first": 11, "after the middle": 15, "penultimate": 17}
    fig1 = placed_bars(["<s>", *TUNES["fig1"].split(), "</s>"])
    assert {bar.role: bar.number for bar in fig1 if bar.part == 2 and bar.role} == {
        "first": 9,
        "after the middle": 13,
        "penultimate": 15,
    }


def test_a_gru_is_looked_into_as_well():
    torch.manual_seed(0)
    model = FolkRNN(units=12, layers=2, cell="gru").eval()
    found = Periodicity()(Observation(model, V2, [input_tune(ids_of("fig1", V2), V2)]))
    assert {name.split("/")[0] for name in found.metrics} == {"l1.h", "l2.h"}


def test_a_class_that_steps_in_random_order_give_as_well_is_none():
    rng = np.random.default_rng(2)
    steps, period = 180, 9
    values = np.zeros((steps, 4))
    values[:, 0] = np.cos(2 * np.pi * np.arange(steps) / period) + np.cos(4 * np.pi * np.arange(steps) / period)
    values[[40, 47], 1] = 1.0  # two spikes: their spectrum has teeth wherever the two stand
    values[::20, 2] = 1.0
    values[:, 3] = rng.normal(size=steps)
    tokens = ["M:4/4", "K:Cmaj", *["C"] * (steps - 2)]
    observation = Observation(FolkRNN(units=4, layers=1).eval(), V2, [input_tune(V2.encode(tokens), V2)])
    observation._kept[0, "l1.h"] = values
    table = Periodicity(sites=["l1.h"], permutations=40).unit_table(observation, 0, "l1.h")
    assert table["class"][0] == "harmonic"
    assert table["class"][2] == table["shape"][2] == "pulse train"
    assert table["class"][3] == "other"
    assert (table["chance"][[0, 2]] < 0.05).all()

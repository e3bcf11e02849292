"""Labels of a tune that can be checked by hand, correlation ratios on planted activity, and significance under none."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
import torch
from statsmodels.api import OLS

from analyses.measures.events import VARIABLES, Variable, event_labels, first_row, identity
from analyses.measures.explained import Explained, corrected_significance, drawn_labels, labellings
from analyses.unit_events import NONE, UnitEvents
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2, token_type

TUNE = "<s> M:2/4 K:Cmin |: C 2 E G /2 G /2 | C 4 :| c 3 B | c 4 | </s>".split()


def words(tokens: list[str], name: str) -> list[str]:
    variable = next(v for v in VARIABLES if v.name == name)
    return [variable.categories[k] for k in event_labels(tokens)[name]]


@dataclass
class Planted(Observation):
    """An observation whose activations are given instead of a model's."""

    activations: dict[int, np.ndarray] = field(default_factory=dict)

    def traces(self, k: int, sites) -> dict[str, np.ndarray]:
        return dict.fromkeys(sites, self.activations[k])

    def trace(self, k: int, site: str) -> np.ndarray:
        return self.activations[k]

    def each(self, sites) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for k in range(len(self.transcriptions)):
            yield k, dict.fromkeys(sites, self.activations[k])


def observe(tunes: list[list[str]], activity) -> Planted:
    """Tunes read by a model whose one layer does what `activity(tokens) [N − 1, U]` says."""
    activations = {k: activity(tokens) for k, tokens in enumerate(tunes)}
    model = FolkRNN(units=activations[0].shape[1], layers=1).eval()
    return Planted(model, V2, [input_tune(V2.encode(tokens[1:-1]), V2) for tokens in tunes], activations=activations)


def some_tunes(n: int, seed: int = 0) -> list[list[str]]:
    """Bars of three to six notes of random pitches, four to nine of them, in two parts."""
    rng = np.random.default_rng(seed)
    tunes = []
    for _ in range(n):
        tokens = ["<s>", rng.choice(["M:4/4", "M:6/8"]), rng.choice(["K:Cmaj", "K:Cmin", "K:Cdor"]), "|:"]
        for bar in range(rng.integers(4, 9)):
            tokens += list(rng.choice(["C", "D", "E", "G", "2", "c"], rng.integers(3, 7)))
            tokens.append(":|" if bar == 2 else "|")
        tunes.append([*tokens, "</s>"])
    return tunes


def smooth_noise(rng: np.random.Generator, tokens: list[str]) -> np.ndarray:
    """A hundred units that follow themselves in time, and nothing else: moving averages over five steps."""
    white = rng.normal(size=(len(tokens) + 3, 100))
    return sum(white[lag : lag + len(tokens) - 1] for lag in range(5))


def test_the_header_is_left_out():
    assert first_row(TUNE) == 3
    assert {len(value) for value in event_labels(TUNE).values()} == {len(TUNE) - 1 - 3}


def test_token_read_and_token_next_are_one_row_apart():
    assert words(TUNE, "token read")[1:] == words(TUNE, "token next")[:-1]
    assert words(TUNE, "token next")[-1] == "transcription"


def test_steps_count_from_the_last_measure_token():
    assert words(TUNE, "steps in bar") == [*"01234567", *"012", *"0123", "0", "1", "2", "0"]


def test_time_counts_whole_eighths_that_have_sounded():
    # |: C 2 E G /2 G /2: the note C lasts until its duration has been read
    assert words(TUNE, "time in bar")[:9] == ["0", "0", "2", "3", "3", "3", "3", "4", "0"]


def test_bars_and_parts_begin_anew_after_a_repeat_sign():
    assert words(TUNE, "bar of part") == ["0", *"11111111", *"222", *"1111", *"222"]
    assert words(TUNE, "part") == ["none", *["1"] * 11, *["2"] * 7]


def test_a_repeat_is_open_between_its_signs():
    assert words(TUNE, "inside repeat") == ["yes"] * 11 + ["no"] * 8


def test_meter_and_mode_hold_throughout():
    assert set(words(TUNE, "meter")) == {"2/4"} and set(words(TUNE, "mode")) == {"min"}


def test_the_correlation_ratio_is_that_of_an_analysis_of_variance():
    rng = np.random.default_rng(1)
    tunes = [event_labels(tokens) for tokens in some_tunes(5)]
    values = [rng.normal(size=(len(tune["part"]), 3)) + tune["steps in bar"][:, None] for tune in tunes]
    sums = Explained.empty(VARIABLES, 3, 3)
    for k, drawn in enumerate(labellings(tunes, VARIABLES, 3, rng)):
        sums.add(values[k], drawn_labels(k, tunes, VARIABLES, *drawn))
    y = np.concatenate(values)
    for place, variable in enumerate(VARIABLES):
        x = np.concatenate([tune[variable.name] for tune in tunes])
        between = sum((x == c).sum() * (y[x == c].mean(0) - y.mean(0)) ** 2 for c in np.unique(x))
        expected = between / ((y - y.mean(0)) ** 2).sum(0)
        if len(np.unique(x)) > 1:
            np.testing.assert_allclose(sums.correlation_ratios()[0, place], expected, rtol=1e-4)


def test_the_share_that_is_left_when_chance_is_taken_off_counts_categories_of_a_single_row_too():
    rng = np.random.default_rng(2)
    variable = Variable("kind", "what kind", ("often", "twice", "once", "never"))
    kinds = np.array([0] * 12 + [1, 1, 2], np.int16)
    values = rng.normal(size=(len(kinds), 3))
    sums = Explained.empty([variable], 0, 3)
    sums.add(values, kinds[None, None])
    design = np.stack([kinds == k for k in range(3)], axis=1).astype(float)
    expected = [OLS(column, design).fit().rsquared_adj for column in values.T]
    np.testing.assert_allclose(sums.result().adjusted[0], expected, rtol=1e-5)


def test_a_unit_that_does_what_a_variable_says_belongs_to_it():
    def activity(tokens: list[str]) -> np.ndarray:
        rows = np.zeros((len(tokens) - 1, 5))
        found, start = event_labels(tokens), first_row(tokens)
        rng = np.random.default_rng(len(tokens))
        for unit, name in enumerate(("token next", "bar of part", "part", "mode")):
            rows[start:, unit] = np.sin(3.0 * found[name] + unit) + 0.1 * rng.normal(size=len(found[name]))
        rows[:, 4] = rng.normal(size=len(rows))
        return rows

    found = UnitEvents(sites=["l1.h"], shuffles=39)(observe(some_tunes(40), activity))
    units = found.tables["units"]
    assert units["variable"].tolist() == ["token next", "bar of part", "part", "mode", NONE]
    assert (units["significance"][:4] <= 0.05).all()
    assert found.metrics["l1.h/explained_units"] == pytest.approx(0.8)


def test_a_unit_that_answers_to_single_tokens_belongs_to_the_token_and_one_to_their_type_to_the_type():
    def activity(tokens: list[str]) -> np.ndarray:
        rows = np.zeros((len(tokens) - 1, 3))
        rng = np.random.default_rng(len(tokens))
        for t, token in enumerate(tokens[:-1]):
            rows[t] = [hash_of(token), float(token_type(token) == "pitch"), float(token == ":|")]
        return rows + 0.02 * rng.normal(size=rows.shape)

    found = UnitEvents(sites=["l1.h"], shuffles=39)(observe(some_tunes(40), activity))
    units = found.tables["units"]
    assert units["variable"].tolist() == ["token", "token read", "measure token"]
    assert units["token_adjusted"].min() > 0.8
    assert units["adjusted"].max() <= 1


def hash_of(token: str) -> float:
    return np.sin(7.0 * V2.index[token])


def test_what_many_answers_explain_of_noise_is_taken_off():
    tunes = some_tunes(5)
    observation = observe(tunes, lambda tokens: np.random.default_rng(len(tokens)).normal(size=(len(tokens) - 1, 50)))
    analysis = UnitEvents(sites=["l1.h"], shuffles=19)
    tokens = [observation.tokens(k) for k in range(5)]
    variables = (identity(tokens), *VARIABLES)
    result = analysis.gather(observation, ["l1.h"], tokens, variables)["l1.h"]
    assert result.ratios[0, 0].mean() > 0.02
    assert abs(result.adjusted[0].mean()) < 0.02


def test_nothing_is_found_in_noise_more_often_than_the_significance_says():
    """Thirty experiments at 0.1 with a hundred units each: more than eight false alarms have a chance of 0.002."""
    alarms = 0
    for seed in range(30):
        observation = observe(some_tunes(6, seed), partial(smooth_noise, np.random.default_rng(seed)))
        found = UnitEvents(sites=["l1.h"], shuffles=19, significance=0.1)(observation)
        alarms += (found.tables["units"]["variable"] != NONE).any()
    assert alarms <= 8


def test_significance_is_the_rank_among_the_largest_of_the_shuffles():
    true, shuffled = np.array([5.0, 2.5, np.nan]), np.array([[1.0, 2, 0], [3, 0, 0], [0, 2, 4]])
    (found,) = corrected_significance([np.vstack([true, shuffled])])
    np.testing.assert_array_equal(found, [1 / 4, 3 / 4, np.nan])


def test_tunes_do_not_depend_on_the_order_in_which_they_are_traced():
    torch.manual_seed(2)
    model = FolkRNN(units=24, layers=2).eval()
    tunes = [input_tune(V2.encode(tokens[1:-1]), V2) for tokens in some_tunes(5)]
    one, other = (
        UnitEvents(sites=["l*.c"], shuffles=19)(Observation(model, V2, tunes)).tables["units"] for _ in range(2)
    )
    assert one.equals(other)


def test_a_tune_too_short_to_shuffle_is_refused():
    short = Observation(FolkRNN(units=8).eval(), V2, [input_tune(V2.encode("M:4/4 K:Cmaj C"), V2)])
    with pytest.raises(UserError, match="at least 8 tokens"):
        UnitEvents()(short)


def test_too_few_shuffles_for_the_significance_are_refused():
    with pytest.raises(UserError, match=r"smallest that can be reached is 0\.05"):
        UnitEvents(shuffles=19, significance=0.01)

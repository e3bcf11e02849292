"""Doses at which half is lost, on planted tunes."""

import math

import numpy as np
import pytest

from analyses.dose_response import Condition, compare, crossing, dose_key
from analyses.measures.divergence import PARTS
from analyses.measures.tune_quantities import QUANTITIES

NAMES = list(QUANTITIES)
TUNES, BARS = 40, 20


def sums(values: dict[str, float]) -> np.ndarray:
    """Sums of TUNES equal tunes with these ratios; 0.5 for what is not named."""
    rows = [[values.get(name, 0.5) * BARS, BARS] for name in NAMES]
    return np.broadcast_to(np.array(rows), (TUNES, len(NAMES), 2)).copy()


def tunes(
    counting: float, melody: float, divergence: float = 0.1, random: float | None = None
) -> dict[str, np.ndarray]:
    """The arrays of one job in which these shares of counting and of stepwise motion are kept."""
    changed = {"full_bars": 0.1 + 0.8 * counting, "stepwise": 0.2 + 0.4 * melody, "in_scale": 0.5}
    distributions = np.broadcast_to(np.array([[divergence * 100, 100.0]] * len(PARTS)), (TUNES, len(PARTS), 2)).copy()
    found = {
        "control": sums({"full_bars": 0.9, "stepwise": 0.6, "in_scale": 7 / 12}),
        "floor": sums({"full_bars": 0.1, "stepwise": 0.2}),
        "changed": sums({**changed, "in_scale": 7 / 12}),
        "divergence": distributions,
    }
    if random is not None:
        found["matched"] = np.stack([sums({"full_bars": 0.1 + 0.8 * random, "stepwise": 0.6, "in_scale": 7 / 12})] * 3)
        found["matched_divergence"] = np.stack([distributions] * 3)
    return found


def job(tunes: dict[str, np.ndarray], **varied: str) -> Condition:
    return Condition({key.replace("__", "."): value for key, value in varied.items()}, tunes)


@pytest.mark.parametrize(
    ("doses", "kept", "expected"),
    [
        ([0, 0.2, 0.4], [1, 0.75, 0.25], 0.3),
        ([0, 0.2, 0.4], [1, 0.5, 0.2], 0.2),
        ([0.4, 0, 0.2], [0.25, 1, 0.75], 0.3),
        ([0, 1], [1, 0.9], math.inf),
        ([10, 30, 137], [0.1, 0.9, 1.0], 20),
        ([0, 1, 2, 3], [1, 0.2, 0.8, 0.1], 0.625),
        ([0, 1, 2], [1, math.nan, 0], 1.0),
    ],
)
def test_half_is_lost_where_the_line_between_doses_crosses_one_half(doses, kept, expected):
    assert crossing(np.array(doses, float), np.array(kept, float)) == pytest.approx(expected)


def test_nothing_can_be_said_where_half_was_lost_before_the_first_dose():
    assert math.isnan(crossing(np.array([0.1, 0.2]), np.array([0.4, 0.1])))


def test_the_dose_is_the_amount_that_was_varied_most():
    jobs = [
        job({}, intervention=name, cut__fraction=dose, cut__layer=layer, seed=seed)
        for name in ("cut_periodic", "cut_random")
        for dose in ("0.1", "0.2")
        for layer in ("1", "2", "3")
        for seed in ("1", "2", "3", "4")
    ]
    assert dose_key(jobs) == "cut.fraction"
    assert dose_key([job({}, seed="1"), job({}, seed="2")]) is None
    assert dose_key([job({}, intervention="a"), job({}, intervention="b")]) is None


def test_the_planted_half_doses_are_found():
    doses = ("0.1", "0.2", "0.3", "0.4")
    jobs = [job(tunes(1 - 2 * float(d), 1 - 4 * float(d), random=1.0), cut__fraction=d) for d in doses]
    found = compare(jobs, np.random.default_rng(0))
    assert found.metrics["counting_half_dose"] == pytest.approx(0.25)
    assert found.metrics["counting_half_dose_low"] == pytest.approx(0.25)
    assert found.metrics["counting_half_dose_high"] == pytest.approx(0.25)
    halves = found.tables["half_doses"].set_index(["series", "ability"])
    assert halves.loc[("random units", "counting"), "half_dose"] == math.inf
    assert found.metrics["random_units/counting_half_lost"] == 0
    # three of the four melodic quantities stay as they were or cannot be said; stepwise motion alone falls
    table = found.tables["dose_response"]
    melody = table[table["series"] == ""]["melody"].to_numpy()
    assert np.all(np.diff(melody) <= 0)
    assert "not half lost within these doses" in found.figures["dose_response"].caption


def test_what_is_more_than_half_lost_at_every_dose_counts_as_lost():
    jobs = [job(tunes(0.3, 1.0), noise__deviation=dose) for dose in ("0.1", "0.2")]
    found = compare(jobs, np.random.default_rng(0))
    assert found.metrics["counting_half_lost"] == 1
    assert "counting_half_dose" not in found.metrics
    assert "of counting less than half is left at the first dose" in found.figures["dose_response"].caption.lower()


def test_seeds_are_taken_together_and_interventions_apart():
    jobs = [
        job(tunes(level, 1.0), intervention=name, cut__fraction=dose, seed=seed)
        for name, levels in (("cut_periodic", (0.8, 0.2)), ("cut_random", (1.0, 0.9)))
        for dose, level in zip(("0.1", "0.3"), levels, strict=True)
        for seed in ("1", "2", "3")
    ]
    table = compare(jobs, np.random.default_rng(0)).tables["dose_response"]
    assert table["series"].tolist() == ["cut_periodic"] * 2 + ["cut_random"] * 2
    assert set(table["tunes"]) == {3 * TUNES}
    assert table["counting"].tolist() == pytest.approx([0.8, 0.2, 1.0, 0.9])


def test_a_job_that_died_leaves_a_gap_and_no_error():
    jobs = [job(tunes(1 - float(d), 1.0), cut__fraction=d, seed=s) for d in ("0.2", "0.8") for s in ("1", "2")][:-1]
    table = compare(jobs, np.random.default_rng(0)).tables["dose_response"]
    assert table["tunes"].tolist() == [2 * TUNES, TUNES]


def test_without_a_dose_there_is_no_curve():
    assert compare([job(tunes(1, 1), seed="1"), job(tunes(1, 1), seed="2")], np.random.default_rng(0)) is None

"""What a run found, in words."""

from __future__ import annotations

import pytest

from folkrnn.analysis import main_of
from folkrnn.findings import Findings, Main
from folkrnn.report.sentences import FormattedNumber, sentences

FULL = Main("{:%} of the bars are full", "data_full_bars", "the data")
COST = Main("A token costs {} nats")
BARS = {"full_bars": 0.8319, "full_bars_low": 0.79, "full_bars_high": 0.867, "data_full_bars": 0.93}


@pytest.mark.parametrize(
    ("number", "spec", "words"),
    [
        (FormattedNumber(0.8319), "%", "83 %"),
        (FormattedNumber(0.0123), "%", "1.2 %"),
        (FormattedNumber(-0.5), "%", "−50 %"),
        (FormattedNumber(1.0321), "", "1.03"),
        (FormattedNumber(5599881.0), "", "5,599,881"),
        (FormattedNumber(0.5, 0.41234, 0.6), "", "0.5 (0.412 to 0.6)"),
    ],
)
def test_a_number_stands_in_a_sentence_with_its_interval(number, spec, words):
    assert format(number, spec) == words


def test_a_sentence_gives_the_number_its_interval_and_every_control():
    found = {"tune_statistics": Findings(BARS, main={"full_bars": FULL})}
    controls = {"shuffled": {"tune_statistics": Findings({"full_bars": 0.1})}}
    (said,) = sentences(found, controls)
    assert said == "83 % (79 % to 87 %) of the bars are full (the data: 93 %; shuffled tokens: 10 %)."


def test_what_an_intervention_leaves_stands_beside_what_nothing_changes():
    found = {"effect": Findings({"kept": 0.4}, main={"kept": Main("{:%} is kept")}, null={"kept": 0.95})}
    assert sentences(found, {}) == ["40 % is kept (where nothing is changed: 95 %)."]


def test_every_analysis_speaks_once_before_one_speaks_twice():
    several = {"a": COST, "b": Main("b is {}"), "c": Main("c is {}")}
    found = {
        "first": Findings(dict.fromkeys("abc", 1.5), main=several),
        "second": Findings({"a": float("nan"), "b": 2.5}, main={"b": several["b"]}),
        "brought": Findings({"a": 1.0}),
    }
    assert sentences(found, {}, most=3) == ["A token costs 1.5 nats.", "b is 2.5.", "b is 1.5."]


def test_the_number_of_the_last_layer_is_the_main_one_with_its_own_control():
    declared = {"l*.h/share": Main("{:%}", "l*.h/control", "chance"), "other": COST}
    metrics = {"l1.h/share": 1.0, "l1.h/control": 0.0, "l2.h/share": 0.5, "l2.h/control": 0.2}
    assert main_of(declared, metrics) == {"l2.h/share": Main("{:%}", "l2.h/control", "chance")}
    assert main_of(declared, {"else": 1.0}) is None

"""Which claims hold, and what is said of those that cannot be judged."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from folkrnn.claims import Circumstances, judge, table
from folkrnn.claims.claim import read_claim

HERE = Circumstances(
    {"tune": "fig1", "intervention": [], "cut.fraction": None, "control": "none"}, layers=3, ran=frozenset({"a"})
)


def claim(**entry: object):
    plain = {"id": "x", "statement": "S.", "quantity": "a/q", "criterion": "value > 1", "scope": "any"}
    return read_claim(plain | entry, "part0")


def verdict(found: dict, beside: dict | None = None, here: Circumstances = HERE, **entry: object):
    return judge([claim(**entry)], found, {"untrained": beside} if beside else {}, here)[0]


def test_a_claim_holds_if_its_criterion_does():
    assert verdict({"a/q": 2.0}).status == "holds"
    assert verdict({"a/q": 0.5}).status == "does not hold"


def test_the_ends_of_an_interval_are_the_value_where_there_is_none():
    assert verdict({"a/q": 2.0}, criterion="low > 1").status == "holds"
    assert verdict({"a/q": 2.0, "a/q_low": 0.5, "a/q_high": 3.0}, criterion="low > 1").status == "does not hold"


def test_an_analysis_that_did_not_run_is_named():
    found = verdict({}, quantity="b/q")
    assert (found.status, found.why) == ("n/a", "run with analysis=b")


def test_a_claim_that_needs_a_control_says_how_to_get_one():
    needs = verdict({"a/q": 2.0}, criterion="value > control")
    assert (needs.status, "control=untrained" in needs.why) == ("n/a", True)
    assert verdict({"a/q": 2.0}, {"a/q": 1.0}, criterion="value > control").status == "holds"
    assert verdict({"a/q": 2.0, "a/c": 3.0}, criterion="value > control", control="a/c").status == "does not hold"


def test_a_number_of_v2_is_judged_for_v2_alone_and_shows_the_models_own_beside_it():
    other = verdict({"a/q": 2.0}, scope="v2")
    assert (other.status, other.value) == ("n/a", 2.0)
    assert verdict({"a/q": 2.0}, here=replace(HERE, is_v2=True), scope="v2").status == "holds"
    assert verdict({"a/q": 2.0}, scope="data_v2").status == "n/a"
    assert verdict({"a/q": 2.0}, here=replace(HERE, is_data_v2=True), scope="data_v2").status == "holds"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_not_judged(value):
    found = verdict({"a/q": value})
    assert (found.status, found.why) == ("n/a", "a/q has no value here")


def test_a_claim_about_one_tune_or_one_setting_is_judged_there_alone():
    assert verdict({"a/q": 2.0}, given={"tune": "fig1"}).status == "holds"
    other = verdict({"a/q": 2.0}, given={"tune": "seed42"})
    assert (other.status, other.why) == ("n/a", "stated for transcription=seed42")
    third = replace(HERE, settings=dict(HERE.settings) | {"cut.fraction": 0.33, "intervention": ["cut_periodic"]})
    assert verdict({"a/q": 2.0}, here=third).why == "stated for the model as it is, without an intervention"
    given = {"cut.fraction": 0.33, "intervention": ["cut_periodic"]}
    assert verdict({"a/q": 2.0}, here=third, given=given).status == "holds"


def test_layers_are_those_of_the_model_at_hand():
    five = replace(HERE, layers=5)
    assert verdict({"a/l5.h/q": 2.0}, here=five, quantity="a/{last}.h/q").status == "holds"
    assert verdict({"a/l3.h/q": 2.0}, here=five, quantity="a/{middle}.h/q").status == "holds"
    gru = replace(HERE, cell="gru")
    assert verdict({"a/l1.n/q": 2.0}, here=gru, quantity="a/{first}.{cell}/q").status == "holds"


def test_published_units_are_compared_in_our_counting():
    entry = {
        "quantity": "a/units",
        "published": [139, 219],
        "units_base": 1,
        "criterion": "found(value, published) == 1",
    }
    assert verdict({"a/units": ["138", "218"]}, **entry).status == "holds"
    assert verdict({"a/units": ["139", "219"]}, **entry).status == "does not hold"


def test_the_table_has_a_row_per_claim_with_numbers_and_lists_as_text():
    found = table(
        [verdict({"a/q": 1 / 3}, published=[1, 2], criterion="value > 0"), verdict({}, quantity="b/q", published=4.92)]
    )
    assert found["value"].tolist() == ["0.333333", ""]
    assert found["published"].tolist() == ["1 2", "4.92"]
    assert found["verdict"].tolist() == ["holds", "n/a"]


@pytest.mark.parametrize(("name", "words"), [("untrained", "an untrained network"), ("shuffled", "shuffled tokens")])
def test_a_criterion_that_holds_on_a_control_does_not_depend_on_the_model(name, words):
    found = judge([claim()], {"a/q": 2.0}, {name: {"a/q": 1.5}}, HERE)[0]
    assert (found.status, found.why) == ("does not depend on the model", f"so it is of {words}")
    assert judge([claim()], {"a/q": 2.0}, {name: {"a/q": 0.5}}, HERE)[0].status == "holds"
    assert judge([claim()], {"a/q": 0.5}, {name: {"a/q": 1.5}}, HERE)[0].status == "does not hold"
    assert judge([claim()], {"a/q": 2.0}, {name: {}}, HERE)[0].status == "holds"


def test_a_claim_of_no_effect_is_to_hold_where_nothing_is_changed_and_any_other_is_not():
    null = {"null": {"a/q": 1.5}}
    assert judge([claim()], {"a/q": 2.0}, null, HERE)[0].status == "does not depend on the model"
    assert judge([claim(unaffected=True)], {"a/q": 2.0}, null, HERE)[0].status == "holds"


def test_a_claim_that_says_nothing_of_the_order_of_tokens_may_hold_of_shuffled_ones():
    controls = {"untrained": {"a/q": 0.5}, "shuffled": {"a/q": 1.5}}
    assert judge([claim()], {"a/q": 2.0}, controls, HERE)[0].status == "does not depend on the model"
    assert judge([claim(any_order=True)], {"a/q": 2.0}, controls, HERE)[0].status == "holds"


def test_a_statement_about_something_else_does_not_depend_on_the_model_but_may_be_wrong():
    found = verdict({"a/q": 2.0}, about="the tune")
    assert (found.status, found.why) == ("does not depend on the model", "about the tune")
    assert verdict({"a/q": 0.5}, about="the tune").status == "does not hold"


def test_a_criterion_may_speak_of_both_controls_and_the_first_is_the_control():
    controls = {"untrained": {"a/q": 1.0}, "shuffled": {"a/q": 3.0}}
    for criterion, status in (
        ("value > control", "holds"),
        ("value > untrained", "holds"),
        ("value > shuffled", "does not hold"),
    ):
        entry = {"criterion": criterion, "any_order": True}
        assert judge([claim(**entry)], {"a/q": 2.0}, controls, HERE)[0].status == status
    lacking = judge([claim(criterion="value > shuffled")], {"a/q": 2.0}, {"untrained": {}}, HERE)[0]
    assert (lacking.status, "control=shuffled" in lacking.why) == ("n/a", True)


def test_what_was_learned_is_judged_where_it_can_be_told_from_what_was_drawn():
    entry = {"quantity": "a/{learned}q", "criterion": "value > control"}
    controls = {"untrained": {"a/q": 1.0}}
    found = judge([claim(**entry)], {"a/q": 0.5, "a/learned/q": 2.0}, controls, replace(HERE, learned=True))[0]
    assert (found.status, found.value, found.control) == ("holds", 2.0, 1.0)
    whole = judge([claim(**entry)], {"a/q": 0.5}, controls, HERE)[0]
    assert (whole.status, whole.value) == ("does not hold", 0.5)


def test_the_table_says_what_is_found_on_each_control_and_where_the_criterion_holds():
    controls = {"untrained": {"a/q": 1.5}, "shuffled": {"a/q": 0.5}}
    (row,) = table(judge([claim()], {"a/q": 2.0}, controls, HERE)).to_dict("records")
    assert (row["untrained"], row["shuffled"], row["null"], row["holds_on"]) == ("1.5", "0.5", "", "untrained")

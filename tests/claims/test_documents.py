"""The documents that ship: every claim is well formed and asks for what exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from folkrnn.claims import Circumstances, document, documents
from folkrnn.claims.claim import read_claim
from folkrnn.claims.judge import named
from folkrnn.config.settings import known_keys
from folkrnn.errors import UserError

CONF = Path(__file__).parents[2] / "conf"
ANALYSES = {path.stem for path in (CONF / "analysis").glob("*.yaml")} | {"summary", "validation", "baseline"}
CLAIMS = [claim for name in documents() for claim in document(name).claims]
ENTRY = {"id": "1", "statement": "s", "quantity": "a/b", "criterion": "value > 0", "scope": "any"}


@pytest.mark.parametrize("name", documents())
def test_every_document_has_a_title_and_claims_with_numbers_of_their_own(name):
    found = document(name)
    assert found.title
    assert found.claims
    assert len({claim.id for claim in found.claims}) == len(found.claims)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.source}-{claim.id}")
def test_every_claim_asks_an_analysis_that_there_is_and_says_a_sentence(claim):
    assert set(claim.analyses) <= ANALYSES
    assert claim.statement.endswith((".", ")", "=C,"))
    for quantity in claim.quantities:
        assert "{" not in named(quantity, Circumstances({}))


def test_every_condition_of_a_claim_is_a_setting_that_there_is():
    known = {"tune", "intervention", "control", "sizes", "magenta", *known_keys([CONF])}
    assert {key for claim in CLAIMS for key in claim.given} <= known


def test_a_number_of_v2_is_never_said_to_hold_for_any_model():
    for claim in CLAIMS:
        assert claim.scope != "v2" or "control" not in claim.criterion.names


def test_the_facts_rows_of_parts_2_3_5_6_7_and_9_are_all_there():
    ids = {claim.source: {c.id.split("-")[0] for c in CLAIMS if c.source == claim.source} for claim in CLAIMS}
    assert {"2a", "2b", "2c", "2d"} <= ids["part2"]
    assert {"3a", "3b", "3c"} <= ids["part3"]
    assert {"5a", "5b", "5c", "5d", "5e", "5f", "5g"} <= ids["part5"]
    assert {"6a", "6b", "6c", "6d", "6e"} <= ids["part6"]
    assert {"7a", "7b", "7c", "7d", "7e", "7f", "7g"} <= ids["part7"]
    assert {"9a", "9b", "9c", "9d", "9e", "9f", "9g", "9h"} <= ids["part9"]


@pytest.mark.parametrize(
    "change",
    [
        {"scope": "all"},
        {"quantity": "nowhere"},
        {"criterion": "valeu > 0"},
        {"criterion": "value."},
        {"publisht": 3},
        {"statement": None},
    ],
)
def test_a_claim_that_is_not_well_formed_is_refused_with_its_name(change):
    entry = {key: value for key, value in (ENTRY | change).items() if value is not None}
    with pytest.raises(UserError, match="claim 1"):
        read_claim(entry, "part0")


def test_a_document_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="part5"):
        document("part55")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.sites import Site, parse

SITES = FolkRNN(units=8, layers=3).sites


def test_a_star_stands_for_anything_but_a_dot():
    assert [s.name for s in parse("l*.h", SITES)] == ["l1.h", "l2.h", "l3.h"]
    assert not any(s.name.endswith(".pre") for s in parse("l*.*", SITES))
    assert {s.name for s in parse("*", SITES)} == {"x", "logits", "probs"}


def test_units_are_listed_or_sliced():
    assert parse("l3.h[6,1,2]", SITES) == [Site("l3.h", (6, 1, 2))]
    assert parse("l3.h[2:5]", SITES) == [Site("l3.h", (2, 3, 4))]
    assert str(parse("l3.h[2:5]", SITES)[0]) == "l3.h[2,3,4]"


@given(st.lists(st.sampled_from(sorted(SITES)), max_size=10))
def test_every_site_names_itself_once(names):
    assert [s.name for s in parse(names, SITES)] == list(dict.fromkeys(names))


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("l4.h", "layers 1 to 3"),
        ("l1.q", "no site"),
        ("l3.h[8]", "units 0 to 7"),
        ("l3.h[]", "no unit"),
        ("l3 h", "not a site"),
        ("l3.hh", "did you mean"),
    ],
)
def test_a_site_that_is_not_there_is_refused_with_what_there_is(pattern, says):
    with pytest.raises(UserError, match=says):
        parse(pattern, SITES)

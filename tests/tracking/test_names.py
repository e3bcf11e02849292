from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from folkrnn.tracking.names import allowed_name, file_name, flatten
from folkrnn.vocabulary import V2


@given(st.text(max_size=300))
def test_every_name_becomes_one_that_mlflow_takes(name):
    _validate_metric_name(allowed_name(name))
    _validate_param_name(allowed_name(name))


@given(st.text(st.sampled_from("abz019_.- l3h"), min_size=1, max_size=20).filter(lambda name: name not in (".", "..")))
def test_an_allowed_name_stays_as_it_is(name):
    assert allowed_name(name) == name
    assert allowed_name(f"activations/{name}/mean") == f"activations/{name}/mean"


def test_the_tokens_of_v2_keep_different_names():
    assert len({allowed_name(f"probability/{token}") for token in V2.tokens}) == 137


def test_units_in_brackets_stay_readable():
    assert allowed_name("activations/l3.h[60]/mean") == "activations/l3.h.60/mean"
    assert allowed_name("p(x)") == "p.x"


def test_a_nested_configuration_becomes_flat_parameters():
    nested = {
        "model": {"layers": 3, "dropout": 0.5, "cell": "lstm"},
        "units": [60, 97, 156],
        "edits": [{"kind": "cut", "units": {}}, {"kind": "noise"}],
        "seed": None,
        "fast": True,
    }
    assert flatten(nested) == {
        "model.layers": "3",
        "model.dropout": "0.5",
        "model.cell": "lstm",
        "units": "[60, 97, 156]",
        "edits.0.kind": "cut",
        "edits.0.units": "{}",
        "edits.1.kind": "noise",
        "seed": "null",
        "fast": "true",
    }


def test_a_long_value_is_cut_at_6000_characters_and_shows_it():
    (value,) = flatten({"prime": "G" * 7000}).values()
    assert len(value) == 6000
    assert value.endswith("…")


def test_file_names_have_no_folders_in_them():
    assert file_name("posterior/p(x) of |:") == "posterior_p_x_of_"
    assert file_name("../..") == "_"

"""The runs of a store as a frame, and what a run filed, by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import folkrnn
from folkrnn.errors import UserError
from folkrnn.findings import Findings
from folkrnn.tracking import open_store, parent_run, start_parent, start_run

DOSES = (0.05, 0.2, 0.4)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store with a sweep of three cuts, one of which failed, and a run of another kind."""
    home = tmp_path_factory.mktemp("results")
    store = open_store(None, "folkrnn", home)
    parent = start_parent(store, "part6", overrides=["-m", "experiment=part6"])
    for dose in DOSES:
        words = ["experiment=part6", f"cut.fraction={dose}"]
        with start_run(store, f"{dose}", home / f"{dose}", overrides=words, parent=parent) as run:
            run.log_params({
                "seed": 1, "cut": {"fraction": dose, "layer": None}, "model": {"_target_": "x.Y", "name": "folkrnn"},
                "intervention": {"cut_periodic": {"period": 9}}, "sampling": {"prime": "M:4/4 K:Cmaj"},
            })  # fmt: skip
            tables = {"tunes": pd.DataFrame({"tune": [0, 1], "kept": [dose, 1.0]})}
            run.log_findings(
                "effect", Findings({"kept": 1 - dose}, {}, tables, {"distributions": {"p": np.arange(3.0)}})
            )
            if dose == DOSES[-1]:
                run.log_failure("other", ValueError("no"))
    parent_run(store, parent, home / "parent").finish("FINISHED")
    with start_run(store, "quick", home / "quick", overrides=["experiment=quick"]) as run:
        run.log_params({"seed": 2, "analysis": {"posterior": {"tune": 0}, "timing": {"tune": 0}}})
        run.log_metrics({"posterior/entropy": 1.5})
    return home


def names(home, query):
    return sorted(folkrnn.results(query, folder=home)["name"])


def test_every_run_but_the_parent_of_a_sweep_is_a_row_by_its_id(home):
    frame = folkrnn.results(folder=home)
    assert sorted(frame["name"]) == ["0.05", "0.2", "0.4", "quick"]
    assert frame.index.name == "run"
    assert frame.loc[frame["name"] == "0.2", "effect/kept"].tolist() == [0.8]


def test_parameters_have_their_types_and_their_order(home):
    frame = folkrnn.results("experiment=part6", folder=home)
    assert frame["cut.fraction"].dtype == float
    assert frame["seed"].dtype == int
    assert set(frame["model"]) == {"folkrnn"}
    assert frame["intervention"].iloc[0] == ["cut_periodic"]
    assert not [column for column in frame.columns if "_target_" in column]
    assert "cut.layer" not in frame.columns  # of no use: nobody set it
    assert list(frame.columns).index("cut.fraction") < list(frame.columns).index("effect/kept")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("experiment=part6 and cut.fraction>0.1", ["0.2", "0.4"]),
        ("experiment=part6 and cut.fraction>0.1 and status=FINISHED", ["0.2"]),
        ("cut.fraction<=0.05 or experiment = quick", ["0.05", "quick"]),
        ("not (cut.fraction >= 0.2)", ["0.05", "quick"]),
        ("effect/kept>0.9", ["0.05"]),
        ("analysis=timing", ["quick"]),
        ("sampling.prime='M:4/4 K:Cmaj' and seed!=2", ["0.05", "0.2", "0.4"]),
        ("seed=3", []),
    ],
)
def test_a_query_chooses_runs(home, query, found):
    assert names(home, query) == found


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("cut.fractions>0.1", r"no run has 'cut.fractions' \(did you mean cut.fraction\?\)"),
        ("seed=1 and __import__('os')", "is no condition"),
        ("seed=1 seed=2", "is no query"),
        ("(seed=1", "is no query"),
    ],
)
def test_what_is_no_query_is_refused_in_one_line(home, query, said):
    with pytest.raises(UserError, match=said) as refused:
        folkrnn.results(query, folder=home)
    assert "\n" not in str(refused.value)


def test_tables_and_arrays_of_a_run_are_there_by_name(home):
    (run,) = folkrnn.results("cut.fraction=0.2", folder=home).index
    one = folkrnn.result(run, folder=home)
    assert "effect_tunes" in one.tables
    assert one.table("effect_tunes")["kept"].tolist() == [0.2, 1.0]
    assert one.arrays_filed == ["effect_distributions"]
    assert one.arrays("effect_distributions")["p"].tolist() == [0.0, 1.0, 2.0]
    assert "cut_periodic" in one.text("config.yaml")
    with pytest.raises(UserError, match=r"no tables/effect_tune.csv \(did you mean effect_tunes\?\)"):
        one.table("effect_tune")


def test_a_store_that_is_not_there_is_refused_and_none_is_made(tmp_path):
    with pytest.raises(UserError, match="no tracking store"):
        folkrnn.results(folder=tmp_path)
    assert not list(tmp_path.iterdir())

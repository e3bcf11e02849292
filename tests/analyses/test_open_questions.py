"""What layers add and what parts share, on planted states and tunes."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.layer_properties import LayerProperties
from analyses.measures.events import event_labels, first_row
from analyses.part_likeness import PartLikeness, likeness, parts_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2


def observe(tunes: list[list[str]]) -> Observation:
    return Observation(
        FolkRNN(units=24, layers=2).eval(), V2, [input_tune(V2.encode(tokens[1:-1]), V2) for tokens in tunes]
    )


def some_tunes(n: int) -> list[list[str]]:
    """Bars of three to six notes of random pitches, four to nine of them, in two parts."""
    rng = np.random.default_rng(0)
    tunes = []
    for _ in range(n):
        tokens = ["<s>", rng.choice(["M:4/4", "M:6/8"]), rng.choice(["K:Cmaj", "K:Cmin"]), "|:"]
        for bar in range(rng.integers(4, 9)):
            tokens += [*rng.choice(["C", "D", "E", "G", "2", "c"], rng.integers(3, 7)), ":|" if bar == 2 else "|"]
        tunes.append([*tokens, "</s>"])
    return tunes


def test_a_layer_adds_what_only_it_knows():
    tunes = some_tunes(20)
    observation = observe(tunes)

    def each(sites):
        for k, tokens in enumerate(tunes):
            rng = np.random.default_rng(k)
            found, start, n = event_labels(tokens), first_row(tokens), len(tokens) - 1
            first, second = (0.05 * rng.normal(size=(n, 24)) for _ in range(2))
            first[start:, :13] += np.eye(13)[found["time in bar"]]
            second[start:, :10] += np.eye(10)[found["bar of part"]]
            yield k, {"l1.h": first, "l2.h": second}

    observation.each = each
    found = LayerProperties()(observation)
    assert found.metrics["l1/tells_time_in_bar"] > 0.8
    assert found.metrics["l2/adds_bar_of_part"] > 0.5
    assert abs(found.metrics["l2/adds_time_in_bar"]) < 0.1
    table = found.tables["properties"].set_index(["property", "layer"])
    assert table.loc[("bar of part", 2), "shifted_high"] < table.loc[("bar of part", 2), "low"]


def test_too_few_tunes_to_hold_any_out_are_refused():
    with pytest.raises(UserError, match="one of 5 folds"):
        LayerProperties()(observe(some_tunes(3)))


def tune(first: str, second: str) -> list[str]:
    return ["<s>", *f"M:4/4 K:Cmaj |: {first} :| |: {second} :|".split(), "</s>"]


def test_parts_are_as_like_as_the_runs_that_they_share():
    a, b = parts_of(tune("C D E F | G A B c |", "C D E F | c B A G |"), 4)
    assert likeness(a, b) == pytest.approx(1 / 5)
    assert likeness(a, a) == 1


def test_parts_of_one_tune_are_found_more_alike_than_those_of_different_tunes_only_where_they_are():
    rng = np.random.default_rng(0)
    notes = "C D E F G A B c d e".split()

    def bar() -> str:
        return " ".join(rng.choice(notes, 8)) + " | "

    shared = []
    for _ in range(30):
        motif = bar()
        shared.append(tune(motif + bar(), bar() + motif))
    apart = [tune(bar() + bar(), bar() + bar()) for _ in range(30)]
    analysis = PartLikeness(resamples=200)
    assert analysis(observe(shared)).metrics["beyond_low"] > 0.2
    nothing = analysis(observe(apart)).metrics
    assert nothing["beyond_low"] <= 0 <= nothing["beyond_high"] or abs(nothing["beyond"]) < 0.02

"""Gate matrices: identities of Gramians and angles, pitch relations, and planted structure with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given as for_all
from hypothesis import strategies as st

from analyses.gate_parameters import GateParameters, gate_matrices
from analyses.measures.gate_tables import cosine_table, layer_overlaps, norm_table
from analyses.measures.pitch_relations import literal_pitch, related_pairs, relation, similarity
from analyses.measures.subspaces import (
    chance_cosine,
    cosines,
    leading,
    off_diagonal,
    overlap,
    principal_cosines,
    random_subspace,
    unit_columns,
)
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2

FIG1 = ids_of("fig1", V2)
PITCHES = [i for i in V2.of_type("pitch") if V2.tokens[i] != "z"]

matrices = st.tuples(st.integers(2, 12), st.integers(1, 12), st.integers(0, 1000)).map(
    lambda sizes: np.random.default_rng(sizes[2]).normal(size=sizes[:2])
)


def observed(**options) -> Observation:
    torch.manual_seed(7)
    network = FolkRNN(units=options.pop("units", 24), layers=options.pop("layers", 2), **options).eval()
    return Observation(network, V2, [input_tune(FIG1, V2)], seed=1)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_matrices_of_a_gate_drive_its_pre_activation(cell: str) -> None:
    seen = observed(cell=cell)
    activations = {name: value.astype(float) for name, value in seen.traces(0, ["l*.*.pre", "l*.h"]).items()}
    inputs, recurrent = gate_matrices(seen.model, 1)
    H = seen.model.units
    for place, gate in enumerate(g for g in inputs if g != "n"):  # n resets its recurrent part first
        bias = seen.model.layers[1].bias.detach().numpy()[place * H : (place + 1) * H]
        expected = activations["l1.h"][1:] @ inputs[gate].T + activations["l2.h"][:-1] @ recurrent[gate].T + bias
        np.testing.assert_allclose(activations[f"l2.{gate}.pre"][1:], expected, atol=1e-5)


def test_a_one_hot_input_picks_one_column() -> None:
    seen = observed()
    first = seen.traces(0, ["l1.*.pre"])
    inputs, _ = gate_matrices(seen.model, 0)
    bias = dict(zip("ifgo", np.split(seen.model.layers[0].bias.detach().numpy(), 4), strict=True))
    for gate, W in inputs.items():
        # the first token meets a state of zeros
        np.testing.assert_allclose(first[f"l1.{gate}.pre"][0], W[:, V2.start] + bias[gate], atol=1e-6)


@for_all(matrices)
def test_a_gramian_is_symmetric_positive_semidefinite_with_a_diagonal_of_one(W: np.ndarray) -> None:
    C = cosines(W)
    np.testing.assert_allclose(C, C.T)
    np.testing.assert_allclose(np.diag(C), 1)
    assert np.abs(C).max() <= 1 + 1e-12
    assert np.linalg.eigvalsh(C).min() > -1e-10


@for_all(matrices, st.integers(1, 12))
def test_swapping_the_matrices_transposes_their_inner_products(W: np.ndarray, columns: int) -> None:
    other = np.random.default_rng(1).normal(size=(len(W), columns))
    np.testing.assert_allclose(cosines(W, other), cosines(other, W).T)


def test_the_gramian_of_one_hot_columns_is_their_equality() -> None:
    ids = np.array(FIG1)
    X = np.eye(137)[:, ids]
    np.testing.assert_array_equal(cosines(X), ids[:, None] == ids)


def test_a_column_of_zeros_has_no_direction() -> None:
    assert np.isnan(unit_columns(np.zeros((4, 1)))).all()
    W = np.eye(3)[:, :2] * [1.0, 0.0]
    assert off_diagonal(cosines(W)).size == 0


def test_random_directions_have_the_cosine_that_chance_gives() -> None:
    W = np.random.default_rng(0).normal(size=(512, 300))
    assert np.abs(off_diagonal(cosines(W))).mean() == pytest.approx(chance_cosine(512), rel=0.02)


@for_all(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_principal_angles_of_a_subspace_with_itself_are_zero_and_with_its_complement_right(
    a: int, b: int, seed: int
) -> None:
    Q = np.linalg.qr(np.random.default_rng(seed).normal(size=(12, 12)))[0]
    np.testing.assert_allclose(principal_cosines(Q[:, :a], Q[:, :a]), 1)
    np.testing.assert_allclose(principal_cosines(Q[:, :a], Q[:, a : a + b]), 0, atol=1e-7)
    assert overlap(Q[:, :a], Q[:, a : a + b]) == pytest.approx(0, abs=1e-12)
    assert overlap(Q[:, :a], Q[:, : a + b]) == pytest.approx(12 / (a + b))


def test_a_planted_angle_is_found() -> None:
    A, B = np.zeros((6, 2)), np.zeros((6, 2))
    A[[0, 1], [0, 1]] = 1
    B[0, 0], B[2, 0], B[1, 1] = np.cos(0.7), np.sin(0.7), 1  # one shared direction, one turned by 0.7
    np.testing.assert_allclose(np.arccos(principal_cosines(A, B)), [0, 0.7], atol=1e-6)


def test_random_subspaces_overlap_as_chance_says() -> None:
    rng = np.random.default_rng(0)
    values = [overlap(random_subspace(100, 20, rng), random_subspace(100, 35, rng)) for _ in range(30)]
    assert np.mean(values) == pytest.approx(1, abs=0.03)


def test_the_leading_subspace_holds_the_energy_asked_for() -> None:
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0]
    W = Q * np.sqrt([50.0, 30.0, 10.0, 5.0, 3.0, 1.0, 0.6, 0.4])
    assert [leading(W, share).shape[1] for share in (0.3, 0.5, 0.8, 0.9, 0.95, 1.0)] == [1, 1, 2, 3, 4, 8]
    np.testing.assert_allclose(principal_cosines(leading(W, 0.8), Q[:, :2]), 1)
    assert leading(np.zeros((4, 3)), 0.9).shape == (4, 0)
    assert np.isnan(overlap(leading(np.zeros((4, 3)), 0.9), np.eye(4)))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("^F", "_G", "enharmonic"),
        ("_C", "B,", "enharmonic"),
        ("_c", "=B", "enharmonic"),
        ("C", "c", "octave"),
        ("^c", "^c'", "octave"),
        ("C,", "c", None),
        ("=E", "E", "natural"),
        ("=E", "_E", None),
        ("C", "D", None),
        ("z", "C", None),
    ],
)
def test_pitches_are_related_as_a_musician_says(one: str, other: str, expected: str | None) -> None:
    assert relation(one, other) == relation(other, one) == expected


def test_literal_pitches_count_semitones_from_middle_c() -> None:
    assert [literal_pitch(token) for token in ("C", "^C", "c", "B,", "_e'", "z")] == [0, 1, 12, -1, 27, None]


def test_every_pair_of_pitches_is_counted_once() -> None:
    pairs = related_pairs(V2, PITCHES)
    assert sum(map(len, pairs.values())) == 84 * 83 // 2
    assert min(len(pairs[name]) for name in ("enharmonic", "octave", "natural")) > 10


def planted_columns(H: int = 60, strength: float = 3.0) -> np.ndarray:
    """Random columns, those of one literal pitch class pulled to a direction of its own."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(12, H)) / np.sqrt(H)
    W = rng.normal(size=(H, 137)) / np.sqrt(H)
    for i in PITCHES:
        W[:, i] += strength * directions[literal_pitch(V2.tokens[i]) % 12]
    return W


def test_planted_pitch_classes_are_seen_as_enharmonic_and_octave_similarity_in_that_gate_alone() -> None:
    seen = observed(units=60)
    with torch.no_grad():
        seen.model.layers[0].weight_ih[120:180] = torch.from_numpy(planted_columns())
    table = GateParameters(least_count=0, shuffles=200).similarities(
        seen, gate_matrices(seen.model, 0)[0], np.random.default_rng(0)
    )
    table = table.set_index(["matrix", "relation"])
    for kind in ("enharmonic", "octave", "natural"):
        assert table.loc[("l1.g", kind), "cosine"] > 0.8
        assert table.loc[("l1.g", kind), "p"] < 0.01
        assert abs(table.loc[("l1.i", kind), "cosine"]) < 0.1
    assert table.loc[("l1.g", "octave"), "cosine"] > table.loc[("l1.g", "octave"), "chance_high"]
    assert table.loc[("l1.g", "octave"), "unrelated"] < 0.2


def test_random_columns_are_no_more_alike_than_chance() -> None:
    rng = np.random.default_rng(3)
    C = cosines(rng.normal(size=(200, len(PITCHES))))
    pairs = related_pairs(V2, PITCHES)["octave"]
    ps = [similarity(cosines(rng.normal(size=(200, len(PITCHES)))), pairs, 100, rng)[3] for _ in range(20)]
    assert sum(p < 0.05 for p in ps) <= 4
    assert abs(similarity(C, pairs, 100, rng)[0]) < 0.05
    assert np.isnan(similarity(C, pairs[:0], 100, rng)).all()


def test_norms_are_those_of_the_columns_and_a_small_header_is_seen() -> None:
    seen = observed()
    with torch.no_grad():
        seen.model.layers[0].weight_ih[24:48, list(V2.of_type("meter", "mode"))] *= 0.01
    inputs, _ = gate_matrices(seen.model, 0)
    table = norm_table(V2, inputs).set_index("token")
    assert table.loc["|", "f"] == pytest.approx(np.linalg.norm(inputs["f"][:, V2.index["|"]]))
    metrics = GateParameters(shuffles=5)(seen).metrics
    assert metrics["l1.f/header_norm_ratio"] < 0.02
    assert metrics["l1.i/header_norm_ratio"] > 0.5


def test_inputs_and_states_in_separate_subspaces_show_as_no_overlap() -> None:
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    apart = (
        {"i": Q[:, :8] @ np.ones((8, 3)) + Q[:, :3]},
        {"i": Q[:, 10:] @ np.random.default_rng(1).normal(size=(10, 20))},
    )
    row = cosine_table(1, *apart).set_index("between").loc["input_recurrent"]
    assert row["magnitude"] == pytest.approx(0, abs=1e-12)
    assert row["largest"] == pytest.approx(0, abs=1e-12)
    names, value = layer_overlaps(GateParameters(energy=1.0).bases(*apart))
    assert names == ["xi", "hi"]
    assert value[0, 1] == pytest.approx(0, abs=1e-12)
    assert value[1, 1] == pytest.approx(2)  # ten dimensions of twenty, one within the other


@pytest.mark.parametrize(
    "options", [{"units": 1, "layers": 1}, {"units": 6, "layers": 4}, {"units": 10, "cell": "gru", "layers": 3}]
)
def test_every_layer_of_any_size_and_cell_is_drawn(options: dict) -> None:
    found = GateParameters(shuffles=5)(observed(**options))
    assert all(figure.caption and figure.drawing.axes for figure in found.figures.values())
    assert set(found.tables["cosines"]["layer"]) == set(range(1, options["layers"] + 1))
    assert {f"l{k}_matrices" for k in range(1, options["layers"] + 1)} <= set(found.figures)
    for figure in found.figures.values():
        assert figure.drawing.get_size_inches()[0] <= 10


def test_tokens_that_the_data_lack_are_left_out_on_request() -> None:
    from folkrnn.datasets.corpus import Corpus, Tune

    seen = observed()
    seen.data = Corpus("one", [Tune(tuple(V2.decode(FIG1)))])
    inputs, _ = gate_matrices(seen.model, 0)
    few, every = (
        GateParameters(least_count=n, shuffles=2).similarities(seen, inputs, np.random.default_rng(0)) for n in (1, 0)
    )
    assert few["pairs"].sum() < every["pairs"].sum()
    assert (few.loc[few["relation"] == "enharmonic", "pairs"] == 0).all()  # fig. 1 of the paper has no accidentals


@pytest.mark.parametrize("energy", [0, -0.1, 1.1])
def test_a_share_beyond_one_is_refused(energy: float) -> None:
    with pytest.raises(UserError, match="energy"):
        GateParameters(energy=energy)

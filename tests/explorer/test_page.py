"""What the page shows is what the observation and the tables of the run say."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from small_network import SEED, applied, network, play

from analyses.effect import Effect
from analyses.unit_events import UnitEvents
from folkrnn.explorer import explore, tunes
from folkrnn.explorer.pack import Pack, from_text, to_text
from folkrnn.explorer.states import from_bytes
from folkrnn.interventions.cuts import cut
from folkrnn.observation.observation import Observation
from folkrnn.observation.summary import summarise
from folkrnn.vocabulary import V2

LAYERS = ("l1.h", "l2.h", "l3.h")


@pytest.fixture(scope="module")
def core(page) -> Pack:
    return page.packs["core"]


@pytest.fixture(scope="module")
def states(page) -> Pack:
    return page.packs["states"]


def hidden(observation: Observation, k: int) -> np.ndarray:
    """The hidden states of all layers side by side, `[T, U]`."""
    return np.concatenate(list(observation.traces(k, LAYERS).values()), axis=1)


def test_a_pack_reads_back_as_it_was_written():
    pack = Pack(
        {"a": [1, None, "ü</script>"], "b": {"c": np.float32(0.5)}, "nan": float("nan")},
        {
            "x": np.arange(6, dtype=np.uint16).reshape(2, 3),
            "y": np.array([0.25], np.float32),
            "z": np.zeros(3, np.uint8),
        },
    )
    again = from_text(to_text(pack))
    assert again.manifest == {"a": [1, None, "ü</script>"], "b": {"c": 0.5}, "nan": None}
    for name, array in pack.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
        assert again.arrays[name].dtype == array.dtype
    with pytest.raises(TypeError, match="float64"):
        to_text(Pack({}, {"x": np.zeros(2)}))


def test_the_page_asks_nothing_of_the_network_and_escapes_what_it_is_told(page):
    assert "default-src 'none'" in page.html
    assert not re.search(r"""(src|href)=["']?https?:""", page.html)
    assert "A run &lt;of tests&gt;" in page.html
    assert "none &amp; nothing" in page.html


def test_distributions_and_surprise_are_those_of_the_model(core, observation):
    for tune in core.manifest["tunes"]:
        probs, ids = observation.posterior(tune["number"]), observation.transcriptions[tune["number"]].ids
        found = {name: core.arrays[f"{tune['key']}/{name}"] for name in ("probability", "top_probability", "entropy")}
        assert tune["tokens"] == ids.tolist()
        following = probs[np.arange(len(probs)), ids[1:]]
        np.testing.assert_allclose(found["probability"], following, rtol=1e-4)
        np.testing.assert_allclose(found["top_probability"], np.sort(probs, 1)[:, ::-1][:, :12], rtol=1e-4)
        np.testing.assert_allclose(found["entropy"], -(probs * np.log(probs)).sum(1), rtol=1e-3)
        top = core.arrays[f"{tune['key']}/top"].astype(int)
        np.testing.assert_allclose(np.take_along_axis(probs, top, 1), found["top_probability"], rtol=1e-4)


def test_probabilities_of_drawn_tokens_are_those_filed_with_the_draws(core, observation):
    filed = observation.transcriptions[0].probability  # what tunes/draws.csv says
    drawn = np.array(observation.transcriptions[0].origin) == "drawn"
    assert drawn.sum() > 10
    np.testing.assert_allclose(core.arrays["s0/0/probability"][drawn], filed[drawn], rtol=1e-4)


def test_activations_are_those_of_the_trace_within_half_a_level(core, states, observation):
    sites = {site["name"]: site for site in core.manifest["sites"]}
    assert set(sites) == {f"l{k}.{activation}" for k in (1, 2, 3) for activation in "hifogc"}
    for tune in core.manifest["tunes"]:
        assert tune["gates"], "a small model has room for all gates"
        traced = observation.traces(tune["number"], sites)
        for name, site in sites.items():
            values = from_bytes(states.arrays[f"{tune['key']}/{name}"], site["low"], site["high"]).T
            assert np.abs(values - traced[name]).max() <= (site["high"] - site["low"]) / 510 + 1e-5


def test_means_and_deviations_of_units_are_those_of_the_summary(core, observation):
    summary = summarise(observation.model, observation.ids, LAYERS)
    for column, name in (("mean", "unit/mean"), ("std", "unit/deviation")):
        filed = np.concatenate([summary.units[site][column] for site in LAYERS])
        np.testing.assert_allclose(core.arrays[name], filed, atol=1e-4)


def test_events_are_those_that_the_analysis_files(core, observation):
    table = UnitEvents(sites=("l*.h",), shuffles=19)(observation).tables["units"]
    variables = core.manifest["variables"]
    told = [variables[place]["name"] if place >= 0 else "none" for place in core.arrays["event/variable"]]
    assert told == table["variable"].tolist()
    assert set(told) > {"none"}, "something is explained, else nothing is compared"
    np.testing.assert_allclose(core.arrays["event/ratio"], table["correlation_ratio"], rtol=1e-3)
    np.testing.assert_allclose(core.arrays["event/excess"], table["excess"], rtol=1e-3, atol=1e-5)
    assert core.manifest["event_category"] == table["category"].tolist()
    compared = 0
    for row, place in enumerate(core.arrays["event/variable"]):
        if place >= 0 and table["category"][row] in variables[place]["answers"]:
            answer = variables[place]["answers"].index(table["category"][row])
            assert core.arrays["event/mean"][row, answer] == pytest.approx(table["mean_there"][row], abs=1e-5)
            compared += 1
    assert compared > 10


def test_a_table_that_the_run_filed_is_the_one_that_is_shown(observation):
    findings = UnitEvents(sites=("l*.h",), shuffles=39)(observation)
    core = explore(observation, {"unit_events": findings}).packs["core"]
    np.testing.assert_allclose(core.arrays["event/excess"], findings.tables["units"]["excess"], rtol=1e-5)


def test_the_softmax_columns_name_the_tokens_with_the_largest_weights(core, observation):
    weights = observation.model.softmax_weight.detach().numpy()
    weights = weights - weights.mean(0)
    token, weight = core.arrays["softmax/token"], core.arrays["softmax/weight"]
    assert (token[:, 0] == weights.argmax(0)).all()
    assert (token[:, token.shape[1] // 2] == weights.argmin(0)).all()
    np.testing.assert_allclose(weight[:, 0], weights.max(0), rtol=1e-5)


def test_where_a_unit_is_strongest_is_its_extreme_over_all_tunes(core, observation):
    side = core.arrays["unit/side"]
    largest = np.max([(hidden(observation, k) * side).max(0) for k in range(12)], axis=0)
    np.testing.assert_allclose(core.arrays["unit/value"][:, 0] * side, largest, atol=2 / 510 + 1e-5)


def test_tunes_that_are_not_shown_are_searched_from_one_bit_a_step(states, core, observation):
    others = states.manifest["searched"]
    assert core.manifest["shown"] == 8
    assert [one["title"] for one in others] == [f"No. {k + 1}" for k in range(8, 12)]
    edge = from_bytes(core.arrays["unit/edge"], -1, 1)
    for k, one in enumerate(others, 8):
        values = hidden(observation, k)
        on = np.unpackbits(states.arrays[f"{one['key']}/on"], axis=1, count=len(values), bitorder="little").T
        clear = np.abs(values - edge) > 0.01
        expected = (values - edge) * core.arrays["unit/side"] > 0
        assert (on.astype(bool) == expected)[clear].all()
        assert 0.02 < on.mean() < 0.5


def test_with_an_intervention_both_sides_stand_beside_each_other():
    edited = applied(network(), cut(select="indices", units=[1, 5, 9], layer=3))
    control = Observation(network(), V2, play(network()), seed=SEED)
    changed = Observation(edited.model, V2, play(edited.model), seed=SEED, control=control, effects=edited.effects)
    core = explore(changed, {"effect": Effect(resamples=20, shown=0)(changed)}).packs["core"]
    count = core.manifest["shown"]
    assert core.manifest["sides"] == ["unchanged", "changed"]
    assert len(core.manifest["tunes"]) == 2 * count
    for k, apart in enumerate(core.manifest["apart"]):
        one, other = (core.manifest["tunes"][k + side * count]["tokens"] for side in (0, 1))
        assert one == control.ids[k].tolist()
        assert other == changed.ids[k].tolist()
        assert one[:apart] == other[:apart]
        assert apart == min(len(one), len(other)) or one[apart] != other[apart]
    (known,) = core.manifest["cuts"]
    assert known["units"] == {"l3.h": [1, 5, 9]}
    assert known["told"][0].startswith("counting kept to")


def test_long_tunes_and_large_models_leave_tunes_out_rather_than_room():
    lengths = [120, 130, 140, 300, 120, 150, 160, 170]
    assert tunes.how_many(lengths, 3 * 128) == 8
    few = tunes.how_many(lengths, 3 * 512)
    assert 4 <= few < 8
    assert tunes.how_many(lengths, 3 * 512, sides=2) < few
    assert tunes.how_many([100_000], 3 * 4096) == 1


def test_a_tune_longer_than_the_page_holds_is_cut(observation, monkeypatch):
    monkeypatch.setattr(tunes, "LONGEST", 20)
    few = replace(observation, transcriptions=observation.transcriptions[:2], _kept={})
    made = tunes.packs_of(few, {}, {})
    assert [len(tune["tokens"]) for tune in made["core"].manifest["tunes"]] == [20, 20]
    assert all(tune["cut"] for tune in made["core"].manifest["tunes"])
    assert made["states"].arrays["s0/0/l1.h"].shape == (32, 19)


def test_the_same_observation_gives_the_same_page(page, observation):
    assert explore(observation, title="A run <of tests>", facts={"weights": "none & nothing"}).html == page.html


def test_a_page_is_saved_whole_and_shows_itself_in_a_notebook(page, tmp_path):
    place = page.save(tmp_path / "explore.html")
    assert place.read_text() == page.html
    assert [path.name for path in tmp_path.iterdir()] == ["explore.html"]
    assert page._repr_html_().startswith("<iframe srcdoc=")

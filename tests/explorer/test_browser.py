"""The page in a real browser: it loads without a word of complaint, plays, follows the pointer, selects and finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import opened
from small_network import SEED, applied, network, play

from folkrnn import spectra
from folkrnn.errors import UserError
from folkrnn.explorer import explore
from folkrnn.explorer.picture import chromium, picture
from folkrnn.explorer.states import from_bytes
from folkrnn.interventions.cuts import cut
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2


@pytest.fixture(scope="module")
def browser():
    try:
        with chromium() as found:
            yield found
    except UserError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def file(page, tmp_path_factory) -> Path:
    return page.save(tmp_path_factory.mktemp("explorer") / "explore.html")


def state(tab: Any, expression: str) -> Any:
    return tab.evaluate(f"() => explorer.{expression}")


def until(tab: Any, expression: str, seconds: float = 20.0) -> None:
    """Waits until an expression is true; the page's policy forbids what `wait_for_function` does."""
    for _ in range(int(20 * seconds)):
        if state(tab, expression):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(f"explorer.{expression} did not come true in {seconds:g} s")


def test_the_page_loads_without_a_complaint_and_shows_the_first_tune(browser, file, observation):
    with opened(browser, file) as tab:
        assert tab.locator("#scores svg").count() >= 1
        assert tab.locator("#tunes button").count() == 8
        assert tab.locator("#glass .next .fill").count() >= 12
        assert state(tab, "data.tunes[0].tokens") == observation.ids[0].tolist()


@pytest.mark.slow
def test_playing_runs_a_cursor_through_score_and_tokens(browser, file):
    with opened(browser, file) as tab:
        tab.keyboard.press("Home")
        tab.click("#play")
        until(tab, "view.step > 6")
        assert tab.inner_text("#play") == "❚❚ Pause"
        assert tab.locator("#scores .cursor").count() == 1
        assert tab.locator("#scores .now").count() <= 1
        tab.click("#play")
        step = state(tab, "view.step")
        tab.wait_for_timeout(400)
        assert state(tab, "view.step") == step, "it stands still when paused"


@pytest.mark.slow
def test_a_click_on_a_note_goes_there_and_sounds(browser, file):
    with opened(browser, file) as tab:
        note = tab.locator("#scores [id^='n1-t'] .notehead").nth(5)
        token = int(note.locator("xpath=..").get_attribute("id").removeprefix("n1-t")) + 1
        note.click(force=True)
        assert state(tab, "view.step") == token
        assert state(tab, "player.playing")


@pytest.mark.slow
def test_arrows_step_and_space_plays(browser, file):
    with opened(browser, file) as tab:
        before = state(tab, "view.step")
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowLeft")
        assert state(tab, "view.step") == before + 1
        assert "surprise" in tab.inner_text("#said")
        unit = state(tab, "view.unit")
        tab.keyboard.press("ArrowDown")
        assert state(tab, "view.unit") != unit
        tab.keyboard.press("2")
        assert state(tab, "view.tune") == 1
        tab.keyboard.press("Space")
        assert state(tab, "player.playing")
        tab.keyboard.press("Space")
        assert not state(tab, "player.playing")


@pytest.mark.slow
def test_under_the_glass_stands_what_the_model_expects(browser, file, observation):
    with opened(browser, file) as tab:
        tab.keyboard.press("Home")
        for _ in range(9):
            tab.keyboard.press("ArrowRight")
        tab.wait_for_timeout(100)
        probs = observation.posterior(0)[9]
        names = [V2.tokens[i] for i in np.argsort(-probs, kind="stable")[:12]]
        assert [name.strip() for name in tab.locator("#glass .next .token").all_inner_texts()][:12] == names
        came = state(tab, "nextTokens(explorer.data.tunes[0], 9).came.p")
        assert came == pytest.approx(probs[observation.ids[0][10]], rel=1e-4)


@pytest.mark.slow
def test_hovering_the_heat_map_reads_the_value_of_the_trace(browser, file, observation):
    with opened(browser, file) as tab:
        tab.select_option("#order", "index")
        tab.locator("#timeline").scroll_into_view_if_needed()
        box = tab.locator("#timeline").bounding_box()
        tab.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.7 * box["height"])
        tab.wait_for_timeout(100)
        step, unit = state(tab, "view.hover"), state(tab, "view.hoverRow")
        value = observation.trace(0, "l3.h")[step, unit]
        told = float(tab.inner_text("#reading").split(": ")[1].split()[0].replace("−", "-"))
        assert told == pytest.approx(value, abs=0.011)
        tab.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.7 * box["height"])
        assert state(tab, "view.unit") == unit


@pytest.mark.slow
def test_spectra_and_periods_are_those_of_the_library(browser, file, page):
    with opened(browser, file) as tab:
        levels = page.packs["states"].arrays["s0/0/l3.h"]
        power = spectra.power(from_bytes(levels.T, -1, 1), dc=False)
        for unit in (0, 7, 31):
            tune = "explorer.data.tunes[0]"
            found = tab.evaluate(f"() => Array.from(explorer.power(explorer.values({tune}, 'l3.h', {unit})).power)")
            np.testing.assert_allclose(found, power[:, unit], rtol=1e-3, atol=1e-6 * power[:, unit].max())
            period = tab.evaluate(f"() => explorer.strongestPeriod(explorer.values({tune}, 'l3.h', {unit}))")
            assert period == pytest.approx(512 / power[1:, unit].argmax().__add__(1))


@pytest.mark.slow
def test_a_passage_finds_itself_and_others_by_the_units_that_are_on(browser, file, page, observation):
    with opened(browser, file) as tab:
        tab.evaluate("() => { explorer.view.step = 12; }")
        tab.click("#pick-bar")
        start, stop = state(tab, "view.from"), state(tab, "view.to")
        assert 0 < start <= stop
        core = page.packs["core"]
        values = np.concatenate([observation.trace(0, f"l{k}.h") for k in (1, 2, 3)], axis=1)
        edge, side = from_bytes(core.arrays["unit/edge"], -1, 1), core.arrays["unit/side"]
        on = (values - edge) * side > 0.004  # half a level: what 8 bits cannot tell
        chosen = state(tab, "unitsOf(explorer.data.tunes[0], explorer.view.from, explorer.view.to, 0.8)")
        expected = (on[start : stop + 1].mean(0) >= 0.8) & ~on[start - 1] & ~on[stop + 1]
        assert len(set(chosen) ^ set(np.flatnonzero(expected))) <= 2
        tab.locator("#share").fill("50")
        assert "50 %" in tab.inner_text("#match-text")
        every = state(tab, "unitsOf(explorer.data.tunes[0], explorer.view.from, explorer.view.to, 0.5)")
        assert set(chosen) <= set(every)
        assert tab.locator("#match-list .snippet svg").count() >= 5
        scores = state(
            tab,
            f"passages({every}, explorer.view.to - explorer.view.from + 1).map((one) => [one.k, one.from, one.score])",
        )
        assert [scores[0][:2], scores[0][2] > 0.4] == [[0, start], True], "nothing is as alike as the passage itself"
        tab.locator("#match-list button", has_text="▶").first.click()
        assert state(tab, "player.playing")


@pytest.mark.slow
def test_a_drag_over_the_tokens_selects_a_passage_and_escape_drops_it(browser, file):
    with opened(browser, file) as tab:
        tab.locator("#timeline").scroll_into_view_if_needed()
        box = tab.locator("#timeline").bounding_box()
        tab.mouse.move(box["x"] + 200, box["y"] + 30)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 300, box["y"] + 30, steps=5)
        tab.mouse.up()
        assert state(tab, "view.to") > state(tab, "view.from") > 0
        assert tab.locator("#scores .range").count() >= 1
        tab.keyboard.press("Escape")
        assert state(tab, "view.from") == -1


@pytest.mark.slow
def test_units_are_found_by_number_event_and_token(browser, file, page):
    core = page.packs["core"]
    with opened(browser, file) as tab:
        tab.keyboard.press("/")
        tab.keyboard.type("l2 17")
        assert tab.locator("#found b").all_inner_texts() == ["l2.h 17"]
        tab.locator("#found button").first.click()
        assert (state(tab, "view.layer"), state(tab, "view.unit")) == ("l2.h", 17)
        assert "unit 17" in tab.inner_text("#unit")
        tab.fill("#find", "bar of part")
        found = tab.locator("#found li").all_inner_texts()
        assert found
        assert all("bar of part" in text or "no unit" in text for text in found)
        token = V2.tokens[core.arrays["softmax/token"][5, 0]]
        tab.fill("#find", token)
        assert "l3.h 5" in tab.locator("#found b").all_inner_texts()
        tab.wait_for_selector("#plot-spectrum .bk-Figure, #plot-spectrum div", timeout=10_000)
        assert tab.locator("#peaks .snippet").count() == 10


@pytest.mark.slow
def test_a_phone_shows_all_of_it_without_scrolling_sideways(browser, file):
    with opened(browser, file, width=390, height=844, has_touch=True, is_mobile=True) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        tab.tap("#pick-bar")
        assert state(tab, "view.from") > 0
        tab.locator("#timeline").scroll_into_view_if_needed()
        box = tab.locator("#timeline").bounding_box()
        tab.touchscreen.tap(box["x"] + 0.6 * box["width"], box["y"] + 0.6 * box["height"])
        assert state(tab, "view.step") > 5
        for button in tab.locator("#transport button").all():
            if button.is_visible():
                assert button.bounding_box()["height"] >= 36, "a finger finds it"


@pytest.mark.slow
def test_both_sides_of_an_intervention_can_be_compared_and_heard_in_turn(browser, tmp_path):
    edited = applied(network(), cut(select="indices", units=[1, 5, 9], layer=3))
    control = Observation(network(), V2, play(network()), seed=SEED)
    changed = Observation(edited.model, V2, play(edited.model), seed=SEED, control=control, effects=edited.effects)
    with opened(browser, explore(changed).save(tmp_path / "both.html")) as tab:
        assert tab.locator("#scores .sheet").count() == 2
        assert tab.locator("#glass .next").count() == 2
        assert tab.locator("#scores .sheet.active").inner_text().count("changed") == 1
        apart = state(tab, "data.apart[explorer.view.tune]")
        assert tab.locator("#scores .later").count() >= 1 or apart >= len(changed.ids[0])
        tab.click("#turns")
        assert state(tab, "view.side") == 0
        tab.evaluate("() => explorer.player.setSpeed(60)")
        until(tab, "view.side === 1")


@pytest.mark.slow
def test_hovering_512_units_over_300_steps_takes_less_than_50_ms(browser, tmp_path):
    rng = np.random.default_rng(0)
    pitches = V2.of_type("pitch")
    ids = [i for _ in range(37) for i in [*rng.choice(pitches, 7), V2.index["|"]]]
    tune = input_tune([V2.index["M:4/4"], V2.index["K:Cmaj"], *ids], V2)
    model = FolkRNN(layers=1, units=512).eval()
    page = explore(Observation(model, V2, [tune])).save(tmp_path / "large.html")
    with opened(browser, page) as tab:
        assert state(tab, "view.u1") == 512
        assert state(tab, "view.t1") >= 299
        paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert paint < 2000
        tab.locator("#timeline").scroll_into_view_if_needed()
        box = tab.locator("#timeline").bounding_box()
        busy = tab.context.new_cdp_session(tab)
        busy.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time: other programs do not count

        def spent() -> float:
            told = busy.send("Performance.getMetrics")["metrics"]
            return next(metric["value"] for metric in told if metric["name"] == "TaskDuration")

        before = spent()
        for k in range(40):
            tab.mouse.move(box["x"] + 60 + 9 * k, box["y"] + 150 + 4 * k)
            tab.wait_for_timeout(30)
        assert state(tab, "view.hover") > 50
        assert (spent() - before) / 40 < 0.05


@pytest.mark.slow
def test_a_melody_follows_the_slider_of_a_neuron(browser, melodies, tmp_path):
    page = explore(melodies)
    decoded = page.packs["core"].arrays["decoded"]
    with opened(browser, page.save(tmp_path / "melodies.html")) as tab:
        assert tab.locator("#rolls canvas").count() == 2
        tab.locator("#neuron-1").fill("8")
        tab.wait_for_selector("#plot-feature div")
        assert tab.evaluate("() => Array.from(explorer.movedMelody())") == decoded[0, 1, 8].tolist()
        tab.locator("#neuron-1").press("ArrowLeft")
        assert tab.evaluate("() => Array.from(explorer.movedMelody())") == decoded[0, 1, 7].tolist()
        assert "at 1.5" in tab.inner_text("#moved-text")
        tab.click("#play")
        assert state(tab, "player.playing")
        tab.keyboard.press("2")
        assert state(tab, "moving.melody") == 1
        assert not state(tab, "player.playing")
    with opened(browser, tmp_path / "melodies.html", width=390, height=844) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_a_picture_of_a_page_is_a_small_png(browser, file):
    shown = picture(browser, file, step=5, unit=3)
    assert shown.startswith(b"\x89PNG")
    assert len(shown) < 300_000


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_as_light_or_dark_as_the_system_and_turns_at_a_click(browser, file, scheme):
    with opened(browser, file, color_scheme=scheme) as tab:
        assert tab.evaluate("document.documentElement.classList.contains('dark')") == (scheme == "dark")
        tab.click("#theme")
        assert tab.evaluate("document.documentElement.classList.contains('dark')") != (scheme == "dark")

import io

import numpy as np
import PIL.Image
import pytest
from matplotlib.patches import Patch

from folkrnn import style
from folkrnn.findings import Animation
from folkrnn.tracking.figures import MOST_PIXELS, PAPER_DPI, SCREEN_DPI, drawn_data, gif, png


def test_the_numbers_of_lines_bars_points_and_images_are_found():
    figure = style.figure()
    first, second = figure.subplots(1, 2)
    first.plot([0, 1, 2], [5.0, 6.0, 7.0], label="mean")
    first.axvline(1.0)
    first.bar(["a", "b"], [3.0, 4.0], label="count")
    first.legend()
    second.scatter([1.0, 2.0], [8.0, 9.0])
    shown = second.imshow(np.arange(6.0).reshape(2, 3))
    figure.colorbar(shown)
    drawn = drawn_data(figure)
    assert list(drawn.columns) == ["panel", "kind", "series", "x", "y", "value"]
    line = drawn.query("kind == 'line'")
    assert line["y"].tolist() == [5.0, 6.0, 7.0]
    assert set(line["series"]) == {"mean"}
    assert drawn.query("kind == 'bar'")["value"].tolist() == [3.0, 4.0]
    assert drawn.query("kind == 'points'")["y"].tolist() == [8.0, 9.0]
    image = drawn.query("kind == 'image'")
    assert image["value"].tolist() == [0, 1, 2, 3, 4, 5]
    assert image["x"].tolist() == [0, 1, 2, 0, 1, 2]
    assert set(image["panel"]) == {2}


def test_areas_between_curves_give_both_their_edges():
    figure = style.figure()
    axes = figure.subplots()
    axes.fill_between([0, 1], [1.0, 2.0], [3.0, 4.0], label="range")
    drawn = drawn_data(figure).query("kind == 'area'")
    assert set(drawn["series"]) == {"range"}
    assert {(x, y) for x, y in zip(drawn["x"], drawn["y"], strict=True)} == {(0, 1), (1, 2), (0, 3), (1, 4)}


def test_an_empty_figure_has_no_numbers():
    assert drawn_data(style.figure()).empty


def test_an_animation_loops_through_its_frames_at_their_pace():
    from PIL import Image

    frames = []
    for height in (1, 2, 3):
        frame = style.figure(2, 1)
        frame.subplots().bar([0], [height])
        frames.append(frame)
    shown = Image.open(io.BytesIO(gif(Animation(frames, "three bars", seconds=0.5))))
    assert (shown.n_frames, shown.info["loop"], shown.info["duration"]) == (3, 0, 500)
    assert shown.size == (2 * SCREEN_DPI, SCREEN_DPI)


@pytest.mark.parametrize(("width", "height"), [(7, 4), (10, 400), (300, 1)])
def test_a_png_has_300_dots_an_inch_unless_it_would_be_larger_than_programs_open(width, height):
    with PIL.Image.open(io.BytesIO(png(style.figure(width, height)))) as image:
        across, down = image.size
    fits = width * height * PAPER_DPI**2 < MOST_PIXELS and width * PAPER_DPI < 30_000
    assert (across, down) == (width * PAPER_DPI, height * PAPER_DPI) if fits else across * down < 1.01 * MOST_PIXELS
    assert max(across, down) <= 30_000
    assert across / down == pytest.approx(width / height, rel=0.02)


def test_a_gif_keeps_the_colours_of_a_key_that_has_few_points():
    figure = style.figure(height=3)
    axes = figure.subplots()
    axes.imshow(np.random.default_rng(1).random((200, 200)), cmap="gray", interpolation="nearest")
    figure.legend(handles=[Patch(color="#c23b4a")], labels=["rare"], loc="outside lower center")
    frame = PIL.Image.open(io.BytesIO(gif(Animation([figure], "one frame", seconds=1))))
    reds = (np.abs(np.asarray(frame.convert("RGB")).astype(int) - (0xC2, 0x3B, 0x4A)).max(-1) < 12).sum()
    assert reds > 100

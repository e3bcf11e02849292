import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from folkrnn import style
from folkrnn.tracking.figures import PAPER_DPI, as_vector, png
from folkrnn.vocabulary import TYPES, V2

TUNE = "M:4/4 K:Cdor |: G, C C 2 G, C | C D E 2 :| |1 C 4 |2 c 4".split()

# Viénot, Brettel and Mollon (1999): what a dichromat sees of linear RGB
SIGHT = {
    "all": np.eye(3),
    "without red cones": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "without green cones": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


def lab(colour, sight):
    """CIE L*a*b* of a colour as seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(SIGHT[sight] @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    f = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_the_seven_types_have_colours_that_every_reader_can_tell_apart(sight):
    assert tuple(style.TYPE_COLOURS) == TYPES
    pairs = itertools.combinations(style.TYPE_COLOURS.values(), 2)
    assert min(np.linalg.norm(lab(one, sight) - lab(other, sight)) for one, other in pairs) > 14


def test_importing_the_style_is_cheap_and_drawing_needs_no_pyplot():
    code = "import sys, folkrnn.style; assert 'matplotlib' not in sys.modules; folkrnn.style.figure().subplots()"
    code += "; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def draw():
    figure = style.figure(width=4.0, height=2.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="a line")
    axes.legend()
    axes.set_title("A title")
    return figure


def test_a_figure_looks_the_same_whatever_the_users_settings_and_leaves_them_alone():
    expected = png(draw())
    with matplotlib.rc_context(
        {"lines.linewidth": 9, "font.size": 20, "axes.facecolor": "white", "legend.fontsize": 30}
    ):
        before = dict(matplotlib.rcParams)
        assert png(draw()) == expected
        assert dict(matplotlib.rcParams) == before


def test_the_same_drawing_gives_the_same_bytes():
    for kind in ("svg", "pdf"):
        assert as_vector(draw(), kind) == as_vector(draw(), kind)


def test_a_figure_has_the_size_asked_for():
    from io import BytesIO

    import PIL.Image

    figure = style.figure(width=3.4, height=2.0)
    with PIL.Image.open(BytesIO(png(figure))) as image:
        assert image.size == (round(3.4 * PAPER_DPI), 2 * PAPER_DPI)
    assert style.figure().get_size_inches()[0] == style.PAGE


def test_a_token_axis_shows_each_token_at_its_place_in_the_colour_of_its_type():
    axes = style.figure().subplots()
    style.token_axis(axes, TUNE)
    assert [label.get_text() for label in axes.get_xticklabels()] == TUNE
    assert axes.get_xticks().tolist() == list(range(len(TUNE)))
    assert axes.get_xlim() == (-0.5, len(TUNE) - 0.5)
    colours = {label.get_text(): label.get_color() for label in axes.get_xticklabels()}
    assert colours["G,"] == colours["c"] != colours["2"]


def test_a_long_token_axis_labels_as_many_as_can_be_read():
    axes = style.figure(width=style.PAGE).subplots()
    style.token_axis(axes, TUNE * 20)
    labels = axes.get_xticklabels()
    assert 100 < len(labels) < len(TUNE * 20)
    assert all(label.get_fontsize() >= style.SMALLEST for label in labels)
    style.token_axis(axes, TUNE * 20, every=10)
    assert len(axes.get_xticklabels()) == 2 * len(TUNE)


@pytest.mark.parametrize("length", [40, 60, 107, 200, 400])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_labels_of_a_token_axis_do_not_touch_each_other(length, axis):
    figure = style.figure(height=6.0)
    axes = figure.subplots()
    tokens = (TUNE[:2] + TUNE[2:] * 20)[:length]
    style.token_axis(axes, tokens, axis=axis)
    figure.draw_without_rendering()
    labels = axes.get_xticklabels() if axis == "x" else axes.get_yticklabels()
    boxes = [label.get_window_extent().padded(-0.75) for label in labels]
    across, along = ("height", "width") if axis == "x" else ("width", "height")
    assert not [
        (one, two) for one, two in itertools.combinations(range(len(boxes)), 2) if boxes[one].overlaps(boxes[two])
    ], (across, along)


def test_a_page_of_another_width_has_figures_as_wide_and_texts_as_large():
    with style.page(10.0):
        wide = style.figure(height=2.0)
    with style.page(3.5):
        narrow = style.figure(height=2.0)
    assert wide.get_size_inches().tolist() == pytest.approx([10.0, 20 / 7])
    assert narrow.get_size_inches().tolist() == pytest.approx([3.5, 2.0])
    assert style.figure(height=2.0).get_size_inches().tolist() == [style.PAGE, 2.0]


@pytest.mark.parametrize("engine", ["constrained", "none"])
def test_a_title_stands_above_all_that_is_drawn_in_as_many_lines_as_it_takes(engine):
    figure = style.figure(width=3.0, height=2.0)
    if engine == "none":
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.1, 0.1, 0.8, 0.9))
        figure.text(0.0, 1.0, "a heading", va="top")
    else:
        axes = figure.subplots()
        axes.set_title("a heading")
    style.entitle(figure, "What was found, in a sentence that is longer than one line of so narrow a figure")
    figure.draw_without_rendering()
    title = figure.get_suptitle()
    assert title.count("\n") >= 1
    (above,) = [text for text in figure.texts if text.get_text() == title]
    box = above.get_window_extent()
    assert figure.bbox.padded(1).containsx(box.x0) and figure.bbox.padded(1).containsx(box.x1)
    assert box.y1 <= figure.bbox.y1 + 1
    others = [text for text in [*figure.texts, axes.title] if text.get_text() == "a heading"]
    assert all(text.get_window_extent().y1 <= box.y0 + 1 for text in others)


def test_an_image_from_top_to_bottom_stays_so():
    axes = style.figure().subplots()
    axes.imshow(np.zeros((len(TUNE), 137)), aspect="auto")
    style.token_axis(axes, TUNE, axis="y")
    style.token_axis(axes, V2.tokens)
    assert axes.get_ylim() == (len(TUNE) - 0.5, -0.5)


def test_bar_lines_stand_at_the_measure_tokens():
    axes = style.figure().subplots()
    style.bar_lines(axes, TUNE)
    places = [line.get_xdata()[0] for line in axes.lines]
    assert [TUNE[place] for place in places] == ["|:", "|", ":|", "|1", "|2"]
    assert len({line.get_linewidth() for line in axes.lines}) == 2

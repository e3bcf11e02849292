"""Which figures a run files, how wide and as what."""

from __future__ import annotations

import pytest

from folkrnn.config.figures import MOST, OF_THE_RUN, Figures, inches, names_of, read
from folkrnn.errors import UserError


def test_an_entry_names_one_figure_of_one_analysis():
    assert names_of(["softmax_svd/plane=fig7", "a/b=c=d"]) == {"softmax_svd/plane": "fig7", "a/b": "c=d"}


@pytest.mark.parametrize("entry", ["fig7", "softmax_svd/plane", "plane=fig7", "softmax_svd/plane="])
def test_anything_else_is_refused_with_an_example(entry):
    with pytest.raises(UserError, match="softmax_svd/plane=fig7"):
        names_of([entry])


def test_a_width_is_in_centimetres_or_inches():
    assert inches("7in") == 7
    assert inches("17.78 cm") == pytest.approx(7)


@pytest.mark.parametrize("width", ["17", "7 px", "-7in", "wide", "1cm", "90in"])
def test_any_other_width_is_refused_with_an_example(width):
    with pytest.raises(UserError, match=r"figures.width=.*(7in|3in)"):
        inches(width)


def test_the_settings_of_a_configuration_are_read():
    found = read({"format": "pdf", "width": "17.8cm", "data": True, "all": False, "names": ["a/b=c"]})
    assert found == Figures("pdf", 17.8 / 2.54, True, False, {"a/b": "c"})


def test_named_figures_are_filed_under_their_names_and_the_first_others_as_far_as_there_is_room():
    settings = Figures(names={"a/third": "fig3"})
    assert settings.kept("a", {"first": 1, "second": 2, "third": 3}, room=1) == {"first": 1, "fig3": 3}
    assert settings.kept("a", {"first": 1, "third": 3}, room=-1) == {"fig3": 3}


def test_every_figure_is_filed_on_request():
    settings = Figures(all=True, names={"a/third": "fig3"})
    assert settings.kept("a", {"first": 1, "second": 2, "third": 3}, room=0) == {"first": 1, "second": 2, "fig3": 3}


def test_named_figures_take_the_room_of_others():
    assert Figures().room(["a"]) == MOST - OF_THE_RUN
    assert Figures(names={"a/x": "1", "a/y": "2", "b/x": "3"}).room(["a"]) == MOST - OF_THE_RUN - 2
    assert Figures(names={f"a/{k}": str(k) for k in range(40)}).room(["a"]) == 0

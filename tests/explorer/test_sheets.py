"""What is seen and heard of a tune, token by token."""

from __future__ import annotations

import numpy as np
import pytest

from folkrnn.explorer.sheets import sheets

REPEATED = "M:4/4 K:Cmaj |: C 2 D 2 E 2 F 2 | G 4 z 4 :|".split()
WHOLE = ["<s>", *REPEATED]


def test_each_note_has_the_token_it_comes_from_and_the_seconds_of_the_dance():
    (sheet,) = sheets([REPEATED])
    assert sheet.notes.shape == (10, 4), "five notes, twice"
    assert [WHOLE[int(token)] for token in sheet.notes[:5, 3]] == ["C", "D", "E", "F", "G"]
    np.testing.assert_allclose(sheet.notes[:5, 0], np.array([0, 2, 4, 6, 8]) * 30 / 180, rtol=1e-6)
    np.testing.assert_allclose(sheet.notes[5, 0], 16 * 30 / 180, rtol=1e-6)


def test_playing_passes_over_every_token_from_the_first_note_to_the_last_sign():
    (sheet,) = sheets([REPEATED])
    assert (np.diff(sheet.path[:, 0]) >= 0).all()
    assert sorted(set(sheet.path[:, 1].astype(int))) == list(range(WHOLE.index("C"), len(WHOLE)))
    first = dict(zip(sheet.path[::-1, 1].astype(int), sheet.path[::-1, 0], strict=True))
    for onset, _, _, token in sheet.notes[:5]:
        assert first[int(token)] == pytest.approx(onset, abs=1e-5)


def test_bars_and_the_ids_of_notes_count_the_start_token():
    (sheet,) = sheets([REPEATED])
    assert [WHOLE[a:b] for a, b in sheet.bars] == [["C", "2", "D", "2", "E", "2", "F", "2"], ["G", "4", "z", "4"]]
    assert f'id="{sheet.mark}{REPEATED.index("C")}"' in sheet.picture


def test_broken_tunes_and_empty_ones_have_a_sheet():
    for sheet in sheets([[], ["|", "]", "2"], "M:4/4 K:Cmaj (3 [ C".split()]):
        assert "<svg" in sheet.picture
        assert sheet.notes.shape[1] == 4


def test_a_tune_that_verovio_does_not_draw_has_its_abc_and_is_heard_all_the_same():
    (sheet,) = sheets([REPEATED], seconds=0.0)
    assert sheet.mark == ""
    assert "not engraved" in sheet.picture
    assert "C2D2" in sheet.picture
    assert len(sheet.notes) == 10

"""The face for notebooks: load, generate, trace, edit, look and listen."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import folkrnn
from folkrnn.errors import UserError
from folkrnn.interventions import activations, distributions
from folkrnn.interventions.cuts import cut
from folkrnn.vocabulary import V2


@pytest.fixture(scope="module")
def lab() -> folkrnn.Lab:
    return folkrnn.load("folkrnn_small")


@pytest.fixture(scope="module")
def melodies() -> folkrnn.Lab:
    return folkrnn.load("musicvae_2bar")


def test_a_lab_says_in_a_line_what_it_is(lab):
    assert repr(lab) == "<Lab of pretrained/folkrnn_small: LSTM 3 × 128 over 137 tokens>"
    edited = lab.edit({"l3.h[60,97]": 0, "l1.c": lambda value, step: value})
    assert repr(edited).endswith("over 137 tokens, edited: l3.h[60,97] = 0, l1.c = <lambda>>")


def test_tunes_begin_with_the_prime_and_are_the_same_for_the_same_seed(lab):
    first, again = (lab.generate(3, seed=1, prime="M:6/8 K:Cdor", max_tokens=60) for _ in range(2))
    assert [tune.tokens for tune in first] == [tune.tokens for tune in again]
    assert all(tune.tokens[:2] == ["M:6/8", "K:Cdor"] for tune in first)
    assert len({tune.abc for tune in first}) == 3


def test_a_trace_has_a_row_for_every_token_but_the_last(lab):
    tune = lab.generate(1, seed=1, max_tokens=40)[0]
    found = lab.trace(tune, ["l*.h", "probs"])
    assert {name: value.shape for name, value in found.items()} == {
        "l1.h": (len(tune.ids) - 1, 128),
        "l2.h": (len(tune.ids) - 1, 128),
        "l3.h": (len(tune.ids) - 1, 128),
        "probs": (len(tune.ids) - 1, 137),
    }
    own = found["probs"][np.arange(len(tune.ids) - 1), tune.ids[1:]]
    np.testing.assert_allclose(own, tune.transcription.probability, atol=1e-5)
    assert lab.trace("M:4/4 K:Cmaj G A B c", "l1.h")["l1.h"].shape == (7, 128)


def test_an_edit_changes_only_what_it_says_and_leaves_the_lab_as_it_was(lab):
    before = [tune.tokens for tune in lab.generate(6, seed=1, max_tokens=60)]
    with lab.edit({"l3.h[3,97]": 0.5}) as held:
        changed = [tune.tokens for tune in held.generate(6, seed=1, max_tokens=60)]
        found = held.trace(lab.generate(1, max_tokens=20)[0], "l3.h")["l3.h"]
    assert (found[:, [3, 97]] == 0.5).all()
    assert not (found[:, 4] == 0.5).all()
    assert changed != before
    assert [tune.tokens for tune in lab.generate(6, seed=1, max_tokens=60)] == before
    same = lab.edit({"l3.h[3]": lambda value, step: value})
    assert [tune.tokens for tune in same.generate(6, seed=1, max_tokens=60)] == before


def test_a_function_sees_the_step_and_edits_add_up(lab):
    def late(value, step):
        return torch.where((step.position.step >= 5).unsqueeze(1), torch.zeros_like(value), value)

    tune = lab.generate(1, max_tokens=20)[0]
    both = lab.edit({"l1.h": late}).edit({"l2.c[0]": 1})
    found, plain = both.trace(tune, ["l1.h", "l2.c"]), lab.trace(tune, ["l1.h"])
    assert not found["l1.h"][5:].any()
    np.testing.assert_allclose(found["l1.h"][:5], plain["l1.h"][:5], atol=1e-6)
    assert (found["l2.c"][:, 0] == 1).all()


def test_an_intervention_is_an_edit(lab):
    suppressed = lab.edit(distributions.suppress("measure"))
    assert not any(V2.types[V2.index[word]] == "measure" for word in suppressed.generate(1, max_tokens=60)[0].tokens)
    periodic = lab.edit(cut(select="periodic", fraction=0.2))
    assert periodic.effects[0].metrics["units"] == 26
    assert repr(periodic).endswith("edited: Cut>")


def test_a_tune_is_a_line_a_score_and_a_player(lab):
    tune = lab.generate(2, seed=1, prime="M:6/8 K:Cdor")[1]
    assert re.fullmatch(r"<Tune 1: M:6/8 K:Cdor .* \(\d+ tokens\)>", repr(tune))
    assert "\n" not in repr(tune)
    assert tune.abc.startswith("X:2\nT:No. 2\nM:6/8\n")
    assert tune.midi()[:4] == b"MThd"
    shown = tune._repr_html_()
    assert "<svg" in shown
    assert '<audio controls src="data:audio/mpeg;base64,' in shown
    assert tune.play()._repr_html_() in shown


def test_music21_reads_a_tune_as_it_is(lab):
    tune = lab.read("M:4/4 K:Cmaj G 2 A 2 B 2 c 2 | G 4 C 4 |")
    notes = [note.nameWithOctave for note in tune.music21().flatten().notes]
    assert notes == ["G4", "A4", "B4", "C5", "G4", "C4"]


def test_a_musicvae_is_edited_and_traced_alike(melodies):
    tunes = melodies.generate(3, seed=1)
    assert re.fullmatch(r"<Melody 0: [^\n]*>", repr(tunes[0]))
    assert len(tunes[0].tokens) == 32
    with melodies.edit({"dec.l1.h[0:100]": 0.9, "z[3]": 0}) as held:
        changed = held.generate(3, seed=1)
        found = held.trace(tunes[0], ["dec.l1.h[0,5]", "z", "mu"])
    assert any((a.classes != b.classes).any() for a, b in zip(tunes, changed, strict=True))
    assert (found["dec.l1.h[0,5]"] == np.float32(0.9)).all()
    assert found["z"][3] == 0
    assert tunes[0].midi()[:4] == b"MThd"
    assert melodies.edit(activations.clamp("mu[2]", "mean")).trace(tunes[0], "mu")["mu"].shape == (512,)


def test_what_cannot_be_loaded_traced_or_edited_is_refused_by_name(lab, melodies):
    with pytest.raises(UserError, match="did you mean folkrnn_v2"):
        folkrnn.load("folkrnn_v22")
    with pytest.raises(UserError, match=r"no site 'l4\.h'"):
        lab.trace("M:4/4 K:Cmaj G", "l4.h")
    with pytest.raises(UserError, match="units 0 to 127"):
        lab.edit({"l3.h[500]": 0})
    with pytest.raises(UserError, match="changes folkrnn"):
        melodies.edit(distributions.suppress("|"))
    with pytest.raises(UserError, match="no tokens"):
        melodies.read("A B c")


def test_a_weights_folder_is_loaded_by_its_path(lab, tmp_path):
    from folkrnn.weights.folder import save

    save(tmp_path / "mine", lab.weights.model, V2, "a card")
    assert folkrnn.load(tmp_path / "mine").model.shape == lab.model.shape
